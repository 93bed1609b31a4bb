//! A version that was installed before -> a staged package: its record, its recipe's text, and its files, from wherever they are.
//!
//! Files are taken from the prefix (unchanged since) and from what finished transactions replaced or removed. Each must be what the
//! record says, byte for byte, also once it is copied: nothing is made up, nothing is downloaded, no code of the recipe runs but
//! `post_install`. Only what somebody had changed before the transaction that is undone comes back as it was changed.
//!
//! Where a prefix is only looked at, nothing is copied but what users edit, since that is compared. What only the owner can see of what is
//! kept is taken to be there then, and this is said.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Context;
use common::cli::Mark;

use super::desk::Desk;
use super::history::History;
use super::journal::Journal;
use super::make::{self, Made};
use crate::code::Code;
use crate::db::{self, Record};
use crate::dir::{Dir, is_blocked, is_denied, split};
use crate::recipe::Recipe;
use crate::stage::{self, Entry, Listing, What, examine};
use crate::{exit, pristine};

/// Stages what transaction `from` had installed of a package; `recipe` is its recipe file as it is now. `undone` is the transaction
/// that is undone by that, if one is.
///
/// # Errors
/// It is not known any more, or one of its files is nowhere (exit code [`exit::CONFLICT`]).
pub fn restore(
    desk: &Desk,
    tx: &str,
    recipe: &Recipe,
    from: &str,
    history: &History,
    undone: Option<&Journal>,
) -> anyhow::Result<Made> {
    let name = &recipe.name;
    let forgotten = || format!("what transaction {from} installed of {name} is not known any more");
    let record = db::read(&desk.own, name, from)?.with_context(forgotten).exit(exit::NOT_FOUND)?;
    let code = Code::kept(&desk.own, recipe, from)?.with_context(forgotten).exit(exit::NOT_FOUND);
    let mut code = code?;
    code.recipe.state = recipe.state.clone();
    code.recipe.pinned.clone_from(&recipe.pinned);
    let program = make::program(desk, tx, &code, None)?;
    let stage = desk.bench()?.sub(&make::staged(tx, name)).context("failed to open the stage")?;
    let present = db::installed(&desk.own, recipe)?;
    let sources =
        Sources { desk, history, undone, name, present: present.as_ref(), unseen: Cell::new(false) };
    let (mut staged, mut lost) = (BTreeMap::new(), Vec::new());
    for entry in &record.files {
        let found = sources.stage(entry, &stage);
        match found.with_context(|| format!("failed to restore {}", entry.path))? {
            Some(what) => drop(staged.insert(entry.path.as_str(), what)),
            None => lost.push(desk.places.installed(&entry.path)),
        }
    }
    for dir in &record.empty {
        stage.make(dir, 0o755).with_context(|| format!("failed to restore {dir}"))?;
    }
    if !lost.is_empty() {
        let count = lost.len();
        return Err(anyhow::anyhow!(
            "{count} files of {name} {} are nowhere as they were installed:\n  {}",
            record.version,
            lost.join("\n  ")
        ))
        .exit(exit::CONFLICT)
        .hint("they were changed or removed by hand, or the transaction that kept them is forgotten");
    }
    let mut listing = match desk.only_looks() {
        true => listing(&record, &staged),
        false => stage::list(&stage).with_context(|| format!("cannot restore {name}"))?,
    };
    let mut changed = BTreeMap::new();
    for entry in &mut listing.entries {
        // Between the look at a file and its copying somebody may have written to it.
        if staged.get(entry.path.as_str()) != Some(&entry.what) {
            let shown = desk.places.installed(&entry.path);
            return Err(anyhow::anyhow!("{shown} was changed while it was copied")).exit(exit::CONFLICT);
        }
        let before = record.files.iter().find(|f| f.path == entry.path);
        entry.config = before.is_some_and(|before| before.config);
        if let Some(before) = before.filter(|before| before.what != entry.what) {
            changed.insert(entry.path.clone(), before.what.clone());
        }
    }
    let unseen = sources.unseen.get().then(|| {
        format!(
            "{name}: only the owner of the prefix can see whether all files of {} are still there",
            record.version
        )
    });
    let Record { sources, .. } = record;
    let (programs, program) = (Vec::new(), Rc::new(program));
    let notes = unseen.into_iter().collect();
    Ok(Made { code, listing, changed, sources, programs, notes, retaken: false, program })
}

