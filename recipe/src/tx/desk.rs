//! The prefix, opened, locked, and free of what interrupted runs left: where a command that changes something begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use common::cli::{Mark, tell};

use crate::base::Base;
use crate::code::Code;
use crate::dir::{self, Dir, Scratch};
use crate::fetch::Fetcher;
use crate::interrupt::Interrupt;
use crate::lock::{self, Lock};
use crate::lockfile::Lockfile;
use crate::places::{OWN, Places};
use crate::shelf;
use crate::trust::Trust;

use super::journal::Journal;
use super::recover::{self, Outcome};

/// A prefix that is ours as long as this lives, or that is only looked at.
#[derive(Debug)]
pub struct Desk {
    /// All paths.
    pub places: Places,
    /// The prefix.
    pub prefix: Dir,
    /// Our own directory in it.
    pub own: Dir,
    /// What the system came with.
    pub base: Base,
    /// What was made from what, if somebody wrote that down.
    pub lockfile: Option<Lockfile>,
    /// Whether nothing else is allowed.
    pub locked: bool,
    /// Whether nothing is made that was not reviewed, whatever the prefix says.
    pub require_trust: bool,
    /// Whether what has no digest is downloaded again, whatever the cache has.
    pub anew: bool,
    /// Downloads.
    pub fetcher: Arc<Fetcher>,
    /// ^C.
    pub interrupt: Interrupt,
    /// Where files beside a recipe are, and the one that it is a copy of, if that is not where the recipe is.
    pub beside: BTreeMap<String, PathBuf>,
    /// None where it is only looked at.
    lock: Option<Lock>,
    /// Where packages are made then; there once it is needed.
    scratch: OnceLock<Scratch>,
}

impl Desk {
    /// Opens and locks a prefix, and cleans up. `locked`: nothing is made but as the lock file says.
    ///
    /// # Errors
    /// There is no lock file although it is needed, the prefix cannot be opened, somebody works there, or an interrupted transaction cannot be ended.
    pub fn open(
        places: &Places,
        wait: Duration,
        offline: bool,
        locked: bool,
        interrupt: &Interrupt,
    ) -> anyhow::Result<(Self, Outcome)> {
        set_umask();
        let (prefix, own, lock) = enter(places, wait, interrupt).map_err(|e| denied(places, e))?;
        let desk = Self::new(places, (prefix, own), Some(lock), (offline, locked), interrupt)?;
        let outcome = recover::recover(&desk)?;
        outcome.tell();
        Ok((desk, outcome))
    }

    /// Opens a prefix only to look at it, for everybody who can: takes no lock, makes nothing there, and ends nothing. Where there is no
    /// prefix, nothing is in it.
    ///
    /// # Errors
    /// There is no lock file although it is needed, or the prefix cannot be read.
    pub fn look(places: &Places, offline: bool, locked: bool, interrupt: &Interrupt) -> anyhow::Result<Self> {
        set_umask();
        let or_none = |dir: std::io::Result<Dir>, path: &Path| match dir {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Dir::nowhere(path),
            dir => dir,
        };
        let path = places.prefix_here();
        let open = || {
            let prefix = or_none(Dir::open(&path), &path)?;
            let own = or_none(prefix.sub(OWN), &path.join(OWN))?;
            Ok::<_, std::io::Error>((prefix, own))
        };
        let dirs = open().with_context(|| format!("failed to open {}", path.display()))?;
        let desk = Self::new(places, dirs, None, (offline, locked), interrupt)?;
        if Journal::open(&desk.own)?.is_some() && lock::holder(&desk.own).is_none() {
            tell("a transaction was interrupted; `recipe repair`, or the next change, ends it");
        }
        Ok(desk)
    }

    fn new(
        places: &Places,
        (prefix, own): (Dir, Dir),
        lock: Option<Lock>,
        (offline, locked): (bool, bool),
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            places: places.clone(),
            prefix,
            own,
            base: Base::of(&places.sysroot),
            lockfile: Lockfile::read(places.shelf(), locked)?,
            locked,
            require_trust: false,
            anew: false,
            fetcher: Arc::new(Fetcher::new(&places.cache, offline, interrupt.clone())),
            interrupt: interrupt.clone(),
            beside: BTreeMap::new(),
            lock,
            scratch: OnceLock::new(),
        })
    }

    /// Whether it is only looked at.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        self.lock.is_none()
    }

    /// Where packages are made: in our own directory, or, where that is only looked at, in one that goes with the desk.
    ///
    /// # Errors
    /// None can be made.
    pub fn bench(&self) -> anyhow::Result<&Dir> {
        if !self.only_looks() {
            return Ok(&self.own);
        }
        if let Some(scratch) = self.scratch.get() {
            return Ok(scratch.dir());
        }
        let context = || format!("failed to make a directory in {}", std::env::temp_dir().display());
        let scratch = Scratch::new().with_context(context)?;
        Ok(self.scratch.get_or_init(|| scratch).dir())
    }

    /// Whether something may be changed; it is asked before anything is.
    ///
    /// # Errors
    /// The prefix was opened by [`Desk::look`].
    pub(super) fn may_change(&self) -> anyhow::Result<()> {
        ensure!(!self.only_looks(), "{} is only looked at", self.prefix.path.display());
        Ok(())
    }

    /// Whether a recipe may run; what users should know of it.
    ///
    /// # Errors
    /// It may not, or nobody can tell (exit code [`crate::exit::TRUST`]).
    pub fn trusts(&self, code: &Code) -> anyhow::Result<Option<String>> {
        self.trust()?.check(code)
    }

    /// What is trusted here. Read only when code is to run: what is installed can be removed, whatever that file looks like.
    ///
    /// # Errors
    /// Nobody can tell (exit code [`crate::exit::TRUST`]).
    pub fn trust(&self) -> anyhow::Result<Trust> {
        Trust::of(Some(&self.own), self.require_trust)
    }

    /// A number for a transaction: later ones sort later, also within a second. Who makes one holds the lock.
    #[must_use]
    pub fn new_tx() -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{:08x}{:08x}", now.as_secs(), now.subsec_nanos())
    }
}

impl Drop for Desk {
    /// A command that failed leaves no stage behind. What is in the journal is recovery's; who only looks leaves what another makes.
    fn drop(&mut self) {
        if !self.only_looks() && matches!(Journal::open(&self.own), Ok(None)) {
            // The next command tries again.
            let _ = recover::litter(self);
        }
    }
}

/// Files get the modes that packages give them, whatever the user's shell says.
fn set_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Opens the prefix and our own directory in it, and locks both it and the recipes; what is missing is made.
fn enter(places: &Places, wait: Duration, interrupt: &Interrupt) -> anyhow::Result<(Dir, Dir, Lock)> {
    let prefix = places.open_prefix()?;
    let own =
        prefix.make(OWN, 0o755).with_context(|| format!("failed to open {}/{OWN}", prefix.path.display()))?;
    let recipes = shelf::open(places)?;
    let lock = Lock::take(&own, recipes, wait, interrupt)?;
    Ok((prefix, own, lock))
}

/// The error, with what can be done where the prefix is somebody else's.
fn denied(places: &Places, error: anyhow::Error) -> anyhow::Error {
    if !dir::is_denied(&error) {
        return error;
    }
    let hint = format!(
        "{} is another user's: run recipe as its owner, or say with --prefix where packages go; \
         `--dry-run=plan` and what only looks need no more than to read",
        places.prefix_here().display()
    );
    Err::<(), _>(error).hint(hint).unwrap_err()
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
