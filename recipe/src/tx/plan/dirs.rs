//! Directories: which a package needs, which go with what goes, and which stay, since other packages have them, too.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use super::{Coming, Planner};
use crate::claims::Books;
use crate::db::Record;
use crate::dir::{Dir, is_blocked, is_denied, is_refused, parents};
use crate::tx::apply::words;
use crate::tx::recover::leaving;

/// Directories of packages that a transaction leaves alone, and one package of each; none where nobody can tell.
pub(super) type Others = Option<BTreeMap<String, String>>;

impl Planner<'_> {
    /// Directories of the installed version that had nothing in them and are not in the new one.
    pub(super) fn leave(&mut self, record: Option<&Record>, keep: &[String]) {
        let empty = record.into_iter().flat_map(|r| &r.empty);
        self.left.extend(empty.filter(|dir| !keep.contains(dir)).map(|dir| format!("{dir}/")));
    }

    /// Looks whose directories these are that this transaction could take away. What cannot be known, since a record is no record any
    /// more, is said; a disk that fails is an error.
    pub(super) fn dirs_of_others(&mut self, coming: &[Coming]) -> anyhow::Result<Others> {
        let mut others = BTreeMap::new();
        if self.released.is_empty() && self.left.is_empty() {
            return Ok(Some(others));
        }
        let all = match Books::open(&self.desk.places).and_then(|books| books.all()) {
            Ok(all) => all,
            Err(e) if is_refused(&e) && !(self.desk.only_looks() && is_denied(&e)) => return Err(e),
            Err(e) => {
                self.notes.push(format!("directories that are empty now stay: {e:#}"));
                return Ok(None);
            }
        };
        let comes = coming.iter().map(|coming| coming.made.code.recipe.name.as_str());
        let mine: BTreeSet<_> = self.journal.packages.iter().map(|p| p.name.as_str()).chain(comes).collect();
        for (_, record) in all.iter().filter(|(_, record)| !mine.contains(record.name.as_str())) {
            for dir in record.dirs() {
                others.entry(dir.to_owned()).or_insert_with(|| record.name.clone());
            }
        }
        Ok(Some(others))
    }

    /// Directories that go, if they are empty then. `wanted`: those of what comes.
    pub(super) fn leaving(&self, wanted: &BTreeSet<String>) -> Vec<String> {
        let Some(others) = &self.others else { return Vec::new() };
        let mut leaving = leaving(self.released.iter().chain(&self.left).map(String::as_str));
        leaving.retain(|dir| !wanted.contains(dir) && !others.contains_key(dir));
        leaving
    }

    /// A directory that must be there.
    pub(super) fn dir(&mut self, path: &str) -> anyhow::Result<()> {
        let shown = self.desk.places.installed(path);
        if self.conflicts.with_base(path)? {
            return Ok(());
        }
        let mut make = || {
            if !self.journal.dirs.iter().any(|d| d == path) {
                self.journal.dirs.push(path.to_owned());
            }
        };
        match self.desk.prefix.stat(path) {
            Ok(None) => make(),
            Ok(Some(stat)) if crate::dir::kind(&stat).is_dir() => {}
            // A file that goes makes room for it.
            Ok(Some(_)) if self.released.contains(path) => make(),
            Ok(Some(stat)) => {
                self.conflicts.add(path, format!("{} stands where a directory is needed", words(&stat)));
            }
            Err(_) if parents(path).any(|p| self.released.contains(p)) => make(),
            // The directory above it was reported.
            Err(e) if is_blocked(&e) => {}
            Err(e) => return Err(e).with_context(|| format!("failed to examine {shown}")),
        }
        Ok(())
    }

    /// What makes room for a file or link where a directory stands: all that is in there goes, and nobody else has it. Whether it does; it
    /// is in the way otherwise.
    pub(super) fn makes_room(&mut self, path: &str, mode: u32) -> anyhow::Result<bool> {
        let below = format!("{path}/");
        let goes = self.released.iter().chain(&self.left).any(|gone| gone.starts_with(&below));
        let mut emptied = Vec::new();
        if let Some(others) = self.others.as_ref().filter(|_| goes)
            && leaves_empty(&self.desk.prefix, path, &self.released, &mut emptied)?
        {
            emptied.push((path.to_owned(), mode));
            let Some(other) = emptied.iter().find_map(|(dir, _)| others.get(dir)) else {
                self.journal.emptied.extend(emptied);
                return Ok(true);
            };
            let what = format!("a directory of {other} stands there");
            self.conflicts.add(path, what);
        } else {
            self.conflicts.add(path, "a directory stands there");
        }
        Ok(false)
    }
}

/// Whether all in a directory is given free by a transaction; adds the directories in it with their modes, deepest first.
fn leaves_empty(
    prefix: &Dir,
    path: &str,
    released: &BTreeSet<String>,
    emptied: &mut Vec<(String, u32)>,
) -> anyhow::Result<bool> {
    for name in prefix.sub(path)?.names()? {
        let inner = format!("{path}/{name}");
        let Some(stat) = prefix.stat(&inner)? else { continue };
        if crate::dir::kind(&stat).is_dir() {
            if !leaves_empty(prefix, &inner, released, emptied)? {
                return Ok(false);
            }
            emptied.push((inner, stat.st_mode & 0o7777));
        } else if !released.contains(&inner) {
            return Ok(false);
        }
    }
    Ok(true)
}