/// What the stage would have: the files of a record, as they were found.
fn listing(record: &Record, found: &BTreeMap<&str, What>) -> Listing {
    let entry = |entry: &Entry| Entry {
        what: found.get(entry.path.as_str()).unwrap_or(&entry.what).clone(),
        pending: None,
        resolved: None,
        ..entry.clone()
    };
    let dirs = record.dirs().into_iter().map(str::to_owned);
    Listing { entries: record.files.iter().map(entry).collect(), dirs: dirs.collect() }
}

/// Where a package's older files may be.
struct Sources<'a> {
    desk: &'a Desk,
    history: &'a History,
    undone: Option<&'a Journal>,
    name: &'a str,
    /// What is installed of it now.
    present: Option<&'a Record>,
    /// Whether something of what is kept cannot be seen.
    unseen: Cell<bool>,
}

impl Sources<'_> {
    /// Copies one file into the stage; what it is there, if it was found.
    fn stage(&self, entry: &Entry, stage: &Dir) -> anyhow::Result<Option<What>> {
        let (parent, leaf) = split(&entry.path);
        let copies = !self.desk.only_looks() || entry.config;
        let into = copies.then(|| stage.make(parent, 0o755)).transpose()?;
        let changed =
            self.undone.and_then(|journal| Some((journal, journal.changed(self.name, &entry.path)?)));
        let found = match changed {
            Some((journal, (kept, what))) => {
                let kept = format!("{}/{kept}", journal.tx);
                let copied = copy_if(&self.history.dir, &kept, what, into.as_ref(), leaf);
                copied.map(|copied| copied.then(|| what.clone()))
            }
            None => self.find(entry, into.as_ref(), leaf),
        };
        match found {
            Err(e) if self.desk.only_looks() && is_denied(&e) => {
                self.unseen.set(true);
                Ok(Some(changed.map_or(&entry.what, |(_, (_, what))| what).clone()))
            }
            found => found,
        }
    }

    /// Copies a file that is as it was installed, from wherever it is.
    fn find(&self, entry: &Entry, into: Option<&Dir>, leaf: &str) -> anyhow::Result<Option<What>> {
        let (path, prefix) = (&entry.path, &self.desk.prefix);
        if copy_if(prefix, path, &entry.what, into, leaf)? {
            return Ok(Some(entry.what.clone()));
        }
        for tx in self.history.newest_first() {
            for kept in [format!("{tx}/old/{}/{path}", self.name), format!("{tx}/new/{}/{path}", self.name)] {
                if copy_if(&self.history.dir, &kept, &entry.what, into, leaf)? {
                    return Ok(Some(entry.what.clone()));
                }
            }
        }
        if let What::Link { target } = &entry.what {
            into.map_or(Ok(()), |into| rustix::fs::symlinkat(target.as_str(), into, leaf))?;
            return Ok(Some(entry.what.clone()));
        }
        if let What::File { sha256, mode, .. } = &entry.what
            && let Some(text) = pristine::read(&self.desk.own, self.name, sha256)?
        {
            if let Some(into) = into {
                let mut file = into.create(leaf.as_bytes(), 0o600)?;
                std::io::Write::write_all(&mut file, &text)?;
                rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(*mode))?;
            }
            return Ok(Some(entry.what.clone()));
        }
        // A file that users edit stays as they have it; older versions of us have not kept the package's own.
        let is_config = |record: &Record| record.files.iter().any(|f| f.config && f.path == *path);
        let users = entry.config || self.present.is_some_and(is_config);
        let theirs = if users { here(prefix, path)? } else { None };
        match theirs {
            Some(what @ What::File { .. }) if copy_if(prefix, path, &what, into, leaf)? => Ok(Some(what)),
            _ => Ok(None),
        }
    }
}

/// What is in a place; none if it is not there, or something that is no directory is on the way.
///
/// # Errors
/// It cannot be examined.
pub fn here(dir: &Dir, at: &str) -> anyhow::Result<Option<What>> {
    match dir.stat(at) {
        Ok(Some(_)) => examine(dir, at),
        Ok(None) => Ok(None),
        Err(e) if is_blocked(&e) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Copies a file or link, where it is to be copied, if it is the one that is wanted; whether it was.
fn copy_if(from: &Dir, path: &str, what: &What, into: Option<&Dir>, leaf: &str) -> anyhow::Result<bool> {
    if here(from, path)?.as_ref() != Some(what) {
        return Ok(false);
    }
    let Some(into) = into else { return Ok(true) };
    match what {
        What::Link { target } => rustix::fs::symlinkat(target.as_str(), into, leaf)?,
        What::File { mode, .. } => {
            let mut source = from.read(path)?;
            let file = stage::copy(&mut source, into, leaf, *mode)?;
            file.set_modified(source.metadata()?.modified()?)?;
        }
    }
    Ok(true)
}
