//! Attacks on `recstrap`: whatever happens while it works, a target never looks complete when it is not.
//!
//! Each test is a sweep: it attacks many runs of the real program, judges what is left by reading it through the kernel,
//! and reports a row of counts (`testkit::ledger`). `cargo test` runs a sample; `cargo xtask reliability` all of
//! it. The promises and the counts: docs/reliability.md.

#[path = "reliability/image.rs"]
mod image;
#[path = "reliability/target.rs"]
mod target;
#[path = "reliability/program.rs"]
mod program;
#[path = "reliability/canary.rs"]
mod canary;
#[path = "reliability/kill.rs"]
mod kill;
#[path = "reliability/errors.rs"]
mod errors;
#[path = "reliability/image_damage.rs"]
mod image_damage;
#[path = "reliability/space.rs"]
mod space;
#[path = "reliability/processes.rs"]
mod processes;
#[path = "reliability/power.rs"]
mod power;
#[path = "reliability/hostile.rs"]
mod hostile;

use testkit::{random, scratch};

/// Every sweep mounts.
fn root_or_skip(sweep: &str) -> bool {
    let root = testkit::is_root();
    if !root {
        testkit::skip(sweep, "mounting needs root");
    }
    root
}
