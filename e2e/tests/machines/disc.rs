//! The disc that tests boot: LEVITATE_ISO, the newest one, or one that `cargo xtask iso` builds when there is none.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use common::cmd::Cmd;

/// The disc to boot; the tests of a binary share one, also when it has to be built first.
pub(crate) fn iso() -> anyhow::Result<PathBuf> {
    static ISO: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut iso = ISO.lock().unwrap_or_else(PoisonError::into_inner);
    if iso.is_none() {
        *iso = Some(find_iso()?);
    }
    iso.clone().context("there is no ISO")
}

fn find_iso() -> anyhow::Result<PathBuf> {
    if let Some(iso) = std::env::var_os("LEVITATE_ISO") {
        return Ok(iso.into());
    }
    let dir = testkit::target().join("iso");
    if let Some(iso) = e2e::newest_iso(&dir)? {
        return Ok(iso);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["xtask", "iso"])
        .dir(testkit::workspace())
        .run()
        .context("there is no ISO to boot")?;
    e2e::newest_iso(&dir)?.with_context(|| format!("`cargo xtask iso` left no ISO in {}", dir.display()))
}
