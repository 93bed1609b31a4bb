//! `recipe lint`: mistakes in recipes, found without running them.

use std::ffi::OsString;
use std::process::ExitCode;

use common::cli::{Mark, report, tell};
use serde::Serialize;

use super::{Settings, output};
use crate::code::Code;
use crate::engine::Program;
use crate::exit;
use crate::shelf;
use crate::state::{located, misleading};
use crate::voice::summary::several;

#[derive(Debug, Serialize)]
struct Result {
    path: String,
    error: Option<String>,
}

/// Runs it. Every file is looked at; exit code [`exit::RECIPE`] if one is wrong.
///
/// # Errors
/// A file is not found.
pub fn run(settings: &Settings, words: &[OsString]) -> anyhow::Result<ExitCode> {
    let paths = match words {
        [] => shelf::files(settings.places.shelf())?,
        words => words.iter().map(|w| shelf::find(&settings.places, w)).collect::<anyhow::Result<_>>()?,
    };
    let mut results = Vec::new();
    for path in &paths {
        let checked = Code::load(path).inspect(warn).and_then(Program::lint).exit(exit::RECIPE);
        if let Err(e) = &checked {
            tell(&report(e));
        }
        results.push(Result {
            path: path.display().to_string(),
            error: checked.err().map(|e| format!("{e:#}")),
        });
    }
    let wrong = results.iter().filter(|r| r.error.is_some()).count();
    if settings.json {
        output::json_of("recipes", &results)?;
    } else {
        crate::voice::note(&format!("{}, {wrong} with mistakes", several(results.len(), "recipe")));
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { exit::RECIPE.into() })
}

/// What is no mistake, but deceives people.
fn warn(code: &Code) {
    for found in misleading(&code.text).unwrap_or_default() {
        tell(&format!("warning: {:#}", located(&code.recipe.path, &code.text, &found)));
    }
}
