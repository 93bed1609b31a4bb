//! What people see: lines on stderr, progress, colours, the summary before a transaction and the question after it.
//!
//! options of the command line -> how the process speaks. There is one stderr and one terminal, and everything that wants to
//! say something must know what is drawn there; so this is the one thing that is global ([`set_up`], once). Without it
//! nothing is drawn, coloured or asked. Data on stdout is [`crate::commands`]' business.
//!
//! - [`paint`]: colours, and what text of strangers may not do to a terminal
//! - [`progress`]: phases and downloads
//! - [`live`]: what programs print, with -v
//! - [`summary`]: the table before a transaction, and the line behind it
//! - [`ask`]: the question
//! - [`held`]: what is said by several at the same time

pub mod paint;
pub mod progress;
pub mod live;
pub mod summary;
pub mod ask;
pub mod held;

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use clap::ColorChoice;
use indicatif::MultiProgress;

/// Options of all commands.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Options {
    /// Go on without asking. Nothing is forced by it.
    #[arg(short, long, global = true)]
    yes: bool,
    /// Say nothing but results, questions, warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show which programs run, and what they print, while they do.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Show no progress.
    #[arg(long, global = true)]
    no_progress: bool,
    /// When there are colours; NO_COLOR and CLICOLOR_FORCE are considered with `auto`.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

/// How this process speaks.
#[derive(Debug)]
struct Voice {
    options: Options,
    json: bool,
    /// What is drawn; none where nothing is.
    bars: Option<MultiProgress>,
    /// When the work began: the time in which somebody thinks about a question is not ours.
    began: Mutex<Instant>,
}

static VOICE: OnceLock<Voice> = OnceLock::new();

/// From now on it is spoken so. `json`: data for programs is on stdout, so nothing is asked.
pub fn set_up(options: Options, json: bool) {
    paint::choose(options.color);
    let draws = !options.quiet && !options.no_progress && is_terminal();
    let bars = draws.then(MultiProgress::new);
    let _ = VOICE.set(Voice { options, json, bars, began: Mutex::new(Instant::now()) });
    common::cli::tell_through(say);
}

/// Says what is good to know, but changes nothing for who does not read it: not with `-q`.
pub fn note(text: &str) {
    if !is_quiet() {
        common::cli::tell(text);
    }
}

/// Whether stderr is a terminal on which something can be drawn.
fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Voice {
    fn took(&self) -> Duration {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// So long nothing was done.
    fn waited(&self, long: Duration) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) += long;
    }
}

fn is_quiet() -> bool {
    VOICE.get().is_some_and(|voice| voice.options.quiet)
}

fn is_verbose() -> bool {
    VOICE.get().is_some_and(|voice| voice.options.verbose)
}

/// Writes a text on stderr, above what is drawn. What cannot be written is lost: see [`common::cli::tell`].
fn say(text: &str) {
    if held::keep(text) {
        return;
    }
    say_painted(&paint::message(text));
}

fn say_painted(text: &str) {
    let text = format!("{text}\n");
    above(|| drop(std::io::stderr().write_all(text.as_bytes())));
}

/// Does something while nothing is drawn.
fn above<T>(work: impl FnOnce() -> T) -> T {
    match VOICE.get().and_then(|voice| voice.bars.as_ref()) {
        Some(bars) => bars.suspend(work),
        None => work(),
    }
}
