//! `recipe list`: the recipes, or those of them that are installed.

use std::process::ExitCode;

use clap::Args;
use common::cli::tell;

use super::{Settings, output};
use crate::claims::{self, Books};
use crate::dir::Dir;
use crate::lock;
use crate::places::OWN;
use crate::recipe::Recipe;
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
    let (mut recipes, errors) = shelf::shown(&settings.places)?;
    let untrue = recipes.iter().filter(|r| r.claim.is_some()).count();
    let lost = lost(settings, &recipes);
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
                let untrue = r.claim.is_some() && !r.state.installed;
                let untrue = untrue.then(|| "not here, though its file says so".to_owned());
                [installed, untrue, pinned].into_iter().flatten().collect::<Vec<_>>().join("  ")
            })
            .collect();
        let rows: Vec<_> = recipes
            .iter()
            .zip(&marks)
            .map(|(r, mark)| [r.name.as_str(), &r.version, mark.as_str()])
            .collect();
        output::columns(&rows)?;
    }
    if untrue > 0 {
        tell(&format!("{untrue} recipe files say of their packages what is not true here; {}", claims::HINT));
    }
    lost.iter().for_each(|line| tell(line));
    // The program ends; to give ten thousand recipes back one by one would take it a tenth of its time.
    std::mem::forget(recipes);
    Ok(output::unreadable(&errors))
}

/// What is here although no recipe file says so, for people. Not while somebody works: the books come after the files then. Books that
/// cannot be read are for `doctor`: they hide no recipe.
fn lost(settings: &Settings, recipes: &[Recipe]) -> Vec<String> {
    let places = &settings.places;
    let works = Dir::open(&places.prefix_here().join(OWN)).is_ok_and(|own| lock::holder(&own).is_some());
    let here = Books::open(places).and_then(|books| books.unclaimed(recipes)).unwrap_or_default();
    let here = here.iter().filter(|_| !works).map(|(_, record)| record);
    here.map(|record| claims::stray(places, record)).collect()
}
