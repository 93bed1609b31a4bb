//! `recipe pin` and `recipe unpin`: which versions of a package are allowed, in its recipe file ([`crate::pin`]).

use std::process::ExitCode;

use clap::Args;
use common::cli::{Mark, code, tell};

use super::{Settings, output};
use crate::exit;
use crate::pin::Pin;
use crate::recipe::Recipe;
use crate::shelf;
use crate::state::located;
use crate::tx::{self, Desk};

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Packages: NAME keeps the version that is installed, NAME@1.2 that one, 'NAME@>= 1.2, < 2' those between.
    #[arg(required = true, value_name = "NAME[@REQ]")]
    packages: Vec<String>,
}

/// Runs `recipe pin`. All words are understood before the first file is changed.
///
/// # Errors
/// There is no such recipe, a condition is none, or what has no condition is not installed.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let desk = settings.desk()?;
    let wanted = options.packages.iter().map(|word| {
        let (recipe, condition) = find(settings, word)?;
        let pin = match (condition, recipe.installed_version()) {
            (Some(text), _) => Pin::parse(&recipe.name, text).exit(code::USAGE)?,
            (None, Some(version)) => Pin::parse(&recipe.name, &format!("== {version}"))?,
            (None, None) => {
                return Err(anyhow::anyhow!("{} is not installed", recipe.name)).exit(exit::NOT_FOUND).hint(
                    format!("`recipe pin {0}@{1}` says which version is meant", recipe.name, recipe.version),
                );
            }
        };
        Ok((recipe, pin))
    });
    for (recipe, pin) in &wanted.collect::<anyhow::Result<Vec<_>>>()? {
        write(&desk, recipe, Some(pin))?;
        tell(&format!("{} is pinned to {pin}", recipe.name));
        if let Some(version) = recipe.installed_version().filter(|v| !pin.accepts(v)) {
            tell(&format!("warning: {version} of it is installed, which that does not allow"));
        }
    }
    print(settings, options.packages.iter().map(|word| find(settings, word)))
}

/// Runs `recipe unpin`.
///
/// # Errors
/// There is no such recipe, or it cannot be written.
pub fn unpin(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let desk = settings.desk()?;
    let recipes =
        names.iter().map(|n| shelf::load(&settings.places, n)).collect::<anyhow::Result<Vec<_>>>()?;
    for recipe in &recipes {
        match &recipe.pinned {
            Some(pin) => {
                write(&desk, recipe, None)?;
                tell(&format!("{} is no longer pinned to {pin}", recipe.name));
            }
            None => tell(&format!("{} is not pinned", recipe.name)),
        }
    }
    print(settings, names.iter().map(|n| Ok((shelf::load(&settings.places, n)?, None))))
}

fn write(desk: &Desk, recipe: &Recipe, pin: Option<&Pin>) -> anyhow::Result<()> {
    tx::edit(desk, recipe, |text| {
        Pin::splice(pin, text).map_err(|e| located(&recipe.path, text, &e)).exit(exit::RECIPE)
    })
}

/// A recipe, and the condition behind its name. Names may have an `@` in them: a recipe that is called so is meant.
fn find<'a>(settings: &Settings, word: &'a str) -> anyhow::Result<(Recipe, Option<&'a str>)> {
    let whole = settings.places.recipe(word).exists() || word.ends_with(".rhai");
    match word.rsplit_once('@').filter(|_| !whole) {
        Some((name, condition)) => Ok((shelf::load(&settings.places, name)?, Some(condition))),
        _ => Ok((shelf::load(&settings.places, word)?, None)),
    }
}

fn print<'a>(
    settings: &Settings,
    recipes: impl Iterator<Item = anyhow::Result<(Recipe, Option<&'a str>)>>,
) -> anyhow::Result<ExitCode> {
    if settings.json {
        let recipes = recipes.map(|found| Ok(found?.0)).collect::<anyhow::Result<Vec<_>>>()?;
        output::json_of("recipes", &recipes)?;
    }
    Ok(ExitCode::SUCCESS)
}
