//! The prefix, opened, locked, and free of what interrupted runs left: where a command that changes something begins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::base::Base;
use crate::code::Code;
use crate::dir::Dir;
use crate::fetch::Fetcher;
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::lockfile::Lockfile;
use crate::places::{OWN, Places};
use crate::shelf;
use crate::trust::Trust;

use super::journal::Journal;
use super::recover::{self, Outcome};

/// A prefix that is ours as long as this lives.
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
    /// Where files beside a recipe are, if that is not where the recipe is.
    pub beside: BTreeMap<String, PathBuf>,
    _lock: Lock,
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
        // Files get the modes that packages give them, whatever the user's shell says.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let prefix = places.open_prefix()?;
        let own = prefix
            .make(OWN, 0o755)
            .with_context(|| format!("failed to open {}/{OWN}", prefix.path.display()))?;
        let recipes = shelf::open(places)?;
        let lock = Lock::take(&own, recipes, wait, interrupt)?;
        let desk = Self {
            places: places.clone(),
            prefix,
            own,
            base: Base::of(&places.sysroot),
            lockfile: Lockfile::read(&places.recipes, locked)?,
            locked,
            require_trust: false,
            anew: false,
            fetcher: Arc::new(Fetcher::new(&places.cache, offline, interrupt.clone())),
            interrupt: interrupt.clone(),
            beside: BTreeMap::new(),
            _lock: lock,
        };
        let outcome = recover::recover(&desk)?;
        outcome.tell();
        Ok((desk, outcome))
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
    /// A command that failed leaves no stage behind. What is in the journal is recovery's.
    fn drop(&mut self) {
        if matches!(Journal::open(&self.own), Ok(None)) {
            // The next command tries again.
            let _ = recover::litter(self);
        }
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
