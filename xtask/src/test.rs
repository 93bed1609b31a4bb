//! `cargo xtask test`: everything, in the release profile (one compilation serves the ISO and the tests).

use common::cmd::Cmd;

use crate::cli::IsoArgs;
use crate::doctor::eprintln_step;
use crate::paths::Paths;
use crate::tools::Need;
use crate::{cargo, doctor, iso};

/// Builds the ISO, runs the tests of all crates, then those that boot it. Says what was skipped.
pub(crate) fn test(paths: &Paths) -> anyhow::Result<()> {
    doctor::require(Need::Test)?;
    let iso = iso::iso(paths, &IsoArgs::default())?;
    let ledger = paths.skip_ledger();
    if ledger.exists() {
        std::fs::remove_file(&ledger)?;
    }
    eprintln_step("testing all crates");
    let all = cargo_test(paths)
        .args(["--workspace", "--exclude", "e2e"])
        .env("LEVITATE_SKIP_LEDGER", &ledger)
        .run();
    eprintln_step("booting the ISO");
    let boot = cargo_test(paths).args(["--package", "e2e"]).env("LEVITATE_SKIP_LEDGER", &ledger);
    let boot = boot.env("LEVITATE_ISO", iso).run();
    if ledger.exists() {
        let skipped = common::fs::read_to_string(&ledger)?;
        eprintln_step(&format!("{} checks did NOT run:\n{skipped}", skipped.lines().count()));
    }
    all.and(boot)
}

/// Runs the tests that boot the newest ISO.
pub(crate) fn e2e(paths: &Paths, filter: Option<&str>) -> anyhow::Result<()> {
    doctor::require(Need::Run)?;
    let iso = match paths.newest_iso()? {
        Some(iso) => iso,
        None => iso::iso(paths, &IsoArgs::default())?,
    };
    let mut cmd = cargo_test(paths).args(["--package", "e2e"]).env("LEVITATE_ISO", iso);
    if let Some(filter) = filter {
        cmd = cmd.arg(filter);
    }
    cmd.args(["--", "--nocapture"]).run()
}

fn cargo_test(paths: &Paths) -> Cmd {
    cargo::cargo(paths).args(["test", "--release", "--locked", "--no-fail-fast"])
}
