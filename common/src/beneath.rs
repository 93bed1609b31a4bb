//! Lookups that stay below a directory: openat2(2), so that no `..`, no symlink and no link of /proc leads anywhere else.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How directories are opened.
pub const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// How often a lookup is tried that the kernel could not prove to stay beneath because something was renamed meanwhile.
const TRIES: usize = 100;

/// Opens what is at `path` below `dir`; the empty path is `dir` itself.
///
/// # Errors
/// It is not there, a symlink is on the way or in its place, or the lookup would leave `dir`.
pub fn open(dir: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    for _ in 0..TRIES {
        match rustix::fs::openat2(&dir, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}
