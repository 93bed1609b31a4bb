//! `recipe files`: the installed files of packages.

use std::process::ExitCode;

use super::{Settings, output};
use crate::shelf;

/// Runs it.
///
/// # Errors
/// A package is not installed.
pub fn run(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let mut all = std::collections::BTreeMap::new();
    for name in names {
        let recipe = shelf::installed(&settings.places, name)?;
        all.insert(recipe.name, recipe.state.files);
    }
    if settings.json {
        output::json_of("files", &all)?;
    } else {
        all.values().flatten().try_for_each(output::line)?;
    }
    Ok(ExitCode::SUCCESS)
}
