//! The profile's overlay directories, laid over what the packages bring.
//!
//! Host directory -> files in the tree, root:root, dated with the build's epoch: nothing of the builder's uid, umask or
//! clock gets in. Modes are 0755 for directories and what is executable, 0644 for the rest; `overlay.toml` in the
//! overlay's root (itself not copied) names the exceptions, and directories git cannot hold:
//!
//! ```toml
//! [modes]
//! "etc/sudoers.d/wheel" = "0440"
//! [directories]
//! "var/lib/private" = "0700"
//! ```

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use common::cli::Mark;
use serde::Deserialize;

use crate::exit;
use crate::tree::{Content, Inode, Kind, Meta, Origin, Tree};

/// The file that is about the overlay, not part of it.
const CONTROL: &str = "overlay.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    #[serde(default)]
    modes: BTreeMap<String, String>,
    #[serde(default)]
    directories: BTreeMap<String, String>,
}

/// Copies each overlay, in order; the last one wins.
///
/// # Errors
/// A directory or file cannot be read, is of a type an overlay cannot hold, or would replace a directory; exit code
/// [`exit::PROFILE`].
pub fn apply(tree: &mut Tree, overlays: &[PathBuf]) -> anyhow::Result<()> {
    for dir in overlays {
        copy(tree, dir)
            .with_context(|| format!("failed to apply the overlay {}", dir.display()))
            .exit(exit::PROFILE)?;
    }
    Ok(())
}

fn copy(tree: &mut Tree, root: &Path) -> anyhow::Result<()> {
    let origin = Origin::Overlay(name_of(root));
    let mut control = control(root)?;
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        let context = || format!("failed to read {}", dir.display());
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(&dir).with_context(context)?.collect();
        let mut paths: Vec<PathBuf> = entries.with_context(context)?.into_iter().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            let relative =
                path.strip_prefix(root).unwrap_or_else(|_| unreachable!("it was found below the root"));
            if relative == Path::new(CONTROL) {
                continue;
            }
            let dest = [b"/", relative.as_os_str().as_bytes()].concat();
            let meta =
                path.symlink_metadata().with_context(|| format!("failed to read {}", path.display()))?;
            let kind = meta.file_type();
            let (mode, kind) = if kind.is_dir() {
                tree.mkdir_p(&dest, &origin)?;
                todo.push(path);
                continue;
            } else if kind.is_file() {
                let plain = if meta.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
                let mode = relative.to_str().and_then(|r| control.modes.remove(r));
                let mode = mode.map_or(Ok(plain), |m| parse_mode(&m))?;
                (mode, Kind::File(Content::from(common::fs::read(&path)?)))
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                (0o777, Kind::Symlink(target.into_os_string().into_vec().into()))
            } else {
                bail!(
                    "an overlay holds files, directories and symlinks only, but {} is something else",
                    path.display()
                );
            };
            let meta = Meta::root(mode, tree.epoch(), origin.clone());
            tree.insert(&dest, Inode { meta, kind })?;
        }
    }
    for (path, mode) in std::mem::take(&mut control.directories) {
        let id = tree.mkdir_p(&path, &origin)?;
        tree.inode_mut(id).meta.mode = parse_mode(&mode)?;
    }
    let unused: Vec<&str> = control.modes.keys().map(String::as_str).collect();
    ensure!(
        unused.is_empty(),
        "{CONTROL} gives modes to what is not a file of the overlay: {}",
        unused.join(" ")
    );
    Ok(())
}

fn control(root: &Path) -> anyhow::Result<Control> {
    let path = root.join(CONTROL);
    if !path.exists() {
        return Ok(Control::default());
    }
    let text = common::fs::read_to_string(&path)?;
    toml::from_str(&text).with_context(|| format!("failed to parse {}", path.display()))
}

fn parse_mode(text: &str) -> anyhow::Result<u16> {
    let mode = u16::from_str_radix(text, 8).ok().filter(|&m| m <= 0o7777);
    mode.with_context(|| format!("expected an octal mode up to 7777 in {CONTROL}, found {text:?}"))
}

/// `overlay/common`: what does not depend on where the sources lie on the host.
fn name_of(root: &Path) -> Arc<str> {
    let parts: Vec<_> = root.components().rev().take(2).map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/").into()
}
