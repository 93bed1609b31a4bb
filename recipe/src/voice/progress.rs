//! Phases and downloads: bars on a terminal, a line where one begins or ends elsewhere, nothing with `-q` or `--no-progress`.
//!
//! Each handle draws one line and clears it when it is dropped, whatever happened: an error or ^C leaves nothing behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::VOICE;

/// How often something moves on a terminal although nothing happened: the proof of life.
const TICK: Duration = Duration::from_millis(150);
/// How often a download has a line where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Which package is made, and of how many.
static NUMBER: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// The next packages are `total`.
pub fn packages(total: usize) {
    NUMBER.0.store(0, Ordering::Relaxed);
    NUMBER.1.store(total, Ordering::Relaxed);
}

/// The next one of them.
pub fn next_package() {
    NUMBER.0.fetch_add(1, Ordering::Relaxed);
}

/// A phase that runs.
#[derive(Debug)]
pub struct Phase(Option<ProgressBar>);

/// Begins a phase of a package.
#[must_use]
pub fn phase(package: &str, phase: &str) -> Phase {
    let (number, total) = (NUMBER.0.load(Ordering::Relaxed), NUMBER.1.load(Ordering::Relaxed));
    let of = if total > 0 { format!("[{number}/{total}] ") } else { String::new() };
    let what = format!("{of}{package}: {phase}");
    if says_lines() {
        common::cli::tell(&what);
    }
    Phase(bar("{spinner} {msg}  {elapsed}", None, &what))
}

impl Drop for Phase {
    fn drop(&mut self) {
        clear(self.0.take());
    }
}

/// A download that runs.
#[derive(Debug)]
pub struct Transfer {
    name: String,
    bar: Option<ProgressBar>,
    /// Bytes that were there before it began, that are there, and that there will be.
    bytes: (u64, u64, Option<u64>),
    began: Instant,
    line: Instant,
}

impl Transfer {
    /// Begins one; `from` bytes are there already, `total` is how many there will be, if somebody said so.
    #[must_use]
    pub fn new(name: &str, from: u64, total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => {
                "  {msg:30!} {wide_bar} {bytes:>10}/{total_bytes:<10} {binary_bytes_per_sec:>12} {eta:>4}"
            }
            None => "  {msg:30!} {spinner} {bytes} {binary_bytes_per_sec}",
        };
        let bar = bar(template, total, name);
        if let Some(bar) = &bar {
            bar.set_position(from);
            // What was there already says nothing of how fast the rest comes.
            bar.reset_eta();
        }
        let now = Instant::now();
        Self { name: name.to_owned(), bar, bytes: (from, from, total), began: now, line: now }
    }

    /// So many more bytes are there.
    pub fn add(&mut self, bytes: u64) {
        self.bytes.1 += bytes;
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
        if self.line.elapsed() >= LINE && says_lines() {
            self.line = Instant::now();
            common::cli::tell(&self.so_far(self.began.elapsed()));
        }
    }

    /// It is whole.
    pub fn done(self) {
        if says_lines() {
            let (bytes, took) = (HumanBytes(self.bytes.1), self.began.elapsed().as_secs_f64());
            common::cli::tell(&format!("downloaded {}, {bytes} in {took:.1} s", self.name));
        }
    }

    /// `a.tar.gz: 45 % (200 MiB of 440 MiB, 90 MiB/s, 3 seconds left)`
    fn so_far(&self, took: Duration) -> String {
        let (from, now, total) = self.bytes;
        let rate = ((now - from) as f64 / took.as_secs_f64().max(0.001)).max(1.0);
        let (name, rate_text) = (&self.name, HumanBytes(rate as u64));
        match total {
            Some(total) => {
                let left = Duration::from_secs_f64(total.saturating_sub(now) as f64 / rate);
                let (percent, left) = (now * 100 / total.max(1), HumanDuration(left));
                let (now, total) = (HumanBytes(now), HumanBytes(total));
                format!("{name}: {percent} % ({now} of {total}, {rate_text}/s, {left} left)")
            }
            None => format!("{name}: {} ({rate_text}/s)", HumanBytes(now)),
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        clear(self.bar.take());
    }
}

/// Things that are done at the same time, as files that are downloaded, while single ones have lines of their own.
#[derive(Debug)]
pub struct Tasks(Option<ProgressBar>);

impl Tasks {
    /// So many will come, and are called that.
    #[must_use]
    pub fn new(total: usize, what: &str) -> Self {
        Self(bar("{spinner} {pos}/{len} {msg}  {elapsed}", Some(total as u64), what))
    }

    /// One more is there, or failed, and is called that: a line where there is no terminal.
    pub fn named(&self, what: &str, (number, total): (usize, usize)) {
        self.one_more();
        if says_lines() {
            common::cli::tell(&format!("[{number}/{total}] {what}"));
        }
    }

    /// One more is there, or failed.
    pub fn one_more(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        clear(self.0.take());
    }
}

/// Whether progress is told in lines: there is nobody who sees it drawn.
fn says_lines() -> bool {
    VOICE.get().is_some_and(|v| v.bars.is_none() && !v.options.quiet && !v.options.no_progress)
}

/// A line that is drawn; none where nothing is.
fn bar(template: &str, total: Option<u64>, message: &str) -> Option<ProgressBar> {
    let bars = VOICE.get()?.bars.as_ref()?;
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    // Hidden until it has its style: it would be drawn in another one.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_style(style);
    let bar = bars.add(bar.with_message(super::paint::harmless(message)));
    // Drawn at once, not when the ticking thread gets its turn.
    bar.tick();
    bar.enable_steady_tick(TICK);
    Some(bar)
}

fn clear(bar: Option<ProgressBar>) {
    if let (Some(bar), Some(bars)) = (bar, VOICE.get().and_then(|v| v.bars.as_ref())) {
        bar.finish_and_clear();
        bars.remove(&bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_says_how_far_it_is() {
        let mut transfer = Transfer::new("a.tar.gz", 1 << 20, Some(4 << 20));
        transfer.add(1 << 20);
        assert_eq!(
            transfer.so_far(Duration::from_secs(2)),
            "a.tar.gz: 50 % (2.00 MiB of 4.00 MiB, 512.00 KiB/s, 4 seconds left)"
        );
        let unknown = Transfer::new("a", 0, None);
        assert_eq!(unknown.so_far(Duration::from_secs(1)), "a: 0 B (1 B/s)");
    }
}
