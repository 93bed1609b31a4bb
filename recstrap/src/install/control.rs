//! Stopping: an interruption by a signal, or the first failure of any thread, ends all of them.
//!
//! Workers call [`Control::check`] at least once a mebibyte; what they return after a stop is no error of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use common::cli::{Mark, code};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Shared by all threads of one installation.
#[derive(Debug, Default)]
pub struct Control {
    interrupted: Arc<AtomicBool>,
    failed: AtomicBool,
    error: Mutex<Option<anyhow::Error>>,
}

/// A thread ended because another one failed or a signal came.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

impl Control {
    /// With handlers for SIGINT, SIGTERM and SIGHUP: the first asks to stop, a second one ends the process at once.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn with_signals() -> anyhow::Result<Self> {
        let control = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let flag = || Arc::clone(&control.interrupted);
            signal_hook::flag::register_conditional_shutdown(signal, i32::from(code::INTERRUPTED), flag())
                .and_then(|_| signal_hook::flag::register(signal, flag()))
                .context("failed to handle signals")?;
        }
        Ok(control)
    }

    /// Fails when work should end.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn check(&self) -> anyhow::Result<()> {
        if self.interrupted.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        Ok(())
    }

    /// Whether a signal came.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Keeps what a thread failed with, if it was the first, and stops the others.
    pub fn note<T>(&self, result: anyhow::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) => {
                if !e.is::<Stopped>() {
                    let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(e);
                }
                self.failed.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// The first failure, or the interruption, once all threads are done.
    ///
    /// # Errors
    /// There was one.
    pub fn outcome(&self) -> anyhow::Result<()> {
        if let Some(e) = self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(e);
        }
        self.check().context("interrupted").exit(code::INTERRUPTED)
    }
}
