//! `recipe lock`: recipes -> recipe.lock, or what in it is not so any more.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use common::cli::{Mark, tell};
use serde_json::json;

use super::{Settings, output};
use crate::base::Base;
use crate::code::Code;
use crate::db::{self, Source};
use crate::dir::Dir;
use crate::exit;
use crate::lockfile::{Lockfile, NAME, Package, State, resolved};
use crate::places::{OWN, Places};
use crate::recipe::Recipe;
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
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Make packages again, from what is downloaded anew, and write that down; those that are named, or all.
    #[arg(long)]
    update: bool,
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
    let mut desk = settings.desk_or_look(options.dry_run)?;
    let before = desk.lockfile.take().unwrap_or_default();
    desk.anew = options.update;
    let wanted = match &options.names[..] {
        [] => {
            // What a file only says is installed may be on its way here (`recipe sync-state`).
            shelf::every(&desk.places)?
                .into_iter()
                .filter(|r| r.state.installed || r.claim.is_some())
                .collect()
        }
        names => names.iter().map(|n| shelf::load(&desk.places, n)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    let mut after = if options.names.is_empty() { Lockfile::new() } else { before.clone() };
    let named: Vec<_> = wanted.iter().map(|recipe| recipe.name.clone()).collect();
    for recipe in closure(&desk.places, &desk.base, wanted)?.values() {
        let how = match named.contains(&recipe.name) {
            true if options.update => How::Anew,
            true if !options.names.is_empty() => How::Compared,
            _ => How::Kept,
        };
        if let Some(package) = entry(&desk, recipe, &before, how)? {
            after.put(package);
        }
    }
    if !options.dry_run && (after != before || !desk.places.recipes.join(NAME).exists()) {
        after.write(&desk.places.recipes)?;
    }
    print(&before, &after, !options.dry_run, settings.json)
}

/// These recipes and what they need, as on a system where none of them is installed.
pub(super) fn closure(
    places: &Places,
    base: &Base,
    wanted: Vec<Recipe>,
) -> anyhow::Result<BTreeMap<String, Recipe>> {
    let mut all = BTreeMap::new();
    let mut todo = wanted;
    while let Some(recipe) = todo.pop() {
        if all.contains_key(&recipe.name) {
            continue;
        }
        for text in recipe.deps.iter().chain(&recipe.build_deps) {
            if let Ok(dependency) = choice(places, base, &recipe, text)? {
                todo.push(shelf::load(places, &dependency.name)?);
            }
        }
        all.insert(recipe.name.clone(), recipe);
    }
    Ok(all)
}

/// The recipe that a dependency would be, where none is installed; else the name of what the base has.
fn choice(
    places: &Places,
    base: &Base,
    recipe: &Recipe,
    text: &str,
) -> anyhow::Result<Result<Recipe, String>> {
    let requirement = resolve::parse(recipe, text)?;
    let mut find = |name: &str| {
        let found = shelf::load(places, name)?;
        Ok(Recipe { state: Default::default(), pinned: None, ..found })
    };
    let choice = resolve::choose(&requirement, false, base, &mut find);
    let choice = choice.with_context(|| format!("{requirement} is needed by {}", recipe.name))?;
    Ok(choice.ok_or(requirement.name))
}

/// What a recipe's dependencies would be, where none is installed.
fn deps(places: &Places, base: &Base, recipe: &Recipe) -> anyhow::Result<Vec<String>> {
    let dep = |text: &String| {
        Ok(match choice(places, base, recipe, text)? {
            Ok(found) => resolved(&found.name, Some(&found.version)),
            Err(name) => resolved(&name, None),
        })
    };
    recipe.deps.iter().map(dep).collect()
}

/// What is done about an entry that is true of its recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It stays.
    Kept,
    /// What is installed knows better.
    Compared,
    /// The package is made again.
    Anew,
}

