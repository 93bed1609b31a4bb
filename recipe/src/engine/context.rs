//! What the helpers of one package work on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use common::cli::{Mark, exit_code};
use common::hash::Sha256;

use super::capability::{COMPUTED, Capabilities, Kind};
use super::names::origin;
use crate::db::{BESIDE, Source};
use crate::dir::Dir;
use crate::exit;
use crate::fetch::{Download, Fetcher, Want};
use crate::interrupt::Interrupt;

/// A package that is being made. Helpers write below `build` and `stage`, and nowhere else.
#[derive(Debug)]
pub struct Context {
    /// Its name.
    pub package: String,
    /// Which phase runs; none while the top level does.
    pub phase: Option<String>,
    /// Where it is unpacked and built.
    pub build: Dir,
    /// HOME of programs while it is built: what they keep in there, the next ones find.
    pub home: Dir,
    /// The directory of `build` that helpers begin at.
    pub cwd: String,
    /// What will be installed, as it will lie below the prefix.
    pub stage: Dir,
    /// The prefix as programs see it once they are installed.
    pub prefix: PathBuf,
    /// The directory of the recipe: patches and files beside it.
    pub beside: PathBuf,
    /// What programs may do and see.
    pub cage: Cage,
    /// Downloads.
    pub fetcher: Arc<Fetcher>,
    /// What has no digest is downloaded as the server has it now, whatever the cache has.
    pub anew: bool,
    /// What was downloaded so far; the last one is what `extract` and `verify_*` mean.
    pub downloads: Vec<Download>,
    /// Files that were used besides the downloads: those beside the recipe, lists of digests, signatures.
    pub also_used: Vec<Source>,
    /// Programs that were run.
    pub programs: Vec<Ran>,
    /// The only files it may be made from, by `--locked`.
    pub locked: Option<Vec<Source>>,
    /// What its code was seen to do: nothing else is done.
    pub granted: Capabilities,
    /// Digests that are looked for anew, by `recipe update --hash`.
    pub rehash: Option<Rehash>,
    /// Files that users edit, as paths below the prefix.
    pub configs: Vec<String>,
    /// ^C.
    pub interrupt: Interrupt,
}

/// A program that was run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ran {
    /// In which phase.
    pub phase: String,
    /// The program and its arguments, as a shell would have it.
    pub program: String,
    /// Whether it had a network.
    pub network: bool,
}

/// Digests that a recipe has of files which are others by now.
#[derive(Debug, Clone, Default)]
pub struct Rehash {
    /// As they stand in the recipe.
    pub old: BTreeSet<String>,
    /// What the files have instead of them.
    pub new: BTreeMap<String, String>,
}

/// What programs of a package may do and see, besides what all may.
#[derive(Debug, Clone, Default)]
pub struct Cage {
    /// Whether they have a network after `acquire`.
    pub network: bool,
    /// Where the prefix is, as a path of this system.
    pub prefix: PathBuf,
    /// What is not theirs to see, as they would see it.
    pub hidden: Vec<PathBuf>,
}

impl Context {
    /// A context in which nothing can be done: for checks. It needs no place of its own.
    ///
    /// # Errors
    /// The root directory cannot be opened.
    pub fn nowhere() -> anyhow::Result<Self> {
        let root = || Dir::open("/".as_ref());
        let interrupt = Interrupt::default();
        Ok(Self {
            package: String::new(),
            phase: None,
            build: root()?,
            home: root()?,
            cwd: String::new(),
            stage: root()?,
            prefix: PathBuf::new(),
            beside: PathBuf::new(),
            cage: Cage::default(),
            fetcher: Arc::new(Fetcher::new("/nonexistent".as_ref(), true, interrupt.clone())),
            anew: false,
            downloads: Vec::new(),
            also_used: Vec::new(),
            programs: Vec::new(),
            locked: None,
            granted: Capabilities::default(),
            rehash: None,
            configs: Vec::new(),
            interrupt,
        })
    }

