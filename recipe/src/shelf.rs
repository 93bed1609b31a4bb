//! The recipes' directory -> recipes by name.
//!
//! - [`read`]: all files of the directory, as quickly as the disk gives them
//! - [`kept`]: their texts, in the cache
//! - [`first`]: where there are none yet

mod first;
pub(crate) mod kept;
mod read;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cli::{Mark, exit_code};

use crate::claims::{self, Books};
use crate::exit;
use crate::places::Places;
use crate::recipe::{Recipe, check_name};

pub use first::open;

/// Files of recipes, sorted by name.
///
/// # Errors
/// The directory cannot be read.
pub fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(read::names(dir)?.into_iter().map(|name| dir.join(name)).collect())
}

/// All recipes, sorted by name, with what is true of their states, and the errors of those that cannot be read: one bad file hides
/// no other.
///
/// # Errors
/// The directory, or the prefix's books, cannot be read.
pub fn all(places: &Places) -> anyhow::Result<(Vec<Recipe>, Vec<anyhow::Error>)> {
    settled(places, None)
}

/// As [`all`], for what is only shown: files that nobody changed since they were read the last time are not read again.
///
/// # Errors
/// As [`all`].
pub fn shown(places: &Places) -> anyhow::Result<(Vec<Recipe>, Vec<anyhow::Error>)> {
    settled(places, Some(&places.cache))
}

/// As long as a transaction moves its files, who reads waits: it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(3);

/// Of a transaction of several packages all is seen, or nothing; what takes longer than [`PATIENCE`] is seen as it is.
fn settled(places: &Places, cache: Option<&Path>) -> anyhow::Result<(Vec<Recipe>, Vec<anyhow::Error>)> {
    let since = Instant::now();
    loop {
        let before = moment(places);
        let all = settled_once(places, cache)?;
        let is_whole = before.is_some() && before == moment(places);
        if is_whole || since.elapsed() > PATIENCE {
            return Ok(all);
        }
        std::thread::sleep(PAUSE);
    }
}

/// When the last file came into the recipes' directory, or left it; none while somebody else is in the middle of that.
fn moment(places: &Places) -> Option<[i64; 4]> {
    let meta = places.shelf().metadata().ok();
    let meta = meta.filter(|_| !Books::open(places).is_ok_and(|books| books.are_being_written()));
    meta.map(|m| [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()])
}

fn settled_once(places: &Places, cache: Option<&Path>) -> anyhow::Result<(Vec<Recipe>, Vec<anyhow::Error>)> {
    let all = read::all(places.shelf(), cache)?;
    let books = Books::open(places)?;
    let mut recipes = Vec::with_capacity(all.size_hint().1.unwrap_or(0));
    let mut errors = Vec::new();
    for loaded in all {
        match loaded {
            Ok(recipe) => recipes.push(books.settle(recipe)?),
            Err(e) => errors.push(e),
        }
    }
    Ok((recipes, errors))
}

/// These recipes, each as `load` finds it; [`all`], where none is named.
///
/// # Errors
/// As [`all`], or one that is named cannot be loaded.
pub fn named_or_all(
    places: &Places,
    names: &[String],
    load: impl Fn(&Places, &str) -> anyhow::Result<Recipe>,
) -> anyhow::Result<(Vec<Recipe>, Vec<anyhow::Error>)> {
    if names.is_empty() {
        return all(places);
    }
    let named = names.iter().map(|name| load(places, name));
    Ok((named.collect::<anyhow::Result<_>>()?, Vec::new()))
}

/// As [`all`], for what must not overlook one.
///
/// # Errors
/// As [`all`], or one of them cannot be read.
pub fn every(places: &Places) -> anyhow::Result<Vec<Recipe>> {
    let (recipes, errors) = all(places)?;
    errors.into_iter().next().map_or(Ok(recipes), Err)
}

