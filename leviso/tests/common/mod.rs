//! What several of leviso's tests share: a tree on the disk, and small trees to put there.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part of this")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use leviso::tree::{Inode, InodeId, Kind, Origin, Owner, Tree};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid};

/// Where made-up files of a test come from.
pub(crate) const TEST: Origin = Origin::Generated("test");

/// A tree of text files (0644) and, where the content starts with `-> `, symlinks.
pub(crate) fn tree_of(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new(1_700_000_000);
    for (path, content) in files {
        match content.strip_prefix("-> ") {
            Some(target) => tree.symlink(path, target, TEST).unwrap(),
            None => tree.write(path, *content, 0o644, TEST).unwrap(),
        };
    }
    tree
}

/// The content of a file of the tree, as text.
pub(crate) fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(tree.read(path).unwrap_or_else(|e| panic!("{e}")).to_vec()).unwrap()
}

/// Writes the tree below the existing directory `dir`: content, modes, times; owners (which must be numbers) and
/// device nodes when root. Names must not lead out of `dir`: they come from the test itself.
pub(crate) fn write_tree(tree: &Tree, dir: &Path) {
    let mut first_names: BTreeMap<InodeId, PathBuf> = BTreeMap::new();
    let names = tree.walk();
    for (path, id) in &names {
        let dest = dir.join(OsStr::from_bytes(&path[1..]));
        // Hard links: the first name makes the file, the others link to it.
        if let Some(first) = first_names.get(id) {
            std::fs::hard_link(first, &dest).unwrap();
            continue;
        }
        make(tree.inode(*id), &dest);
        first_names.insert(*id, dest);
    }
    // Attributes last and from the leaves up: a directory's time changes while it is filled.
    for (path, id) in names.iter().rev() {
        set_attributes(tree, *id, &dir.join(OsStr::from_bytes(&path[1..])));
    }
    set_attributes(tree, Tree::ROOT, dir);
}

fn make(inode: &Inode, dest: &Path) {
    let node = |kind: FileType, dev| {
        rustix::fs::mknodat(CWD, dest, kind, Mode::from_raw_mode(0o600), dev).unwrap();
    };
    match &inode.kind {
        Kind::Dir(_) => std::fs::create_dir(dest).unwrap(),
        Kind::File(content) => std::fs::write(dest, content.as_slice()).unwrap(),
        Kind::Symlink(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), dest).unwrap(),
        Kind::Fifo => node(FileType::Fifo, 0),
        Kind::Socket => node(FileType::Socket, 0),
        Kind::Char { major, minor } if testkit::is_root() => {
            node(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor));
        }
        Kind::Block { major, minor } if testkit::is_root() => {
            node(FileType::BlockDevice, rustix::fs::makedev(*major, *minor));
        }
        Kind::Char { .. } | Kind::Block { .. } => std::fs::write(dest, "").unwrap(),
    }
}

fn set_attributes(tree: &Tree, id: InodeId, dest: &Path) {
    let Inode { meta, kind } = tree.inode(id);
    if testkit::is_root() {
        let number = |owner: &Owner| match owner {
            Owner::Id(id) => *id,
            Owner::Name(name) => panic!("{}: owner {name} has no number yet", dest.display()),
        };
        let (uid, gid) = (Uid::from_raw(number(&meta.user)), Gid::from_raw(number(&meta.group)));
        rustix::fs::chownat(CWD, dest, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    if !matches!(kind, Kind::Symlink(_)) {
        std::fs::set_permissions(dest, std::fs::Permissions::from_mode(u32::from(meta.mode))).unwrap();
    }
    let time = Timespec { tv_sec: meta.mtime, tv_nsec: i64::from(meta.mtime_nsec) };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, dest, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
