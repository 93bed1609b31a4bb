//! `recipe sync-state`: what recipe files say is installed -> what this prefix has.
//!
//! Recipe files carry their state: copied to another machine they say that packages are installed which are not there. One
//! transaction makes that true. What is here is known from the prefix's own records ([`crate::claims`]).

mod compare;

use std::process::ExitCode;

use anyhow::Context;
use common::cli::{Mark, tell};
use serde_json::json;

use self::compare::{Finding, Problem};
use super::install::{self, Coming};
use super::{Settings, output};
use crate::claims::Books;
use crate::db;
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve;
use crate::shelf;
use crate::state::State;
use crate::tx::{self, Desk, Plan};

/// Options.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Names of packages; default: all.
    names: Vec<String>,
    /// Say what would be done; make nothing, download nothing, change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Correct the files instead: what is not here is not installed.
    #[arg(long, conflicts_with_all = ["remove", "overwrite"])]
    forget: bool,
    /// Remove what is here, but what no recipe file says is installed.
    #[arg(long, conflicts_with = "adopt")]
    remove: bool,
    /// Write what is here into its recipe file again; a file that is gone comes back as it was installed.
    #[arg(long)]
    adopt: bool,
    /// Replace files that belong to no package and match this pattern (`*` is any text).
    #[arg(long, value_name = "PATTERN")]
    overwrite: Vec<String>,
}

impl Options {
    /// Those of `recipe install --all`.
    pub(super) fn all(dry_run: bool, overwrite: Vec<String>) -> Self {
        Self { dry_run, overwrite, ..Self::default() }
    }
}

/// Runs it. Exit code [`exit::RECIPE`] if a recipe cannot be read: what it says is not known.
///
/// # Errors
/// The files are another prefix's, or as `recipe install`.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let overwrite = install::patterns(&options.overwrite)?;
    let desk = settings.desk_or_look(options.dry_run)?;
    let (recipes, errors) = shelf::all(&desk.places)?;
    let mut findings = compare::compare(&desk, &recipes)?;
    select(settings, &mut findings, &recipes, &options.names)?;
    let books = Books::open(&desk.places)?;
    findings.iter().filter_map(|f| f.recipe.as_ref()).try_for_each(|recipe| books.not_of_another(recipe))?;
    decide(options, &mut findings);
    let wrong = of(&findings, |f| f.action == "correct");
    let coming = foresee(&desk, &mut findings)?;
    let leaving = leaving(&desk, &recipes, &coming, &findings)?;
    let mut plans = Vec::new();
    if options.dry_run {
        dry(&coming, &findings, settings.json)?;
    } else {
        // Files that are gone must be there before anything can be written into them, and what they say is true before it is built on.
        bring_back(&desk, &findings)?;
        wrong.iter().try_for_each(|recipe| tx::rewrite(&desk, recipe, |_| {}))?;
        let done = install::quietly(&desk, &overwrite, coming, &leaving, &mut plans, settings.json);
        if done.is_err() && !settings.json {
            // What came to build the rest is here.
            plans.iter().try_for_each(|plan| output::changes(plan, true, false))?;
        }
        done?;
    }
    print(settings, &desk, &plans, &findings, !options.dry_run)?;
    Ok(output::unreadable(&errors))
}

/// Only what was asked for.
fn select(
    settings: &Settings,
    findings: &mut Vec<Finding>,
    recipes: &[Recipe],
    names: &[String],
) -> anyhow::Result<()> {
    for name in names {
        if recipes.iter().all(|r| r.name != *name) && findings.iter().all(|f| f.name != *name) {
            shelf::load(&settings.places, name)?;
        }
    }
    findings.retain(|f| names.is_empty() || names.contains(&f.name));
    Ok(())
}

/// What is done about each.
fn decide(options: &Options, findings: &mut [Finding]) {
    for finding in findings {
        finding.action = match finding.problem {
            Problem::Unclaimed if options.remove => "remove",
            Problem::Unclaimed if options.adopt => "correct",
            Problem::Unclaimed => "none",
            // There is nothing wrong with the file.
            Problem::Broken | Problem::Moved if options.forget => "none",
            Problem::Stale | Problem::Edited => "correct",
            _ if options.forget => "correct",
            Problem::Other => "upgrade",
            Problem::Missing | Problem::Broken | Problem::Moved => "install",
        };
    }
}

/// The recipes of some findings.
fn of(findings: &[Finding], is_it: fn(&Finding) -> bool) -> Vec<Recipe> {
    findings.iter().filter(|f| is_it(f)).filter_map(|f| f.recipe.clone()).collect()
}

