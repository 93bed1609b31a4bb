//! /etc/fstab of ROOT: read, and replaced whole. Links in ROOT are followed as ROOT sees them, never out of it.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::cli::Mark;
use common::fs::AtomicFile;
use rustix::fs::{
    CWD, Mode, OFlags, ResolveFlags, XattrFlags, fgetxattr, flistxattr, fsetxattr, openat, openat2,
};
use rustix::io::Errno;

use super::cli::code;

/// A file of this name that is larger is something else.
const MAX: u64 = 1 << 20;

/// The file, if there is one, and where it belongs.
#[derive(Debug)]
pub(super) struct Table {
    /// For messages.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) text: String,
    etc: OwnedFd,
    old: Option<File>,
}

impl Table {
    /// Opens and reads ROOT's.
    pub(super) fn open(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("etc/fstab");
        Self::read(root, &path)
            .with_context(|| format!("failed to read {}", path.display()))
            .exit(code::NO_TABLE)
    }

    fn read(root: &Path, path: &Path) -> anyhow::Result<Self> {
        let dir = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let root = openat(CWD, root, dir, Mode::empty())?;
        let etc = match openat2(root, "etc", dir, Mode::empty(), within) {
            Err(Errno::NOENT) => bail!("there is no /etc in it; install the system first"),
            etc => etc?,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let old = match openat(&etc, "fstab", flags, Mode::empty()) {
            Ok(file) => Some(File::from(file)),
            Err(Errno::NOENT) => None,
            Err(Errno::LOOP) => bail!("it is a symbolic link; who made it has to change it"),
            Err(e) => return Err(e.into()),
        };
        let mut text = String::new();
        if let Some(file) = &old {
            let meta = file.metadata()?;
            ensure!(meta.is_file(), "it is no regular file");
            ensure!(meta.len() <= MAX, "it has {} bytes, which no fstab has", meta.len());
            let mut bytes = Vec::new();
            file.take(MAX).read_to_end(&mut bytes)?;
            text = String::from_utf8(bytes).context("it is not UTF-8")?;
            ensure!(!text.contains('\0'), "there is a NUL in it");
        }
        Ok(Self { path: path.to_owned(), text, etc, old })
    }

    /// Replaces it, durably; owner, mode and attributes stay. On a failure the old one stays.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        let failed = || format!("failed to write {}", self.path.display());
        // The directory that was looked at, whatever its path leads to by now.
        let path = PathBuf::from(format!("/proc/self/fd/{}/fstab", self.etc.as_raw_fd()));
        let mut new = AtomicFile::create(&path)?;
        new.write_all(text.as_bytes()).with_context(failed)?;
        match &self.old {
            Some(old) => copy_attributes(old, new.file()).with_context(failed)?,
            None => new.file().set_permissions(mode(0o644)).with_context(failed)?,
        }
        new.commit().with_context(failed)
    }
}

fn mode(mode: u32) -> Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

fn copy_attributes(old: &File, new: &File) -> std::io::Result<()> {
    let meta = old.metadata()?;
    std::os::unix::fs::fchown(new, Some(meta.uid()), Some(meta.gid()))?;
    let mut names = vec![0; 64 << 10];
    let len = match flistxattr(old, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        len => len?,
    };
    for name in names[..len].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let len = fgetxattr(old, name, &mut value[..])?;
        fsetxattr(new, name, &value[..len], XattrFlags::empty())?;
    }
    new.set_permissions(mode(meta.mode() & 0o7777))
}
