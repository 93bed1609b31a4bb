//! `cargo xtask ci`: what CI runs before the README's test command, in the order in which failures are cheap.

use crate::paths::Paths;
use crate::timings::Timings;
use crate::{cargo, tidy};

/// Format, lints, tidy. The tests are `cargo xtask test`.
pub(crate) fn ci(paths: &Paths) -> anyhow::Result<()> {
    let mut timings = Timings::begin(paths, "1-ci")?;
    timings.step("cargo fmt --check", || cargo::cargo(paths).args(["fmt", "--all", "--check"]).run())?;
    timings.step("tidy", || tidy::tidy(paths))?;
    timings.step("cargo clippy", || {
        clippy(paths, &["--all-targets"])?;
        // What `cargo test` leaves out, `--all-targets` does, too.
        clippy(paths, &["--test", "machines"])
    })
}

fn clippy(paths: &Paths, targets: &[&str]) -> anyhow::Result<()> {
    let clippy = cargo::cargo(paths).args(["clippy", "--release", "--workspace", "--locked", "--quiet"]);
    clippy.args(targets.to_vec()).args(["--", "-D", "warnings"]).run()
}
