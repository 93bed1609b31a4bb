//! What came of `recipe update`: recipes with a new version, without one, without `check_update()`, and those that failed.

use std::process::ExitCode;

use common::cli::{exit_code, is_closed_pipe, report, tell};
use serde_json::json;

use super::Update;
use crate::commands::output;
use crate::tx;

/// What came of it.
#[derive(Default)]
pub(super) struct Report {
    pub(super) updates: Vec<Update>,
    pub(super) current: Vec<String>,
    pub(super) skipped: Vec<String>,
    failed: Vec<(String, anyhow::Error)>,
}

impl Report {
    /// A recipe that failed; said at once.
    pub(super) fn fail(&mut self, name: &str, error: anyhow::Error) {
        tell(&report(&error));
        self.failed.push((name.to_owned(), error));
    }

    /// Says what came of it. What is done is done, whether that can be printed or not.
    ///
    /// # Errors
    /// It cannot be printed.
    pub(super) fn print(&self, done: bool, json: bool) -> anyhow::Result<ExitCode> {
        match self.write(done, json) {
            Err(e) if done && !self.updates.is_empty() && !is_closed_pipe(&e) => {
                tx::committed("done, but it could not be printed", &e)
            }
            result => result,
        }?;
        let failed = self.failed.first().map(|(_, e)| exit_code(e));
        Ok(failed.map_or(ExitCode::SUCCESS, ExitCode::from))
    }

    fn write(&self, done: bool, json: bool) -> anyhow::Result<()> {
        if json {
            return self.json(done);
        }
        for Update { recipe, to, .. } in &self.updates {
            output::line(match *to == recipe.version {
                true => format!("{} {to}: other digests", recipe.name),
                false => format!("{} {} -> {to}", recipe.name, recipe.version),
            })?;
        }
        tell(&format!(
            "{} new, {} current, {} without check_update(), {} failed",
            self.updates.len(),
            self.current.len(),
            self.skipped.len(),
            self.failed.len()
        ));
        Ok(())
    }

    fn json(&self, done: bool) -> anyhow::Result<()> {
        let update = |u: &Update| {
            json!({ "name": u.recipe.name, "from": u.recipe.version, "to": u.to, "path": u.recipe.path,
                    "digests": u.digests, "warnings": u.warnings })
        };
        let failed = |(name, e): &(String, anyhow::Error)| json!({ "name": (!name.is_empty()).then_some(name), "error": format!("{e:#}"), "exit": exit_code(e) });
        output::json_of_all([
            ("done", (done && !self.updates.is_empty()).into()),
            ("updates", self.updates.iter().map(update).collect()),
            ("current", json!(self.current)),
            ("skipped", json!(self.skipped)),
            ("failed", self.failed.iter().map(failed).collect()),
        ])
    }
}
