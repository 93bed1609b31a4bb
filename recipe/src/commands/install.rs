//! `recipe install`, and what `recipe upgrade` does in the same way: names -> transactions. What is needed to build comes first, in
//! transactions of its own.
//!
//! 1. [`foresight`]: which, without running anything
//! 2. [`preview`]: shown; a person who did not ask for all of it is asked
//! 3. [`downloads`]: what the lock file has of it, at the same time
//! 4. carried out, one after the other

mod downloads;
mod foresight;
mod preview;
mod words;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use common::cli::{Mark, code};
use globset::GlobMatcher;

use super::{Settings, ahead, details, output};
use crate::claims::{self, Books};
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve::Step;
use crate::trust;
use crate::tx::make::{self, Outcome};
use crate::tx::{self, Desk, Plan, plan::Planner};
use crate::voice::summary::{self, Row};
use crate::voice::{ask, note, progress};
pub(super) use foresight::Coming;
pub(super) use foresight::{foresee, foresee_among};
pub(super) use preview::{json as plan_json, print as print_plan};
pub(super) use words::or_meant;

/// Options.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Names of recipes, or paths of their files in the recipes' directory.
    #[arg(required_unless_present = "all")]
    names: Vec<OsString>,
    /// Install what recipe files say is installed, but is not here; as `recipe sync-state` does.
    #[arg(long, conflicts_with_all = ["names", "reinstall", "as_dep", "no_deps"])]
    all: bool,
    /// Install again what is installed in this version.
    #[arg(long)]
    reinstall: bool,
    #[command(flatten)]
    dry: Dry,
    /// Note that something else needs these packages: nothing keeps them once that is gone.
    #[arg(long)]
    as_dep: bool,
    /// Install nothing that is not named here.
    #[arg(long)]
    no_deps: bool,
    /// Replace files that belong to no package and match this pattern (`*` is any text).
    #[arg(long, value_name = "PATTERN")]
    overwrite: Vec<String>,
}

/// How far it goes without changing anything.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Dry {
    /// Say what would happen; change nothing.
    #[arg(
        short = 'n',
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "full"
    )]
    dry_run: Option<DryRun>,
}

impl Dry {
    /// No code runs: there is nothing to make.
    pub(super) fn is_plan(self) -> bool {
        self.dry_run == Some(DryRun::Plan)
    }
}

/// Ways to only say what would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Run no code: which packages, in which versions.
    Plan,
    /// Make the packages: also which files, what is in their way, what was downloaded, which programs ran.
    Full,
}

/// Runs it.
///
/// # Errors
/// A recipe is not found or wrong, a dependency cannot be satisfied, a phase fails, files are in the way, or somebody was asked
/// and said no.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    if options.all {
        let all = super::sync::Options::all(options.dry.dry_run.is_some(), options.overwrite.clone());
        return super::sync::run(settings, &all);
    }
    let find = || {
        let paths = options.names.iter().map(|n| words::find(&settings.places, n, options.reinstall));
        or_meant(options.dry, &options.names, paths.collect::<anyhow::Result<Vec<_>>>())
    };
    // Wrong names are said before anything is locked or made.
    find()?;
    let patterns = patterns(&options.overwrite)?;
    let desk = settings.desk_or_look(options.dry.is_plan())?;
    // The first change copies the recipes.
    let (mut paths, mut seen) = (find()?, BTreeSet::new());
    paths.retain(|p| seen.insert(p.clone()));
    let books = Books::open(&settings.places)?;
    let (mut wanted, mut marked) = (Vec::new(), Vec::new());
    for path in &paths {
        let recipe = books.settle(Recipe::load(path)?)?;
        if let Some(why) = claims::untrue(&settings.places, &recipe) {
            note(&format!("{why}; {}", claims::HINT));
        }
        let met = options.names.iter().any(|word| words::is_met(word, &recipe));
        let there = recipe.installed_version().filter(|v| met || *v == recipe.version);
        if let Some(version) = there.filter(|_| !options.reinstall) {
            ahead::installed_as_locked(&desk, &recipe)?;
            // A file with another prefix's state is for `sync-state` to correct.
            if recipe.state.as_dep && !options.as_dep && recipe.claim.is_none() {
                marked.push(recipe);
            } else {
                note(&format!("{} {version} is installed already", recipe.name));
            }
        } else {
            wanted.push(recipe);
        }
    }
    let why = if options.as_dep { Why::Needed } else { Why::Asked };
    let verb = if options.dry.dry_run.is_some() { "it would be" } else { "it is" };
    let said = |r: &Recipe| {
        format!("{} {} is installed already; {verb} marked as asked for by name", r.name, r.version)
    };
    let work = Work {
        desk: &desk,
        dry: options.dry,
        overwrite: &patterns,
        json: settings.json,
        by_name: true,
        notes: marked.iter().map(said).collect(),
        marked,
    };
    work.run(foresee(&desk, wanted, why, options.no_deps)?)
}

