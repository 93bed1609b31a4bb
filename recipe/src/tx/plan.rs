//! Packages -> operations, and what is in their way. Looks, and changes nothing.
//!
//! - [`files`]: single files
//! - [`dirs`]: directories, which several packages can have
//! - [`back`]: files of nobody that come back

mod back;
mod dirs;
mod files;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use common::cli::Mark;

use super::conflict::Conflicts;
use super::desk::{Desk, now};
use super::journal::{Journal, Package, Step};
use super::make::Made;
use crate::claims::Books;
use crate::code::Code;
use crate::db::{self, Record};
use crate::engine::Ran;
use crate::exit;
use crate::recipe::Recipe;
use crate::stage::{Entry, Pending, What};
use crate::state::State;

/// A transaction that can be carried out.
pub struct Plan {
    /// Its operations.
    pub journal: Journal,
    /// Its packages.
    pub changes: Vec<Change>,
    /// What users should know about single files.
    pub notes: Vec<String>,
    /// Files of nobody that come back, below the transaction's stage.
    given: Vec<(String, bool)>,
}

/// What happens to a package besides its files.
pub struct Change {
    /// What will be known of it, and its recipe's text.
    pub record: Option<(Record, String)>,
    /// Bytes that were installed of it before, if that is known.
    pub before: Option<u64>,
    /// Programs that were run to make it.
    pub programs: Vec<Ran>,
    /// Runs when its files are in place, before the commit.
    pub after: Box<dyn Fn() -> anyhow::Result<()>>,
    /// What of its stage will be moved: path below the transaction's stage, whether it is a file.
    staged: Vec<(String, bool)>,
}

/// What is known of a file that stands where a package's goes.
#[derive(Clone, Copy)]
struct Whose {
    /// The package installed it.
    ours: bool,
    /// Its recipe only says so.
    claimed: bool,
}

impl Change {
    /// By how many bytes what is installed grows, if that is known.
    #[must_use]
    pub fn size(&self) -> Option<i64> {
        let after = self.record.as_ref().map_or(0, |(record, _)| record.bytes());
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Some(signed(after) - signed(self.before?))
    }
}

/// Bytes that are installed of a package, if that is known.
fn bytes(recipe: &Recipe, record: Option<&Record>) -> Option<u64> {
    if recipe.state.installed { record.map(Record::bytes) } else { Some(0) }
}

impl Plan {
    /// Everything that will be moved out of the stage.
    pub(super) fn staged(&self) -> impl Iterator<Item = (&str, bool)> {
        let staged = self.changes.iter().flat_map(|c| &c.staged).chain(&self.given);
        staged.map(|(path, file)| (path.as_str(), *file))
    }
}

/// A package that comes.
struct Coming {
    made: Made,
    as_dep: bool,
    /// What was installed of it.
    old: Vec<String>,
    record: Option<Record>,
}

/// Makes a plan. All that goes is known before the first file is put anywhere: files can go from one package to another in any
/// order.
pub struct Planner<'a> {
    desk: &'a Desk,
    journal: Journal,
    changes: Vec<Change>,
    notes: Vec<String>,
    conflicts: Conflicts<'a>,
    coming: Vec<Coming>,
    puts: Vec<Step>,
    given: Vec<(String, bool)>,
    /// Configuration files that their package gives up, and that stay because somebody changed them: what was installed.
    kept: BTreeMap<String, Entry>,
    /// Files of the package at hand that users have to see to.
    pending: BTreeMap<String, Pending>,
    /// Paths that this transaction gives free.
    released: BTreeSet<String>,
    /// What was given free and holds nothing: files that are missing, and directories that were empty, with a slash at the end.
    left: BTreeSet<String>,
    /// What of that other packages have, too.
    others: dirs::Others,
}

