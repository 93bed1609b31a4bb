//! Removes what a target holds, before an installation starts over.
//!
//! What stays: everything on other file systems mounted below, and their mount points; `lost+found`; a home that is kept; and the
//! marker, which goes last of all. Names are removed in open directories: no symlink is followed.

use std::os::fd::OwnedFd;

use anyhow::{Context, bail};
use common::cli::Mark;
use common::layout::INCOMPLETE_MARKER;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::control::Control;
use super::exit;
use super::root::{self, Root};

/// Deeper trees than that are none of ours, and would need too many open directories.
const DEPTH: usize = 400;

/// Empties the target.
///
/// # Errors
/// Something cannot be removed, or all work is to stop.
pub fn empty(root: &Root, keep_home: bool, control: &Control) -> anyhow::Result<()> {
    let keep = |name: &[u8]| {
        name == INCOMPLETE_MARKER.as_bytes() || name == b"lost+found" || keep_home && name == b"home"
    };
    let done = directory(&root.fd, &mut Vec::new(), &keep, control).and_then(|_| {
        // Also on the disk, so that nothing of it comes back beside what is new.
        rustix::fs::syncfs(&root.fd).map_err(std::io::Error::from).context("failed to sync")
    });
    done.with_context(|| format!("failed to empty {}", root.path.display())).exit(exit::TARGET)
}

/// Empties one directory; whether it is empty now.
fn directory(
    dir: &OwnedFd,
    path: &mut Vec<Vec<u8>>,
    keep: &dyn Fn(&[u8]) -> bool,
    control: &Control,
) -> anyhow::Result<bool> {
    let mut is_empty = true;
    for name in root::names(dir)? {
        control.check()?;
        path.push(name.clone());
        let show = |path: &[Vec<u8>]| String::from_utf8_lossy(&path.join(&b'/')).into_owned();
        if path.len() > DEPTH {
            bail!("{}... is nested too deeply; make a new file system", &show(&path[..3]));
        }
        let removed = if path.len() == 1 && keep(&name) {
            Ok(false)
        } else {
            remove(dir, &name, path, control).with_context(|| format!("failed to remove {}", show(path)))
        };
        is_empty &= removed?;
        path.pop();
    }
    Ok(is_empty)
}

fn remove(dir: &OwnedFd, name: &[u8], path: &mut Vec<Vec<u8>>, control: &Control) -> anyhow::Result<bool> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM | Errno::BUSY) => {}
        Err(e) => return Err(std::io::Error::from(e).into()),
    }
    if root::is_mount(dir, name)? {
        return Ok(false);
    }
    let subdir = root::subdir(dir, name)?;
    if !directory(&subdir, path, &|_| false, control)? {
        return Ok(false);
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).map_err(std::io::Error::from)?;
    Ok(true)
}
