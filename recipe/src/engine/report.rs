//! Rhai's errors -> what people can act on: file, line and column, the line itself, and who called whom.

use std::rc::Rc;

use common::cli::{self, Mark, exit_code, hint_of};
use rhai::{Dynamic, EvalAltResult, ParseError, Position};

use crate::code::Code;
use crate::exit;
use crate::state::excerpt;
use crate::text::{Place, Top};

/// How many calls of a long chain are shown at each of its ends.
const SHOWN: usize = 4;

/// An error of a helper on its way through the recipe, which may catch it.
#[derive(Clone)]
pub(super) struct Failure(Rc<anyhow::Error>);

impl Failure {
    /// An error as the engine has it.
    pub(super) fn at(error: anyhow::Error, position: Position) -> Box<EvalAltResult> {
        Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(Self(Rc::new(error))), position))
    }

    /// A new one.
    pub(super) fn saying(
        message: impl std::fmt::Display,
        exit: u8,
        position: Position,
    ) -> Box<EvalAltResult> {
        Self::at(Err::<(), _>(anyhow::anyhow!("{message}")).exit(exit).unwrap_err(), position)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// `FILE:LINE:COLUMN: message` with the line; only file and message where there is no position.
pub(super) fn place(source: &str, text: &str, position: Position, message: &str) -> String {
    match (position.line(), position.position()) {
        (Some(line), column) => {
            excerpt(source, text, Place { line, column: column.unwrap_or(1).max(1) }, message)
        }
        (None, _) => format!("{source}: {message}"),
    }
}

/// A text that is not Rhai.
pub(super) fn syntax(source: &str, text: &str, error: &ParseError) -> anyhow::Error {
    anyhow::anyhow!("{}", place(source, text, error.position(), &error.err_type().to_string()))
}

/// Code that failed while it ran.
pub(super) fn runtime(code: &Code, phase: &str, error: &EvalAltResult) -> anyhow::Error {
    // From the outermost call inwards: who was called where.
    let mut calls = Vec::new();
    let mut source = code.source();
    let mut inner = error;
    loop {
        match inner {
            EvalAltResult::ErrorInFunctionCall(name, in_source, cause, position) => {
                calls.push((name.clone(), source.clone(), *position));
                if !in_source.is_empty() {
                    source.clone_from(in_source);
                }
                inner = cause;
            }
            EvalAltResult::ErrorInModule(name, cause, position) => {
                calls.push((format!("import {name:?}"), source.clone(), *position));
                source.clone_from(name);
                inner = cause;
            }
            _ => break,
        }
    }
    let failure = match inner {
        EvalAltResult::ErrorRuntime(value, _) => value.read_lock::<Failure>().map(|f| f.clone()),
        _ => None,
    };
    let message = match (&failure, inner) {
        (Some(failure), _) => failure.to_string(),
        (None, EvalAltResult::ErrorRuntime(value, _)) => value.to_string(),
        (None, EvalAltResult::ErrorTerminated(why, _)) if why.is_string() => why.to_string(),
        (None, EvalAltResult::ErrorTerminated(..)) => "interrupted".to_owned(),
        (None, other) => {
            let mut other = clone_without_position(other);
            other.truncate(other.trim_end().len());
            other
        }
    };
    let text = code.text_of(&source).unwrap_or_default();
    let mut out = match (inner.position().is_none(), begins(code, phase)) {
        // Rhai's own limits come without a place.
        (true, Some(begins)) if inner.is_system_exception() => {
            excerpt(&code.source(), &code.text, begins, &format!("{message} in {phase}()"))
        }
        _ => place(&source, text, inner.position(), &message),
    };
    out.push_str(&chain(&calls, phase));
    let (exit, hint) = match &failure {
        Some(failure) => {
            (Some(exit_code(&failure.0)).filter(|c| *c != cli::code::FAILURE), hint_of(&failure.0))
        }
        None => (None, None),
    };
    let result = Err::<(), _>(anyhow::anyhow!("{out}")).exit(exit.unwrap_or(exit::PHASE));
    let name = &code.recipe.name;
    let kept = || {
        format!(
            "{name} {} was run as it was installed; `recipe install --reinstall {name}` installs it by its recipe file as it is now",
            code.recipe.version
        )
    };
    let hint = if code.is_kept() { Some(kept()) } else { hint };
    match hint {
        Some(hint) => result.hint(hint).unwrap_err(),
        None => result.unwrap_err(),
    }
}

/// Where a phase begins.
fn begins(code: &Code, phase: &str) -> Option<Place> {
    let top = Top::of(&code.text).ok()?;
    let function = top.functions.iter().find(|f| f.name == phase)?;
    Some(Place::of(&code.text, function.span.start))
}

/// Who called whom, from the innermost call outwards; of many the first and the last ones.
fn chain(calls: &[(String, String, Position)], phase: &str) -> String {
    // The phase itself is called by nobody in the recipe.
    let calls = calls.iter().rev().filter(|(name, _, position)| name != phase && !position.is_none());
    let line = |(name, source, at): &(String, String, Position)| {
        let (line, column) = (at.line().unwrap_or(0), at.position().unwrap_or(0));
        format!("\n    in {name}, called at {source}:{line}:{column}")
    };
    let mut lines: Vec<_> = calls.map(line).collect();
    if lines.len() > SHOWN * 2 {
        let more = format!("\n    ... {} more calls", lines.len() - SHOWN * 2);
        lines.splice(SHOWN..lines.len() - SHOWN, [more]);
    }
    lines.concat()
}

/// Rhai puts ` (line 1, position 2)` behind its messages; the place is in front of ours.
fn clone_without_position(error: &EvalAltResult) -> String {
    let text = error.to_string();
    let cut = text.rfind(" (line ").filter(|_| !error.position().is_none());
    cut.map_or(text.clone(), |at| text[..at].to_owned())
}
