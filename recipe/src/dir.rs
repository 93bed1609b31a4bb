//! Directories as descriptors: everything that is written lies below one, whatever the names say.
//!
//! Directories and files are looked up by [`common::beneath`], so that nothing leads anywhere else; the rest is done with one
//! plain name in an open directory. Paths here are relative, of plain names ([`check`]).
//!
//! - [`names`]: what is in a directory
//! - [`scratch`]: one of one's own, for a while
//! - [`nowhere`]: one for those that are not there
//! - [`text`]: files that are read as a whole

mod names;
mod scratch;
mod nowhere;
mod text;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::beneath::{self, DIR};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

pub use scratch::Scratch;
pub use text::read_text;

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// Its path, for messages.
    pub path: PathBuf,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens a directory by the user's own word: symlinks on the way are his.
    ///
    /// # Errors
    /// It is not there, or not a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::openat(CWD, path, DIR.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// As [`Dir::open`]; none if it is not there.
    ///
    /// # Errors
    /// It is not a directory, or cannot be opened.
    pub fn open_if_there(path: &Path) -> io::Result<Option<Self>> {
        match Self::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            dir => dir.map(Some),
        }
    }

    /// Opens a directory by the user's own word; makes it and what is above it first.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn ensure(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("failed to create {}", path.display()))?;
        Self::open(path).with_context(|| format!("failed to open {}", path.display()))
    }

    /// Opens a directory of another system: its symlinks lead where they would lead there. What is missing is made.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn ensure_in_root(root: &Path, path: &Path) -> anyhow::Result<Self> {
        let open_root = || Self::open(root).with_context(|| format!("failed to open {}", root.display()));
        let (top, mut dir) = (open_root()?, open_root()?);
        let shown = root.join(path.strip_prefix("/").unwrap_or(path));
        let mut so_far = PathBuf::new();
        for part in path.components().filter(|c| matches!(c, std::path::Component::Normal(_))) {
            so_far.push(part);
            let flags = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let open =
                || rustix::fs::openat2(&top, &so_far, DIR.difference(OFlags::NOFOLLOW), Mode::empty(), flags);
            let fd = match open() {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&dir, part.as_os_str(), Mode::from_raw_mode(0o755))
                        .with_context(|| format!("failed to create {}", shown.display()))?;
                    open()
                }
                result => result,
            };
            let fd = fd.with_context(|| format!("failed to open {}", shown.display()))?;
            dir = Self { fd, path: root.join(&so_far) };
        }
        Ok(dir)
    }

    /// Opens a directory below this one; the empty path is this one.
    ///
    /// # Errors
    /// It is not there, not a directory, or a symlink is on the way.
    pub fn sub(&self, path: &str) -> io::Result<Self> {
        self.sub_bytes(path.as_bytes())
    }

    /// As [`Dir::sub`], for names of archives, which need not be UTF-8.
    ///
    /// # Errors
    /// As [`Dir::sub`].
    pub fn sub_bytes(&self, path: &[u8]) -> io::Result<Self> {
        let fd = beneath::open(&self.fd, path, DIR)?;
        let shown = if path.is_empty() { self.path.clone() } else { self.path.join(OsStr::from_bytes(path)) };
        Ok(Self { fd, path: shown })
    }

    /// Makes a directory below this one, with those above it, and opens it.
    ///
    /// # Errors
    /// It cannot be made, or something else is in its place.
    pub fn make(&self, path: &str, mode: u32) -> io::Result<Self> {
        match self.sub(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        let (parent, name) = split(path);
        let parent = self.make(parent, mode)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let mut made = parent.sub(name)?;
        made.path = self.path.join(path);
        Ok(made)
    }

    /// What a path below is; symlinks are not followed. None if it, or a directory above it, is not there.
    ///
    /// # Errors
    /// It cannot be examined.
    pub fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        let (parent, name) = split(path);
        let parent = match self.sub(parent) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Opens a file below for reading.
    ///
    /// # Errors
    /// It is not there, or a symlink is on the way or in its place.
    pub fn read(&self, path: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(beneath::open(&self.fd, path.as_bytes(), flags)?))
    }

    /// Creates a file in this directory; nothing may have its name.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))?;
        Ok(File::from(fd))
    }

    /// Writes a file in this directory so that it is there whole or not at all, durably.
    ///
    /// # Errors
    /// It cannot be written; an old file is as it was, unless only the last sync failed.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temp = format!("{name}.new");
        self.remove_file(&temp)?;
        let mut file = self.create(temp.as_bytes(), 0o644)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        rustix::fs::renameat(&self.fd, &temp, &self.fd, name)?;
        self.sync()
    }

    /// Reads a symlink.
    ///
    /// # Errors
    /// It is none.
    pub fn link_target(&self, path: &str) -> io::Result<String> {
        let (parent, name) = split(path);
        let target = rustix::fs::readlinkat(&self.sub(parent)?, name, Vec::new())?;
        target.into_string().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// Makes the names in this directory durable.
    ///
    /// # Errors
    /// The disk does not confirm.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Removes a name that may be there and is no directory.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_file(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = match self.sub(parent) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result?,
        };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a directory that may be there, if it is empty. Whether it is gone.
    ///
    /// # Errors
    /// It cannot be removed, for another reason than what is in it.
    pub fn remove_empty(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = split(path);
        let parent = match self.sub(parent) {
            Err(e) if e.kind() == io::ErrorKind::NotFound || is_blocked(&e) => return Ok(true),
            result => result?,
        };
        match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            // Not empty, mounted on, or a file's by now.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY | Errno::NOTDIR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a name and everything below it, if it is there; symlinks are removed, not followed.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn remove_tree(&self, name: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(OsStr::from_bytes(name));
        let context = || format!("failed to remove {}", path.display());
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(e) => return Err(e).with_context(context),
        }
        let open = || rustix::fs::openat(&self.fd, name, DIR, Mode::empty());
        let fd = match open() {
            // Read-only module caches and the like.
            Err(Errno::ACCESS) => {
                let mode = Mode::from_raw_mode(0o700);
                rustix::fs::chmodat(&self.fd, name, mode, AtFlags::empty()).and_then(|()| open())
            }
            result => result,
        };
        let dir = Self { fd: fd.with_context(context)?, path: path.clone() };
        let names = dir.raw_names().with_context(context)?;
        if !names.is_empty() && rustix::fs::fstat(&dir.fd).is_ok_and(|s| s.st_mode & 0o200 == 0) {
            rustix::fs::fchmod(&dir.fd, Mode::from_raw_mode(0o700)).with_context(context)?;
        }
        names.iter().try_for_each(|name| dir.remove_tree(name.to_bytes()))?;
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e).with_context(context),
        }
    }
}

