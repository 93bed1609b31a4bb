//! /etc/shells: what the packages list there, and every shell that is installed (shells(5)).

use anyhow::Context;

use super::conf;
use crate::tree::{Origin, Tree};

/// Login shells, by the names that packages' scriptlets register.
const SHELLS: [&str; 8] = ["bash", "dash", "fish", "ksh", "rbash", "sh", "tcsh", "zsh"];

/// Writes the list: lines that are there keep their order, new ones follow.
///
/// # Errors
/// What is there is not UTF-8.
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    let old = conf::text_of(tree, b"/etc/shells")
        .unwrap_or(Ok(String::new()))
        .context("failed to parse /etc/shells")?;
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    for dir in ["/bin", "/usr/bin"] {
        for path in SHELLS.map(|shell| format!("{dir}/{shell}")) {
            if tree.exists(&path) && !lines.contains(&path) {
                lines.push(path);
            }
        }
    }
    tree.write("/etc/shells", lines.join("\n") + "\n", 0o644, Origin::Generated("shells"))?;
    Ok(())
}
