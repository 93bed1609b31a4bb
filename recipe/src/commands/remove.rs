//! `recipe remove` and `recipe autoremove`: names -> one transaction.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use common::cli::{Mark, tell};

use super::{Settings, graph, output};
use crate::code::Code;
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve::{Broken, Graph};
use crate::shelf;
use crate::tx::{self, Desk, Plan, make, plan::Planner};
use crate::voice::{ask, summary};

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Names of packages.
    #[arg(required = true)]
    names: Vec<String>,
    /// Say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Remove also what came only because these packages needed it.
    #[arg(short = 's', long)]
    recursive: bool,
    /// Remove also the packages that need these.
    #[arg(short, long)]
    cascade: bool,
    /// Remove them although other packages need them.
    #[arg(long, conflicts_with = "cascade")]
    no_deps: bool,
}

/// Runs `recipe remove`.
///
/// # Errors
/// A package is not installed or needed by another, its `remove()` fails, or files cannot be moved.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let find = |name: &String| Ok(shelf::installed(&settings.places, name)?.name);
    let all = || options.names.iter().map(find).collect::<anyhow::Result<BTreeSet<_>>>();
    // Wrong names are said before anything is locked; but whoever waits may wait for them to be installed.
    if settings.wait.is_zero() {
        all()?;
    }
    let desk = settings.desk_or_look(options.dry_run)?;
    let asked = all()?;
    let graph = graph(&desk.places, &desk.own)?;
    let dependents = if options.cascade { graph.dependents(&asked, &desk.base)? } else { asked.clone() };
    let mut names = dependents.clone();
    if options.recursive {
        names.append(&mut graph.left_behind(&dependents, &desk.base)?);
    }
    if !options.no_deps {
        nobody_lacks(&graph.lacking(&names, &desk.base)?)?;
    }
    let why = |name: &str| {
        let needs = || graph.needs(name).find(|r| dependents.contains(&r.name));
        match (asked.contains(name), dependents.contains(name).then(needs).flatten()) {
            (true, _) => None,
            (false, Some(needed)) => Some(format!("needs {}", needed.name)),
            (false, None) => Some(LEFT.to_owned()),
        }
    };
    remove(settings, &desk, &graph, &names, options.dry_run, &why)
}

/// Nothing is lacking, or an error that says all of it.
fn nobody_lacks(lacking: &[Broken]) -> anyhow::Result<()> {
    if lacking.is_empty() {
        return Ok(());
    }
    let line = |need: &Broken| format!("{} is needed by {}", need.requirement, need.by);
    let lines: Vec<_> = lacking.iter().map(line).collect();
    Err(anyhow::anyhow!("{}", lines.join("\n  ")))
        .exit(exit::DEPENDENCY)
        .hint("--cascade removes them too; --no-deps removes only what was named")
}

/// Why packages go that came for others.
const LEFT: &str = "not needed any more";

/// Runs `recipe autoremove`: what came for others which are gone.
///
/// # Errors
/// As [`run`].
pub fn autoremove(settings: &Settings, dry_run: bool) -> anyhow::Result<ExitCode> {
    let desk = settings.desk_or_look(dry_run)?;
    let graph = graph(&desk.places, &desk.own)?;
    remove(settings, &desk, &graph, &graph.orphans(&BTreeSet::new()), dry_run, &|_| Some(LEFT.to_owned()))
}

fn remove(
    settings: &Settings,
    desk: &Desk,
    graph: &Graph,
    names: &BTreeSet<String>,
    dry_run: bool,
    why: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<ExitCode> {
    let tx = Desk::new_tx();
    let installed = |name: &String| {
        // Between two looks it may have become unreadable: then this says why.
        graph
            .installed
            .get(name)
            .map_or_else(|| shelf::installed(&desk.places, name), |recipe| Ok(recipe.clone()))
    };
    let recipes = names.iter().map(installed).collect::<anyhow::Result<Vec<_>>>()?;
    let mut planner = Planner::new(desk, tx.clone(), &|_| false);
    recipes.iter().try_for_each(|recipe| planner.remove(recipe))?;
    let plan = planner.finish()?;
    let mut rows = output::rows(&plan);
    rows.iter_mut().for_each(|row| row.why = why(&row.name));
    let surprising = rows.iter().any(|row| row.why.is_some());
    let leaving: Vec<_> = recipes.iter().collect();
    let done = !dry_run && !recipes.is_empty();
    conclude(desk, &plan, &rows, &leaving, Ending { surprising, done, dry_run, json: settings.json })
}

/// How [`conclude`] ends.
pub(super) struct Ending {
    /// More happens than was asked for: it is asked.
    pub(super) surprising: bool,
    /// It is done, not only said.
    pub(super) done: bool,
    pub(super) dry_run: bool,
    pub(super) json: bool,
}

/// Shows what a transaction does, asks where that is needed, carries it out (first `remove()` of what leaves), and says so.
pub(super) fn conclude(
    desk: &Desk,
    plan: &Plan,
    rows: &[summary::Row],
    leaving: &[&Recipe],
    Ending { surprising, done, dry_run, json }: Ending,
) -> anyhow::Result<ExitCode> {
    summary::show(rows, surprising);
    if done {
        if surprising {
            ask::proceed(rows.iter().any(summary::Row::loses), &desk.interrupt)?;
        }
        leaving.iter().try_for_each(|recipe| before(desk, &plan.journal.tx, recipe))?;
        tx::run(desk, plan)?;
    }
    output::changes(plan, done, json)?;
    if !dry_run {
        summary::done(rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `remove()` of the recipe as it was installed: the file may be a newer version's by now.
pub(super) fn before(desk: &Desk, tx: &str, recipe: &Recipe) -> anyhow::Result<()> {
    let old = match Code::installed(&desk.own, recipe)? {
        Some(code) => code,
        None => {
            tell(&format!(
                "there is no copy of {} as it was installed; its present recipe is used",
                recipe.name
            ));
            let code = Code::load(&recipe.path)?;
            // Nobody has let this one run before.
            desk.trusts(&code)?;
            code
        }
    };
    if !old.recipe.has("remove") {
        return Ok(());
    }
    let program = make::program(desk, tx, &old, None)?;
    program.run("remove").map(drop).with_context(|| format!("remove of {} failed", recipe.name))
}