/// Whether a path cannot be there, since a file or a link stands where a directory above it would be.
#[must_use]
pub fn is_blocked(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTDIR | Errno::LOOP))
}

/// Whether the system has refused something for want of permission.
#[must_use]
pub fn is_denied(error: &anyhow::Error) -> bool {
    error.chain().any(|e| {
        e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::PermissionDenied)
            || matches!(e.downcast_ref::<Errno>(), Some(&(Errno::ACCESS | Errno::PERM)))
    })
}

/// Whether the system, or the disk, has refused something: no answer, other than a file whose content is wrong.
#[must_use]
pub fn is_refused(error: &anyhow::Error) -> bool {
    error.chain().any(|e| {
        // serde_json has the error of a reader, and does not give it as its source.
        e.is::<Errno>()
            || e.downcast_ref::<io::Error>().is_some_and(|e| e.raw_os_error().is_some())
            || e.downcast_ref::<serde_json::Error>().is_some_and(serde_json::Error::is_io)
    })
}

/// Renames a path below one directory to a path below another, in one of the ways of renameat2(2).
///
/// # Errors
/// A directory above either is not there, or the rename is refused.
pub fn rename(from: &Dir, old: &str, to: &Dir, new: &str, flags: RenameFlags) -> io::Result<()> {
    let ((from_dir, from_name), (to_dir, to_name)) = (split(old), split(new));
    let (from, to) = (from.sub(from_dir)?, to.sub(to_dir)?);
    Ok(rustix::fs::renameat_with(&from, from_name, &to, to_name, flags)?)
}

/// A path's directory and its last name.
#[must_use]
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Every directory above a path, the highest first.
pub fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The path itself, if it is relative, of plain names, and fit for a list of one path a line.
///
/// # Errors
/// It is empty or absolute, or has `.`, `..`, empty names or control characters in it.
pub fn check(path: &str) -> anyhow::Result<&str> {
    let plain = path.split('/').all(|name| !matches!(name, "" | "." | ".."));
    ensure!(
        plain && !path.chars().any(char::is_control),
        "expected a path of plain names below the prefix, found {path:?}"
    );
    Ok(path)
}

/// The type in a `stat`.
#[must_use]
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
