//! The target directory: is it one, and what do paths inside of it mean.
//!
//! The target is not trusted: its symlinks are resolved as if it were `/` already (openat2, RESOLVE_IN_ROOT), and what
//! will be mounted on must not be reached by a symlink at all.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use common::cli::Mark;
use common::layout::INCOMPLETE_MARKER;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx};
use rustix::io::Errno;

/// Largest account database that is read, bytes.
const MAX_TEXT: u64 = 16 << 20;

/// How often a lookup is tried that the kernel wants repeated.
const MAX_TRIES: u32 = 100;

/// An open target directory.
#[derive(Debug)]
pub(super) struct Root {
    /// Absolute, without symlinks.
    pub(super) path: PathBuf,
    fd: OwnedFd,
}

impl Root {
    /// Opens `path`, which the user named: symlinks in it are his.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let found = path.canonicalize().with_context(|| format!("failed to open {}", path.display()));
        let path = found.hint("mount the root file system of the other system first")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty());
        let fd = fd.with_context(|| format!("failed to open {} as a directory", path.display()))?;
        Ok(Self { path, fd })
    }

    /// The descriptor of the directory.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether something is mounted exactly here.
    pub(super) fn is_mount_point(&self) -> anyhow::Result<bool> {
        is_mount_point(&self.fd).with_context(|| format!("failed to examine {}", self.path.display()))
    }

    /// Whether there is something at `relative`.
    pub(super) fn has(&self, relative: &str) -> bool {
        self.open_in_root(relative, OFlags::PATH).is_ok()
    }

    /// A directory to mount on; no symlink may lead to it.
    pub(super) fn mount_point(&self, relative: &str) -> anyhow::Result<OwnedFd> {
        let shown = self.path.join(relative);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match self.resolve(relative, flags, ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Ok(fd),
            Err(Errno::LOOP) => {
                bail!("{} is reached by a symbolic link; expected a directory to mount on", shown.display())
            }
            Err(e) => Err(e)
                .with_context(|| format!("{} is no directory to mount on", shown.display()))
                .hint(format!("is a system installed in {}?", self.path.display())),
        }
    }

    /// A directory inside, as programs of the target would find it.
    pub(super) fn directory(&self, relative: &str) -> Option<OwnedFd> {
        self.open_in_root(relative, OFlags::PATH | OFlags::DIRECTORY).ok()
    }

    /// Whether `relative` is a file that someone may execute.
    pub(super) fn is_program(&self, relative: &str) -> bool {
        let Ok(fd) = self.open_in_root(relative, OFlags::PATH) else { return false };
        rustix::fs::fstat(&fd).is_ok_and(|s| s.st_mode & 0o170_000 == 0o100_000 && s.st_mode & 0o111 != 0)
    }

    /// The text of a regular file; `None` when there is none.
    pub(super) fn text(&self, relative: &str) -> anyhow::Result<Option<String>> {
        let context = || format!("failed to read {}", self.path.join(relative).display());
        // NONBLOCK: a FIFO in its place must not hold us up.
        let fd = match self.open_in_root(relative, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e).with_context(context),
        };
        let file = File::from(fd);
        if !file.metadata().with_context(context)?.is_file() {
            bail!("{} is not a regular file", self.path.join(relative).display());
        }
        let mut bytes = Vec::new();
        file.take(MAX_TEXT).read_to_end(&mut bytes).with_context(context)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What a user should know before he works in there.
    pub(super) fn warnings(&self) -> anyhow::Result<Vec<String>> {
        let shown = self.path.display();
        let mut warnings = Vec::new();
        if !self.is_mount_point()? {
            warnings.push(format!(
                "nothing is mounted on {shown}: it is a directory of the running system's disk"
            ));
        }
        if self.has(INCOMPLETE_MARKER) {
            warnings.push(format!(
                "the installation in {shown} was interrupted and is not whole ({INCOMPLETE_MARKER} is there); run \
                 `recstrap {shown}` again"
            ));
        }
        if !self.has("usr") {
            warnings.push(format!("{shown} has no /usr: nothing seems to be installed there"));
        }
        Ok(warnings)
    }

    fn open_in_root(&self, relative: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.resolve(relative, flags | OFlags::CLOEXEC, ResolveFlags::NO_MAGICLINKS)
    }

    fn resolve(&self, relative: &str, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let mut tries = 0;
        loop {
            // AGAIN: something was renamed or mounted anywhere while `..` was followed.
            match openat2(&self.fd, relative, flags, Mode::empty(), resolve | ResolveFlags::IN_ROOT) {
                Err(Errno::AGAIN) if tries < MAX_TRIES => tries += 1,
                result => return result,
            }
        }
    }
}

/// Whether the descriptor is the root of a mount (statx(2), STATX_ATTR_MOUNT_ROOT; Linux 5.8).
pub(super) fn is_mount_point(fd: &OwnedFd) -> rustix::io::Result<bool> {
    let stat = statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Where an open descriptor lies, by the names this process sees.
pub(super) fn path_of(fd: &OwnedFd) -> anyhow::Result<PathBuf> {
    std::fs::read_link(through(fd)).context("failed to read /proc/self/fd")
}

/// A path that leads to an open descriptor, whatever its own path is.
pub(super) fn through(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens a path of the running system without looking into it.
pub(super) fn host(path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}