/// All transactions. What is needed in another version than is here comes, whatever was decided about its file.
fn foresee(desk: &Desk, findings: &mut [Finding]) -> anyhow::Result<Vec<Coming>> {
    let wanted = of(findings, |f| matches!(f.action, "install" | "upgrade"));
    let here = of(findings, |f| f.problem == Problem::Unclaimed && f.action != "none");
    let leaving = of(findings, |f| f.action == "remove");
    let coming = install::foresee_among(desk, wanted, &here, &leaving)?;
    for step in coming.iter().flat_map(|transaction| &transaction.steps) {
        let found = findings.iter_mut().find(|f| f.name == step.recipe.name && !f.gone);
        if let Some(found) = found.filter(|f| f.action != "install") {
            found.action = "upgrade";
        }
    }
    Ok(coming)
}

/// What goes; nothing that stays or comes may need it.
fn leaving(
    desk: &Desk,
    recipes: &[Recipe],
    coming: &[Coming],
    findings: &[Finding],
) -> anyhow::Result<Vec<Recipe>> {
    let go: Vec<_> = findings.iter().filter(|f| f.action == "remove").collect();
    let stays = recipes.iter().filter(|r| r.state.installed || r.claim.is_some());
    let comes = coming.iter().flat_map(|transaction| transaction.steps.iter().map(|step| &step.recipe));
    for recipe in stays.chain(comes) {
        for text in &recipe.deps {
            let need = resolve::parse(recipe, text)?;
            let by_base = matches!(desk.base.answer(&need)?, crate::base::Answer::Enough(_));
            if go.iter().any(|f| f.name == need.name) && !by_base {
                return Err(anyhow::anyhow!("{} is needed by {}", need.name, recipe.name))
                    .exit(exit::DEPENDENCY)
                    .hint(format!("`recipe sync-state --adopt {}` keeps it", need.name));
            }
        }
    }
    Ok(of(findings, |f| f.action == "remove"))
}

/// Makes the recipe files that are gone of what is to be removed or adopted. What is to be removed is not installed, as far as these say:
/// an interruption changes nothing about that.
fn bring_back(desk: &Desk, findings: &[Finding]) -> anyhow::Result<()> {
    for finding in findings.iter().filter(|f| f.gone && f.action != "none") {
        let Some(recipe) = &finding.recipe else {
            return Err(anyhow::anyhow!("the recipe of {} was not kept", finding.name)).exit(exit::NOT_FOUND);
        };
        let tx = recipe.state.tx.as_deref().unwrap_or_default();
        let text = db::recipe(&desk.own, &finding.name, tx)?
            .with_context(|| format!("the recipe of {} was not kept", finding.name))?;
        let state = if finding.action == "remove" { State::default() } else { recipe.state.clone() };
        let text = state.splice(&text).map_err(|e| crate::state::located(&recipe.path, &text, &e))?;
        tx::bring_back(&recipe.path, &text)?;
        tell(&format!("{} is there again, as it was installed", recipe.path.display()));
    }
    Ok(())
}

/// Says what transactions would do, as far as that is known without making anything.
fn dry(coming: &[Coming], findings: &[Finding], json: bool) -> anyhow::Result<()> {
    let steps = coming.iter().flat_map(|transaction| &transaction.steps);
    for recipe in steps.filter(|_| !json).map(|step| &step.recipe) {
        let here = findings.iter().find(|f| f.name == recipe.name).and_then(|f| f.here.as_deref());
        output::line(output::change(
            &recipe.name,
            recipe.installed_version().or(here),
            Some(&recipe.version),
        ))?;
    }
    Ok(())
}

fn print(
    settings: &Settings,
    desk: &Desk,
    plans: &[Plan],
    findings: &[Finding],
    done: bool,
) -> anyhow::Result<()> {
    findings.iter().for_each(|f| tell(&f.text(&desk.places.prefix.display().to_string())));
    if settings.json {
        let packages: Vec<_> =
            plans.iter().flat_map(|p| &p.journal.packages).map(output::change_json).collect();
        let changed = !packages.is_empty() || findings.iter().any(|f| f.action == "correct");
        let tx = plans.last().map(|p| &p.journal.tx);
        let notes: Vec<_> = plans.iter().flat_map(|p| &p.notes).collect();
        return output::json_of_all([
            ("tx", json!(tx)),
            ("done", (done && changed).into()),
            ("packages", packages.into()),
            ("findings", json!(findings)),
            ("notes", json!(notes)),
        ]);
    }
    plans.iter().try_for_each(|plan| output::changes(plan, true, false))?;
    for finding in findings {
        let version = finding.here.as_deref().unwrap_or("is not installed");
        match (finding.action, finding.problem) {
            ("correct", _) => output::line(format!("= {} {version}", finding.name))?,
            ("remove", _) if !done => output::line(format!("- {} {version}", finding.name))?,
            ("none", Problem::Unclaimed) => output::line(format!("? {} {version}", finding.name))?,
            _ => {}
        }
    }
    // Its own is_installed() says that it is there by other means.
    let still = |f: &&Finding| done && matches!(f.action, "install" | "upgrade");
    for finding in findings.iter().filter(still) {
        if shelf::load(&settings.places, &finding.name).is_ok_and(|r| r.claim.is_some()) {
            tell(&format!("`recipe sync-state --forget {}` corrects its recipe file", finding.name));
        }
    }
    Ok(())
}
