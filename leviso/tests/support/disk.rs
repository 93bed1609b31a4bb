//! A tree on the host's disk, so that a real tool can work on it: names, content and links; owners stay ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use leviso::tree::{Kind, Tree};

/// Writes directories, regular files and symlinks below `root`.
pub(crate) fn write(tree: &Tree, root: &Path) {
    for (path, id) in tree.walk() {
        let at = root.join(OsStr::from_bytes(&path[1..]));
        match &tree.inode(id).kind {
            Kind::Dir(_) => std::fs::create_dir(&at).unwrap(),
            Kind::File(content) => std::fs::write(&at, content.as_slice()).unwrap(),
            Kind::Symlink(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), &at).unwrap(),
            other => panic!("{other:?} is not for disk"),
        }
    }
}
