//! `recipe search`: recipes whose names or descriptions have some words, the best first.

use std::process::ExitCode;

use common::cli::{Mark, tell};

use super::{Settings, output};
use crate::exit;
use crate::recipe::Recipe;
use crate::shelf;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Words; each must be in the name or the description, in either case.
    #[arg(required = true)]
    words: Vec<String>,
    /// Look at names only.
    #[arg(long)]
    names: bool,
}

/// Runs it.
///
/// # Errors
/// Nothing is found (exit code [`exit::NOT_FOUND`]), or the recipes cannot be read.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let (recipes, errors) = shelf::shown(&settings.places)?;
    let words: Vec<_> = options.words.iter().map(|word| word.to_lowercase()).collect();
    let mut found: Vec<_> =
        recipes.iter().filter_map(|recipe| Some((rank(recipe, &words, options.names)?, recipe))).collect();
    found.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
    let found: Vec<_> = found.into_iter().map(|(_, recipe)| recipe).collect();
    errors.iter().for_each(|e| tell(&format!("{e:#}")));
    if settings.json {
        output::json_of("recipes", &found)?;
    } else {
        let rows: Vec<_> = found
            .iter()
            .map(|r| {
                let mark = if r.state.installed { "installed" } else { "" };
                [r.name.as_str(), &r.version, mark, r.description.as_deref().unwrap_or_default()]
            })
            .collect();
        output::columns(&rows)?;
    }
    if !found.is_empty() {
        // As in `list`.
        std::mem::forget(recipes);
        return Ok(ExitCode::SUCCESS);
    }
    let like = words.first().and_then(|word| shelf::similar(word, recipes.iter().map(|r| r.name.as_str())));
    let nothing = anyhow::anyhow!("no recipe has {}", options.words.join(" and "));
    Err(nothing).exit(exit::NOT_FOUND).hint(match like {
        Some(like) => format!("did you mean {like}?"),
        None => "`recipe list` lists all".to_owned(),
    })
}

/// How well a recipe fits, less is better; none if a word is missing.
fn rank(recipe: &Recipe, words: &[String], names_only: bool) -> Option<u8> {
    let name = recipe.name.to_lowercase();
    let description =
        recipe.description.as_deref().filter(|_| !names_only).unwrap_or_default().to_lowercase();
    let of_word = |word: &String| match () {
        () if name == *word => Some(0),
        () if name.starts_with(word.as_str()) => Some(1),
        () if name.contains(word.as_str()) => Some(2),
        () if description.contains(word.as_str()) => Some(3),
        () => None,
    };
    let ranks: Option<Vec<u8>> = words.iter().map(of_word).collect();
    ranks?.into_iter().max()
}
