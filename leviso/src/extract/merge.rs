//! Prepared packages -> one tree.
//!
//! Directories and symlinks of all packages go first, in path order, then the other files in package order: so a path
//! through another package's symlink lands where it will be on the running system, whichever package comes first. Two
//! packages may own one path if rpm would let them (lib/rpmfi.c, rpmfilesCompare): same type, mode and, but for
//! directories, owner, size and content.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use super::caps;
use super::files::{File, Kind as FileKind};
use super::{PackageInfo, Prepared};
use crate::epoch::Epoch;
use crate::tree::{Content, Inode, InodeId, Kind, Meta, Origin, Owner, PathError, Tree, Xattrs};

/// The usrmerge links (file-hierarchy(7)): packages ship files through them, and on EL10 a scriptlet makes them.
const USRMERGE: [(&str, &str); 4] =
    [("/bin", "usr/bin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64"), ("/sbin", "usr/sbin")];

/// As deep as the kernel follows symlinks.
const MAX_DEPTH: usize = 40;

/// Puts everything into one tree.
pub(super) fn merge(packages: &[Prepared], epoch: Epoch) -> anyhow::Result<Tree> {
    let mut merge = Merge { tree: Tree::new(epoch.0), epoch, links: BTreeMap::new() };
    for (link, target) in USRMERGE {
        merge.tree.mkdir_p(format!("/{target}"), &layout())?;
        merge.tree.symlink(link, target, layout())?;
    }
    let mut first: Vec<(&[u8], usize, usize)> = Vec::new();
    for (p, package) in packages.iter().enumerate() {
        let early = |f: &File| matches!(f.kind, FileKind::Dir | FileKind::Symlink(_));
        let early = package.files.iter().enumerate().filter(|(_, f)| early(f) && !f.ghost);
        first.extend(early.map(|(i, f)| (&f.path[..], p, i)));
    }
    first.sort_unstable();
    for (_, p, i) in &first {
        merge.add(&packages[*p], *p, *i)?;
    }
    for (p, package) in packages.iter().enumerate() {
        let late = |f: &File| !matches!(f.kind, FileKind::Dir | FileKind::Symlink(_));
        for (i, _) in package.files.iter().enumerate().filter(|(_, f)| late(f) && !f.ghost) {
            merge.add(package, p, i)?;
        }
    }
    Ok(merge.tree)
}

struct Merge {
    tree: Tree,
    epoch: Epoch,
    /// The inode of each hard link set: by package and number of the set.
    links: BTreeMap<(usize, usize), InodeId>,
}

impl Merge {
    fn add(&mut self, package: &Prepared, p: usize, i: usize) -> anyhow::Result<()> {
        let (file, info) = (&package.files[i], &package.info);
        let shown = || format!("{} of {}", String::from_utf8_lossy(&file.path), info.nevra);
        let inode = self.inode(file, package.contents[i].as_ref(), info).with_context(shown)?;
        if file.path == b"/" {
            ensure!(file.kind == FileKind::Dir, "/ is not a directory in {}", info.nevra);
            self.tree.inode_mut(Tree::ROOT).meta = inode.meta;
            return Ok(());
        }
        let dir = parent(&file.path);
        ensure_dir(&mut self.tree, dir, 0).with_context(shown)?;
        match self.tree.lstat(&file.path) {
            Ok(old) => self.meet(old, inode, file, info).with_context(shown),
            Err(PathError::NotFound(_)) => self.put(inode, file, p).with_context(shown),
            Err(e) => Err(e).with_context(shown),
        }
    }

    fn put(&mut self, inode: Inode, file: &File, p: usize) -> anyhow::Result<()> {
        let set = match file.kind {
            FileKind::Regular { links: Some(set), .. } => Some((p, set)),
            _ => None,
        };
        if let Some(id) = set.and_then(|s| self.links.get(&s)) {
            return Ok(self.tree.link(&file.path, *id)?);
        }
        let id = self.tree.insert(&file.path, inode)?;
        if let Some(set) = set {
            self.links.insert(set, id);
        }
        Ok(())
    }

    /// Something is at the path already.
    fn meet(&mut self, old: InodeId, new: Inode, file: &File, info: &PackageInfo) -> anyhow::Result<()> {
        let there = self.tree.inode(old);
        let generated = matches!(there.meta.origin, Origin::Generated(_));
        match (&there.kind, &new.kind) {
            // A directory over a link to one stays the link's target, as rpm does with links root made.
            (Kind::Symlink(_), Kind::Dir(_)) if generated => {
                let target = self.tree.stat(&file.path)?;
                return self.meet_dir(target, new, info);
            }
            (Kind::Dir(_), Kind::Dir(_)) => return self.meet_dir(old, new, info),
            (Kind::Symlink(a), Kind::Symlink(b)) if generated && same_link(a, b) => {
                self.tree.inode_mut(old).meta = new.meta;
                return Ok(());
            }
            // Made here only because something below it came first.
            (Kind::Dir(entries), Kind::Symlink(_)) if generated && entries.is_empty() => {
                self.tree.remove(&file.path)?;
                self.tree.insert(&file.path, new)?;
                return Ok(());
            }
            _ => {}
        }
        match difference(there, &new) {
            None => Ok(()),
            Some(what) => bail!("it conflicts with the one of {}: {what}", owner_of(there)),
        }
    }

