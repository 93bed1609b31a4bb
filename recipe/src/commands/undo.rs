//! `recipe undo` and `recipe rollback`: an older state comes back, by a transaction like any other.

use std::process::ExitCode;

use anyhow::Context;
use common::cli::Mark;

use super::remove::{Ending, conclude};
use super::{Settings, graph, output};
use crate::claims::{self, Books};
use crate::db;
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve::{self, Changed};
use crate::shelf;
use crate::tx::history::History;
use crate::tx::journal::{Journal, Package};
use crate::tx::restore::restore;
use crate::tx::{self, Desk, plan::Planner};

/// Options of `recipe undo`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The transaction; default: the last one. To undo an undoing is to do it again.
    tx: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What both have.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct How {
    /// Say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do it although installed packages would lack something.
    #[arg(long)]
    no_deps: bool,
}

/// Options of `recipe rollback`.
#[derive(Debug, clap::Args)]
pub struct RollbackOptions {
    /// Name of a package.
    name: String,
    /// The version; default: the one before the one that is installed.
    version: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What is to be of a package.
enum Goal {
    /// What this transaction installed.
    Installed(String, bool),
    /// It was not there.
    Gone,
}

/// Runs `recipe undo`.
///
/// # Errors
/// There is no such transaction, something happened to its packages since, or files were changed.
pub fn undo(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let desk = settings.desk_or_look(options.how.dry_run)?;
    let history = history(&desk)?;
    let tx = match &options.tx {
        Some(tx) => tx.clone(),
        None => {
            let last = history.newest_first().next().map(str::to_owned);
            last.context("there is no transaction to undo").exit(exit::NOT_FOUND)?
        }
    };
    let journal = history.journal(&tx)?;
    let mut goals = Vec::new();
    // The last that came goes first.
    for package in journal.packages.iter().rev() {
        let recipe =
            Recipe::load(&package.recipe).and_then(|recipe| Books::open(&desk.places)?.settle(recipe));
        let recipe = recipe.with_context(|| format!("{} has no recipe any more", package.name));
        let recipe = known(&desk, package, recipe)?;
        if recipe.state.tx.as_deref() != Some(&tx) {
            let since = recipe.state.tx.as_deref().unwrap_or("an edit of its recipe");
            return Err(anyhow::anyhow!("{} was changed since by {since}", package.name))
                .exit(exit::CONFLICT)
                .hint("undo that first; `recipe history` lists all");
        }
        let goal = match (&package.from, &package.from_tx) {
            (Some(_), Some(from)) => Goal::Installed(from.clone(), package.was_dep),
            (Some(version), None) => {
                return Err(anyhow::anyhow!(
                    "what {} {version} had installed was not recorded",
                    package.name
                ))
                .exit(exit::NOT_FOUND)
                .hint(format!(
                    "`recipe install --reinstall {}` installs what its recipe says",
                    package.name
                ));
            }
            (None, _) => Goal::Gone,
        };
        goals.push((recipe, goal));
    }
    Work { settings, desk: &desk, history: &history, undone: Some(&journal), how: options.how }.run(&goals)
}

/// The recipe of a package, unless its file lost its state, or is gone, though the package is here: then it is said how that comes back.
fn known(desk: &Desk, package: &Package, recipe: anyhow::Result<Recipe>) -> anyhow::Result<Recipe> {
    let lost = match &recipe {
        Ok(recipe) => !recipe.state.installed && recipe.claim.is_none(),
        Err(_) => !package.recipe.exists(),
    };
    match claims::lost(&desk.places, &package.name).filter(|_| lost) {
        Some((why, hint)) => match recipe {
            Ok(_) => Err(anyhow::anyhow!("{why}")).exit(exit::CONFLICT),
            Err(e) => Err(e),
        }
        .hint(hint),
        None => recipe,
    }
}

/// Runs `recipe rollback`.
///
/// # Errors
/// The package is not installed, the version is not known any more, or files were changed.
pub fn rollback(settings: &Settings, options: &RollbackOptions) -> anyhow::Result<ExitCode> {
    shelf::installed(&settings.places, &options.name)?;
    let desk = settings.desk_or_look(options.how.dry_run)?;
    let recipe = shelf::installed(&settings.places, &options.name)?;
    let now = recipe.installed_version().unwrap_or_default();
    let is_wanted = |record: &db::Record| match &options.version {
        Some(version) => record.version == *version,
        None => record.version != now,
    };
    let records = db::all(&desk.own, &recipe.name)?;
    let found = records.iter().rev().find(|(_, record)| is_wanted(record)).map(|(tx, _)| tx.clone());
    let mut known: Vec<_> = records.iter().map(|(_, r)| r.version.as_str()).filter(|v| *v != now).collect();
    // One that was installed several times is said once, where it was the last time.
    let all = known.clone();
    let mut at = 0;
    known.retain(|version| {
        at += 1;
        !all[at..].contains(version)
    });
    let wanted = options.version.as_deref().unwrap_or("an older version");
    let from = found
        .with_context(|| format!("{wanted} of {} is not known", recipe.name))
        .exit(exit::NOT_FOUND)
        .hint(match known[..] {
            [] => "no other version of it is kept".to_owned(),
            _ => format!("known are {}", known.join(", ")),
        })?;
    let as_dep = recipe.state.as_dep;
    let goals = vec![(recipe, Goal::Installed(from, as_dep))];
    let history = history(&desk)?;
    Work { settings, desk: &desk, history: &history, undone: None, how: options.how }.run(&goals)
}

fn history(desk: &Desk) -> anyhow::Result<History> {
    History::open(&desk.own)?.context("nothing has been done here yet").exit(exit::NOT_FOUND)
}

/// What both work with.
struct Work<'a> {
    settings: &'a Settings,
    desk: &'a Desk,
    history: &'a History,
    /// The transaction that is undone, if one is.
    undone: Option<&'a Journal>,
    how: How,
}

