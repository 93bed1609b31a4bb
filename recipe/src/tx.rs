//! Transactions: everything that was planned, or nothing, whenever the machine stops (TEAM/0015 has the order of events).
//!
//! - [`desk`]: the prefix, opened, locked, and clean
//! - [`make`]: a recipe -> a staged package
//! - [`retake`]: a package that is here, though its recipe file does not say so -> its state
//! - [`plan`]: packages -> operations; [`conflict`]: what is in their way; [`config`]: files that users edit
//! - [`journal`]: the operations, on disk
//! - [`apply`]: doing and undoing them
//! - [`commit`]: the state goes into the recipe files; [`edit`]: so does what needs no transaction
//! - [`history`]: what is kept of finished ones; [`restore`]: a version that was installed before -> a staged package
//! - [`recover`]: what an interrupted run left -> old or new

pub mod desk;
pub mod make;
mod retake;
pub mod plan;
mod conflict;
pub(crate) mod config;
pub mod journal;
mod apply;
mod commit;
mod edit;
pub mod recover;
pub mod history;
pub mod restore;

pub use desk::Desk;
pub use edit::{edit, rewrite};
pub use plan::{Change, Plan};
pub use recover::LEFTOVERS;
pub use retake::retake;

use anyhow::Context;
use common::cli::Mark;

use crate::{db, exit, pristine};

/// Carries out a plan.
///
/// # Errors
/// Before the commit: nothing has changed, or what had is back. After it: [`exit::NOT_DURABLE`].
pub fn run(desk: &Desk, plan: &Plan) -> anyhow::Result<()> {
    desk.may_change()?;
    desk.interrupt.check()?;
    let journal = &plan.journal;
    desk.own.make(&journal.stage(), 0o700).context("failed to open the stage")?;
    apply::sync_stage(desk, plan).context("failed to make the staged files durable")?;
    desk.interrupt.check()?;
    if let Err(e) = attempt(desk, plan) {
        // The commit may have been done, and only its sync have failed: what is there decides.
        let outcome =
            recover::recover(desk).context("the transaction could not be undone").exit(exit::RECOVERY)?;
        return match outcome {
            recover::Outcome::Forward { .. } => committed("done, but the disk did not confirm it", &e),
            _ => Err(e),
        };
    }
    recover::finish(desk, journal)
        .or_else(|e| committed("done, but what is left of it could not be tidied up", &e))
}

/// Makes the recipe file of a package that is installed and has none any more. The prefix is locked.
///
/// # Errors
/// The file is there, or cannot be written.
pub fn bring_back(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    commit::create(path, text, &Desk::new_tx())
}

/// Everything from the journal to the commit.
fn attempt(desk: &Desk, plan: &Plan) -> anyhow::Result<()> {
    let journal = &plan.journal;
    journal.write(&desk.own)?;
    for change in &plan.changes {
        if let Some((record, text)) = &change.record {
            if record.files.iter().any(|entry| entry.config) {
                let stage = desk.own.sub(&make::staged(&journal.tx, &record.name));
                pristine::keep(&desk.own, &journal.tx, record, &stage.context("failed to open the stage")?)?;
            }
            db::write(&desk.own, &journal.tx, record, text)?;
        }
    }
    apply::forward(desk, journal)?;
    for (package, change) in journal.packages.iter().zip(&plan.changes) {
        let failed = || format!("post_install of {} failed; nothing was changed", package.name);
        (change.after)().with_context(failed)?;
    }
    match journal.packages.first() {
        Some(first) => commit::write(&first.recipe, &first.state, &journal.tx),
        None => Ok(()),
    }
}

/// An error after the commit. Its causes become text: a full disk must not look as if nothing had been done (exit 3).
pub(crate) fn committed(what: &str, cause: &anyhow::Error) -> anyhow::Result<()> {
    Err(anyhow::anyhow!("{cause:#}")).context(what.to_owned()).exit(exit::NOT_DURABLE)
}
