//! What is in the way of a plan: files of other packages, of the base, and of nobody. All of it is collected, and named at once.
//!
//! Paths are below the prefix. The base's files are known by where they really lie ([`crate::base`]); so is the prefix, which may be
//! reached by links (`/bin`). Below it there are none on the way: they are conflicts themselves.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use common::cli::Mark;
use rustix::fs::Stat;

use super::apply::words;
use super::desk::Desk;
use crate::base::Owner;
use crate::claims;
use crate::db::Record;
use crate::exit;
use crate::shelf;
use crate::voice::summary::several;

/// Everything that is in the way, as far as it was looked at.
pub(super) struct Conflicts<'a> {
    desk: &'a Desk,
    found: Vec<String>,
    /// Which package of this transaction installs a path.
    taken: BTreeMap<String, String>,
    /// Which one needs a directory there.
    dirs: BTreeMap<String, String>,
    /// Files that their package gives up, be they gone or not.
    given_up: BTreeSet<String>,
    /// Whether anything can be replaced by force.
    is_nobodys: bool,
    /// Whose each installed file is; read when the first question comes.
    owners: Option<BTreeMap<String, String>>,
    /// Where the prefix really is; found then, too.
    prefix: OnceCell<String>,
    /// Packages that are here, though no recipe file says so; read when a file is in the way that seems to be nobody's.
    unclaimed: Option<Vec<Record>>,
    /// Those of them whose files are in the way.
    lost: BTreeSet<String>,
    /// Files that are nobody's and may be replaced.
    overwrite: &'a dyn Fn(&str) -> bool,
}

impl<'a> Conflicts<'a> {
    pub(super) fn new(desk: &'a Desk, overwrite: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            desk,
            found: Vec::new(),
            taken: BTreeMap::new(),
            dirs: BTreeMap::new(),
            given_up: BTreeSet::new(),
            is_nobodys: false,
            owners: None,
            prefix: OnceCell::new(),
            unclaimed: None,
            lost: BTreeSet::new(),
            overwrite,
        }
    }

    /// Something is in the way of a path.
    pub(super) fn add(&mut self, path: &str, what: impl AsRef<str>) {
        self.found.push(format!("{}: {}", self.desk.places.installed(path), what.as_ref()));
    }

    /// A package needs a directory there.
    pub(super) fn needs(&mut self, path: &str, name: &str) {
        self.dirs.entry(path.to_owned()).or_insert_with(|| name.to_owned());
    }

    /// The package that had installed it does not any more.
    pub(super) fn give_up(&mut self, path: &str) {
        self.given_up.insert(path.to_owned());
    }

    /// Whether another package of the transaction installs it too, or a directory there.
    pub(super) fn with_others(&mut self, path: &str, name: &str) -> bool {
        let other = self.taken.insert(path.to_owned(), name.to_owned());
        if let Some(other) = &other {
            self.add(path, format!("both {other} and {name} install it"));
            return true;
        }
        let dir = self.dirs.get(path).map(|other| format!("a file of {name}, and a directory of {other}"));
        if let Some(what) = &dir {
            self.add(path, what);
        }
        dir.is_some()
    }

    /// Whether it is a file of the base, be it there now or not. Nothing allows to replace these.
    pub(super) fn with_base(&mut self, path: &str) -> anyhow::Result<bool> {
        let owner = self.of_base(path)?;
        if let Some(owner) = &owner {
            self.add(path, format!("belongs to the base ({owner})"));
        }
        Ok(owner.is_some())
    }

    /// Whose it is, if it is a file of the base.
    pub(super) fn of_base(&self, path: &str) -> anyhow::Result<Option<Owner>> {
        let base = &self.desk.base;
        // Where nothing is known there is nothing to ask the kernel for.
        if !base.is_known()? {
            return Ok(None);
        }
        let prefix = match self.prefix.get() {
            Some(prefix) => prefix,
            None => {
                let place = base.place_of(&self.desk.prefix)?;
                self.prefix.get_or_init(|| place)
            }
        };
        base.owner(&format!("{prefix}/{path}"))
    }

    /// Whether what is there already belongs to another package, or to nobody and is not to be replaced.
    pub(super) fn with_present(&mut self, path: &str, name: &str, stat: &Stat) -> anyhow::Result<bool> {
        if self.is_of_another(path, name)? {
            return Ok(true);
        }
        let overwrite = (self.overwrite)(&self.desk.places.installed(path));
        let what = match self.unclaimed_owner(path)? {
            // Whoever brings that one back would have the file of another, and remove it.
            Some(owner) if owner != name || !overwrite => {
                self.lost.insert(owner.clone());
                format!("belongs to {owner}, though no recipe file says that it is installed")
            }
            _ if overwrite => return Ok(false),
            _ => {
                self.is_nobodys = true;
                format!("{} that belongs to no package", words(stat))
            }
        };
        self.add(path, what);
        Ok(true)
    }

    /// Whether another package has installed it.
    pub(super) fn is_of_another(&mut self, path: &str, name: &str) -> anyhow::Result<bool> {
        let owner = self.owner(path)?.filter(|owner| owner != name);
        if let Some(owner) = &owner {
            self.add(path, format!("belongs to {owner}"));
        }
        Ok(owner.is_some())
    }

    /// Fails if something is in the way (exit code [`exit::CONFLICT`]): all of it is named.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        let (count, all) = (self.found.len(), self.found.join("\n  "));
        let are = if count == 1 { "is" } else { "are" };
        let error = Err(anyhow::anyhow!("{} {are} in the way:\n  {all}", several(count, "file")))
            .exit(exit::CONFLICT);
        match (self.lost.first(), self.is_nobodys) {
            (Some(name), _) => error.hint(claims::adopt(name)),
            (None, true) => error.hint("--overwrite PATTERN replaces files that belong to no package"),
            (None, false) => error,
        }
    }

    /// Which package has installed a file, though no recipe file says so.
    fn unclaimed_owner(&mut self, path: &str) -> anyhow::Result<Option<String>> {
        let unclaimed = match &self.unclaimed {
            Some(unclaimed) => unclaimed,
            None => self.unclaimed.insert(claims::all_unclaimed(&self.desk.places)?),
        };
        Ok(claims::owner(unclaimed, path).map(|record| record.name.clone()))
    }

    /// Whose an installed file is, and will be as far as the transaction says nothing else.
    fn owner(&mut self, path: &str) -> anyhow::Result<Option<String>> {
        if self.given_up.contains(path) {
            return Ok(None);
        }
        if self.owners.is_none() {
            let (recipes, _) = shelf::all(&self.desk.places)?;
            let files = recipes.into_iter().filter(|r| r.state.installed);
            let files = files.flat_map(|r| r.state.files.into_iter().map(move |f| (f, r.name.clone())));
            self.owners = Some(files.collect());
        }
        let shown = self.desk.places.installed(path);
        Ok(self.owners.as_ref().and_then(|o| o.get(&shown)).cloned())
    }
}
