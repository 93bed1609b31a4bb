//! What a recipe file claims to be installed -> what this prefix has of it.
//!
//! The state is in the file, and files can be carried: to another machine, to another prefix, out of a backup. A prefix's own
//! records (db, history) decide whether a claim is true there. One that is not owns no files, satisfies no dependency and removes
//! nothing: [`Books::settle`] puts it aside, so that everybody else sees what is here. Reads, and changes nothing.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cli::Mark;

use crate::db::{self, Record};
use crate::dir::Dir;
use crate::exit;
use crate::lock;
use crate::places::{OWN, Places};
use crate::recipe::Recipe;
use crate::shelf;
use crate::state::State;
use crate::tx::history::History;
use crate::tx::journal::Journal;

/// A prefix's own books.
pub struct Books<'a> {
    places: &'a Places,
    /// None where nothing was ever installed.
    own: Option<Dir>,
    /// Of each package in the history its last transaction, and whether it is there since; read when it is asked for.
    last: OnceCell<BTreeMap<String, (String, bool)>>,
}

impl<'a> Books<'a> {
    /// Those of a prefix; it need not be there.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn open(places: &'a Places) -> anyhow::Result<Self> {
        let path = places.prefix_here();
        let own = match Dir::open(&path).and_then(|prefix| prefix.sub(OWN)) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            own => Some(own.with_context(|| format!("failed to open {}", path.join(OWN).display()))?),
        };
        Ok(Self { places, own, last: OnceCell::new() })
    }

    /// Whether another process is in the middle of a transaction: some of its files may be there, and others not yet.
    #[must_use]
    pub fn are_being_written(&self) -> bool {
        self.own.as_ref().is_some_and(|own| Journal::is_there(own) && lock::is_anothers(own))
    }

    /// The recipe with what is here as its state. A claim that is not true is put aside ([`Recipe::claim`]).
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn settle(&self, mut recipe: Recipe) -> anyhow::Result<Recipe> {
        if !recipe.state.installed || self.is_true(&recipe)? {
            return Ok(recipe);
        }
        let claim = std::mem::take(&mut recipe.state);
        if let Some((tx, record)) = self.present(&recipe.name)? {
            recipe.state = self.state(&tx, &record, claim.as_dep);
        }
        recipe.claim = Some(Box::new(claim));
        Ok(recipe)
    }

    /// What is here of a package, whatever recipe files say: its transaction and its record.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn present(&self, name: &str) -> anyhow::Result<Option<(String, Record)>> {
        let Some(own) = &self.own else { return Ok(None) };
        match self.last(own)?.get(name) {
            Some((_, false)) => Ok(None),
            Some((tx, true)) => Ok(db::read(own, name, tx)?.map(|record| (tx.clone(), record))),
            // The history has forgotten it, and with it all records but that of what is here.
            None => {
                let newest = self.numbers(name)?.pop();
                let record = newest.map(|tx| Ok(db::read(own, name, &tx)?.map(|record| (tx, record))));
                record.transpose().map(Option::flatten)
            }
        }
    }

    /// What is here of all packages, as [`Books::present`] has it, sorted by name.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn all(&self) -> anyhow::Result<Vec<(String, Record)>> {
        let Some(own) = &self.own else { return Ok(Vec::new()) };
        db::packages(own).iter().filter_map(|name| self.present(name).transpose()).collect()
    }

    /// What is here although no recipe file says so: its transaction and its record. `recipes`: all that can be read, settled.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn unclaimed(&self, recipes: &[Recipe]) -> anyhow::Result<Vec<(String, Record)>> {
        let Some(own) = &self.own else { return Ok(Vec::new()) };
        let says = |r: &&Recipe| r.state.installed || r.claim.is_some();
        let known: BTreeSet<_> = recipes.iter().filter(says).map(|r| r.name.as_str()).collect();
        let mut recorded = db::packages(own);
        recorded.retain(|name| !known.contains(name.as_str()));
        // What a file says that cannot be read is not known.
        let is_read = |name: &String| recipes.iter().any(|r| r.name == *name);
        recorded.retain(|name| is_read(name) || !self.places.recipe(name).exists());
        recorded.iter().filter_map(|name| self.lost(name).transpose()).collect()
    }

    /// What is here of a package whose file, if there is one, says nothing of it.
    ///
    /// # Errors
    /// The books cannot be read.
    pub fn lost(&self, name: &str) -> anyhow::Result<Option<(String, Record)>> {
        let Some(own) = &self.own else { return Ok(None) };
        // Most names that are asked for were never here.
        if db::numbers(own, name)?.is_empty() {
            return Ok(None);
        }
        // The books of an open transaction come after the files.
        if Journal::open(own)?.is_some_and(|open| open.packages.iter().any(|package| package.name == name)) {
            return Ok(None);
        }
        self.present(name)
    }

    /// The state that a recipe file would have if nobody had touched it.
    #[must_use]
    pub fn state(&self, tx: &str, record: &Record, as_dep: bool) -> State {
        State {
            installed: true,
            version: Some(record.version.clone()),
            at: tx.get(..8).and_then(|seconds| i64::from_str_radix(seconds, 16).ok()),
            as_dep,
            tx: Some(tx.to_owned()),
            files: record.files.iter().map(|entry| self.places.installed(&entry.path)).collect(),
        }
    }

    /// Whether the file may be given another state: where it is another prefix's, that one would lose it.
    ///
    /// # Errors
    /// It may not (exit code [`exit::CONFLICT`]).
    pub fn not_of_another(&self, recipe: &Recipe) -> anyhow::Result<()> {
        let Some(prefix) = self.elsewhere(recipe) else { return Ok(()) };
        let found =
            anyhow::anyhow!("{} is installed in {}, and its recipe says so", recipe.name, prefix.display());
        Err(found).exit(exit::CONFLICT).hint(
            "--prefix says which prefix it is in; each prefix needs recipe files of its own (--recipes)",
        )
    }

    /// Another prefix of this system that a claim is true in, with this very recipe file: it has no other state than the file's.
    fn elsewhere(&self, recipe: &Recipe) -> Option<PathBuf> {
        let claim = recipe.claim.as_ref()?;
        let tx = number(claim.tx.as_deref()?)?;
        let mine = recipe.path.canonicalize().ok()?;
        let here = self.places.prefix_here().canonicalize().ok();
        let above = Path::new(claim.files.first()?).ancestors().skip(1);
        above.map(Path::to_owned).find(|prefix| {
            let place = self.places.sysroot.join(prefix.strip_prefix("/").unwrap_or(prefix));
            if place.canonicalize().ok() == here {
                return false;
            }
            let Ok(own) = Dir::open(&place.join(OWN)) else { return false };
            matches!(db::read(&own, &recipe.name, tx), Ok(Some(_))) && {
                let journal = History::open(&own).ok().flatten().and_then(|all| all.journal(tx).ok());
                let packages = journal.into_iter().flat_map(|journal| journal.packages);
                let mut file = packages.filter(|p| p.name == recipe.name).map(|p| p.recipe);
                // Where its history has forgotten that, the usual place says whether this is a copy.
                let usual = || place.join("share/recipes").join(format!("{}.rhai", recipe.name));
                let theirs = file.next().unwrap_or_else(usual);
                theirs.canonicalize().map_or(true, |theirs| theirs == mine)
            }
        })
    }

    fn is_true(&self, recipe: &Recipe) -> anyhow::Result<bool> {
        let Some(tx) = recipe.state.tx.as_deref().and_then(number) else { return Ok(false) };
        let numbers = self.numbers(&recipe.name)?;
        let recorded = match numbers.last() {
            Some(newest) if newest == tx => true,
            // A file out of a backup: something has happened to the package since.
            Some(_) if numbers.iter().any(|known| known == tx) => {
                self.present(&recipe.name)?.is_some_and(|(here, _)| here == tx)
            }
            _ => false,
        };
        let inside = recipe.state.files.first().is_none_or(|file| self.places.relative(file).is_some());
        if !recorded || inside {
            return Ok(recorded);
        }
        // A prefix that was carried as a whole, with its books, and is called otherwise here.
        let own = self.own.as_ref();
        let record = own.map(|own| db::read(own, &recipe.name, tx)).transpose()?.flatten();
        Ok(record.is_none_or(|record| Path::new(&record.prefix) == self.places.prefix))
    }

    /// Transactions that there are records of, sorted.
    fn numbers(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let Some(own) = &self.own else { return Ok(Vec::new()) };
        db::numbers(own, name)
    }

    fn last(&self, own: &Dir) -> anyhow::Result<&BTreeMap<String, (String, bool)>> {
        if let Some(last) = self.last.get() {
            return Ok(last);
        }
        let mut last = BTreeMap::new();
        if let Some(history) = History::open(own)? {
            for tx in history.newest_first() {
                for package in history.journal(tx)?.packages {
                    last.entry(package.name).or_insert_with(|| (tx.to_owned(), package.to.is_some()));
                }
            }
        }
        Ok(self.last.get_or_init(|| last))
    }
}

