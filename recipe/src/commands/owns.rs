//! `recipe owns`: file -> package, of recipe or of the base.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use common::cli::tell;
use serde_json::{Value, json};

use super::{Settings, output};
use crate::base::Base;
use crate::claims::{self, Books};
use crate::exit;
use crate::recipe::Recipe;
use crate::shelf;

/// Whose a file is.
pub(super) enum Owner {
    /// Of an installed package: name and version.
    Recipe(String, String),
    /// Of the base.
    Base(crate::base::Owner),
}

impl Owner {
    /// Its package; none for what the base's image itself has made.
    pub(super) fn package(&self) -> Option<&str> {
        match self {
            Self::Recipe(name, _) => Some(name),
            Self::Base(owner) => owner.package.as_deref(),
        }
    }

    /// `recipe` or `base`.
    pub(super) fn from(&self) -> &'static str {
        match self {
            Self::Recipe(..) => "recipe",
            Self::Base(_) => "base",
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Recipe(name, version) => write!(f, "{name} {version}"),
            Self::Base(owner) => write!(f, "{owner} (base)"),
        }
    }
}

/// Whose the files of a system are.
pub(super) struct Owners {
    recipes: Vec<Recipe>,
    base: Base,
    sysroot: PathBuf,
}

impl Owners {
    /// # Errors
    /// The recipes cannot be read.
    pub(super) fn read(settings: &Settings) -> anyhow::Result<Self> {
        let places = &settings.places;
        // Without recipes there may be a base.
        let recipes = if places.shelf().exists() { shelf::all(places)?.0 } else { Vec::new() };
        Ok(Self { recipes, base: Base::of(&places.sysroot), sysroot: places.sysroot.clone() })
    }

    /// A path as the system sees it that it is in, and whose it is.
    ///
    /// # Errors
    /// The base's list cannot be read.
    pub(super) fn of(&self, path: &Path) -> anyhow::Result<(String, Option<Owner>)> {
        let path = std::path::absolute(path).context("cannot use this path")?;
        // Files are recorded as the system sees them that they are in.
        let inside = path.strip_prefix(&self.sysroot).map(|p| PathBuf::from("/").join(p)).unwrap_or(path);
        let name = inside.to_string_lossy().into_owned();
        let is_it = |r: &&Recipe| r.state.installed && r.state.files.contains(&name);
        if let Some(recipe) = self.recipes.iter().find(is_it) {
            let version = recipe.state.version.clone().unwrap_or_default();
            return Ok((name, Some(Owner::Recipe(recipe.name.clone(), version))));
        }
        let owner = if self.base.is_known()? { self.base.owner(&self.base.place(&name)?)? } else { None };
        Ok((name, owner.map(Owner::Base)))
    }
}

/// Runs it. Exit code [`exit::NOT_FOUND`] if a file belongs to no package.
///
/// # Errors
/// The recipes or the base's list cannot be read.
pub fn run(settings: &Settings, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let owners = Owners::read(settings)?;
    let mut found = paths.iter().map(|path| owners.of(path)).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let places = &settings.places;
    let unclaimed = match found.values().any(Option::is_none) {
        true => Books::open(places)?.unclaimed(&owners.recipes)?,
        false => Vec::new(),
    };
    let unclaimed: Vec<_> = unclaimed.into_iter().map(|(_, record)| record).collect();
    for (name, owner) in found.iter_mut().filter(|(_, owner)| owner.is_none()) {
        let record = places.relative(name).and_then(|path| claims::owner(&unclaimed, path));
        tell(&match record {
            Some(record) => claims::stray(places, record),
            None => format!("{name} belongs to no package"),
        });
        *owner = record.map(|record| Owner::Recipe(record.name.clone(), record.version.clone()));
    }
    if settings.json {
        let of = |value: fn(&Owner) -> Value| -> Value {
            found.iter().map(|(path, o)| (path.clone(), o.as_ref().map_or(Value::Null, value))).collect()
        };
        let (names, from) = (of(|o| json!(o.package())), of(|o| json!(o.from())));
        output::json_of_all([("owners", names), ("from", from)])?;
    } else {
        for (path, owner) in found.iter().filter_map(|(p, o)| o.as_ref().map(|o| (p, o))) {
            output::line(format!("{path}: {owner}"))?;
        }
    }
    let all = found.values().all(Option::is_some);
    Ok(if all { ExitCode::SUCCESS } else { exit::NOT_FOUND.into() })
}
