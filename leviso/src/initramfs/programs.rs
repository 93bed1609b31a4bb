//! Programs of the tree with their ELF closure: the initramfs of an installed system has cryptsetup, lvm and others.
//!
//! Files keep the paths they have in the tree, so that interpreters and RUNPATHs stay true; the loader gets a cache of
//! just these libraries, so that directories of ld.so.conf work too.

use anyhow::Context;

use super::cpio::{Entries, Entry, add};
use crate::audit;
use crate::finalise::ld_so_cache;
use crate::tree::{Kind, Origin, Tree};

/// Where the loader's configuration is.
const CONF: [&str; 2] = ["/etc/ld.so.conf", "/etc/ld.so.conf.d"];

/// Adds the programs and all they need; one with `?` before its path may be missing.
///
/// # Errors
/// A program without `?`, or a library, is missing or damaged.
pub(super) fn add_programs(tree: &Tree, programs: &[String], entries: &mut Entries) -> anyhow::Result<()> {
    let wanted = programs.iter().filter_map(|p| match p.strip_prefix('?') {
        Some(optional) => Some(optional).filter(|p| tree.exists(p)),
        None => Some(&**p),
    });
    let roots: Vec<&str> = wanted.collect();
    if roots.is_empty() {
        return Ok(());
    }
    let closure = audit::closure(tree, &roots).context("the initramfs cannot have its programs")?;
    let system = part(tree, &closure)?;
    for (path, id) in system.walk() {
        let path = String::from_utf8(path).context("the initramfs holds UTF-8 names only")?;
        if path.starts_with(CONF[0]) {
            continue;
        }
        let inode = system.inode(id);
        match &inode.kind {
            Kind::File(content) => {
                let mode = if inode.meta.mode & 0o111 == 0 { 0o644 } else { 0o755 };
                add(entries, &path, Entry::File(mode, content.as_slice().to_vec()));
            }
            Kind::Symlink(target) => {
                let target = std::str::from_utf8(target)
                    .with_context(|| format!("the link {path} has a target that is not UTF-8"))?;
                add(entries, &path, Entry::Link(target.to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A tree of just these paths, the link to the loader's directory, and a cache for the loader.
fn part(tree: &Tree, paths: &[Vec<u8>]) -> anyhow::Result<Tree> {
    let origin = Origin::Generated("initramfs");
    let mut part = Tree::new(tree.epoch());
    let mut copy = |path: &[u8]| -> anyhow::Result<()> {
        let dir = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        part.mkdir_p(&path[..dir], &origin)?;
        part.insert(path, tree.inode(tree.lstat(path)?).clone())?;
        Ok(())
    };
    // Programs name their loader by this directory.
    if tree.lstat("/lib64").is_ok_and(|id| matches!(tree.inode(id).kind, Kind::Symlink(_))) {
        copy(b"/lib64")?;
    }
    if tree.exists(CONF[0]) {
        copy(CONF[0].as_bytes())?;
    }
    for name in tree.list(CONF[1]) {
        copy(&[CONF[1].as_bytes(), b"/", name].concat())?;
    }
    for path in paths {
        copy(path)?;
    }
    ld_so_cache::apply(&mut part)?;
    Ok(part)
}
