//! Transactions: everything that was planned, or nothing, whenever the machine stops (TEAM/0015 has the order of events).
//!
//! - [`desk`]: the prefix, opened, locked, and clean
//! - [`make`]: a recipe -> a staged package
//! - [`plan`]: packages -> operations, and what is in their way
//! - [`journal`]: the operations, on disk
//! - [`apply`]: doing and undoing them
//! - [`commit`]: the state goes into the recipe files
//! - [`recover`]: what an interrupted run left -> old or new

pub mod desk;
pub mod make;
pub mod plan;
pub mod journal;
mod apply;
mod commit;
pub mod recover;

pub use desk::Desk;
pub use plan::{Change, Plan};

use anyhow::Context;
use common::cli::Mark;

use crate::{db, exit};

/// Carries out a plan.
///
/// # Errors
/// Before the commit: nothing has changed, or what had is back. After it: [`exit::NOT_DURABLE`].
pub fn run(desk: &Desk, plan: &Plan) -> anyhow::Result<()> {
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
            recover::Outcome::Forward { .. } => {
                Err(e).context("done, but the disk did not confirm it").exit(exit::NOT_DURABLE)
            }
            _ => Err(e),
        };
    }
    recover::finish(desk, journal)
        .context("done, but what is left of it could not be tidied up")
        .exit(exit::NOT_DURABLE)
}

/// Everything from the journal to the commit.
fn attempt(desk: &Desk, plan: &Plan) -> anyhow::Result<()> {
    let journal = &plan.journal;
    journal.write(&desk.own)?;
    for change in &plan.changes {
        if let Some((record, text)) = &change.record {
            db::write(&desk.own, &journal.tx, record, text)?;
        }
    }
    apply::forward(desk, journal)?;
    plan.changes.iter().try_for_each(|change| (change.after)())?;
    match journal.packages.first() {
        Some(first) => commit::write(&first.recipe, &first.state, &journal.tx),
        None => Ok(()),
    }
}
