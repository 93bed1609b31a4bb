//! `recipe remove`: names -> one transaction.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use common::cli::{Mark, tell};

use super::{Settings, output};
use crate::db;
use crate::exit;
use crate::recipe::Recipe;
use crate::shelf;
use crate::tx::{self, Desk, make, plan::Planner};

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Names of packages.
    #[arg(required = true)]
    names: Vec<String>,
    /// Say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it.
///
/// # Errors
/// A package is not installed, its `remove()` fails, or files cannot be moved.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let mut paths =
        options.names.iter().map(|n| shelf::find(&settings.places, n)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|p| seen.insert(p.clone()));
    let desk = settings.desk()?;
    let tx = Desk::new_tx();
    let recipes = paths.iter().map(|p| Recipe::load(p)).collect::<Result<Vec<_>, _>>()?;
    let mut planner = Planner::new(&desk, tx.clone(), &|_| false);
    for recipe in &recipes {
        if !recipe.state.installed {
            return Err(anyhow::anyhow!("{} is not installed", recipe.name)).exit(exit::NOT_FOUND);
        }
        planner.remove(recipe)?;
    }
    let plan = planner.finish()?;
    if !options.dry_run {
        recipes.iter().try_for_each(|recipe| before(&desk, &tx, recipe))?;
        tx::run(&desk, &plan)?;
    }
    output::changes(&plan, !options.dry_run, settings.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `remove()` of the recipe as it was installed: the file may be a newer version's by now.
fn before(desk: &Desk, tx: &str, recipe: &Recipe) -> anyhow::Result<()> {
    let installed = recipe.state.tx.as_deref();
    let kept = installed.map(|tx| db::recipe(&desk.own, &recipe.name, tx)).transpose()?.flatten();
    let text = match kept {
        Some(text) => text,
        None => {
            tell(&format!(
                "there is no copy of {} as it was installed; its present recipe is used",
                recipe.name
            ));
            common::fs::read_to_string(&recipe.path)?
        }
    };
    let old = Recipe::parse(&text, &recipe.path)?;
    if !old.has("remove") {
        return Ok(());
    }
    let program = make::program(desk, tx, &old, &text)?;
    program.run("remove").map(drop).with_context(|| format!("remove of {} failed", recipe.name))
}
