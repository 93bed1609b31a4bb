//! Errors at the edge of a tool: printed once, with a hint, as a documented exit code.
//!
//! Inside the tools errors are `anyhow` with context. Where the exit code or a hint is known, the code there says
//! `.exit(code)` or `.hint("...")`; the first such mark found from the outside in wins. [`run_main`] prints
//! `error: ...`, one `caused by: ...` a cause, `hint: ...`, and returns the code.

use std::fmt;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Exit codes that mean the same in every tool. A tool's own codes start at 10 and are listed in its manual.
pub mod code {
    /// Everything that was asked for is done.
    pub const OK: u8 = 0;
    /// It failed, and no more specific code applies.
    pub const FAILURE: u8 = 1;
    /// The command line was wrong (clap's own code).
    pub const USAGE: u8 = 2;
    /// The disk is full, or a size limit was met (ENOSPC, EDQUOT, EFBIG).
    pub const NO_SPACE: u8 = 3;
    /// Ended by SIGINT, as a shell would report it.
    pub const INTERRUPTED: u8 = 130;
}

/// An error that carries what the edge needs: an exit code, a hint, or both.
#[derive(Debug)]
pub struct Marked {
    exit: Option<u8>,
    hint: Option<String>,
    inner: anyhow::Error,
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl std::error::Error for Marked {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // `inner` is displayed by `Marked` itself, so the chain goes on behind it.
        self.inner.chain().nth(1)
    }
}

/// Marks the error of a `Result` for the edge. Works on anything that converts into `anyhow::Error`.
pub trait Mark<T> {
    /// Says which exit code this failure means. A code set further inside stays only if nothing outside says more.
    fn exit(self, code: u8) -> anyhow::Result<T>;
    /// Says what the user can do next: one sentence, no trailing period.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Mark<T> for Result<T, E> {
    fn exit(self, code: u8) -> anyhow::Result<T> {
        self.map_err(|e| anyhow::Error::new(Marked { exit: Some(code), hint: None, inner: e.into() }))
    }

    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|e| anyhow::Error::new(Marked { exit: None, hint: Some(hint.into()), inner: e.into() }))
    }
}

/// The exit code an error means: a full disk first (whatever was being done), then the outermost mark, else 1.
#[must_use]
pub fn exit_code(err: &anyhow::Error) -> u8 {
    if chain(err).any(is_no_space) {
        return code::NO_SPACE;
    }
    marks(err).find_map(|m| m.exit).unwrap_or(code::FAILURE)
}

/// The outermost hint of an error, if any part of it has one.
#[must_use]
pub fn hint_of(err: &anyhow::Error) -> Option<String> {
    marks(err).find_map(|m| m.hint.clone())
}

/// The whole report as it is printed: `error:`, causes, hint. No trailing newline.
#[must_use]
pub fn report(err: &anyhow::Error) -> String {
    let mut out = format!("error: {err}");
    let mut last = err.to_string();
    for cause in err.chain().skip(1) {
        let text = cause.to_string();
        // Wrappers that only repeat their source would print the same line twice.
        if text != last {
            out.push_str(&format!("\n  caused by: {text}"));
        }
        last = text;
    }
    if let Some(hint) = hint_of(err) {
        out.push_str(&format!("\nhint: {hint}"));
    }
    out
}

/// Runs a tool: its result becomes the process's exit code, its error is printed once on stderr.
///
/// A broken pipe on stdout is success: the reader had what it wanted.
pub fn run_main(main: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    match main() {
        Ok(code) => code,
        Err(err) if is_closed_pipe(&err) => ExitCode::SUCCESS,
        Err(err) => {
            tell(&report(&err));
            ExitCode::from(exit_code(&err))
        }
    }
}

/// Prints a line for people on stderr. Where that cannot be written (a log on a full disk, a reader that is gone) the line
/// is lost: `eprintln` would panic, and the work or the exit code with it.
pub fn tell(text: &str) {
    use std::io::Write;
    match TELLER.get() {
        Some(teller) => teller(text),
        None => drop(std::io::stderr().write_all(format!("{text}\n").as_bytes())),
    }
}

static TELLER: OnceLock<fn(&str)> = OnceLock::new();

/// From now on [`tell`] hands its text to this, which writes it: for a tool that draws on the terminal or has colours. The first
/// one stays.
pub fn tell_through(teller: fn(&str)) {
    let _ = TELLER.set(teller);
}

/// All errors of the chain, also those inside a [`Marked`], however deep these are nested.
fn chain(err: &anyhow::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut all = Vec::new();
    let mut here = Some(err);
    while let Some(err) = here.take() {
        for e in err.chain() {
            all.push(e);
            // Its own chain has everything that comes after.
            here = e.downcast_ref::<Marked>().map(|m| &m.inner);
            if here.is_some() {
                break;
            }
        }
    }
    all.into_iter()
}

fn marks(err: &anyhow::Error) -> impl Iterator<Item = &Marked> {
    chain(err).filter_map(|e| e.downcast_ref::<Marked>())
}

fn is_no_space(e: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    e.downcast_ref::<std::io::Error>()
        .is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge))
}

/// Whether somebody stopped reading what we print.
#[must_use]
pub fn is_closed_pipe(err: &anyhow::Error) -> bool {
    chain(err).any(is_broken_pipe)
}

fn is_broken_pipe(e: &(dyn std::error::Error + 'static)) -> bool {
    e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn failing() -> anyhow::Result<()> {
        Err(std::io::Error::other("disk on fire")).context("failed to read a").hint("use water")
    }

    #[test]
    fn report_names_each_cause_once_and_the_hint_last() {
        let err = failing().exit(12).context("failed to build b").unwrap_err();
        assert_eq!(
            report(&err),
            "error: failed to build b\n  caused by: failed to read a\n  caused by: disk on fire\nhint: use water"
        );
        assert_eq!(exit_code(&err), 12);
    }

    #[test]
    fn a_full_disk_wins_over_the_stage_that_met_it() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let err = Err::<(), _>(full).context("failed to write c").exit(12).unwrap_err();
        assert_eq!(exit_code(&err), code::NO_SPACE);
    }

    #[test]
    fn the_outermost_mark_wins() {
        let err = failing().exit(12).exit(13).hint("outer").unwrap_err();
        assert_eq!((exit_code(&err), hint_of(&err).as_deref()), (13, Some("outer")));
        let err = failing().exit(12).hint("inner").hint("outer").context("at last").unwrap_err();
        assert_eq!((exit_code(&err), hint_of(&err).as_deref()), (12, Some("outer")));
    }
}
