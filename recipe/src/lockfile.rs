//! recipe.lock: which recipes, in which version, become packages from which bytes.
//!
//! TOML, beside the recipes, sorted and always written in the same way: it is reviewed like code. One entry a package:
//!
//! ```text
//! [[package]]
//! name, version
//! recipe = "sha256:..."     what the recipe says (crate::digest), whatever its state
//! deps = [...]              as the recipe has them
//! [[package.source]]        platform, url, sha256, size; `beside:NAME` is a file beside the recipe
//! ```

use std::path::Path;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::db::{self, Source};
use crate::dir::Dir;
use crate::recipe::Recipe;
use crate::{digest, exit};

/// Its name, in the directory of the recipes.
pub const NAME: &str = "recipe.lock";

const VERSION: u32 = 1;
/// What sources are for. There is one platform so far.
const PLATFORM: &str = "linux-x86_64";
const TITLE: &str =
    "# Written by `recipe lock`. `recipe install --locked` makes packages only as it says here.\n\n";

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    version: u32,
    /// Sorted by name.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its recipe says, as `sha256:` and a digest.
    pub recipe: String,
    /// What it needs to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<String>,
    /// What it is made from.
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Pinned>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    platform: String,
    url: String,
    sha256: Sha256,
    size: u64,
}

impl Package {
    /// An entry.
    #[must_use]
    pub fn new(recipe: &Recipe, digest: &Sha256, sources: Vec<Source>) -> Self {
        let pinned =
            |Source { url, sha256, size }| Pinned { platform: PLATFORM.to_owned(), url, sha256, size };
        let mut sources: Vec<_> = sources.into_iter().map(pinned).collect();
        sources.sort_by(|a, b| a.url.cmp(&b.url));
        sources.dedup();
        Self {
            name: recipe.name.clone(),
            version: recipe.version.clone(),
            recipe: format!("sha256:{digest}"),
            deps: recipe.deps.clone(),
            sources,
        }
    }

    /// What it is made from on this platform.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        let here = self.sources.iter().filter(|pinned| pinned.platform == PLATFORM);
        here.map(|p| Source { url: p.url.clone(), sha256: p.sha256, size: p.size })
    }

    /// Files that are downloaded for it.
    pub fn downloads(&self) -> impl Iterator<Item = Source> {
        self.sources().filter(|source| !source.url.starts_with(db::BESIDE))
    }

    /// How a recipe is not what was written down, if it is not.
    fn differs(&self, recipe: &Recipe, digest: &Sha256) -> Option<String> {
        if self.version != recipe.version {
            return Some(format!(
                "the lock file has version {}, the recipe {}",
                self.version, recipe.version
            ));
        }
        let same = self.recipe == format!("sha256:{digest}") && self.deps == recipe.deps;
        (!same).then(|| "its recipe, or a library of it, was changed since it was locked".to_owned())
    }
}

impl Lockfile {
    /// Reads the lock file of a directory of recipes, if it has one; `needed` if it must.
    ///
    /// # Errors
    /// It is not there although it is needed, cannot be read, or is not one (exit code [`exit::LOCKFILE`]).
    pub fn read(recipes: &Path, needed: bool) -> anyhow::Result<Option<Self>> {
        let path = recipes.join(NAME);
        if !needed && !path.exists() {
            return Ok(None);
        }
        let read = || -> anyhow::Result<Self> {
            let text = common::fs::read_to_string(&path)?;
            let wrong = || format!("{} is not a lock file of recipe", path.display());
            // First the version: a newer one may have fields that this one does not know.
            let table: toml::Table = toml::from_str(&text).with_context(wrong)?;
            let found = table.get("version").and_then(toml::Value::as_integer).with_context(wrong)?;
            ensure!(
                found == i64::from(VERSION),
                "{}: expected version {VERSION}, found {found}",
                path.display()
            );
            table.try_into().with_context(wrong)
        };
        read().map(Some).exit(exit::LOCKFILE).hint("`recipe lock` writes one")
    }

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { version: VERSION, packages: Vec::new() }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The directory does not take it.
    pub fn write(&self, recipes: &Path) -> anyhow::Result<()> {
        let context = || format!("failed to write {}", recipes.join(NAME).display());
        let text = toml::to_string(self).with_context(context)?;
        let dir = Dir::open(recipes).with_context(context)?;
        dir.write(NAME, format!("{TITLE}{text}").as_bytes()).with_context(context)
    }

    /// Puts an entry in, in the place of an older one.
    pub fn put(&mut self, package: Package) {
        match self.packages.binary_search_by(|p| p.name.cmp(&package.name)) {
            Ok(at) => self.packages[at] = package,
            Err(at) => self.packages.insert(at, package),
        }
    }

    /// An entry.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// What a recipe may be made from.
    ///
    /// # Errors
    /// It is not in the file, or otherwise (exit code [`exit::LOCKFILE`]).
    pub fn require(&self, recipe: &Recipe, text: &str) -> anyhow::Result<Vec<Source>> {
        let hint = || format!("`recipe lock {}` writes down what it is now", recipe.name);
        match self.state_of(recipe, text)? {
            State::Same(package) => Ok(package.sources().collect()),
            State::Other(why) => {
                Err(anyhow::anyhow!("{}: {why}", recipe.name)).exit(exit::LOCKFILE).hint(hint())
            }
            State::Missing => {
                Err(anyhow::anyhow!("{} is not in {NAME}", recipe.name)).exit(exit::LOCKFILE).hint(hint())
            }
        }
    }

    /// Says so if a recipe is in the file, but otherwise.
    ///
    /// # Errors
    /// The recipe's libraries cannot be read.
    pub fn warn(&self, recipe: &Recipe, text: &str) -> anyhow::Result<()> {
        if let State::Other(why) = self.state_of(recipe, text)? {
            let name = &recipe.name;
            common::cli::tell(&format!("{name}: {why}; `recipe lock {name}` writes down what it is now"));
        }
        Ok(())
    }

    /// How the file knows a recipe.
    ///
    /// # Errors
    /// The recipe's libraries cannot be read.
    pub fn state_of(&self, recipe: &Recipe, text: &str) -> anyhow::Result<State<'_>> {
        let Some(package) = self.get(&recipe.name) else { return Ok(State::Missing) };
        let digest = digest_of(recipe, text)?;
        Ok(match package.differs(recipe, &digest) {
            Some(why) => State::Other(why),
            None => State::Same(package),
        })
    }
}

impl Default for Lockfile {
    fn default() -> Self {
        Self::new()
    }
}

/// How a lock file knows a recipe.
#[derive(Debug)]
pub enum State<'a> {
    /// As it is.
    Same(&'a Package),
    /// Otherwise; how.
    Other(String),
    /// Not at all.
    Missing,
}

/// What a recipe says, with its libraries.
///
/// # Errors
/// A library cannot be read (exit code [`exit::RECIPE`]).
pub fn digest_of(recipe: &Recipe, text: &str) -> anyhow::Result<Sha256> {
    let lib = recipe.path.parent().map(|dir| dir.join("lib")).unwrap_or_default();
    digest::of(text, &lib)
        .with_context(|| format!("cannot tell what {} says", recipe.name))
        .exit(exit::RECIPE)
}
