//! Progress bars on stderr: a bar on a terminal, one line a piece of work elsewhere, nothing with --quiet.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leviso::progress::{Progress, Unit};

/// Draws one bar at a time.
pub(crate) struct Bars {
    quiet: bool,
    terminal: bool,
    now: Mutex<Option<Work>>,
}

struct Work {
    what: String,
    bar: ProgressBar,
    began: Instant,
}

impl Bars {
    /// Bars for this process's stderr.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), now: Mutex::new(None) }
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, total: u64, unit: Unit) {
        let target = if self.terminal && !self.quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what.to_owned());
        let template = match unit {
            Unit::Bytes => {
                "{msg:<28} {bar:30} {decimal_bytes:>10}/{decimal_total_bytes:<10} {decimal_bytes_per_sec} {eta}"
            }
            Unit::Items => "{msg:<28} {bar:30} {pos:>6}/{len:<6} {eta}",
        };
        // A template that does not parse would only cost the decoration.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let work = Work { what: what.to_owned(), bar, began: Instant::now() };
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    fn advance(&self, by: u64) {
        if let Some(work) = &*self.now.lock().unwrap_or_else(PoisonError::into_inner) {
            work.bar.inc(by);
        }
    }

    fn end(&self) {
        let Some(work) = self.now.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        work.bar.finish_and_clear();
        if !self.quiet {
            #[expect(clippy::print_stderr, reason = "progress is for people")]
            {
                eprintln!("{:<28} {:>6.1} s", work.what, work.began.elapsed().as_secs_f64());
            }
        }
    }
}
