//! `recipe upgrade`: what is installed in another version than its recipe has, in one transaction.

use std::process::ExitCode;

use clap::Args;

use super::install::{Dry, Why, Work, foresee, or_meant, patterns};
use super::{Settings, output};
use crate::recipe::Recipe;
use crate::shelf;
use crate::voice::note;

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Names of packages; default: all that are installed.
    names: Vec<String>,
    /// All that are installed, as without names.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    #[command(flatten)]
    dry: Dry,
    /// Do it although other packages would lack what they need, and install nothing that is not named here.
    #[arg(long)]
    no_deps: bool,
    /// Replace files that belong to no package and match this pattern (`*` is any text).
    #[arg(long, value_name = "PATTERN")]
    overwrite: Vec<String>,
}

/// Runs it. Recipes that cannot be read keep nothing else from being upgraded; the exit code is then [`crate::exit::RECIPE`].
///
/// # Errors
/// As `recipe install`.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let overwrite = patterns(&options.overwrite)?;
    let desk = settings.desk_or_look(options.dry.is_plan())?;
    let found = shelf::named_or_all(&settings.places, &options.names, shelf::installed);
    let (recipes, errors) = or_meant(options.dry, &options.names, found)?;
    let old = recipes.into_iter().filter(Recipe::is_outdated);
    // Who names a pinned package is told why it cannot be; else it is left out.
    let (held, old): (Vec<_>, _) = old.partition(|r| options.names.is_empty() && r.held_by().is_some());
    if old.is_empty() && held.is_empty() {
        note("nothing to upgrade");
    }
    let (by_name, notes) = (!options.names.is_empty(), held.iter().filter_map(left_out).collect());
    let (dry, json, marked) = (options.dry, settings.json, Vec::new());
    let work = Work { desk: &desk, dry, overwrite: &overwrite, json, by_name, notes, marked };
    let done = work.run(foresee(&desk, old, Why::Same, options.no_deps)?)?;
    // One bad file keeps nothing else from being upgraded.
    Ok(if errors.is_empty() { done } else { output::unreadable(&errors) })
}

/// What is said of a package that its pin keeps as it is.
fn left_out(recipe: &Recipe) -> Option<String> {
    let (name, installed) = (&recipe.name, recipe.installed_version()?);
    Some(format!(
        "{name} stays {installed}: it is pinned to {}; its recipe has {}",
        recipe.held_by()?,
        recipe.version
    ))
}
