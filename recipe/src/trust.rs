//! Which recipes somebody has reviewed, and what they could do then.
//!
//! ```text
//! PREFIX/.recipe/trust.toml
//!     version, require         true: nothing that is not in here is installed
//!     [[recipe]]               name, digest, can = ["host example.org", ...]
//! ```
//!
//! Recipes are their owner's files, and trusted. Who writes one down here asks to be told: from then on it may change, but what it
//! can do may not grow without another look. With `require`, only what is written down runs, digest by digest.

use anyhow::{Context, ensure};
use common::cli::Mark;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::db::{self, BESIDE};
use crate::dir::Dir;
use crate::engine::capability::{Capabilities, Capability};
use crate::engine::digest_beside;
use crate::exit;
use crate::recipe::Recipe;

const NAME: &str = "trust.toml";
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    version: u32,
    /// Whether nothing else is installed.
    #[serde(default)]
    pub require: bool,
    /// Sorted by name.
    #[serde(default, rename = "recipe")]
    recipes: Vec<Reviewed>,
}

/// A recipe as it was reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    name: String,
    /// What it said, as `sha256:` and a digest.
    digest: String,
    /// What it could do.
    can: Vec<String>,
}

/// How a recipe is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not at all.
    Unknown,
    /// As it is.
    Reviewed,
    /// It was changed since, and can do no more than before.
    Changed,
    /// It can do more than before: what, and where.
    Grown(Vec<String>),
}

impl Trust {
    /// Reads the file of a prefix's own directory; without one nothing was reviewed.
    ///
    /// # Errors
    /// It cannot be read, is none, or others could have written it (exit code [`exit::TRUST`]).
    pub fn read(own: &Dir) -> anyhow::Result<Self> {
        let file = match own.read(NAME) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, ..Self::default() });
            }
            file => file,
        };
        let read = || -> anyhow::Result<Self> {
            let file = file?;
            let stat = rustix::fs::fstat(&file)?;
            let me = rustix::process::geteuid().as_raw();
            let alone = stat.st_mode & 0o022 == 0 && (stat.st_uid == 0 || stat.st_uid == me);
            ensure!(alone, "others can write it (owner {}, mode {:04o})", stat.st_uid, stat.st_mode & 0o7777);
            let mut all: Self = toml::from_str(&std::io::read_to_string(file)?)?;
            ensure!(all.version == VERSION, "expected version {VERSION}, found {}", all.version);
            for text in all.recipes.iter().flat_map(|r| &r.can) {
                text.parse::<Capability>()?;
            }
            all.recipes.sort_by(|a, b| a.name.cmp(&b.name));
            let twice = all.recipes.windows(2).find(|two| two[0].name == two[1].name);
            ensure!(twice.is_none(), "it has {} twice", twice.map_or("", |two| two[0].name.as_str()));
            Ok(all)
        };
        let context = || format!("cannot tell what is trusted: {}/{NAME}", own.path.display());
        read().with_context(context).exit(exit::TRUST)
    }

    /// As [`Trust::read`], of a prefix where something may never have been done; `require`: only what is trusted may run, whatever
    /// the file says.
    ///
    /// # Errors
    /// As [`Trust::read`].
    pub fn of(own: Option<&Dir>, require: bool) -> anyhow::Result<Self> {
        let mut trust = own.map_or_else(|| Ok(Self::default()), Self::read)?;
        trust.require |= require;
        Ok(trust)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The directory does not take it.
    pub fn write(&self, own: &Dir) -> anyhow::Result<()> {
        let context = || format!("failed to write {}/{NAME}", own.path.display());
        own.write(NAME, toml::to_string(self).with_context(context)?.as_bytes()).with_context(context)
    }

    /// Puts down a recipe as it is.
    ///
    /// # Errors
    /// Its digest cannot be made.
    pub fn put(&mut self, code: &Code, can: &Capabilities) -> anyhow::Result<()> {
        let name = code.recipe.name.clone();
        let can = can.iter().map(|(capability, _)| capability.to_string()).collect();
        let new = Reviewed { digest: format!("sha256:{}", code.digest()?), can, name };
        match self.recipes.binary_search_by(|r| r.name.cmp(&new.name)) {
            Ok(at) => self.recipes[at] = new,
            Err(at) => self.recipes.insert(at, new),
        }
        Ok(())
    }

    /// Names and digests of what was reviewed.
    pub fn reviewed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.recipes.iter().map(|r| (r.name.as_str(), r.digest.as_str()))
    }

    /// Forgets a recipe; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.recipes.len();
        self.recipes.retain(|r| r.name != name);
        self.recipes.len() < before
    }

    /// How a recipe is known that can do this.
    ///
    /// # Errors
    /// Its digest cannot be made.
    pub fn standing(&self, code: &Code, can: &Capabilities) -> anyhow::Result<Standing> {
        let Some(known) = self.recipes.iter().find(|r| r.name == code.recipe.name) else {
            return Ok(Standing::Unknown);
        };
        let before = Capabilities::listed(known.can.iter().filter_map(|text| text.parse().ok()));
        let more: Vec<_> = can.beyond(&before).map(|(what, at)| format!("{what}, {at}")).collect();
        let same = known.digest == format!("sha256:{}", code.digest()?);
        Ok(match (more.is_empty(), same) {
            (false, _) => Standing::Grown(more),
            (true, true) => Standing::Reviewed,
            (true, false) => Standing::Changed,
        })
    }

    /// Whether a recipe may run; what users should know of it.
    ///
    /// # Errors
    /// It may not (exit code [`exit::TRUST`]).
    pub fn check(&self, code: &Code) -> anyhow::Result<Option<String>> {
        let name = &code.recipe.name;
        let can = capabilities(code)?;
        let refused = |why: String| {
            Err(anyhow::anyhow!("{name} {why}"))
                .exit(exit::TRUST)
                .hint(format!("`recipe review {name}` shows what it does, then `recipe trust {name}`"))
        };
        match self.standing(code, &can)? {
            Standing::Reviewed => Ok(None),
            Standing::Unknown if self.require => refused("is not trusted".to_owned()),
            Standing::Unknown => Ok(None),
            Standing::Grown(more) => {
                refused(format!("can do more than when it was trusted:\n  {}", more.join("\n  ")))
            }
            Standing::Changed if self.require => refused("was changed since it was trusted".to_owned()),
            Standing::Changed => {
                Ok(Some(format!("{name} was changed since it was trusted; it can do no more than then")))
            }
        }
    }
}

