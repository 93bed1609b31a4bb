//! The links alternatives(8) would make in scriptlets; packages do not say in their data which, so the profile does.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use common::cli::Mark;

use crate::exit;
use crate::tree::{Kind, Origin, Tree};

/// Links each path to its target.
///
/// # Errors
/// A path is not absolute, a target does not exist, or a link would replace a file; exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree, alternatives: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for (path, target) in alternatives {
        link(tree, path, target)
            .with_context(|| format!("failed to make the alternative {path}"))
            .exit(exit::SYSTEM)?;
    }
    Ok(())
}

fn link(tree: &mut Tree, path: &str, target: &str) -> anyhow::Result<()> {
    for p in [path, target] {
        ensure!(p.starts_with('/'), "expected an absolute path, found {p:?}");
    }
    ensure!(tree.exists(target), "its target {target} does not exist");
    if let Ok(id) = tree.lstat(path) {
        ensure!(
            matches!(tree.inode(id).kind, Kind::Symlink(_)),
            "there is already something that is not a link"
        );
    }
    tree.symlink(path, target, Origin::Generated("alternatives"))?;
    ensure!(tree.exists(path), "the link leads to itself");
    Ok(())
}
