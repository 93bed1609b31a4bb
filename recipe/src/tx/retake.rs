//! A package that is here, though its recipe file does not say so -> the state that it has: what comes takes its place.

use std::collections::BTreeSet;

use anyhow::Context;

use super::desk::Desk;
use crate::claims::Books;
use crate::dir::is_blocked;
use crate::recipe::Recipe;
use crate::shelf;
use crate::stage::{Entry, examine};

/// Gives a recipe that says nothing of being installed the state that its package has here, if it has one: whether it has. Files that
/// somebody changed since, or that are another package's by now, are not in it: these are in the way of what comes, as any other file.
///
/// # Errors
/// The books, the recipes, or the prefix cannot be read.
pub fn retake(desk: &Desk, recipe: &mut Recipe) -> anyhow::Result<bool> {
    if recipe.state.installed {
        return Ok(false);
    }
    let books = Books::open(&desk.places)?;
    let Some((tx, record)) = books.lost(&recipe.name)? else { return Ok(false) };
    let (recipes, _) = shelf::all(&desk.places)?;
    let theirs = recipes.into_iter().filter(|r| r.state.installed).flat_map(|r| r.state.files);
    let theirs: BTreeSet<_> = theirs.collect();
    let mut state = books.state(&tx, &record, recipe.state.as_dep);
    let mut files = Vec::new();
    for entry in &record.files {
        let file = desk.places.installed(&entry.path);
        if !theirs.contains(&file) && is_as_installed(desk, entry)? {
            files.push(file);
        }
    }
    state.files = files;
    recipe.state = state;
    Ok(true)
}

/// Whether nothing is there but what was installed. What becomes of files that users edit is decided with what comes.
fn is_as_installed(desk: &Desk, entry: &Entry) -> anyhow::Result<bool> {
    let found = match desk.prefix.stat(&entry.path) {
        Ok(Some(_)) if !entry.config => examine(&desk.prefix, &entry.path),
        Err(e) if !is_blocked(&e) => Err(e.into()),
        _ => return Ok(true),
    };
    let found = found.with_context(|| format!("failed to examine {}", desk.places.installed(&entry.path)))?;
    Ok(found.as_ref() == Some(&entry.what))
}
