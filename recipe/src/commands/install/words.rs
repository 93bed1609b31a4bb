//! What `recipe install` is given -> files of recipes: NAME, NAME@VERSION, or a path. And a word that was meant as an option's value.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::Context;
use common::cli::{Mark, code, exit_code};

use super::Dry;
use crate::claims::Books;
use crate::db;
use crate::dir::Dir;
use crate::exit;
use crate::places::{OWN, Places};
use crate::recipe::Recipe;
use crate::shelf;

/// The file of a recipe. NAME@VERSION is the recipe of NAME if it has that version, or if that is installed and shall not be made again; but
/// a recipe may be called so itself.
///
/// # Errors
/// There is none, or it has another version (exit code [`exit::NOT_FOUND`]); a path is not in UTF-8 (exit code [`code::USAGE`]).
pub(super) fn find(places: &Places, word: &OsStr, reinstall: bool) -> anyhow::Result<PathBuf> {
    // The journal and the state are text.
    let word = word
        .to_str()
        .with_context(|| format!("expected the path of a recipe in UTF-8, found {}", word.display()));
    let word = word.exit(code::USAGE)?;
    let is_path = word.contains('/') || word.ends_with(".rhai");
    let parts = word.rsplit_once('@').filter(|(name, _)| !is_path && !name.is_empty());
    let Some((name, version)) = parts.filter(|_| !places.recipe(word).exists()) else {
        return shelf::on_shelf(places, word);
    };
    let path = shelf::on_shelf(places, name)?;
    let recipe = Books::open(places)?.settle(Recipe::load(&path)?)?;
    if version == recipe.version || (!reinstall && recipe.installed_version() == Some(version)) {
        return Ok(path);
    }
    let own = Dir::open(&places.prefix_here().join(OWN)).ok();
    let kept = own.and_then(|own| db::all(&own, name).ok()).unwrap_or_default();
    let is_kept = recipe.state.installed && kept.iter().any(|(_, record)| record.version == version);
    let found =
        anyhow::anyhow!("expected version {version} of {name}, found that its recipe has {}", recipe.version);
    Err(found).exit(exit::NOT_FOUND).hint(match is_kept {
        true => format!("`recipe rollback {name} {version}` brings it back"),
        false => format!(
            "a recipe has one version: `recipe edit {name}` changes it, `recipe pin {name}` keeps the installed one"
        ),
    })
}

/// Whether a version that is asked for is installed, though the recipe has another one.
pub(super) fn is_met(word: &OsStr, recipe: &Recipe) -> bool {
    let asked = word.to_str().and_then(|word| word.strip_prefix(&recipe.name)?.strip_prefix('@'));
    asked.is_some() && asked == recipe.installed_version()
}

/// A result, with the hint that a name was meant as the value of `--dry-run` if it looks like it.
pub(in crate::commands) fn or_meant<T>(
    dry: Dry,
    words: &[impl AsRef<OsStr>],
    result: anyhow::Result<T>,
) -> anyhow::Result<T> {
    let meant = words.iter().map(AsRef::as_ref).find(|word| *word == "plan" || *word == "full");
    match (result, meant) {
        (Err(e), Some(word)) if dry.dry_run.is_some() && exit_code(&e) == exit::NOT_FOUND => {
            Err(e).hint(format!("write --dry-run={}", word.display()))
        }
        (result, _) => result,
    }
}