impl<'a> Planner<'a> {
    /// Begins a plan. `overwrite` says which files that nobody owns may be replaced.
    #[must_use]
    pub fn new(desk: &'a Desk, tx: String, overwrite: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            desk,
            journal: Journal::new(tx),
            changes: Vec::new(),
            notes: Vec::new(),
            conflicts: Conflicts::new(desk, overwrite),
            coming: Vec::new(),
            puts: Vec::new(),
            given: Vec::new(),
            kept: BTreeMap::new(),
            pending: BTreeMap::new(),
            released: BTreeSet::new(),
            left: BTreeSet::new(),
            others: None,
        }
    }

    /// A package goes.
    ///
    /// # Errors
    /// Its state names files outside of the prefix.
    pub fn remove(&mut self, recipe: &Recipe) -> anyhow::Result<()> {
        let record = db::installed(&self.desk.own, recipe)?;
        let files = self.files(recipe, record.as_ref())?;
        self.release(recipe, &files, record.as_ref(), &BTreeSet::new())?;
        self.leave(record.as_ref(), &[]);
        self.package(recipe, None, State { tx: Some(self.journal.tx.clone()), ..State::default() })?;
        let before = bytes(recipe, record.as_ref());
        let (after, programs) = (Box::new(|| Ok(())), Vec::new());
        self.changes.push(Change { record: None, before, programs, after, staged: Vec::new() });
        Ok(())
    }

    /// A package comes, or takes the place of its older version.
    ///
    /// # Errors
    /// The prefix cannot be examined. What is in the way is an error of [`Planner::finish`].
    pub fn install(&mut self, mut made: Made, as_dep: bool) -> anyhow::Result<()> {
        self.notes.append(&mut made.notes);
        let recipe = &made.code.recipe;
        Books::open(&self.desk.places)?.not_of_another(recipe)?;
        let record = db::installed(&self.desk.own, recipe)?;
        let old = self.files(recipe, record.as_ref().filter(|_| !made.retaken))?;
        let new: BTreeSet<_> = made.listing.entries.iter().map(|e| e.path.clone()).collect();
        self.release(recipe, &old, record.as_ref(), &new)?;
        self.leave(record.as_ref(), &made.listing.dirs);
        self.coming.push(Coming { made, as_dep, old, record });
        Ok(())
    }

    /// The plan.
    ///
    /// # Errors
    /// Something is in the way (exit code [`exit::CONFLICT`]): all of it is named. Or the prefix cannot be examined.
    pub fn finish(mut self) -> anyhow::Result<Plan> {
        let all = std::mem::take(&mut self.coming);
        self.others = self.dirs_of_others(&all)?;
        let mut wanted = BTreeSet::new();
        for Coming { made, .. } in &all {
            for dir in &made.listing.dirs {
                self.conflicts.needs(dir, &made.code.recipe.name);
                self.dir(dir)?;
                wanted.insert(dir.clone());
            }
        }
        all.into_iter().try_for_each(|coming| self.place(coming))?;
        self.journal.leaving = self.leaving(&wanted);
        self.conflicts.finish()?;
        self.journal.steps.extend(self.puts);
        Ok(Plan { journal: self.journal, changes: self.changes, notes: self.notes, given: self.given })
    }

    /// Puts a package into the prefix from which everything that goes is gone.
    fn place(&mut self, coming: Coming) -> anyhow::Result<()> {
        let Coming { made, as_dep, old, record } = coming;
        let Made {
            code: Code { recipe, text, libraries, .. },
            listing,
            mut changed,
            sources,
            programs,
            program,
            ..
        } = made;
        let claimed = recipe.claim.is_some();
        let mut staged = Vec::new();
        for entry in &listing.entries {
            let before = record.as_ref().and_then(|r| r.files.iter().find(|f| f.path == entry.path));
            let whose = Whose { ours: old.contains(&entry.path), claimed };
            if let Some(step) = self.put(&recipe.name, entry, whose, before)? {
                let (Step::Create { staged: from, .. } | Step::Replace { staged: from, .. }) = &step else {
                    continue;
                };
                staged.push((from.clone(), matches!(entry.what, What::File { .. })));
                self.puts.push(step);
            }
        }
        let state = State {
            installed: true,
            version: Some(recipe.version.clone()),
            at: Some(now()),
            as_dep,
            tx: Some(self.journal.tx.clone()),
            files: listing.entries.iter().map(|e| self.desk.places.installed(&e.path)).collect(),
        };
        let mut pending = std::mem::take(&mut self.pending);
        let before = bytes(&recipe, record.as_ref());
        let recorded = |entry: Entry| {
            let what = changed.remove(&entry.path).unwrap_or(entry.what);
            let pending = pending.remove(&entry.path);
            // What somebody has to see to stays a configuration file until it is seen to.
            Entry { ino: 0, what, config: entry.config || pending.is_some(), pending, ..entry }
        };
        let record = Record {
            schema: 1,
            name: recipe.name.clone(),
            version: recipe.version.clone(),
            prefix: self.desk.places.prefix.to_string_lossy().into_owned(),
            empty: listing.empty(),
            files: listing.entries.into_iter().map(recorded).collect(),
            deps: recipe.deps.clone(),
            sources,
            libraries: Some(libraries),
        };
        self.package(&recipe, Some(recipe.version.clone()), state)?;
        let after = move || match program.has("post_install") {
            true => program.run("post_install").map(drop),
            false => Ok(()),
        };
        let (record, after) = (Some((record, text)), Box::new(after));
        self.changes.push(Change { record, before, programs, after, staged });
        Ok(())
    }

    /// Its files, below the prefix: those that were recorded when they were installed. Only where no record is left the recipe file is
    /// taken by its word, which anybody can edit.
    fn files(&mut self, recipe: &Recipe, record: Option<&Record>) -> anyhow::Result<Vec<String>> {
        let places = &self.desk.places;
        let relative = |file: &String| {
            let inside = places.relative(file).map(str::to_owned);
            let outside =
                || format!("{} is installed outside of {}: {file}", recipe.name, places.prefix.display());
            inside.with_context(outside).exit(exit::CONFLICT).hint("--prefix says which prefix it is in")
        };
        let said = recipe.state.files.iter().map(relative).collect::<anyhow::Result<Vec<_>>>()?;
        let Some(record) = record else { return Ok(said) };
        let recorded: Vec<_> = record.files.iter().map(|entry| entry.path.clone()).collect();
        if said.iter().collect::<BTreeSet<_>>() != recorded.iter().collect() {
            self.notes.push(format!(
                "{}: installed_files of its recipe was edited; what counts is what was installed",
                recipe.name
            ));
        }
        Ok(recorded)
    }

    fn package(&mut self, recipe: &Recipe, to: Option<String>, state: State) -> anyhow::Result<()> {
        let path = recipe.path.canonicalize();
        self.journal.packages.push(Package {
            name: recipe.name.clone(),
            from: recipe.installed_version().map(str::to_owned),
            to,
            from_tx: recipe.state.tx.clone().filter(|_| recipe.state.installed),
            was_dep: recipe.state.as_dep,
            recipe: path.with_context(|| format!("failed to find {}", recipe.path.display()))?,
            state,
        });
        Ok(())
    }
}
