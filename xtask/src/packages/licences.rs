//! The notices that go with a statically linked program: which libraries are in it, under which licences, whose texts.
//!
//! cargo says which crates a package is made of; their sources are where cargo keeps them. Some of them are used while
//! compiling only, or dropped by the linker: a notice too many does no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::binary;
use crate::cargo;
use crate::paths::Paths;

/// What is not a crate.
const HEAD: &str = "\
The programs of this package are linked statically. They contain the GNU C Library (LGPL-2.1-or-later), the Rust
standard library (MIT OR Apache-2.0) and the crates below. To link them anew with another version of a library, build
them from their source with `cargo xtask packages`.
";

/// The notices for what is built from the Cargo package `name`.
pub(super) fn notices(paths: &Paths, name: &str) -> anyhow::Result<String> {
    let tree = cargo::cargo(paths)
        .args([
            "tree",
            "--locked",
            "--offline",
            "--no-default-features",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--no-dedupe",
        ])
        .args(["--target", binary::TARGET, "--format", "{p}|{l}", "--package", name]);
    let registries = binary::registries(&binary::cargo_home()?);
    // Text -> the crates that have it: most share a few.
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut out = format!("{HEAD}\n");
    for (krate, licence) in crates(&tree.read()?) {
        out.push_str(&format!("{krate}: {licence}\n"));
        let source = registries.iter().map(|r| r.join(&krate)).find(|d| d.is_dir());
        let source = source.with_context(|| format!("the source of {krate} is not where cargo keeps it"))?;
        for file in licence_files(&source)? {
            texts.entry(common::fs::read_to_string(&file)?).or_default().insert(krate.clone());
        }
    }
    for (text, of) in texts {
        let of = of.into_iter().collect::<Vec<_>>().join(", ");
        out.push_str(&format!("\n{}\n{of}\n\n{}\n", "=".repeat(80), text.trim_end()));
    }
    Ok(out)
}

/// `name-version` and licence of every crate that is not ours.
fn crates(tree: &str) -> BTreeSet<(String, String)> {
    let lines = tree.lines().filter_map(|line| line.split_once('|'));
    // Ours have the path of the workspace behind the version.
    let foreign = lines.filter(|(krate, _)| !krate.contains("(/"));
    let named = foreign.filter_map(|(krate, licence)| {
        let mut words = krate.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some((format!("{name}-{version}"), licence.to_owned()))
    });
    named.collect()
}

fn licence_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("failed to read {}", dir.display()))?;
    let mut files: Vec<_> =
        entries.flatten().map(|e| e.path()).filter(|p| p.is_file() && is_licence(p)).collect();
    files.sort();
    Ok(files)
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"].iter().any(|w| name.starts_with(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_told_from_ours() {
        let tree = "recstrap v0.1.0 (/w/recstrap)|MIT\nlibc v0.2.1|MIT OR Apache-2.0\nserde_derive v1.0.2 (proc-macro)|MIT\nlibc v0.2.1|MIT OR Apache-2.0\n";
        let found: Vec<_> = crates(tree).into_iter().map(|(krate, _)| krate).collect();
        assert_eq!(found, ["libc-0.2.1", "serde_derive-1.0.2"]);
    }
}
