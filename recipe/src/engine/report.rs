//! Rhai's errors -> what people can act on: file, line and column, the line itself, and who called whom.

use std::rc::Rc;

use common::cli::{self, Mark, exit_code, hint_of};
use rhai::{EvalAltResult, ParseError, Position};

use crate::code::Code;
use crate::exit;
use crate::state::excerpt;
use crate::text::Place;

/// An error of a helper on its way through the recipe, which may catch it.
#[derive(Clone)]
pub(super) struct Failure(Rc<anyhow::Error>);

impl Failure {
    pub(super) fn new(error: anyhow::Error) -> Self {
        Self(Rc::new(error))
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

/// Code that failed while it ran; the text of its recipe is shown as that of the file `recipe`.
pub(super) fn runtime(code: &Code, recipe: &str, phase: &str, error: &EvalAltResult) -> anyhow::Error {
    // From the outermost call inwards: who was called where.
    let mut calls = Vec::new();
    let mut source = recipe.to_owned();
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
        (None, EvalAltResult::ErrorTerminated(..)) => "interrupted".to_owned(),
        (None, other) => {
            let mut other = clone_without_position(other);
            other.truncate(other.trim_end().len());
            other
        }
    };
    let text = if source == recipe { Some(&*code.text) } else { code.text_of(source.as_ref()) };
    let text = text.unwrap_or_default();
    let mut out = place(&source, text, inner.position(), &message);
    for (name, source, position) in calls.iter().rev() {
        // The phase itself is called by nobody in the recipe.
        if name == phase || position.is_none() {
            continue;
        }
        out.push_str(&format!(
            "\n    in {name}, called at {source}:{}:{}",
            position.line().unwrap_or(0),
            position.position().unwrap_or(0)
        ));
    }
    let (exit, hint) = match &failure {
        Some(failure) => {
            (Some(exit_code(&failure.0)).filter(|c| *c != cli::code::FAILURE), hint_of(&failure.0))
        }
        None => (None, None),
    };
    let result = Err::<(), _>(anyhow::anyhow!("{out}")).exit(exit.unwrap_or(exit::PHASE));
    match hint {
        Some(hint) => result.hint(hint).unwrap_err(),
        None => result.unwrap_err(),
    }
}

/// Rhai puts ` (line 1, position 2)` behind its messages; the place is in front of ours.
fn clone_without_position(error: &EvalAltResult) -> String {
    let text = error.to_string();
    let cut = text.rfind(" (line ").filter(|_| !error.position().is_none());
    cut.map_or(text.clone(), |at| text[..at].to_owned())
}
