//! The target's root directory as a descriptor, below which everything is written.
//!
//! Directories are opened by [`common::beneath`], so that nothing leads anywhere else; all else is done with one plain name
//! in such a directory. Mounts below the target are entered: they belong to it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::beneath::{self, DIR};
use rustix::fs::{CWD, Mode, OFlags};

/// The target's root.
#[derive(Debug)]
pub struct Root {
    /// The directory.
    pub fd: OwnedFd,
    /// Its path, for messages.
    pub path: PathBuf,
}

impl Root {
    /// Opens a directory as root of everything that follows.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> rustix::io::Result<Self> {
        // The path itself is the user's word and may go through symlinks.
        let fd = rustix::fs::openat(CWD, path, DIR.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a directory below the root; the empty path is the root.
    ///
    /// # Errors
    /// It is not there, not a directory, or a lookup would leave the target.
    pub fn dir(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        beneath::open(&self.fd, path, DIR)
    }

    /// A path below the root, for messages.
    #[must_use]
    pub fn show(&self, path: &[u8]) -> String {
        self.path.join(as_path(path)).display().to_string()
    }
}

/// Bytes as a path.
#[must_use]
pub fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// The name itself, if it is one name in a directory and nothing else.
///
/// # Errors
/// It is empty, `.`, `..`, or has a slash or a NUL in it.
pub fn plain(name: &[u8]) -> anyhow::Result<&[u8]> {
    let wrong = matches!(name, b"" | b"." | b"..") || name.iter().any(|&b| b == b'/' || b == 0);
    ensure!(!wrong, "expected one name in a directory, found {:?}", String::from_utf8_lossy(name));
    Ok(name)
}

/// Opens a directory by its name in another one.
///
/// # Errors
/// It is not there, not a directory, or a symlink.
pub fn subdir(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, name, DIR, Mode::empty())
}

/// Names in a directory, without `.` and `..`.
///
/// # Errors
/// It cannot be read.
pub fn names(dir: &OwnedFd) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    // `read_from` opens it once more, so that the position is its own.
    for entry in rustix::fs::Dir::read_from(dir).context("failed to open a directory")? {
        let name = entry.context("failed to read a directory")?.file_name().to_bytes().to_vec();
        if !matches!(&*name, b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether something is mounted exactly on this name (statx(2), STATX_ATTR_MOUNT_ROOT; Linux 5.8).
///
/// # Errors
/// It cannot be examined.
pub fn is_mount(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<bool> {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, statx};
    let stat = statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::TYPE)?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The path of a name in an open directory through /proc, for calls that take no descriptor and name. The last part is not
/// followed by calls whose name begins with `l`.
#[must_use]
pub fn proc_path(dir: &OwnedFd, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// Opens what was just created for attributes that only go by path; never a symlink's target.
///
/// # Errors
/// It cannot be opened.
pub fn handle(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
