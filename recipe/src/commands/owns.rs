//! `recipe owns`: file or directory -> packages, of recipe or of the base.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use common::cli::tell;
use serde_json::{Value, json};

use super::{Settings, output};
use crate::base::Base;
use crate::claims::{self, Books};
use crate::db::Record;
use crate::exit;
use crate::places::Places;
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
pub(super) struct Owners<'a> {
    recipes: Vec<Recipe>,
    base: Base,
    places: &'a Places,
    /// What is installed; read when the first directory comes.
    records: OnceCell<Vec<Record>>,
}

impl<'a> Owners<'a> {
    /// # Errors
    /// The recipes cannot be read.
    pub(super) fn read(settings: &'a Settings) -> anyhow::Result<Self> {
        let places = &settings.places;
        // Without recipes there may be a base.
        let recipes = if places.shelf().exists() { shelf::all(places)?.0 } else { Vec::new() };
        Ok(Self { recipes, base: Base::of(&places.sysroot), places, records: OnceCell::new() })
    }

    /// A path as the system sees it that it is in, and whose it is: a file one package's, a directory that of all that have it, by
    /// name; then the base's.
    ///
    /// # Errors
    /// The records, or the base's list, cannot be read.
    pub(super) fn of(&self, path: &Path) -> anyhow::Result<(String, Vec<Owner>)> {
        let path = std::path::absolute(path).context("cannot use this path")?;
        // Files are recorded as the system sees them that they are in.
        let inside = path.strip_prefix(&self.places.sysroot).map(|p| PathBuf::from("/").join(p));
        // Without a slash at the end.
        let name = inside.unwrap_or(path).components().collect::<PathBuf>().to_string_lossy().into_owned();
        let is_it = |r: &&Recipe| r.state.installed && r.state.files.contains(&name);
        if let Some(recipe) = self.recipes.iter().find(is_it) {
            let version = recipe.state.version.clone().unwrap_or_default();
            return Ok((name, vec![Owner::Recipe(recipe.name.clone(), version)]));
        }
        let mut owners = self.of_dir(&name)?;
        if self.base.is_known()? {
            owners.extend(self.base.owner(&self.base.place(&name)?)?.map(Owner::Base));
        }
        Ok((name, owners))
    }

    /// Which packages have a directory; it may be missing.
    fn of_dir(&self, name: &str) -> anyhow::Result<Vec<Owner>> {
        let Some(path) = self.places.relative(name) else { return Ok(Vec::new()) };
        let here = self.places.prefix_here().join(path);
        if here.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            return Ok(Vec::new());
        }
        let records = match self.records.get() {
            Some(records) => records,
            None => {
                let all = Books::open(self.places)?.all()?;
                self.records.get_or_init(|| all.into_iter().map(|(_, record)| record).collect())
            }
        };
        let have = records.iter().filter(|record| record.dirs().contains(path));
        Ok(have.map(|record| Owner::Recipe(record.name.clone(), record.version.clone())).collect())
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
    let unclaimed = match found.values().any(Vec::is_empty) {
        true => Books::open(places)?.unclaimed(&owners.recipes)?,
        false => Vec::new(),
    };
    let unclaimed: Vec<_> = unclaimed.into_iter().map(|(_, record)| record).collect();
    for (name, owners) in found.iter_mut().filter(|(_, owners)| owners.is_empty()) {
        let record = places.relative(name).and_then(|path| claims::owner(&unclaimed, path));
        tell(&match record {
            Some(record) => claims::stray(places, record),
            None => format!("{name} belongs to no package"),
        });
        owners.extend(record.map(|record| Owner::Recipe(record.name.clone(), record.version.clone())));
    }
    if settings.json {
        let of = |value: fn(&Owner) -> Value| -> Value {
            found.iter().map(|(path, all)| (path.clone(), all.first().map_or(Value::Null, value))).collect()
        };
        let (names, from) = (of(|o| json!(o.package())), of(|o| json!(o.from())));
        let all = |owners: &Vec<Owner>| json!(owners.iter().map(Owner::package).collect::<Vec<_>>());
        let all = found.iter().map(|(path, owners)| (path.clone(), all(owners))).collect();
        output::json_of_all([("owners", names), ("from", from), ("packages", all)])?;
    } else {
        for (path, owner) in found.iter().flat_map(|(path, all)| all.iter().map(move |o| (path, o))) {
            output::line(format!("{path}: {owner}"))?;
        }
    }
    let nobodys = found.values().any(Vec::is_empty);
    Ok(if nobodys { exit::NOT_FOUND.into() } else { ExitCode::SUCCESS })
}