/// What `--overwrite` says.
pub(super) fn patterns(texts: &[String]) -> anyhow::Result<Vec<GlobMatcher>> {
    let patterns = texts.iter().map(|p| globset::Glob::new(p).map(|g| g.compile_matcher()));
    patterns.collect::<Result<Vec<_>, _>>().context("cannot use --overwrite").exit(code::USAGE)
}

/// All of it in one go, without a question and without a word on stdout. Others leave: with the first transaction, since they may be in the
/// way of what comes, but with the last if something is built with them. `done`: the plans of what was done, also before a failure. What is
/// new is said; with `json` it is among the notes of the last plan, too.
pub(super) fn quietly(
    desk: &Desk,
    overwrite: &[GlobMatcher],
    coming: Vec<Coming>,
    leaving: &[Recipe],
    done: &mut Vec<Plan>,
    json: bool,
) -> anyhow::Result<()> {
    let dry = Dry::default();
    let (notes, marked) = (Vec::new(), Vec::new());
    let work = Work { desk, dry, overwrite, json: true, by_name: true, notes, marked };
    work.look_ahead(&coming)?;
    let news = preview::say_news(&preview::rows(desk, &coming)?);
    downloads::ahead(desk, &coming)?;
    let needed = foresight::built_with(&coming, leaving)?;
    let (mut late, mut early): (Vec<_>, Vec<_>) =
        leaving.iter().cloned().partition(|recipe| needed.contains(&recipe.name));
    let mut coming = coming.into_iter().peekable();
    while coming.peek().is_some() || !early.is_empty() || !late.is_empty() {
        let transaction =
            coming.next().unwrap_or(Coming { steps: Vec::new(), why: Why::Same, to_build: None });
        let mut leaving = std::mem::take(&mut early);
        if coming.peek().is_none() {
            leaving.append(&mut late);
        }
        done.push(work.carry_out(transaction, &leaving)?);
    }
    if let Some(last) = done.last_mut() {
        last.notes.extend(news.into_iter().filter(|_| json));
    }
    Ok(())
}

/// Why packages are there afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The user named them.
    Asked,
    /// Something needs them, unless they were asked for before.
    Needed,
    /// As before.
    Same,
}

/// How transactions are carried out.
pub(super) struct Work<'a> {
    pub(super) desk: &'a Desk,
    pub(super) dry: Dry,
    pub(super) overwrite: &'a [GlobMatcher],
    pub(super) json: bool,
    /// The user named what is wanted.
    pub(super) by_name: bool,
    /// What is to be said besides.
    pub(super) notes: Vec<String>,
    /// What is installed, came for others, and was asked for by name now.
    pub(super) marked: Vec<Recipe>,
}

