//! `cargo xtask ci`: what CI runs before the README's test command, in the order in which failures are cheap.

use crate::doctor::eprintln_step;
use crate::paths::Paths;
use crate::{cargo, tidy};

/// Format, lints, tidy. The tests are `cargo xtask test`.
pub(crate) fn ci(paths: &Paths) -> anyhow::Result<()> {
    eprintln_step("cargo fmt --check");
    cargo::cargo(paths).args(["fmt", "--all", "--check"]).run()?;
    eprintln_step("tidy");
    tidy::tidy(paths)?;
    eprintln_step("cargo clippy");
    let clippy = cargo::cargo(paths).args([
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
    ]);
    clippy.args(["--", "-D", "warnings"]).run()
}
