//! `recipe lock`: recipes -> recipe.lock, or what in it is not so any more.

use std::collections::BTreeMap;
use std::process::ExitCode;

use common::cli::{Mark, tell};
use serde_json::json;

use super::{Settings, output};
use crate::db;
use crate::exit;
use crate::lockfile::{Lockfile, NAME, Package, State, digest_of};
use crate::recipe::{Recipe, with_text};
use crate::resolve;
use crate::shelf;
use crate::tx::Desk;
use crate::tx::make::{self, Outcome};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Names of recipes; these and what they need are written down, other entries stay. Default: what is installed, and nothing
    /// else.
    names: Vec<String>,
    /// Only say what is not as it was written down.
    #[arg(long)]
    check: bool,
    /// Say what would be written; write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it. Packages whose sources nobody knows are made, but not installed.
///
/// # Errors
/// A recipe is not found, or cannot be made; with `--check`, something differs (exit code [`exit::LOCKFILE`]).
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    if options.check {
        return check(settings, &options.names);
    }
    // What is written down now is made as it is now.
    let settings = Settings { locked: false, ..settings.clone() };
    let mut desk = settings.desk()?;
    let before = desk.lockfile.take().unwrap_or_default();
    let wanted = match &options.names[..] {
        [] => {
            let (recipes, _) = shelf::all(&desk.places.recipes)?;
            recipes.into_iter().filter(|r| r.state.installed).collect()
        }
        names => names.iter().map(|n| shelf::load(&desk.places, n)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    let mut after = if options.names.is_empty() { Lockfile::new() } else { before.clone() };
    for recipe in closure(&desk, wanted)?.values() {
        if let Some(package) = entry(&desk, recipe, &before)? {
            after.put(package);
        }
    }
    if !options.dry_run && (after != before || !desk.places.recipes.join(NAME).exists()) {
        after.write(&desk.places.recipes)?;
    }
    print(&before, &after, !options.dry_run, settings.json)
}

/// These recipes and what they need, as on a system where none of them is installed.
fn closure(desk: &Desk, wanted: Vec<Recipe>) -> anyhow::Result<BTreeMap<String, Recipe>> {
    let mut all = BTreeMap::new();
    let mut todo = wanted;
    while let Some(recipe) = todo.pop() {
        if all.contains_key(&recipe.name) {
            continue;
        }
        for text in recipe.deps.iter().chain(&recipe.build_deps) {
            let requirement = resolve::parse(&recipe, text)?;
            let mut find = |name: &str| {
                let found = shelf::load(&desk.places, name)?;
                Ok(Recipe { state: Default::default(), pinned: None, ..found })
            };
            let needed = || format!("{requirement} is needed by {}", recipe.name);
            let choice = resolve::choose(&requirement, false, &desk.base, &mut find);
            if let Some(dependency) = anyhow::Context::with_context(choice, needed)? {
                todo.push(shelf::load(&desk.places, &dependency.name)?);
            }
        }
        all.insert(recipe.name.clone(), recipe);
    }
    Ok(all)
}

/// What is written down of a recipe; none if it is there by other means.
fn entry(desk: &Desk, recipe: &Recipe, before: &Lockfile) -> anyhow::Result<Option<Package>> {
    let (recipe, text) = with_text(&recipe.path)?;
    if let State::Same(package) = before.state_of(&recipe, &text)? {
        return Ok(Some(package.clone()));
    }
    let digest = digest_of(&recipe, &text)?;
    // What is installed was made from this recipe: then its sources are known.
    if let (Some(record), Some(tx)) = (db::installed(&desk.own, &recipe)?, &recipe.state.tx)
        && let Some(old) = db::recipe(&desk.own, &recipe.name, tx)?
        && record.version == recipe.version
        && digest_of(&recipe, &old)? == digest
    {
        return Ok(Some(Package::new(&recipe, &digest, record.sources)));
    }
    for text in &recipe.build_deps {
        let requirement = resolve::parse(&recipe, text)?;
        let mut find = |name: &str| shelf::load(&desk.places, name);
        if let Some(missing) = resolve::choose(&requirement, false, &desk.base, &mut find)? {
            return Err(anyhow::anyhow!("{} is needed to make {}", missing.name, recipe.name))
                .exit(exit::DEPENDENCY)
                .hint(format!("`recipe install --as-dep {}` installs it", missing.name));
        }
    }
    tell(&format!("{} {} is made, to see from what", recipe.name, recipe.version));
    Ok(match make::make(desk, &Desk::new_tx(), &recipe.path)? {
        Outcome::Made(made) => Some(Package::new(&recipe, &digest, made.sources)),
        Outcome::Present(_) => {
            tell(&format!("{} is there already, but not installed by recipe: it is left out", recipe.name));
            None
        }
    })
}

fn print(before: &Lockfile, after: &Lockfile, done: bool, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let all = json!({ "schema": 1, "done": done, "packages": after.packages });
        output::line(serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for package in &after.packages {
        let Package { name, version, .. } = package;
        match before.get(name) {
            Some(old) if old == package => {}
            Some(old) => output::line(format!("~ {name} {} -> {version}", old.version))?,
            None => output::line(format!("+ {name} {version}"))?,
        }
    }
    for old in before.packages.iter().filter(|old| after.get(&old.name).is_none()) {
        output::line(format!("- {} {}", old.name, old.version))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which recipes are not as they were written down.
fn check(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let lockfile = Lockfile::read(&settings.places.recipes, true)?.unwrap_or_default();
    let mut wrong = BTreeMap::new();
    let all: Vec<_> = match names {
        [] => lockfile.packages.iter().map(|package| package.name.clone()).collect(),
        names => names.to_vec(),
    };
    for name in &all {
        let state = shelf::find(&settings.places, name)
            .and_then(|path| with_text(&path))
            .map(|(recipe, text)| lockfile.state_of(&recipe, &text));
        let why = match state {
            Ok(state) => match state? {
                State::Same(_) => continue,
                State::Other(why) => why,
                State::Missing => format!("it is not in {NAME}"),
            },
            Err(e) => format!("{e:#}"),
        };
        wrong.insert(name.clone(), why);
    }
    if settings.json {
        output::json_of("differs", &wrong)?;
    } else {
        wrong.iter().try_for_each(|(name, why)| output::line(format!("{name}: {why}")))?;
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { exit::LOCKFILE.into() })
}
