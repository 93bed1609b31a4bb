//! `recipe install`: names -> one transaction.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use common::cli::{Mark, code, tell};

use super::{Settings, output};
use crate::recipe::Recipe;
use crate::shelf;
use crate::tx::make::{self, Outcome};
use crate::tx::{self, Desk, plan::Planner};

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Names of recipes, or paths of recipe files.
    #[arg(required = true)]
    names: Vec<String>,
    /// Install again what is installed in this version.
    #[arg(long)]
    reinstall: bool,
    /// Make the packages and say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Note that something else needs these packages: nothing keeps them once that is gone.
    #[arg(long)]
    as_dep: bool,
    /// Replace files that belong to no package and match this pattern (`*` is any text).
    #[arg(long, value_name = "PATTERN")]
    overwrite: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// A recipe is not found or wrong, one of its phases fails, or files are in the way.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    // Wrong names are said before anything is locked or made.
    let mut paths =
        options.names.iter().map(|n| shelf::find(&settings.places, n)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|p| seen.insert(p.clone()));
    let patterns = options.overwrite.iter().map(|p| globset::Glob::new(p).map(|g| g.compile_matcher()));
    let patterns =
        patterns.collect::<Result<Vec<_>, _>>().context("cannot use --overwrite").exit(code::USAGE)?;
    let desk = settings.desk()?;
    let tx = Desk::new_tx();
    let overwrite = |path: &str| patterns.iter().any(|p| p.is_match(path));
    let mut planner = Planner::new(&desk, tx.clone(), &overwrite);
    let mut any = false;
    for path in &paths {
        let recipe = Recipe::load(path)?;
        let installed = recipe.state.version.as_deref().filter(|_| recipe.state.installed);
        if installed == Some(&recipe.version) && !options.reinstall {
            tell(&format!("{} {} is installed already", recipe.name, recipe.version));
            continue;
        }
        match make::make(&desk, &tx, path)? {
            Outcome::Present(recipe) => {
                tell(&format!("{} is there already, but not installed by recipe", recipe.name));
            }
            Outcome::Made(made) => {
                any = true;
                // What was asked for by name stays asked for.
                let as_dep = options.as_dep && (!made.recipe.state.installed || made.recipe.state.as_dep);
                planner.install(*made, as_dep)?;
            }
        }
    }
    let plan = planner.finish()?;
    if any && !options.dry_run {
        tx::run(&desk, &plan)?;
    }
    output::changes(&plan, any && !options.dry_run, settings.json)?;
    Ok(ExitCode::SUCCESS)
}