/// What is written down of a recipe; none if it is there by other means.
fn entry(desk: &Desk, recipe: &Recipe, before: &Lockfile, how: How) -> anyhow::Result<Option<Package>> {
    let code = Code::load(&recipe.path)?;
    let recipe = &code.recipe;
    let deps = deps(&desk.places, &desk.base, recipe)?;
    let kept = match before.state_of(&code)? {
        State::Same(package) if how != How::Anew => Some(package.clone().with_deps(deps.clone())),
        _ => None,
    };
    if how == How::Kept && kept.is_some() {
        return Ok(kept);
    }
    let (digest, old) = (code.digest()?, before.get(&recipe.name));
    if how != How::Anew
        && let Some(sources) = installed_from(&desk.own, &code)?
    {
        return Ok(Some(Package::new(recipe, &digest, deps, sources).with_others(old)));
    }
    if kept.is_some() {
        return Ok(kept);
    }
    for text in &recipe.build_deps {
        let requirement = resolve::parse(recipe, text)?;
        let mut find = |name: &str| shelf::load(&desk.places, name);
        if let Some(missing) = resolve::choose(&requirement, false, &desk.base, &mut find)? {
            return Err(anyhow::anyhow!("{} is needed to make {}", missing.name, recipe.name))
                .exit(exit::DEPENDENCY)
                .hint(format!("`recipe install --as-dep {}` installs it", missing.name));
        }
    }
    tell(&format!("{} {} is made, to see from what", recipe.name, recipe.version));
    Ok(match make::make(desk, &Desk::new_tx(), &recipe.path)? {
        Outcome::Made(made) => Some(Package::new(recipe, &digest, deps, made.sources).with_others(old)),
        Outcome::Present(_) => {
            tell(&format!("{} is there already, but not installed by recipe: it is left out", recipe.name));
            None
        }
    })
}

/// What was installed was made from this, if it was made from this recipe.
fn installed_from(own: &Dir, code: &Code) -> anyhow::Result<Option<Vec<Source>>> {
    let recipe = &code.recipe;
    let Some(record) = db::installed(own, recipe)?.filter(|record| record.version == recipe.version) else {
        return Ok(None);
    };
    let old = Code::installed(own, recipe)?;
    let is_same = old.is_some_and(|old| matches!((old.digest(), code.digest()), (Ok(a), Ok(b)) if a == b));
    Ok(is_same.then_some(record.sources))
}

fn print(before: &Lockfile, after: &Lockfile, done: bool, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::json_of_all([("done", done.into()), ("packages", json!(after.packages))])?;
        return Ok(ExitCode::SUCCESS);
    }
    for package in &after.packages {
        let Package { name, version, .. } = package;
        match before.get(name) {
            Some(old) if old == package => {}
            old => output::line(output::change(name, old.map(|old| &*old.version), Some(version)))?,
        }
    }
    for old in before.packages.iter().filter(|old| after.get(&old.name).is_none()) {
        output::line(output::change(&old.name, Some(&old.version), None))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which recipes are not as they were written down.
fn check(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let lockfile = Lockfile::read(&settings.places.recipes, true)?.unwrap_or_default();
    let base = Base::of(&settings.places.sysroot);
    // Without a prefix nothing is installed.
    let own = Dir::open(&settings.places.prefix_here().join(OWN)).ok();
    let installed = |code: &Code| own.as_ref().map_or(Ok(None), |own| installed_from(own, code));
    let mut wrong = BTreeMap::new();
    let all: Vec<_> = match names {
        [] => lockfile.packages.iter().map(|package| package.name.clone()).collect(),
        names => names.to_vec(),
    };
    for name in &all {
        let state = shelf::find(&settings.places, name)
            .and_then(|path| Code::load(&path))
            .and_then(|code| Ok((lockfile.state_of(&code)?, code)));
        let why = match state {
            Ok((state, code)) => match state {
                State::Same(package) => {
                    let deps = deps(&settings.places, &base, &code.recipe);
                    match deps.and_then(|deps| Ok((package.deps_differ(&deps), installed(&code)?))) {
                        Ok((None, Some(sources))) if !package.is_made_from(&sources) => {
                            "the lock file has it made from other files than what is installed".to_owned()
                        }
                        Ok((None, _)) => continue,
                        Ok((Some(why), _)) => why,
                        Err(e) => format!("{e:#}"),
                    }
                }
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