/// The number of a transaction, if it is one: it becomes a part of paths.
fn number(tx: &str) -> Option<&str> {
    (!tx.is_empty() && tx.bytes().all(|b| b.is_ascii_hexdigit())).then_some(tx)
}

/// What to say of a claim that is not true here.
#[must_use]
pub fn untrue(places: &Places, recipe: &Recipe) -> Option<String> {
    let claim = recipe.claim.as_ref()?;
    let version = claim.version.as_deref().unwrap_or("?");
    let prefix = places.prefix.display();
    Some(match &recipe.state.version {
        Some(here) if here == version => {
            format!("{}: its recipe has the state of another prefix than {prefix}", recipe.name)
        }
        Some(here) => format!("{}: {}", recipe.name, other(places, version, here)),
        None => format!(
            "{}: its recipe says that {version} is installed, but there is no record of it in {prefix}",
            recipe.name
        ),
    })
}

fn other(places: &Places, claimed: &str, here: &str) -> String {
    format!("its recipe says that {claimed} is installed, but in {} {here} is", places.prefix.display())
}

/// What to say of a recipe that is right about its installation, but for the version, and what can be done: somebody edited that.
#[must_use]
pub fn other_version(places: &Places, recipe: &Recipe, record: &Record) -> Option<(String, String)> {
    let claimed = recipe.state.version.as_deref();
    let hint = format!("`recipe sync-state {}` corrects the file", recipe.name);
    (claimed != Some(&record.version))
        .then(|| (other(places, claimed.unwrap_or("no version"), &record.version), hint))
}

