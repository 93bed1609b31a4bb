//! filelists.xml: every file of every package. Read only when a dependency names a path that primary.xml does not
//! have, and only those paths are kept.

use std::collections::{BTreeSet, HashMap};
use std::io::BufRead;

use anyhow::bail;
use common::hash::Sha256;

use super::RepoMetadata;
use super::xml::{Item, Xml, append};

/// Reads filelists.xml (decompressed) and adds those of the `wanted` paths that a package of `repo` has to its files.
///
/// # Errors
/// It is not filelists.xml or breaks a cap; names the repository and the byte, exit code [`crate::exit::VERIFY`].
pub fn read_filelists(
    repo: &mut RepoMetadata,
    reader: impl BufRead,
    wanted: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let what = format!("filelists.xml of repository {}", repo.id);
    let by_digest: HashMap<Sha256, usize> =
        repo.packages.iter().enumerate().map(|(i, package)| (package.sha256, i)).collect();
    let mut package = None;
    let mut text: Option<String> = None;
    let mut root = false;
    Xml::new(reader).read(&what, |item| {
        match item {
            Item::Open(tag) => match (tag.depth, tag.name()) {
                (1, "filelists") => root = true,
                (1, other) => bail!("expected <filelists>, found <{other}>"),
                (2, "package") => {
                    // A digest of another kind names no package of ours.
                    let digest = tag.need("pkgid")?.parse::<Sha256>().ok();
                    package = digest.and_then(|d| by_digest.get(&d)).copied();
                }
                (3, "file") if package.is_some() => text = Some(String::new()),
                _ => {}
            },
            Item::Text(piece) => {
                if let Some(text) = &mut text {
                    append(text, piece)?;
                }
            }
            Item::Close(depth) => {
                if let (Some(path), Some(package)) = (text.take(), package)
                    && wanted.contains(&path)
                {
                    let path = repo.strings.intern(&path);
                    let files = &mut repo.packages[package].files;
                    if !files.contains(&path) {
                        files.push(path);
                    }
                }
                if depth == 2 {
                    package = None;
                }
            }
            Item::End if !root => bail!("it is empty"),
            Item::End => {}
        }
        Ok(())
    })
}
