//! ^C and SIGTERM: noted, and looked at where stopping is safe.
//!
//! Until the journal is written nothing outside of `.recipe` has changed, so stopping is an ordinary error (exit 130). From
//! then on a transaction runs to its end: that takes milliseconds. A second signal ends the process as usual; recovery does
//! the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cli::{Mark, code};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Who waits for something looks so often whether a signal came.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Whether a signal came. Cheap to clone and to look at.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to note signals.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn install() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal sets the flag, a second one finds it set.
            signal_hook::flag::register_conditional_default(signal, flag.clone())
                .and_then(|_| signal_hook::flag::register(signal, flag.clone()))
                .context("failed to install a signal handler")?;
        }
        Ok(Self(flag))
    }

    /// Whether a signal came.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// A signal came.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.is_set() {
            return Err(anyhow::anyhow!("interrupted; nothing was changed")).exit(code::INTERRUPTED);
        }
        Ok(())
    }

    /// Waits so long, or until a signal comes.
    ///
    /// # Errors
    /// A signal came.
    pub fn sleep(&self, long: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + long;
        loop {
            self.check()?;
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => std::thread::sleep(left.min(PAUSE)),
            }
        }
    }

    /// As if a signal came.
    #[cfg(test)]
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
