//! A change of one recipe file that is no transaction: a pin, a mark, a new version. One atomic exchange; the prefix is locked.
//!
//! An interruption may leave a file beside the recipe. Where, stands in our own directory until it is done, for the next command.

use std::cell::RefCell;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use anyhow::Context;
use common::cli::Mark;

use super::desk::Desk;
use super::{commit, committed};
use crate::exit;
use crate::recipe::Recipe;
use crate::state::{State, located};

/// Name of the note in our own directory, and of the file beside the recipe.
pub(super) const NAME: &str = "edit";
/// The note, while it is being written.
pub(super) const UNFINISHED: &str = "edit.new";

/// Changes the text of a recipe. `change` makes the new text of the one that is there, again if somebody else writes the file
/// meanwhile; where it makes nothing new, nothing is written.
///
/// # Errors
/// `change` fails, or the file cannot be written: then it is as it was, or the exit code is [`exit::NOT_DURABLE`].
pub fn edit(
    desk: &Desk,
    recipe: &Recipe,
    change: impl Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    desk.may_change()?;
    let path = recipe.path.canonicalize();
    let path = path.with_context(|| format!("failed to find {}", recipe.path.display()))?;
    let note = desk.own.write(NAME, path.as_os_str().as_bytes());
    note.with_context(|| format!("failed to write {}/{NAME}", desk.own.path.display()))?;
    let last = RefCell::new(None);
    let result = commit::edit(&path, NAME, |text| {
        let new = change(text)?;
        *last.borrow_mut() = Some(new.clone());
        Ok(new)
    });
    let tidied = clean(desk);
    let Err(e) = result else {
        return tidied.or_else(|e| committed("done, but what is left of it could not be tidied up", &e));
    };
    // The exchange may have been done, and only what came after it have failed.
    match last.into_inner() {
        Some(new) if std::fs::read_to_string(&path).is_ok_and(|text| text == new) => {
            committed("done, but the disk did not confirm it", &e)
        }
        _ => Err(e),
    }
}

/// Changes the state of a recipe.
///
/// # Errors
/// As [`edit`].
pub fn rewrite(desk: &Desk, recipe: &Recipe, change: impl FnOnce(&mut State)) -> anyhow::Result<()> {
    let mut state = recipe.state.clone();
    change(&mut state);
    edit(desk, recipe, |text| {
        state.splice(text).map_err(|e| located(&recipe.path, text, &e)).exit(exit::RECIPE)
    })
}

/// Removes what an interrupted change left.
///
/// # Errors
/// It cannot be removed.
pub(super) fn clean(desk: &Desk) -> anyhow::Result<()> {
    let own = &desk.own;
    let context = || format!("failed to tidy up after {}/{NAME}", own.path.display());
    let note = match own.read(NAME) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        note => note.with_context(context)?,
    };
    let mut path = Vec::new();
    std::io::Read::read_to_end(&mut &note, &mut path).with_context(context)?;
    commit::clean(&PathBuf::from(std::ffi::OsString::from_vec(path)), NAME)?;
    own.remove_file(NAME).with_context(context)
}
