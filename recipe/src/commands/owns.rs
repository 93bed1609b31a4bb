//! `recipe owns`: file -> package.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use common::cli::tell;

use super::{Settings, output};
use crate::exit;
use crate::shelf;

/// Runs it. Exit code [`exit::NOT_FOUND`] if a file belongs to no package.
///
/// # Errors
/// The recipes cannot be read.
pub fn run(settings: &Settings, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let (recipes, _) = shelf::all(&settings.places.recipes)?;
    let mut found = BTreeMap::new();
    let mut missing = false;
    for path in paths {
        let path = std::path::absolute(path).context("cannot use this path")?;
        // Files are recorded as the system sees them that they are in.
        let inside =
            path.strip_prefix(&settings.places.sysroot).map(|p| PathBuf::from("/").join(p)).unwrap_or(path);
        let name = inside.to_string_lossy().into_owned();
        let owner = recipes.iter().find(|r| r.state.installed && r.state.files.contains(&name));
        if owner.is_none() {
            missing = true;
            tell(&format!("{name} belongs to no package"));
        }
        found.insert(name, owner.map(|r| (r.name.clone(), r.state.version.clone().unwrap_or_default())));
    }
    if settings.json {
        let names: BTreeMap<_, _> =
            found.iter().map(|(path, owner)| (path, owner.as_ref().map(|o| &o.0))).collect();
        output::json_of("owners", &names)?;
    } else {
        for (path, (name, version)) in found.iter().filter_map(|(p, o)| o.as_ref().map(|o| (p, o))) {
            output::line(format!("{path}: {name} {version}"))?;
        }
    }
    Ok(if missing { exit::NOT_FOUND.into() } else { ExitCode::SUCCESS })
}
