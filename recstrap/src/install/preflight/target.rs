//! What is in the target already, and may it stay?
//!
//! A target counts as empty with: `lost+found`; mounted file systems on `boot`, `efi`, `boot/efi`, `home`, whatever is in
//! them; other mounted file systems that are empty themselves; the directories on the way to them; empty directories of
//! those names; a home that is kept.

use std::os::fd::OwnedFd;

use common::layout::{INCOMPLETE_MARKER, INSTALLED_RECORD};
use rustix::fs::{AtFlags, FileType};

use super::super::marker;
use super::super::root::{self, Root};

/// Mount points whose content does not count.
const FOREIGN: &[&[u8]] = &[b"boot", b"efi", b"boot/efi", b"home"];

/// How deep mount points are looked for.
const DEPTH: usize = 16;

/// What a target holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing that is in the way.
    Empty,
    /// What an interrupted installation left.
    Interrupted,
    /// A complete installation.
    Installed,
    /// Something; this is the first of it.
    Other(Vec<u8>),
}

/// Looks.
///
/// # Errors
/// The target cannot be read.
pub fn content(root: &Root, keep_home: bool) -> anyhow::Result<Content> {
    if marker::is_there(root)? {
        return Ok(Content::Interrupted);
    }
    let (dir, name) = INSTALLED_RECORD.rsplit_once('/').unwrap_or(("", INSTALLED_RECORD));
    let dir = root.dir(dir.as_bytes());
    if dir.is_ok_and(|dir| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()) {
        return Ok(Content::Installed);
    }
    let found = obstacle(&root.fd, b"", keep_home, 0)?;
    Ok(found.map_or(Content::Empty, Content::Other))
}

/// Whether there is anything in /home: its files are not the image's to touch.
///
/// # Errors
/// It cannot be read.
pub fn has_home(root: &Root) -> anyhow::Result<bool> {
    let Ok(dir) = root.dir(b"home") else { return Ok(false) };
    Ok(root::names(&dir)?.iter().any(|name| name != b"lost+found"))
}

/// Whether a name in the root is recstrap's or the file system's own.
#[must_use]
pub fn is_own(name: &[u8]) -> bool {
    name == INCOMPLETE_MARKER.as_bytes() || name == b"lost+found"
}

/// The first name that may not stay.
fn obstacle(dir: &OwnedFd, path: &[u8], keep_home: bool, depth: usize) -> anyhow::Result<Option<Vec<u8>>> {
    let mut names = root::names(dir)?;
    names.sort();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { [path, &name].join(&b'/') };
        let stat = rustix::fs::statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory || depth == DEPTH {
            return Ok(Some(path));
        }
        let is_mount = root::is_mount(dir, &name)?;
        let is_foreign = FOREIGN.contains(&&*path);
        if name == b"lost+found" || is_foreign && is_mount || keep_home && path == b"home" {
            continue;
        }
        let subdir = root::subdir(dir, &name)?;
        let mut inside = root::names(&subdir)?;
        inside.retain(|name| name != b"lost+found");
        if inside.is_empty() {
            // Where something is, or could be, mounted.
            if is_mount || is_foreign {
                continue;
            }
            return Ok(Some(path));
        }
        if let Some(found) = obstacle(&subdir, &path, keep_home, depth + 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
