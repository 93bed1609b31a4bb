//! `recipe repair`: ends what an interrupted run left, and says what that was.

use std::process::ExitCode;

use super::{Settings, output};

/// Runs it. Opening the desk is what repairs.
///
/// # Errors
/// It could not be ended.
pub fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let (_desk, outcome) = settings.desk_and_outcome()?;
    if settings.json {
        output::json_of("repaired", &outcome)?;
    } else if outcome == crate::tx::recover::Outcome::Clean {
        crate::voice::note("nothing was left undone");
    }
    Ok(outcome.exit_code())
}