/// All packages that are here, although no recipe file says so.
///
/// # Errors
/// The books or the recipes' directory cannot be read.
pub fn all_unclaimed(places: &Places) -> anyhow::Result<Vec<Record>> {
    let (recipes, _) = shelf::all(places)?;
    let all = Books::open(places)?.unclaimed(&recipes)?;
    Ok(all.into_iter().map(|(_, record)| record).collect())
}

/// Which of these packages has installed a file; `path` is below the prefix.
#[must_use]
pub fn owner<'a>(unclaimed: &'a [Record], path: &str) -> Option<&'a Record> {
    unclaimed.iter().find(|record| record.files.iter().any(|entry| entry.path == path))
}

/// What to say of a package that is here, though its recipe file, if there is one, says nothing of it, and what can be done. None if it
/// is not here, or nobody can tell.
#[must_use]
pub fn lost(places: &Places, name: &str) -> Option<(String, String)> {
    let (_, record) = Books::open(places).and_then(|books| books.lost(name)).ok().flatten()?;
    Some((unclaimed(places, &record), adopt(name)))
}

/// What to say of a package that is here, although no recipe file says so.
#[must_use]
pub fn unclaimed(places: &Places, record: &Record) -> String {
    let Record { name, version, .. } = record;
    let (prefix, recipes) = (places.prefix.display(), places.recipes.display());
    format!("{name} {version} is here, in {prefix}, but no recipe file in {recipes} says so")
}

/// What can be done about it.
#[must_use]
pub fn adopt(name: &str) -> String {
    format!("`recipe sync-state --adopt {name}` writes it into its recipe file again, --remove removes it")
}

/// Both, in one sentence.
#[must_use]
pub fn stray(places: &Places, record: &Record) -> String {
    format!("{}; {}", unclaimed(places, record), adopt(&record.name))
}

/// What can be done about claims that are not true.
pub const HINT: &str = "`recipe sync-state` brings this prefix to what the recipe files say";