/// What a recipe can do, with the files that lie beside it now.
///
/// # Errors
/// It is not Rhai (exit code [`exit::RECIPE`]).
pub fn capabilities(code: &Code) -> anyhow::Result<Capabilities> {
    let dir = code.recipe.path.parent().map(std::path::Path::to_owned).unwrap_or_default();
    Capabilities::of(code, &digest_beside(&dir))
}

/// What is installed of a recipe, as it was installed, and what that can do; none if nothing is.
///
/// # Errors
/// The record cannot be read, or its recipe is not Rhai any more.
pub fn installed(own: &Dir, recipe: &Recipe) -> anyhow::Result<Option<(Code, Capabilities)>> {
    let Some(code) = Code::installed(own, recipe)? else { return Ok(None) };
    let sources = db::installed(own, recipe)?.map(|record| record.sources).unwrap_or_default();
    let beside = |name: &str| {
        let source = sources.iter().find(|s| s.url.strip_prefix(BESIDE) == Some(name));
        source.map(|source| source.sha256)
    };
    let can = Capabilities::of(&code, &beside)?;
    Ok(Some((code, can)))
}

/// What a recipe's file can do now that what is installed of it could not; nothing, if nothing is.
///
/// # Errors
/// As [`installed`], or the file cannot be read.
pub fn news(own: &Dir, recipe: &Recipe) -> anyhow::Result<Vec<String>> {
    let Some((_, could)) = installed(own, recipe)? else { return Ok(Vec::new()) };
    let can = capabilities(&Code::load(&recipe.path)?)?;
    Ok(can.beyond(&could).map(|(what, _)| what.to_string()).collect())
}
