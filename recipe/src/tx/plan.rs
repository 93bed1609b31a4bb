//! Packages -> operations, and what is in their way. Looks, and changes nothing.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use anyhow::Context;
use common::cli::Mark;

use super::apply::{other_file_system, words};
use super::config;
use super::conflict::{Conflicts, leaves_empty};
use super::desk::{Desk, now};
use super::journal::{Journal, Package, Step};
use super::make::Made;
use super::recover::leaving;
use crate::db::{self, Record};
use crate::dir::{parents, split};
use crate::engine::Ran;
use crate::exit;
use crate::recipe::Recipe;
use crate::stage::{Entry, What, examine};
use crate::state::State;

/// A transaction that can be carried out.
pub struct Plan {
    /// Its operations.
    pub journal: Journal,
    /// Its packages.
    pub changes: Vec<Change>,
    /// What users should know about single files.
    pub notes: Vec<String>,
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
        self.changes.iter().flat_map(|c| c.staged.iter().map(|(path, file)| (path.as_str(), *file)))
    }
}

/// Makes a plan, package by package.
pub struct Planner<'a> {
    desk: &'a Desk,
    journal: Journal,
    changes: Vec<Change>,
    notes: Vec<String>,
    conflicts: Conflicts<'a>,
    puts: Vec<Step>,
    /// Paths that this transaction gives free.
    released: BTreeSet<String>,
    /// What was given free and was empty, with a slash at the end.
    left: BTreeSet<String>,
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
            puts: Vec::new(),
            released: BTreeSet::new(),
            left: BTreeSet::new(),
        }
    }

    /// A package goes.
    ///
    /// # Errors
    /// Its state names files outside of the prefix.
    pub fn remove(&mut self, recipe: &Recipe) -> anyhow::Result<()> {
        let record = db::installed(&self.desk.own, recipe)?;
        let files = self.files(recipe)?;
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
    pub fn install(&mut self, made: Made, as_dep: bool) -> anyhow::Result<()> {
        let Made { recipe, text, listing, mut changed, sources, programs, program } = made;
        let record = db::installed(&self.desk.own, &recipe)?;
        let old = self.files(&recipe)?;
        let new: BTreeSet<_> = listing.entries.iter().map(|e| e.path.clone()).collect();
        self.release(&recipe, &old, record.as_ref(), &new)?;
        self.leave(record.as_ref(), &listing.dirs);
        for dir in &listing.dirs {
            self.dir(dir)?;
        }
        let mut staged = Vec::new();
        for entry in &listing.entries {
            let before = record.as_ref().and_then(|r| r.files.iter().find(|f| f.path == entry.path));
            if let Some(step) = self.put(&recipe.name, entry, old.contains(&entry.path), before)? {
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
        let before = bytes(&recipe, record.as_ref());
        let recorded = |entry: Entry| {
            let what = changed.remove(&entry.path).unwrap_or(entry.what);
            Entry { ino: 0, what, ..entry }
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

    /// The plan.
    ///
    /// # Errors
    /// Something is in the way (exit code [`exit::CONFLICT`]): all of it is named.
    pub fn finish(mut self) -> anyhow::Result<Plan> {
        self.conflicts.finish()?;
        self.journal.steps.extend(self.puts);
        let left = self.released.iter().chain(&self.left);
        self.journal.leaving = leaving(left.map(String::as_str));
        Ok(Plan { journal: self.journal, changes: self.changes, notes: self.notes })
    }

    /// Its files, below the prefix.
    fn files(&self, recipe: &Recipe) -> anyhow::Result<Vec<String>> {
        let relative = |file: &String| {
            let inside = self.desk.places.relative(file).map(str::to_owned);
            inside
                .with_context(|| {
                    format!(
                        "{} is installed outside of {}: {file}",
                        recipe.name,
                        self.desk.places.prefix.display()
                    )
                })
                .exit(exit::CONFLICT)
                .hint("--prefix says which prefix it is in")
        };
        recipe.state.files.iter().map(relative).collect()
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

    /// Files of the installed version that are not in the new one.
    fn release(
        &mut self,
        recipe: &Recipe,
        files: &[String],
        record: Option<&Record>,
        keep: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let prefix = &self.desk.prefix;
        for path in files.iter().filter(|f| !keep.contains(*f)) {
            let shown = self.desk.places.installed(path);
            let stat = match prefix.stat(path) {
                Ok(stat) => stat,
                // Somebody put a link or a file where the directory was. Any other error is one.
                Err(e) if matches!(e.raw_os_error(), Some(20 | 40)) => {
                    self.notes.push(format!("{shown} is not removed: {e}"));
                    continue;
                }
                Err(e) => return Err(e).with_context(|| format!("failed to examine {shown}")),
            };
            let Some(stat) = stat else { continue };
            if crate::dir::kind(&stat).is_dir() {
                self.notes.push(format!("{shown} is not removed: it is a directory now"));
                continue;
            }
            if let Some(owner) = self.conflicts.of_base(path)? {
                self.notes.push(format!("{shown} is not removed: it belongs to the base ({owner})"));
                continue;
            }
            let before = record.and_then(|r| r.files.iter().find(|f| f.path == *path));
            if before.is_some_and(|b| b.config)
                && Some(examine(prefix, path)?) != before.map(|b| Some(b.what.clone()))
            {
                self.notes.push(format!("{shown} stays: you changed it"));
                continue;
            }
            if other_file_system(prefix, split(path).0)? {
                self.conflicts.add(path, "another file system is mounted there");
                continue;
            }
            let changed = self.changed(path, before)?;
            let kept = format!("old/{}/{path}", recipe.name);
            self.journal.steps.push(Step::Remove { path: path.clone(), kept, changed });
            self.released.insert(path.clone());
        }
        Ok(())
    }

    /// Directories of the installed version that had nothing in them and are not in the new one.
    fn leave(&mut self, record: Option<&Record>, keep: &[String]) {
        let empty = record.into_iter().flat_map(|r| &r.empty);
        self.left.extend(empty.filter(|dir| !keep.contains(dir)).map(|dir| format!("{dir}/")));
    }

    /// A directory that must be there.
    fn dir(&mut self, path: &str) -> anyhow::Result<()> {
        let shown = self.desk.places.installed(path);
        if self.conflicts.with_base(path)? {
            return Ok(());
        }
        match self.desk.prefix.stat(path) {
            Ok(None) => {
                if !self.journal.dirs.iter().any(|d| d == path) {
                    self.journal.dirs.push(path.to_owned());
                }
            }
            Ok(Some(stat)) if crate::dir::kind(&stat).is_dir() => {}
            // A file of the older version makes room for it.
            Ok(Some(_)) if self.released.contains(path) => self.journal.dirs.push(path.to_owned()),
            Ok(Some(stat)) => {
                self.conflicts.add(path, format!("{} stands where a directory is needed", words(&stat)));
            }
            Err(_) if parents(path).any(|p| self.released.contains(p)) => {
                self.journal.dirs.push(path.to_owned());
            }
            // The directory above it was reported.
            Err(e) if matches!(e.raw_os_error(), Some(20 | 40)) => {}
            Err(e) => return Err(e).with_context(|| format!("failed to examine {shown}")),
        }
        Ok(())
    }

    /// What puts a file into its place; none if it stays as it is.
    fn put(
        &mut self,
        name: &str,
        entry: &Entry,
        ours: bool,
        before: Option<&Entry>,
    ) -> anyhow::Result<Option<Step>> {
        let path = &entry.path;
        let shown = self.desk.places.installed(path);
        if self.conflicts.with_others(path, name) || self.conflicts.with_base(path)? {
            return Ok(None);
        }
        let prefix = &self.desk.prefix;
        let staged = format!("new/{name}/{path}");
        let create = |path: String| Step::Create { staged: staged.clone(), path, ino: entry.ino };
        let stat = match prefix.stat(path) {
            Ok(stat) => stat.filter(|_| !self.released.contains(path)),
            Err(e) if e.kind() == ErrorKind::NotADirectory || e.raw_os_error() == Some(40) => {
                // Reported by its directory, unless that makes room.
                return Ok(parents(path).any(|p| self.released.contains(p)).then(|| create(path.clone())));
            }
            Err(e) => return Err(e).with_context(|| format!("failed to examine {shown}")),
        };
        if other_file_system(prefix, split(path).0)? {
            self.conflicts.add(path, "another file system is mounted there");
            return Ok(None);
        }
        let Some(stat) = stat else { return Ok(Some(create(path.clone()))) };
        if crate::dir::kind(&stat).is_dir() {
            // A directory of the older version makes room for it, if nothing else is in there.
            let below = format!("{path}/");
            let was_ours = self.released.iter().any(|r| r.starts_with(&below));
            let mut emptied = Vec::new();
            if was_ours && leaves_empty(prefix, path, &self.released, &mut emptied)? {
                emptied.push((path.clone(), stat.st_mode & 0o7777));
                self.journal.emptied.extend(emptied);
                return Ok(Some(create(path.clone())));
            }
            self.conflicts.add(path, "a directory stands there");
            return Ok(None);
        }
        let config = entry.config || before.is_some_and(|b| b.config);
        if config {
            return config::put(self.desk, entry, before, &staged, &mut self.conflicts, &mut self.notes);
        }
        if !ours && self.conflicts.with_present(path, name, &stat)? {
            return Ok(None);
        }
        let changed = self.changed(path, before)?;
        Ok(Some(Step::Replace { staged, path: path.clone(), ino: entry.ino, changed }))
    }

    /// What an installed file is, if it is not what was installed. It goes all the same, but not silently.
    fn changed(&mut self, path: &str, before: Option<&Entry>) -> anyhow::Result<Option<What>> {
        let Some(before) = before else { return Ok(None) };
        let shown = self.desk.places.installed(path);
        let now = examine(&self.desk.prefix, path).with_context(|| format!("failed to examine {shown}"))?;
        let changed = now.filter(|now| *now != before.what);
        if changed.is_some() {
            self.notes
                .push(format!("{shown} was changed since it was installed; `recipe undo` brings it back"));
        }
        Ok(changed)
    }
}
