//! What can be seen of a prefix and its recipes, to be compared.

use std::collections::BTreeMap;
use std::path::Path;

use crate::rig::{Rig, tree};

/// What can be seen of a prefix and its recipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) tree: BTreeMap<String, String>,
    pub(crate) recipes: BTreeMap<String, String>,
}

/// Nothing of a transaction is there.
pub(crate) fn no_leftovers(rig: &Rig) -> Result<(), String> {
    let left = ["stage", "build", "home", "journal.json", "journal.json.new", "edit", "edit.new"];
    match left.iter().find(|left| rig.prefix(".recipe").join(left).exists()) {
        Some(left) => Err(format!("{left} is left over")),
        None => Ok(()),
    }
}

/// What there is now.
pub(crate) fn state(rig: &Rig) -> State {
    State { tree: rig.tree(), recipes: recipes(rig) }
}

/// Recipe files, without what differs from run to run; and anything else that lies there.
pub(crate) fn recipes(rig: &Rig) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for name in tree(&rig.path("recipes")).into_keys() {
        let text = rig.read(&format!("recipes/{name}"));
        let line = |l: &str| match l.split_once(" = ") {
            Some((start @ ("let installed_tx" | "let installed_at"), value)) => {
                format!("{start} = {}", if value == "();" { value } else { "..." })
            }
            _ => l.to_owned(),
        };
        out.insert(name, text.lines().map(line).collect::<Vec<_>>().join("\n"));
    }
    out
}

/// What is neither as in one nor as in the other.
pub(crate) fn difference(found: &State, old: &State, new: &State) -> Vec<String> {
    let mut out = Vec::new();
    for (name, state) in [("old", old), ("new", new)] {
        let paths = found.tree.keys().chain(state.tree.keys());
        let differ = paths.filter(|p| found.tree.get(*p) != state.tree.get(*p)).cloned().collect::<Vec<_>>();
        let recipes = found.recipes.keys().chain(state.recipes.keys());
        let recipes =
            recipes.filter(|p| found.recipes.get(*p) != state.recipes.get(*p)).cloned().collect::<Vec<_>>();
        out.push(format!("not {name}: files {differ:?}, recipes {recipes:?}"));
    }
    out
}

/// Copies a tree as it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in from.read_dir().expect("read") {
        let path = entry.expect("read").path();
        let target = to.join(path.file_name().expect("a name"));
        let meta = path.symlink_metadata().expect("there");
        if meta.is_dir() {
            copy(&path, &target);
            std::fs::set_permissions(&target, meta.permissions()).expect("set");
        } else if meta.is_symlink() {
            std::os::unix::fs::symlink(path.read_link().expect("a link"), &target).expect("linked");
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}
