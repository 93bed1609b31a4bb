//! What happens, for people: a bar with rate and time left on a terminal, else a line every few seconds. On stderr.
//!
//! Workers only add to a counter; one thread draws. Seconds of each phase are kept for the report.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn, and how often a line is printed where there is no terminal.
const DRAW: Duration = Duration::from_millis(100);
const LINE: Duration = Duration::from_secs(5);

/// Counts and draws. Dropping it ends the drawing.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    terminal: bool,
    done: Arc<AtomicU64>,
    phase: Option<Phase>,
    seconds: BTreeMap<&'static str, f64>,
}

#[derive(Debug)]
struct Phase {
    name: &'static str,
    begun: Instant,
    end: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// On stderr; nothing at all when `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { quiet, terminal, done: Arc::default(), phase: None, seconds: BTreeMap::new() }
    }

    /// Ends the phase before and begins one that has `total` bytes to go through; 0: it has no measure.
    pub fn phase(&mut self, name: &'static str, total: u64) {
        self.end();
        self.done.store(0, Ordering::Relaxed);
        let end = Arc::new((Mutex::new(false), Condvar::new()));
        if !self.quiet && !self.terminal {
            say(name);
        }
        let thread = (!self.quiet).then(|| {
            let (end, done, terminal) = (Arc::clone(&end), Arc::clone(&self.done), self.terminal);
            std::thread::spawn(move || draw(name, total, terminal, &done, &end))
        });
        self.phase = Some(Phase { name, begun: Instant::now(), end, thread });
    }

    /// Adds to what the phase has done; cheap, from any thread.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says something that matters, whatever is being drawn.
    pub fn tell(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Ends the last phase and returns how long each took.
    pub fn finish(&mut self) -> BTreeMap<&'static str, f64> {
        self.end();
        self.seconds.clone()
    }

    fn end(&mut self) {
        let Some(mut phase) = self.phase.take() else { return };
        *phase.end.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        phase.end.1.notify_all();
        if let Some(thread) = phase.thread.take() {
            let _ = thread.join();
        }
        // Milliseconds are what a reader compares.
        let seconds = (phase.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        *self.seconds.entry(phase.name).or_default() += seconds;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// The drawing thread of one phase.
fn draw(name: &'static str, total: u64, terminal: bool, done: &AtomicU64, end: &(Mutex<bool>, Condvar)) {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = match total {
        0 => "{spinner} {prefix}",
        _ => "{spinner} {prefix:<10} {wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left",
    };
    if terminal {
        bar.set_prefix(name);
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
    }
    let begun = Instant::now();
    let mut ended = end.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*ended {
        let wait = if terminal { DRAW } else { LINE };
        ended = end.1.wait_timeout(ended, wait).unwrap_or_else(PoisonError::into_inner).0;
        let done = done.load(Ordering::Relaxed);
        if terminal {
            bar.set_position(done);
            bar.tick();
        } else if !*ended && total > 0 {
            say(&line(name, done, total, begun.elapsed()));
        }
    }
    bar.finish_and_clear();
}

/// `extract: 45 % (200 MiB of 440 MiB, 90 MiB/s, 3 s left)`
fn line(name: &str, done: u64, total: u64, took: Duration) -> String {
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let left = total.saturating_sub(done) as f64 / rate.max(1.0);
    let percent = done * 100 / total.max(1);
    let (done, total, rate) = (HumanBytes(done), HumanBytes(total), HumanBytes(rate as u64));
    format!("{name}: {percent} % ({done} of {total}, {rate}/s, {left:.0} s left)")
}

fn say(text: &str) {
    common::cli::tell(&format!("recstrap: {text}"));
}
