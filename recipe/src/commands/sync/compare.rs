//! What recipe files say, and what a prefix has -> where these differ.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::claims::{Books, other_version};
use crate::db::{self, Record};
use crate::recipe::Recipe;
use crate::tx::Desk;

/// How they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Problem {
    /// The file says that it is installed, and nothing of it is here.
    Missing,
    /// It is here in another version than the file says.
    Other,
    /// It is here as the file says, but the rest of the state is another prefix's.
    Stale,
    /// It is here in another version than the file says, which is right about the rest: somebody edited it.
    Edited,
    /// It was made for another prefix, and came here with all of that.
    Moved,
    /// It is here, but some of its files are missing.
    Broken,
    /// It is here, and no file says so.
    Unclaimed,
}

/// A difference.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) problem: Problem,
    /// The version that the file says is installed.
    pub(super) claimed: Option<String>,
    /// The version that is here.
    pub(super) here: Option<String>,
    /// `install`, `upgrade`, `correct` (the file), `remove`, or `none`.
    pub(super) action: &'static str,
    /// Its recipe, with what is here as its state.
    #[serde(skip)]
    pub(super) recipe: Option<Recipe>,
    /// Whether its recipe file is not there.
    #[serde(skip)]
    pub(super) gone: bool,
}

impl Finding {
    /// In words.
    pub(super) fn text(&self, prefix: &str) -> String {
        let Self { name, .. } = self;
        let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "a version".to_owned());
        let (claimed, here) = (version(&self.claimed), version(&self.here));
        let comes = self.recipe.as_ref().map(|r| r.version.as_str()).unwrap_or_default();
        match self.problem {
            Problem::Missing if comes != claimed && self.action == "install" => {
                format!("{name}: {claimed} should be installed, and is not; the recipe has {comes} now")
            }
            Problem::Missing => format!("{name}: {claimed} should be installed, and is not"),
            Problem::Other if self.action == "upgrade" => {
                format!("{name}: {claimed} should be installed, and {here} is; the recipe has {comes}")
            }
            Problem::Other => format!("{name}: {claimed} should be installed, and {here} is; it stays"),
            Problem::Stale => {
                format!("{name}: {here} is installed; its file has the state of another prefix")
            }
            Problem::Edited => {
                format!("{name}: {here} is installed; its file was edited, and says that {claimed} is")
            }
            Problem::Moved => format!("{name}: {here} was made for another prefix than {prefix}"),
            Problem::Broken => format!("{name}: some files of {here} are missing"),
            Problem::Unclaimed if self.action == "none" => {
                format!(
                    "{name}: {here} is installed, and no recipe file says so; --remove removes it, --adopt keeps it"
                )
            }
            Problem::Unclaimed => format!("{name}: {here} is installed, and no recipe file says so"),
        }
    }
}

/// Where they differ, sorted by name. `recipes`: all that can be read, settled.
pub(super) fn compare(desk: &Desk, recipes: &[Recipe]) -> anyhow::Result<Vec<Finding>> {
    let books = Books::open(&desk.places)?;
    let mut findings = Vec::new();
    for recipe in recipes {
        if let Some(problem) = problem(desk, &books, recipe)? {
            let claimed = recipe.claim.as_deref().unwrap_or(&recipe.state).version.clone();
            let mut recipe = recipe.clone();
            if problem == Problem::Edited {
                recipe.state.version = books.present(&recipe.name)?.map(|(_, record)| record.version);
            }
            findings.push(Finding {
                name: recipe.name.clone(),
                problem,
                claimed,
                here: recipe.installed_version().map(str::to_owned),
                action: "none",
                recipe: Some(recipe),
                gone: false,
            });
        }
    }
    findings.extend(unclaimed(desk, &books, recipes)?);
    findings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(findings)
}

fn problem(desk: &Desk, books: &Books<'_>, recipe: &Recipe) -> anyhow::Result<Option<Problem>> {
    let Some(record) = books.present(&recipe.name)?.map(|(_, record)| record) else {
        // A removed package whose file came out of a backup looks installed as long as its record is kept.
        let claimed = recipe.claim.is_some() || recipe.state.installed;
        return Ok(claimed.then_some(Problem::Missing));
    };
    let Some(claim) = &recipe.claim else {
        let broken = recipe.state.installed && is_broken(desk, &record)?;
        let edited = recipe.state.installed && other_version(&desk.places, recipe, &record).is_some();
        return Ok(broken.then_some(Problem::Broken).or(edited.then_some(Problem::Edited)));
    };
    let (theirs, here) = (Path::new(&record.prefix), desk.places.prefix.as_path());
    // The same directory may have two names.
    let same =
        theirs == here || theirs.canonicalize().is_ok_and(|p| here.canonicalize().is_ok_and(|h| h == p));
    Ok(Some(match claim.version.as_deref() == Some(&record.version) {
        _ if !same => Problem::Moved,
        true if is_broken(desk, &record)? => Problem::Broken,
        true => Problem::Stale,
        false => Problem::Other,
    }))
}

/// Whether a file is missing. Users may have removed files that are theirs to edit.
fn is_broken(desk: &Desk, record: &Record) -> anyhow::Result<bool> {
    for entry in record.files.iter().filter(|entry| !entry.config) {
        let shown = || format!("failed to examine {}", desk.places.installed(&entry.path));
        if desk.prefix.stat(&entry.path).with_context(shown)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is here although no recipe file says so.
fn unclaimed(desk: &Desk, books: &Books<'_>, recipes: &[Recipe]) -> anyhow::Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (tx, record) in books.unclaimed(recipes)? {
        let name = record.name.clone();
        let file = recipes.iter().find(|r| r.name == name);
        let recipe = match file {
            Some(recipe) => Some(recipe.clone()),
            None => db::recipe(&desk.own, &name, &tx)?
                .map(|text| Recipe::parse(&text, &desk.places.recipe(&name)))
                .transpose()?,
        };
        let state = books.state(&tx, &record, recipe.as_ref().is_some_and(|r| r.state.as_dep));
        found.push(Finding {
            name,
            problem: Problem::Unclaimed,
            claimed: None,
            here: Some(record.version),
            action: "none",
            recipe: recipe.map(|recipe| Recipe { state, ..recipe }),
            gone: file.is_none(),
        });
    }
    Ok(found)
}
