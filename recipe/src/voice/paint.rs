//! Colours that carry a meaning, each said in words or signs too; and text of strangers, made harmless.
//!
//! What a program or a recipe prints may hold sequences that move the cursor, rename the window or paint over what stands
//! above. All control characters but line feeds and tabs are shown by their names.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const BOLD: Style = Style::new().bold();

/// How messages begin, and how that is painted.
const MARKS: &[(&str, Style)] =
    &[("error:", RED.bold()), ("warning:", YELLOW.bold()), ("hint:", CYAN.bold())];

/// Whether stdout and stderr have colours.
static COLOURS: OnceLock<(bool, bool)> = OnceLock::new();

/// Decides from now on for stdout and stderr.
pub(super) fn choose(choice: ColorChoice) {
    let has_colours = |is_terminal: bool| match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => automatic(is_terminal),
    };
    let streams = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    let _ = COLOURS.set((has_colours(streams.0), has_colours(streams.1)));
}

/// As is agreed on: NO_COLOR with any content, CLICOLOR_FORCE other than 0, CLICOLOR=0; else
/// colours are for terminals that have some.
fn automatic(is_terminal: bool) -> bool {
    let is_forced =
        || anstyle_query::clicolor_force() && std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| v != "0");
    let has_some = || anstyle_query::clicolor() != Some(false) && anstyle_query::term_supports_ansi_color();
    !anstyle_query::no_color() && (is_forced() || (is_terminal && has_some()))
}

/// A message for stderr.
pub(super) fn message(text: &str) -> String {
    let text = harmless(text);
    if !on_stderr() {
        return text;
    }
    let line = |line: &str| {
        let mark = MARKS.iter().find_map(|(mark, style)| Some((line.strip_prefix(mark)?, mark, style)));
        mark.map_or_else(|| line.to_owned(), |(rest, mark, style)| format!("{style}{mark}{style:#}{rest}"))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A line `+ NAME ...`, `- NAME ...` or `~ NAME ...` for stdout.
pub fn change(line: &str) -> String {
    if !COLOURS.get().is_some_and(|(stdout, _)| *stdout) {
        return line.to_owned();
    }
    change_in_colours(line)
}

/// As [`change`], for stderr.
pub(super) fn change_on_stderr(line: &str) -> String {
    if on_stderr() { change_in_colours(line) } else { line.to_owned() }
}

fn change_in_colours(line: &str) -> String {
    let style = match line.as_bytes().first() {
        Some(b'+') => GREEN,
        Some(b'-') => RED,
        _ => YELLOW,
    };
    let Some((sign, rest)) = line.split_once(' ') else { return line.to_owned() };
    let (name, rest) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    format!("{style}{sign}{style:#} {BOLD}{name}{BOLD:#}{rest}")
}

fn on_stderr() -> bool {
    COLOURS.get().is_some_and(|(_, stderr)| *stderr)
}

/// Text that does nothing to a terminal but stand there.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_steer_the_terminal() {
        let text = "a\x1b]0;title\x07b\rc\td\u{9b}2J\ne";
        assert_eq!(harmless(text), "a\\u{1b}]0;title\\u{7}b\\rc\td\\u{9b}2J\ne");
    }

    #[test]
    fn a_change_is_painted_by_its_sign_and_loses_nothing() {
        assert_eq!(change_in_colours("~ rg 1 -> 2"), "\u{1b}[33m~\u{1b}[0m \u{1b}[1mrg\u{1b}[0m 1 -> 2");
        assert_eq!(change_in_colours("- rg"), "\u{1b}[31m-\u{1b}[0m \u{1b}[1mrg\u{1b}[0m");
    }
}
