//! A directory of the host into a tree.

use std::fs;
use std::path::Path;

use leviso::tree::{Origin, Tree};

/// Copies `from` of the host, recursively, to `to` in the tree.
pub(crate) fn load(tree: &mut Tree, from: &Path, to: &str) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            load(tree, &entry.path(), &format!("{to}/{name}"));
        } else if kind.is_file() {
            tree.write(
                format!("{to}/{name}"),
                fs::read(entry.path()).unwrap(),
                0o644,
                Origin::Generated("test"),
            )
            .unwrap();
        }
    }
}
