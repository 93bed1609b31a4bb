//! recipe.lock: which recipes, in which version, become packages from which bytes.
//!
//! TOML, beside the recipes, sorted and always written in the same way: it is reviewed like code. One entry a package:
//!
//! ```text
//! [[package]]
//! name, version
//! recipe = "sha256:..."     what the recipe says (crate::digest), whatever its state
//! deps = ["b 1", ...]       what its dependencies are: `NAME VERSION`, or `NAME (base)` for what the system has
//! [[package.source]]        platform, url, sha256, size; `beside:NAME` is a file beside the recipe
//! ```

use std::path::Path;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::db::{self, Source};
use crate::dir::{Dir, read_text};
use crate::exit;
use crate::recipe::Recipe;

/// Its name, in the directory of the recipes.
pub const NAME: &str = "recipe.lock";

const VERSION: u32 = 1;
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
    /// What it needs to run, in the versions that it has.
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

/// What sources are for that are made here.
fn platform() -> String {
    format!("linux-{}", std::env::consts::ARCH)
}

impl Package {
    /// An entry.
    #[must_use]
    pub fn new(recipe: &Recipe, digest: &Sha256, deps: Vec<String>, sources: Vec<Source>) -> Self {
        let pinned = |Source { url, sha256, size }| Pinned { platform: platform(), url, sha256, size };
        let mut sources: Vec<_> = sources.into_iter().map(pinned).collect();
        sources.sort_by(|a, b| a.url.cmp(&b.url));
        sources.dedup();
        Self {
            name: recipe.name.clone(),
            version: recipe.version.clone(),
            recipe: format!("sha256:{digest}"),
            deps,
            sources,
        }
    }

    /// The same with other dependencies.
    #[must_use]
    pub fn with_deps(self, deps: Vec<String>) -> Self {
        Self { deps, ..self }
    }

    /// The same with what other platforms make it from, as an older entry has that, if it is of the same recipe.
    #[must_use]
    pub fn with_others(mut self, old: Option<&Self>) -> Self {
        let platform = platform();
        let old = old.filter(|old| old.version == self.version && old.recipe == self.recipe);
        let others = old.into_iter().flat_map(|old| &old.sources).filter(|p| p.platform != platform);
        self.sources.extend(others.cloned());
        self.sources.sort_by(|a, b| (&a.url, &a.platform).cmp(&(&b.url, &b.platform)));
        self
    }

    /// Whether it is made from these files on this platform.
    #[must_use]
    pub fn is_made_from(&self, sources: &[Source]) -> bool {
        let mine: Vec<_> = self.sources().collect();
        mine.iter().all(|source| sources.contains(source)) && sources.iter().all(|s| mine.contains(s))
    }

    /// What it is made from on this platform.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        let platform = platform();
        let here = self.sources.iter().filter(move |pinned| pinned.platform == platform);
        here.map(|p| Source { url: p.url.clone(), sha256: p.sha256, size: p.size })
    }

    /// Files that are downloaded for it.
    pub fn downloads(&self) -> impl Iterator<Item = Source> {
        self.sources().filter(|source| !source.url.starts_with(db::BESIDE))
    }

    /// How dependencies are not as they were written down, if they are not.
    #[must_use]
    pub fn deps_differ(&self, deps: &[String]) -> Option<String> {
        let list = |all: &[String]| if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        let unlike = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|dep| !those.contains(dep)).cloned().collect()
        };
        let (had, has) = (unlike(&self.deps, deps), unlike(deps, &self.deps));
        let same = had.is_empty() && has.is_empty();
        (!same).then(|| {
            format!("the lock file has it with {}, and here it comes with {}", list(&had), list(&has))
        })
    }

    /// How a recipe is not what was written down, if it is not.
    fn differs(&self, recipe: &Recipe, digest: &Sha256) -> Option<String> {
        if self.version != recipe.version {
            return Some(format!(
                "the lock file has version {}, the recipe {}",
                self.version, recipe.version
            ));
        }
        if self.recipe != format!("sha256:{digest}") {
            return Some("its recipe, or a library of it, was changed since it was locked".to_owned());
        }
        let mut others: Vec<_> = self.sources.iter().map(|pinned| pinned.platform.as_str()).collect();
        others.dedup();
        let is_here = others.is_empty() || self.sources().next().is_some();
        (!is_here).then(|| format!("the lock file has it for {}, not for {}", others.join(", "), platform()))
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
            let text = read_text(&path)?;
            let wrong = || format!("{} is not a lock file of recipe", path.display());
            // First the version: a newer one may have fields that this one does not know.
            let table: toml::Table = toml::from_str(&text).with_context(wrong)?;
            let found = table.get("version").and_then(toml::Value::as_integer).with_context(wrong)?;
            ensure!(
                found == i64::from(VERSION),
                "{}: expected version {VERSION}, found {found}",
                path.display()
            );
            let mut all: Self = table.try_into().with_context(wrong)?;
            // Whoever merges two by hand may leave another order.
            all.packages.sort_by(|a, b| a.name.cmp(&b.name));
            let twice = all.packages.windows(2).find(|two| two[0].name == two[1].name);
            match twice {
                Some(two) => Err(anyhow::anyhow!("{} has {} twice", path.display(), two[0].name)),
                None => Ok(all),
            }
        };
        read().map(Some).exit(exit::LOCKFILE).hint("without the file, `recipe lock` writes a new one")
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

    /// A recipe's entry.
    ///
    /// # Errors
    /// It is not in the file, or otherwise (exit code [`exit::LOCKFILE`]).
    pub fn require(&self, code: &Code) -> anyhow::Result<&Package> {
        let recipe = &code.recipe;
        let hint = || format!("`recipe lock {}` writes down what it is now", recipe.name);
        match self.state_of(code)? {
            State::Same(package) => Ok(package),
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
    /// The recipe's digest cannot be made.
    pub fn warn(&self, code: &Code) -> anyhow::Result<()> {
        if let State::Other(why) = self.state_of(code)? {
            let name = &code.recipe.name;
            common::cli::tell(&format!("{name}: {why}; `recipe lock {name}` writes down what it is now"));
        }
        Ok(())
    }

    /// How the file knows a recipe.
    ///
    /// # Errors
    /// The recipe's digest cannot be made.
    pub fn state_of(&self, code: &Code) -> anyhow::Result<State<'_>> {
        let Some(package) = self.get(&code.recipe.name) else { return Ok(State::Missing) };
        Ok(match package.differs(&code.recipe, &code.digest()?) {
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

/// What a dependency is, as it stands in the file: the version of a recipe, or of none the system's.
#[must_use]
pub fn resolved(name: &str, version: Option<&str>) -> String {
    format!("{name} {}", version.unwrap_or("(base)"))
}
