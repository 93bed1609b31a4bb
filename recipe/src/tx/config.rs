//! Files that users edit: what is there, what was installed and what comes -> which of them stays.
//!
//! What the package has goes beside a file that was changed here and by the package, as NAME.new. That one is ours as long as it is
//! what we put there: then a later version takes its place, and it goes with the package. Otherwise it is in the way like any
//! other file.

use std::collections::BTreeSet;

use anyhow::Context;
use common::hash::Sha256;

use super::conflict::Conflicts;
use super::desk::Desk;
use super::journal::Step;
use crate::dir::is_denied;
use crate::merge::{Merged, merge};
use crate::pristine;
use crate::stage::{Entry, Pending, What, examine};

/// What becomes of such a file.
#[derive(Default)]
pub(super) struct Put {
    /// What puts it, or the file beside it, into its place; none if all stays as it is.
    pub(super) step: Option<Step>,
    /// What takes away a file beside it that says nothing any more.
    pub(super) stale: Option<Step>,
    /// Whether there is something for the user to do.
    pub(super) pending: Option<Pending>,
}

/// A file of a package, and where it is.
pub(super) struct Coming<'a> {
    /// The package.
    pub(super) name: &'a str,
    /// What comes.
    pub(super) entry: &'a Entry,
    /// What was installed.
    pub(super) before: Option<&'a Entry>,
    /// Where it is below the stage.
    pub(super) staged: &'a str,
    /// The stage, below our own directory.
    pub(super) stage: &'a str,
    /// Paths that the transaction gives free.
    pub(super) released: &'a BTreeSet<String>,
}

/// Where the package's goes if the user's stays.
pub(crate) fn beside(path: &str) -> String {
    format!("{path}.new")
}

/// What puts such a file into a place where one is already: as installed, changed here, changed by the package, or by both.
///
/// # Errors
/// The prefix cannot be examined.
pub(super) fn put(
    desk: &Desk,
    coming: &Coming<'_>,
    conflicts: &mut Conflicts<'_>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Put> {
    let Coming { name, entry, before, staged, released, .. } = coming;
    let path = &entry.path;
    // It may be going already, with the package that had the file before.
    let at_beside = desk.prefix.stat(&beside(path))?.filter(|_| !released.contains(&beside(path)));
    let is_beside = at_beside.is_some();
    let stale = || if is_beside { stale(desk, name, path, *before) } else { Ok(None) };
    let waiting = before.and_then(|b| b.pending.clone()).filter(|_| is_beside);
    let local = content(examine(&desk.prefix, path)?.as_ref());
    let (original, new) = (content(before.map(|b| &b.what)), content(Some(&entry.what)));
    if local == new {
        return Ok(Put { stale: stale()?, ..Put::default() });
    }
    if original == new {
        return Ok(Put { pending: waiting, ..Put::default() });
    }
    let was_beside = is_beside || released.contains(&beside(path));
    let base = before.and_then(|b| pristine::base(b, was_beside));
    // What was undone, or came back upstream: the user's file was made from it.
    if base.is_some() && base.map(|b| b.to_string()) == new {
        return Ok(Put { stale: stale()?, ..Put::default() });
    }
    let (staged, ino) = ((*staged).to_owned(), entry.ino);
    if original.is_some() && local == original {
        let step = Step::Replace { staged, path: path.clone(), ino, changed: None, nobodys: None };
        return Ok(Put { step: Some(step), stale: stale()?, pending: None });
    }
    let beside = beside(path);
    if conflicts.with_others(&beside, name) || conflicts.with_base(&beside)? {
        return Ok(Put::default());
    }
    let step = match at_beside {
        None => Some(Step::Create { staged, path: beside, ino, nobodys: None }),
        Some(stat) => {
            let what = examine(&desk.prefix, &beside)?;
            let there = content(what.as_ref());
            let ours = there.is_some() && there == original;
            if there == new {
                None
            } else if !ours && conflicts.with_present(&beside, name, &stat)? {
                return Ok(Put::default());
            } else {
                let nobodys = what.filter(|_| !ours);
                Some(Step::Replace { staged, path: beside, ino, changed: None, nobodys })
            }
        }
    };
    notes.push(note(desk, coming, base)?);
    Ok(Put { step, stale: None, pending: Some(Pending { base }) })
}

/// What takes away the file beside one, if it is what the installed version put there.
pub(super) fn stale(
    desk: &Desk,
    name: &str,
    path: &str,
    before: Option<&Entry>,
) -> anyhow::Result<Option<Step>> {
    let path = beside(path);
    let is_ours = || -> anyhow::Result<bool> {
        // Something else stands on the way to it.
        let Ok(Some(_)) = desk.prefix.stat(&path) else { return Ok(false) };
        let there = content(examine(&desk.prefix, &path)?.as_ref());
        Ok(there.is_some() && there == content(before.map(|b| &b.what)))
    };
    let is_ours = before.is_some() && is_ours()?;
    let kept = format!("old/{name}/{path}");
    Ok(is_ours.then_some(Step::Remove { path, kept, changed: None }))
}

/// What users should know, and whether a merge would be clean.
fn note(desk: &Desk, coming: &Coming<'_>, base: Option<Sha256>) -> anyhow::Result<String> {
    let path = &coming.entry.path;
    let (shown, beside) = (desk.places.installed(path), desk.places.installed(&beside(path)));
    let text = format!("{shown} was changed here and by the package: the package's is {beside}");
    let read = |dir: &crate::dir::Dir, path: &str| -> std::io::Result<Option<Vec<u8>>> {
        let is_file = dir.stat(path)?.is_some_and(|stat| crate::dir::kind(&stat).is_file());
        let mut bytes = Vec::new();
        if is_file {
            std::io::Read::read_to_end(&mut dir.read(path)?, &mut bytes)?;
        }
        Ok(is_file.then_some(bytes))
    };
    let staged = format!("{}/{}", coming.stage, coming.staged);
    let context = || format!("failed to compare {shown} with the package's");
    let ours = read(&desk.prefix, path).with_context(context)?;
    let theirs = read(desk.bench()?, &staged).with_context(context)?;
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return Ok(text) };
    let base = match base.map(|sha256| pristine::read(&desk.own, coming.name, &sha256)).transpose() {
        Err(e) if desk.only_looks() && is_denied(&e) => return Ok(text),
        base => base?.flatten(),
    };
    let merged = merge(base.as_deref(), &ours, &theirs);
    Ok(match merged {
        Merged::Clean(_) => format!("{text}; `recipe etc merge {shown}` merges both cleanly"),
        merged => format!("{text}; `recipe etc diff {shown}` shows how they differ ({})", merged.words()),
    })
}

/// What makes two files the same: modes may differ.
fn content(what: Option<&What>) -> Option<String> {
    match what {
        Some(What::File { sha256, .. }) => Some(sha256.to_string()),
        Some(What::Link { target }) => Some(format!("-> {target}")),
        None => None,
    }
}
