//! `leviso inspect`: what is in a UKI or a lock.

use std::path::Path;

use anyhow::Context;
use leviso::lock::Lock;
use leviso::uki;

use super::show;

/// Shows the file by what it is: a PE image begins with `MZ`, a lock is TOML.
pub(crate) fn inspect(file: &Path, json: bool) -> anyhow::Result<()> {
    let bytes = common::fs::read(file)?;
    if !bytes.starts_with(b"MZ") {
        return show::lock(&Lock::load(file)?, json);
    }
    let sections = uki::inspect(&bytes).with_context(|| format!("failed to inspect {}", file.display()))?;
    if json {
        return show::json(&serde_json::to_value(&sections).context("failed to encode JSON")?);
    }
    show::sections(&sections)
}
