//! `recipe doctor`: what is wrong here, and what can be done.

use std::process::ExitCode;

use super::{Settings, output};
use crate::doctor::examine;
use crate::exit;
use crate::voice::note;

/// Runs it. Exit code [`exit::INTEGRITY`] if something is wrong.
///
/// # Errors
/// It cannot be printed: what cannot be examined is a finding.
pub fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let findings = examine(&settings.places, &settings.interrupt);
    if settings.json {
        output::json_of("findings", &findings)?;
    } else {
        for f in &findings {
            output::line(format!("{}: {}: {}\n  hint: {}", f.check, f.subject, f.problem, f.hint))?;
        }
        match findings.len() {
            0 => note("nothing is wrong"),
            1 => note("1 thing is wrong"),
            count => note(&format!("{count} things are wrong")),
        }
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { exit::INTEGRITY.into() })
}
