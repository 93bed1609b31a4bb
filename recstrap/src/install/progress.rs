//! What happens, for people: a bar with rate and time left on a terminal, else a line every few seconds. On stderr.
//!
//! Workers only add to a counter; one thread draws. Seconds of each phase are kept for the report. What is said while
//! something is drawn goes above it ([`Progress::tell`]); who prints past this module ends the drawing first.

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
    bar: ProgressBar,
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
        let bar = if self.terminal && !self.quiet { bar(name, total) } else { ProgressBar::hidden() };
        let thread = (!self.quiet).then(|| {
            let (end, done, bar) = (Arc::clone(&end), Arc::clone(&self.done), bar.clone());
            let terminal = self.terminal;
            std::thread::spawn(move || {
                if terminal { draw(&bar, &done, &end) } else { print(name, total, &done, &end) }
            })
        });
        self.phase = Some(Phase { name, begun: Instant::now(), bar, end, thread });
    }

    /// Adds to what the phase has done; cheap, from any thread.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says something that matters, whatever is being drawn.
    pub fn tell(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.phase {
            Some(phase) => phase.bar.suspend(|| say(text)),
            None => say(text),
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

/// What is drawn on a terminal. Nothing is drawn here: with the methods that begin with `set_` it would be, before the style
/// is set.
fn bar(name: &'static str, total: u64) -> ProgressBar {
    let template = match total {
        0 => "{spinner} {prefix}",
        _ => "{spinner} {prefix:<10} {wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_prefix(name)
}

/// The thread of one phase on a terminal.
fn draw(bar: &ProgressBar, done: &AtomicU64, end: &(Mutex<bool>, Condvar)) {
    while !is_over(end, DRAW) {
        bar.set_position(done.load(Ordering::Relaxed));
        bar.tick();
    }
    bar.finish_and_clear();
}

/// The thread of one phase where there is no terminal.
fn print(name: &'static str, total: u64, done: &AtomicU64, end: &(Mutex<bool>, Condvar)) {
    let begun = Instant::now();
    while !is_over(end, LINE) {
        if total > 0 {
            say(&line(name, done.load(Ordering::Relaxed), total, begun.elapsed()));
        }
    }
}

/// Waits until the phase is over, or for a while.
fn is_over(end: &(Mutex<bool>, Condvar), wait: Duration) -> bool {
    let over = end.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (over, _) =
        end.1.wait_timeout_while(over, wait, |over| !*over).unwrap_or_else(PoisonError::into_inner);
    *over
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