impl Work<'_> {
    /// Shows what is to come, asks, and carries it out.
    pub(super) fn run(&self, coming: Vec<Coming>) -> anyhow::Result<ExitCode> {
        self.look_ahead(&coming)?;
        let rows = preview::rows(self.desk, &coming)?;
        if self.dry.is_plan() {
            summary::show(&rows, true);
            preview::say_news(&rows);
            self.notes.iter().for_each(|note| common::cli::tell(note));
            preview::print(&rows, self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let surprising = rows.iter().any(Row::surprises);
        summary::show(&rows, surprising);
        let news = preview::say_news(&rows);
        if self.dry.dry_run.is_none() && !rows.is_empty() && (surprising || !self.by_name) {
            ask::proceed(rows.iter().any(Row::loses), &self.desk.interrupt)?;
            unchanged(self.desk, &coming, &rows)?;
        }
        // Who only says what would happen cannot make what must be built by something that has to come first.
        if self.dry.dry_run.is_none() || coming.len() == 1 {
            downloads::ahead(self.desk, &coming)?;
        }
        progress::packages(rows.len());
        let mut done = Vec::new();
        let mut coming = coming.into_iter().peekable();
        while let Some(transaction) = coming.next() {
            let is_last = coming.peek().is_none();
            if self.dry.dry_run.is_some() && !is_last {
                return self.cannot_make(&transaction);
            }
            let mut plan = self.carry_out(transaction, &[])?;
            if is_last {
                self.mark()?;
            }
            plan.notes.extend(self.notes.iter().filter(|_| is_last).cloned());
            done.extend(output::rows(&plan));
            let is_done = !plan.changes.is_empty() && self.dry.dry_run.is_none();
            // Data on stdout is one document: that of what was asked for.
            if is_last || !self.json {
                output::changes_after(&plan, &news, is_done, self.json)?;
            }
            if self.dry.dry_run.is_some() {
                return details::print(&plan, self.json).map(|()| ExitCode::SUCCESS);
            }
        }
        if rows.is_empty() {
            let mut nothing = Planner::new(self.desk, Desk::new_tx(), &|_| false).finish()?;
            nothing.notes.clone_from(&self.notes);
            output::changes(&nothing, self.mark()?, self.json)?;
        }
        summary::done(&done);
        Ok(ExitCode::SUCCESS)
    }

    /// What was asked for by name is kept from now on, once all that comes with it is there; whether there is such.
    fn mark(&self) -> anyhow::Result<bool> {
        if self.dry.dry_run.is_some() {
            return Ok(false);
        }
        for recipe in &self.marked {
            tx::rewrite(self.desk, recipe, |state| state.as_dep = false)
                .with_context(|| format!("{} could not be marked as asked for by name", recipe.name))?;
        }
        Ok(!self.marked.is_empty())
    }

    fn cannot_make(&self, missing: &Coming) -> anyhow::Result<ExitCode> {
        let names: Vec<_> = missing.steps.iter().map(|step| step.recipe.name.as_str()).collect();
        let what = missing.to_build.as_deref().unwrap_or("the rest");
        let error = anyhow::anyhow!("{} must be installed before {what} can be made", names.join(", "));
        Err(error).hint("`--dry-run=plan` needs nothing to be made")
    }

    /// One transaction; others leave in it.
    fn carry_out(&self, Coming { steps, why, .. }: Coming, leaving: &[Recipe]) -> anyhow::Result<Plan> {
        let tx = Desk::new_tx();
        let overwrite = |path: &str| self.overwrite.iter().any(|p| p.is_match(path));
        let mut planner = Planner::new(self.desk, tx.clone(), &overwrite);
        // What goes makes room for what comes.
        leaving.iter().try_for_each(|recipe| planner.remove(recipe))?;
        for Step { recipe, wanted } in steps {
            progress::next_package();
            match make::make(self.desk, &tx, &recipe.path)? {
                Outcome::Present(recipe) => {
                    note(&format!("{} is there already, but not installed by recipe", recipe.name));
                }
                Outcome::Made(mut made) => {
                    // What was asked for by name stays asked for.
                    let recipe = &made.code.recipe;
                    let state = recipe.claim.as_deref().unwrap_or(&recipe.state);
                    let as_dep = match why {
                        Why::Asked if wanted => false,
                        Why::Same if state.installed => state.as_dep,
                        _ => !state.installed || state.as_dep,
                    };
                    made.retaken = tx::retake(self.desk, &mut made.code.recipe)?;
                    if made.retaken {
                        note(&format!("{} was here, though no recipe file said so", made.code.recipe.name));
                    }
                    planner.install(*made, as_dep)?;
                }
            }
        }
        let plan = planner.finish()?;
        if !plan.changes.is_empty() && self.dry.dry_run.is_none() {
            leaving.iter().try_for_each(|recipe| super::remove::before(self.desk, &tx, recipe))?;
            tx::run(self.desk, &plan)?;
        }
        Ok(plan)
    }

    /// Before any code runs: all of it is as it should be.
    fn look_ahead(&self, coming: &[Coming]) -> anyhow::Result<()> {
        let all: Vec<_> = coming.iter().flat_map(|c| c.steps.iter().map(|s| s.recipe.clone())).collect();
        ahead::as_locked(self.desk, &all)?;
        ahead::as_trusted(self.desk, &all)
    }
}

/// Recipes must say, and be able to do, what they did when they were shown: somebody may have thought about the question for an hour.
fn unchanged(desk: &Desk, coming: &[Coming], rows: &[Row]) -> anyhow::Result<()> {
    let steps = coming.iter().flat_map(|transaction| &transaction.steps);
    for (Step { recipe, .. }, row) in steps.zip(rows) {
        let now = Recipe::load(&recipe.path)?;
        let what = |r: &Recipe| (r.version.clone(), r.deps.clone(), r.build_deps.clone(), r.allow.clone());
        if what(&now) != what(recipe) || trust::news(&desk.own, recipe)? != row.new {
            return Err(anyhow::anyhow!("the recipe of {} was changed while you were asked", recipe.name))
                .exit(exit::RECIPE)
                .hint("do it again: what would happen is not what was shown");
        }
    }
    Ok(())
}