impl Work<'_> {
    fn run(&self, goals: &[(Recipe, Goal)]) -> anyhow::Result<ExitCode> {
        self.pins(goals)?;
        if !self.how.no_deps {
            self.needs(goals)?;
        }
        let desk = self.desk;
        let tx = Desk::new_tx();
        let given_back = self.given_back()?;
        let overwrite = |shown: &str| given_back.iter().any(|path| desk.places.installed(path) == shown);
        let mut planner = Planner::new(desk, tx.clone(), &overwrite);
        let mut leaving = Vec::new();
        // What goes makes room for what comes.
        for (recipe, goal) in goals {
            if matches!(goal, Goal::Gone) && recipe.state.installed {
                planner.remove(recipe)?;
                leaving.push(recipe);
            }
        }
        for (recipe, goal) in goals {
            if let Goal::Installed(from, as_dep) = goal {
                let made = restore(desk, &tx, recipe, from, self.history, self.undone)?;
                planner.install(made, *as_dep)?;
            }
        }
        if let Some(undone) = self.undone {
            planner.give_back(undone, self.history)?;
        }
        let plan = planner.finish()?;
        // Who undoes the last transaction has not said what is in it; a rollback names its package.
        let (surprising, dry_run, json) = (self.undone.is_some(), self.how.dry_run, self.settings.json);
        let ending = Ending { surprising, done: !dry_run, dry_run, json };
        conclude(desk, &plan, &output::rows(&plan), &leaving, ending)
    }

    /// Files of nobody that the undone transaction had brought back, and that are still what they were: they may be replaced again.
    fn given_back(&self) -> anyhow::Result<Vec<&str>> {
        let mut paths = Vec::new();
        for (path, what) in self.undone.iter().flat_map(|journal| journal.given_back()) {
            let found = tx::restore::here(&self.desk.prefix, path);
            let found =
                found.with_context(|| format!("failed to examine {}", self.desk.places.installed(path)))?;
            paths.extend((found.as_ref() == Some(what)).then_some(path));
        }
        Ok(paths)
    }

    /// What comes back must be what its user allows.
    fn pins(&self, goals: &[(Recipe, Goal)]) -> anyhow::Result<()> {
        for (recipe, goal) in goals {
            if let Goal::Installed(from, _) = goal
                && let Some(record) = db::read(&self.desk.own, &recipe.name, from)?
            {
                resolve::allowed(recipe, &record.version)?;
            }
        }
        Ok(())
    }

    /// What is installed must not lack anything afterwards that it has now.
    fn needs(&self, goals: &[(Recipe, Goal)]) -> anyhow::Result<()> {
        let becomes = |recipe: &Recipe, from: &str| -> anyhow::Result<_> {
            // What is not known any more is an error of its own, later.
            let Some(record) = db::read(&self.desk.own, &recipe.name, from)? else { return Ok(None) };
            let needs = record.deps.iter().map(|text| resolve::parse(recipe, text));
            Ok(Some((record.version, needs.collect::<anyhow::Result<_>>()?)))
        };
        let mut changes = Vec::new();
        for (recipe, goal) in goals {
            let becomes = match goal {
                Goal::Installed(from, _) => becomes(recipe, from)?,
                Goal::Gone => None,
            };
            changes.push(Changed { name: recipe.name.clone(), becomes });
        }
        resolve::none_broken(graph(&self.desk.places, &self.desk.own)?.broken(&changes), &self.desk.base)
    }
}