/// The file of a recipe that is asked for by name, or by path if the word has a slash or ends in `.rhai`.
///
/// # Errors
/// There is none (exit code [`exit::NOT_FOUND`]); names that are like it are the hint.
pub fn find<W: AsRef<OsStr> + ?Sized>(places: &Places, word: &W) -> anyhow::Result<PathBuf> {
    let path = Path::new(word);
    let is_name = |word: &&str| !word.contains('/') && !word.ends_with(".rhai");
    // Paths need not be text.
    let Some(word) = path.to_str().filter(is_name) else {
        path.metadata()
            .with_context(|| format!("failed to open {}", path.display()))
            .exit(exit::NOT_FOUND)?;
        return Ok(path.to_owned());
    };
    check_name(word).map_err(|e| anyhow::anyhow!("{e}")).exit(exit::NOT_FOUND)?;
    let path = places.recipe(word);
    if path.exists() {
        return Ok(path);
    }
    let missing = anyhow::anyhow!("there is no recipe {word:?} in {}", places.shelf().display());
    if let Some((why, hint)) = claims::lost(places, word) {
        return Err(missing).context(why).exit(exit::NOT_FOUND).hint(hint);
    }
    let files = files(places.shelf())?;
    let similar = similar(word, files.iter().filter_map(|p| p.file_stem()?.to_str()));
    let missing = Err(missing).exit(exit::NOT_FOUND);
    match similar {
        Some(name) => missing.hint(format!("did you mean {name}?")),
        None => missing.hint("`recipe list` shows all recipes"),
    }
}

/// As [`find`], for what is or will be installed: its file must be one of the recipes' directory. The state is in the file, and what
/// is installed by one that lies elsewhere would be seen by no other command.
///
/// # Errors
/// As [`find`], or it lies elsewhere (exit code [`exit::NOT_FOUND`]).
pub fn on_shelf(places: &Places, word: &str) -> anyhow::Result<PathBuf> {
    let path = find(places, word)?;
    let here = places.shelf().join(path.file_name().unwrap_or_default());
    let real = |path: &Path| path.canonicalize().ok();
    if here == path || (real(&here).is_some() && real(&here) == real(&path)) {
        return Ok(here);
    }
    let dir = places.recipes.display();
    let elsewhere =
        anyhow::anyhow!("{word} is not in {dir}, and only recipes that are there can be installed");
    Err(elsewhere).exit(exit::NOT_FOUND).hint(match here.exists() {
        true => format!("{} is another file, and its package is what is installed", here.display()),
        false => format!(
            "`cp {word} {dir}/`, and what it imports and uses beside it; `recipe run {word}` needs no copy"
        ),
    })
}

/// The recipe that is asked for by name or path, with what is true of its state.
///
/// # Errors
/// As [`find`] and [`Recipe::load`], or the prefix's books cannot be read.
pub fn load<W: AsRef<OsStr> + ?Sized>(places: &Places, word: &W) -> anyhow::Result<Recipe> {
    Books::open(places)?.settle(Recipe::load(&find(places, word)?)?)
}

/// As [`load`], for what must be installed.
///
/// # Errors
/// As [`on_shelf`], or it is not (exit code [`exit::NOT_FOUND`]); an installed package that is like it is the hint.
pub fn installed(places: &Places, word: &str) -> anyhow::Result<Recipe> {
    let load = || Books::open(places)?.settle(Recipe::load(&on_shelf(places, word)?)?);
    match load() {
        Ok(recipe) if recipe.state.installed => Ok(recipe),
        Ok(recipe) => {
            let missing = not_installed(places, &recipe.name);
            match claims::untrue(places, &recipe) {
                Some(why) => Err(missing).context(why).hint(claims::HINT),
                None => Err(missing),
            }
        }
        Err(e) if exit_code(&e) != exit::NOT_FOUND || claims::lost(places, word).is_some() => Err(e),
        Err(e) => Err(like_installed(places, word, e)),
    }
}

/// The error for a package that is not installed.
#[must_use]
pub fn not_installed(places: &Places, name: &str) -> anyhow::Error {
    let error = Err::<(), _>(anyhow::anyhow!("{name} is not installed")).exit(exit::NOT_FOUND);
    if let Some((why, hint)) = claims::lost(places, name) {
        return error.context(why).hint(hint).unwrap_err();
    }
    let error = error.hint("`recipe list --installed` shows what is").unwrap_err();
    like_installed(places, name, error)
}

/// An error, with the hint that an installed package is called nearly so, if one is.
fn like_installed(places: &Places, word: &str, error: anyhow::Error) -> anyhow::Error {
    let (recipes, _) = all(places).unwrap_or_default();
    let names = recipes.iter().filter(|r| r.state.installed).map(|r| r.name.as_str());
    match similar(word, names.filter(|name| *name != word)) {
        Some(name) => Err::<(), _>(error).hint(format!("did you mean {name}?")).unwrap_err(),
        None => error,
    }
}

/// The name that is most like a word, if one is.
pub fn similar<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(word, name);
    let best = names.map(|name| (likeness(name), name)).filter(|(l, _)| *l > 0.8);
    best.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