    /// The first package that ships a directory says how it looks; rpm refuses another mode, but not another owner.
    fn meet_dir(&mut self, old: InodeId, new: Inode, info: &PackageInfo) -> anyhow::Result<()> {
        let there = self.tree.inode_mut(old);
        if matches!(there.meta.origin, Origin::Generated(_)) {
            there.meta = new.meta;
        } else if there.meta.mode != new.meta.mode {
            let (a, b) = (there.meta.mode, new.meta.mode);
            bail!(
                "it conflicts with the one of {}: mode {a:04o} there, {b:04o} in {}",
                owner_of(there),
                info.nevra
            );
        }
        Ok(())
    }

    fn inode(&self, file: &File, content: Option<&Content>, info: &PackageInfo) -> anyhow::Result<Inode> {
        let kind = match &file.kind {
            FileKind::Dir => Kind::Dir(BTreeMap::new()),
            FileKind::Regular { .. } => Kind::File(content.cloned().context("it has no content")?),
            FileKind::Symlink(target) => Kind::Symlink(target.clone().into()),
            FileKind::Char(major, minor) => Kind::Char { major: *major, minor: *minor },
            FileKind::Block(major, minor) => Kind::Block { major: *major, minor: *minor },
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => Kind::Socket,
        };
        let mut xattrs = Xattrs::new();
        if let (Some(text), FileKind::Regular { .. }) = (&file.caps, &file.kind) {
            xattrs.insert(b"security.capability"[..].into(), caps::xattr(text)?[..].into());
        }
        let meta = Meta {
            mode: file.mode,
            user: Owner::Name(file.user.clone()),
            group: Owner::Name(file.group.clone()),
            mtime: self.epoch.clamp(file.mtime),
            mtime_nsec: 0,
            xattrs,
            origin: Origin::Package(Arc::clone(&info.nevra)),
        };
        Ok(Inode { meta, kind })
    }
}

/// Makes the directory, following symlinks also where their target does not exist yet.
fn ensure_dir(tree: &mut Tree, path: &[u8], depth: usize) -> anyhow::Result<()> {
    let shown = |p: &[u8]| String::from_utf8_lossy(p).into_owned();
    if depth > MAX_DEPTH {
        bail!("{} goes through too many symlinks", shown(path));
    }
    let mut done = Vec::with_capacity(path.len());
    for name in path.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
        let above = done.clone();
        done.push(b'/');
        done.extend_from_slice(name);
        match tree.stat(&done) {
            Ok(id) if tree.entries(id).is_some() => continue,
            Ok(_) => bail!("{} is not a directory", shown(&done)),
            Err(PathError::NotFound(_)) => {}
            Err(e) => return Err(e.into()),
        }
        let link = tree.lstat(&done).ok().map(|id| &tree.inode(id).kind);
        let Some(Kind::Symlink(target)) = link else {
            tree.mkdir_p(&done, &layout())?;
            continue;
        };
        let target = if target.first() == Some(&b'/') {
            target.to_vec()
        } else {
            [&above, &b"/"[..], target].concat()
        };
        // `..` behind a symlink would have to be followed through it: not worth guessing.
        if target.split(|b| *b == b'/').any(|c| c == b"..") {
            bail!("{} is a symlink to {}, which does not exist", shown(&done), shown(&target));
        }
        ensure_dir(tree, &target, depth + 1)?;
    }
    Ok(())
}

/// What rpm would call a conflict, in words.
fn difference(a: &Inode, b: &Inode) -> Option<String> {
    if a.kind.type_bits() != b.kind.type_bits() {
        return Some("they are of different types".to_owned());
    }
    let link = matches!(a.kind, Kind::Symlink(_));
    if !link && a.meta.mode != b.meta.mode {
        return Some(format!("mode {:04o} there, {:04o} here", a.meta.mode, b.meta.mode));
    }
    let owners = (&a.meta.user, &a.meta.group) != (&b.meta.user, &b.meta.group);
    match (&a.kind, &b.kind) {
        (Kind::File(x), Kind::File(y)) if x.as_slice() != y.as_slice() => {
            Some("different content".to_owned())
        }
        (Kind::File(_), Kind::File(_)) if a.meta.xattrs != b.meta.xattrs => {
            Some("different capabilities".to_owned())
        }
        (Kind::Symlink(x), Kind::Symlink(y)) if x != y => {
            let shown = |t: &[u8]| String::from_utf8_lossy(t).into_owned();
            Some(format!("it points to {} there, to {} here", shown(x), shown(y)))
        }
        (Kind::Char { major: a, minor: b }, Kind::Char { major: x, minor: y })
        | (Kind::Block { major: a, minor: b }, Kind::Block { major: x, minor: y })
            if (a, b) != (x, y) =>
        {
            Some("different device numbers".to_owned())
        }
        (Kind::File(_) | Kind::Symlink(_), _) if owners => Some("they have different owners".to_owned()),
        _ => None,
    }
}

/// `/usr/bin` and `usr/bin/` are the same place for a link in the root directory.
fn same_link(a: &[u8], b: &[u8]) -> bool {
    let parts = |t: &[u8]| -> Vec<Vec<u8>> {
        t.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec).collect()
    };
    parts(a) == parts(b)
}

fn owner_of(inode: &Inode) -> String {
    match &inode.meta.origin {
        Origin::Package(nevra) => nevra.to_string(),
        Origin::Generated(what) => format!("the generated {what}"),
        Origin::Overlay(dir) => format!("the overlay {dir}"),
    }
}

fn layout() -> Origin {
    Origin::Generated("layout")
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    &path[..end]
}
