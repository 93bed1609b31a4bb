//! What was written goes to the disk while the next files are unpacked, not all at once at the end.
//!
//! In: how many bytes were written, from all workers. Out: syncfs(2), again and again, by a thread of its own. Invariants: no
//! more than [`AHEAD`] bytes are written that are not on the disk (so that the progress that is shown is the disk's, and an
//! interruption need not wait for gigabytes); an error of the disk is kept, wherever it showed first.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::control::Control;

/// So much is written before the disk is asked to keep up: enough for it to work in long runs.
const STEP: u64 = 16 << 20;

/// How far the workers may be ahead of the disk. More than [`STEP`], or both would wait for each other.
const AHEAD: u64 = 512 << 20;

const _: () = assert!(AHEAD > 2 * STEP);

/// How long workers wait before they look whether all is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Shared by the workers and the thread.
#[derive(Debug, Default)]
pub struct Writeback {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    written: u64,
    /// Of those, how many were written before the last syncing began that has ended.
    durable: u64,
    over: bool,
}

impl Writeback {
    /// Says that so many more bytes were written; waits if the disk is too far behind.
    ///
    /// # Errors
    /// All work is to stop.
    pub fn wrote(&self, bytes: u64, control: &Control) -> anyhow::Result<()> {
        let mut state = self.lock();
        state.written += bytes;
        self.changed.notify_all();
        while state.written - state.durable > AHEAD {
            control.check()?;
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Syncs by `sync` whenever enough was written, until [`Writeback::end`]. Runs in a thread of its own.
    ///
    /// # Errors
    /// Those of `sync`.
    pub fn run(&self, sync: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        loop {
            let mut state = self.lock();
            while !state.over && state.written - state.durable < STEP {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.over {
                return Ok(());
            }
            let written = state.written;
            drop(state);
            sync()?;
            self.lock().durable = written;
            self.changed.notify_all();
        }
    }

    /// Ends [`Writeback::run`] after the syncing that is under way.
    pub fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// What a panicking thread left is a count.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
