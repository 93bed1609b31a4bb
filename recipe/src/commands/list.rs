//! `recipe list`: the recipes, or those of them that are installed.

use std::process::ExitCode;

use clap::Args;
use common::cli::{report, tell};

use super::{Settings, output};
use crate::exit;
use crate::shelf;

/// Options.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Only what is installed.
    #[arg(short, long)]
    installed: bool,
    /// Only what is installed in another version than the recipe has.
    #[arg(long)]
    outdated: bool,
    /// Only what was installed by name.
    #[arg(long, conflicts_with = "deps")]
    explicit: bool,
    /// Only what was installed because something needed it.
    #[arg(long)]
    deps: bool,
    /// Only what is pinned to some versions.
    #[arg(long)]
    pinned: bool,
}

impl Options {
    /// Those of `recipe outdated`.
    #[must_use]
    pub fn outdated() -> Self {
        Self { outdated: true, ..Self::default() }
    }
}

/// Runs it. Recipes that cannot be read are reported; the others are listed all the same.
///
/// # Errors
/// The directory cannot be read.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let (mut recipes, errors) = shelf::all(&settings.places.recipes)?;
    recipes.retain(|r| r.is_outdated() || !options.outdated);
    recipes.retain(|r| r.pinned.is_some() || !options.pinned);
    recipes.retain(|r| match (options.explicit, options.deps) {
        (true, _) => r.state.installed && !r.state.as_dep,
        (_, true) => r.state.installed && r.state.as_dep,
        _ => r.state.installed || !options.installed,
    });
    if settings.json {
        output::json_of("recipes", &recipes)?;
    } else {
        let marks: Vec<_> = recipes
            .iter()
            .map(|r| {
                let installed = r.installed_version().map(|version| match version == r.version {
                    true => "installed".to_owned(),
                    false => format!("installed: {version}"),
                });
                let pinned = r.pinned.as_ref().map(|pin| format!("pinned: {pin}"));
                [installed, pinned].into_iter().flatten().collect::<Vec<_>>().join("  ")
            })
            .collect();
        let rows: Vec<_> = recipes
            .iter()
            .zip(&marks)
            .map(|(r, mark)| [r.name.as_str(), &r.version, mark.as_str()])
            .collect();
        output::columns(&rows)?;
    }
    errors.iter().for_each(|e| tell(&report(e)));
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { exit::RECIPE.into() })
}
