//! Owner names in the tree -> numbers. A name nobody knows stops the build.
//!
//! rpm gives such a file to root and goes on; a set-id program or a private directory would then silently belong to
//! the wrong account. There is no list of exceptions: the cure is an account in a sysusers.d file or in the profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::cli::Mark;

use super::Accounts;
use crate::tree::{InodeId, Meta, Origin, Owner, Tree};

/// Names at most this many accounts in an error.
const MAX_NAMED: usize = 20;

/// Makes every owner in the tree a number.
///
/// # Errors
/// An owner is no account; the error names it, a path and the package.
pub(super) fn resolve(tree: &mut Tree, accounts: &Accounts) -> anyhow::Result<()> {
    let mut unknown: BTreeMap<(&str, Arc<str>), (usize, String)> = BTreeMap::new();
    let root = (b"/".to_vec(), Tree::ROOT);
    for (path, id) in std::iter::once(root).chain(tree.walk()) {
        let meta = &mut tree.inode_mut(id).meta;
        let names = [("user", &mut meta.user), ("group", &mut meta.group)];
        let mut missing = Vec::new();
        for (what, owner) in names {
            let Owner::Name(name) = owner else { continue };
            let known = if what == "user" { accounts.uid(name) } else { accounts.gid(name) };
            match known {
                Some(number) => *owner = Owner::Id(number),
                None => missing.push((what, name.clone())),
            }
        }
        for key in missing {
            let example = || format!("{} of {}", String::from_utf8_lossy(&path), origin(tree, id));
            unknown.entry(key).or_insert_with(|| (0, example())).0 += 1;
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = unknown
        .iter()
        .take(MAX_NAMED)
        .map(|((what, name), (count, example))| format!("{what} {name:?} ({count} files, such as {example})"))
        .collect();
    Err::<(), _>(anyhow::anyhow!("files belong to accounts that do not exist: {}", lines.join("; ")))
        .hint("add a [[user]] to the profile, or a file to usr/lib/sysusers.d of an overlay")
}

fn origin(tree: &Tree, id: InodeId) -> String {
    match &tree.inode(id).meta {
        Meta { origin: Origin::Package(name), .. } => name.to_string(),
        Meta { origin: Origin::Generated(step), .. } => format!("the step {step}"),
        Meta { origin: Origin::Overlay(dir), .. } => format!("the overlay {dir}"),
    }
}
