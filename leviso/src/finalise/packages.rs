//! /usr/lib/levitate/packages.json: what the image is made of, for `recipe`, which must not touch it.
//!
//! The finished tree + what the packages said -> one document. Same input, same bytes: packages sorted by name and version,
//! the rest by byte order, one package a line.
//!
//! ```text
//! {"schema":1,"packages":[
//! {"name":"bash","epoch":0,"version":"5.2.26","release":"6.el10","arch":"x86_64",
//!  "provides":["/bin/sh","bash = 5.2.26-6.el10"],          NAME, or NAME = [EPOCH:]VERSION[-RELEASE]
//!  "files":{"/usr/bin":["bash","sh"]}}                     (one line)
//! ],
//! "image":{"/etc":["hostname"]}}                           files that leviso or an overlay made
//! ```
//!
//! Paths are where files really lie: `/bin/sh` of a package is `/usr/bin/sh` here. Files, links and nodes are listed, and the
//! places that a package claims for a file to come (`%ghost`); directories are not, nor what a profile excludes, nor names
//! that are not UTF-8, which `recipe` could not install either.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use common::layout;
use serde::Serialize;

use crate::extract::PackageInfo;
use crate::tree::{InodeId, Origin, Tree};

const ORIGIN: Origin = Origin::Generated("packages");

/// Directory -> names in it.
type Files = BTreeMap<String, BTreeSet<String>>;

#[derive(Serialize)]
struct Package<'p> {
    name: &'p str,
    epoch: u32,
    version: &'p str,
    release: &'p str,
    arch: &'p str,
    provides: BTreeSet<&'p str>,
    files: Files,
}

/// Writes it. Everything else must be in the tree: what comes later would be nobody's.
///
/// # Errors
/// The place is taken by a directory.
pub fn apply(tree: &mut Tree, packages: &[PackageInfo]) -> anyhow::Result<()> {
    let path = format!("/{}", layout::PACKAGES);
    // It lists itself.
    tree.write(&path, "", 0o644, ORIGIN).with_context(|| format!("failed to write {path}"))?;
    let text = document(tree, packages)?;
    tree.write(&path, text, 0o644, ORIGIN).with_context(|| format!("failed to write {path}"))?;
    Ok(())
}

fn document(tree: &Tree, packages: &[PackageInfo]) -> anyhow::Result<String> {
    let walk = tree.walk();
    let is_dir = |id: &InodeId| tree.entries(*id).is_some();
    let mut dirs: BTreeMap<InodeId, &[u8]> =
        walk.iter().filter(|(_, id)| is_dir(id)).map(|(p, id)| (*id, &p[..])).collect();
    dirs.insert(Tree::ROOT, b"");
    let mut nobodys: BTreeSet<&[u8]> =
        walk.iter().filter(|(_, id)| !is_dir(id)).map(|(path, _)| &path[..]).collect();
    let mut sorted: Vec<&PackageInfo> = packages.iter().collect();
    sorted.sort_by(|a, b| (&a.name, &a.nevra).cmp(&(&b.name, &b.nevra)));
    let mut lines = Vec::with_capacity(sorted.len());
    for info in sorted {
        let real: Vec<Vec<u8>> = info.paths.iter().filter_map(|p| place(tree, &dirs, info, p)).collect();
        for path in &real {
            nobodys.remove(&path[..]);
        }
        lines.push(serde_json::to_string(&Package {
            name: &info.name,
            epoch: info.epoch,
            version: &info.version,
            release: &info.release,
            arch: &info.arch,
            provides: info.provides.iter().map(String::as_str).collect(),
            files: grouped(real.iter().map(Vec::as_slice)),
        })?);
    }
    let image = serde_json::to_string(&grouped(nobodys.into_iter()))?;
    Ok(format!("{{\"schema\":1,\"packages\":[\n{}\n],\n\"image\":{image}}}\n", lines.join(",\n")))
}

/// Where a file of a package lies in the tree; none if it is not there and not expected to come.
fn place(tree: &Tree, dirs: &BTreeMap<InodeId, &[u8]>, info: &PackageInfo, path: &[u8]) -> Option<Vec<u8>> {
    let slash = path.iter().rposition(|b| *b == b'/')?;
    let mut real = dirs.get(&tree.stat(&path[..slash]).ok()?)?.to_vec();
    real.extend_from_slice(&path[slash..]);
    match tree.lstat(&real) {
        Ok(id) => tree.entries(id).is_none().then_some(real),
        Err(_) => info.ghosts.iter().any(|g| g == path).then_some(real),
    }
}

fn grouped<'p>(paths: impl Iterator<Item = &'p [u8]>) -> Files {
    let mut files = Files::new();
    for path in paths.filter_map(|p| std::str::from_utf8(p).ok()) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = if dir.is_empty() { "/" } else { dir };
        files.entry(dir.to_owned()).or_default().insert(name.to_owned());
    }
    files
}