    /// What a source must be: what the lock file says, if that is in force. `want` is the digest that the recipe says.
    ///
    /// # Errors
    /// Its host cannot be seen in the code (exit code [`exit::TRUST`]); the lock file does not have it, or another one
    /// ([`exit::LOCKFILE`]).
    pub fn pinned(&self, url: &str, want: Option<Sha256>) -> anyhow::Result<Want> {
        if !url.starts_with(BESIDE) {
            self.may_ask(url)?;
        }
        let Some(locked) = &self.locked else { return Ok(Want { sha256: want, size: None }) };
        let found = locked.iter().find(|source| source.url == url);
        let found = found
            .with_context(|| format!("{url} is not in the lock file, for {}", self.package))
            .exit(exit::LOCKFILE)
            .hint(self.how_to_lock())?;
        match want.filter(|want| *want != found.sha256) {
            Some(want) => Err(crate::fetch::wrong(&format!("{url} of the lock file"), want, found.sha256))
                .exit(exit::LOCKFILE)
                .hint(self.how_to_lock()),
            None => Ok(Want::all(found.sha256, found.size)),
        }
    }

    /// Downloads a source; `want` is the digest that the recipe says.
    ///
    /// # Errors
    /// As [`Context::pinned`] and [`Fetcher::get`].
    pub fn fetch(&self, url: &str, want: Option<Sha256>) -> anyhow::Result<Download> {
        let want = self.pinned(url, want)?;
        // The cache may have what the address meant before.
        let anew = (self.anew || self.rehash.is_some()) && want.sha256.is_none();
        self.held_to_lock(if anew { self.fetcher.fresh(url) } else { self.fetcher.get(url, want) })
    }

    /// What came of looking at a source: where it is another than the lock file has, how to write down what is there now.
    ///
    /// # Errors
    /// Those that came of it.
    pub fn held_to_lock<T>(&self, found: anyhow::Result<T>) -> anyhow::Result<T> {
        match found {
            Err(e) if self.locked.is_some() && exit_code(&e) == exit::INTEGRITY => {
                Err(e).hint(self.how_to_lock())
            }
            found => found,
        }
    }

    fn how_to_lock(&self) -> String {
        format!("if that is right, `recipe lock --update {}` writes down what there is now", self.package)
    }

    /// Whoever publishes at a URL may be asked.
    ///
    /// # Errors
    /// Its host cannot be seen in the code (exit code [`exit::TRUST`]).
    pub fn may_ask(&self, url: &str) -> anyhow::Result<()> {
        self.granted.allows(Kind::Host, &origin(url, true).unwrap_or_else(|| COMPUTED.to_owned()))
    }

    /// Whether a digest is one that is looked for anew.
    #[must_use]
    pub fn learns(&self, digest: &str) -> bool {
        self.rehash.as_ref().is_some_and(|r| r.old.contains(digest))
    }

    /// Notes what a file has instead of a digest, if that is looked for; whether it is.
    ///
    /// # Errors
    /// Another file was held to the same one.
    pub fn learn(&mut self, old: &str, new: &str) -> anyhow::Result<bool> {
        let Some(rehash) = self.rehash.as_mut().filter(|r| r.old.contains(old)) else { return Ok(false) };
        let known = rehash.new.insert(old.to_owned(), new.to_owned());
        anyhow::ensure!(known.is_none_or(|known| known == new), "two files are held to the digest {old}");
        Ok(true)
    }

    /// Nothing more is done once all digests are known that were looked for.
    ///
    /// # Errors
    /// They are.
    pub fn goes_on(&self) -> anyhow::Result<()> {
        let known = self.rehash.as_ref().is_some_and(|r| r.old.len() == r.new.len());
        anyhow::ensure!(!known, "all digests are known");
        Ok(())
    }

    /// A path of a recipe, below the build directory: relative ones begin at `cwd`.
    ///
    /// # Errors
    /// It leads out of the build directory.
    pub fn inside(&self, path: &str) -> anyhow::Result<String> {
        let mut parts: Vec<&str> = self.cwd.split('/').filter(|p| !p.is_empty()).collect();
        let wrong = || anyhow::anyhow!("{path:?} leads out of the build directory");
        if path.starts_with('/') {
            return Err(wrong());
        }
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(wrong)?),
                part => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }
}
