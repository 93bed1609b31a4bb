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
use super::install::{self, Why};
use super::{Settings, output};
use crate::claims::Books;
use crate::db;
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve;
use crate::shelf;
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
    let desk = settings.desk()?;
    let (recipes, errors) = shelf::all(&desk.places)?;
    let mut findings = compare::compare(&desk, &recipes)?;
    select(settings, &mut findings, &recipes, &options.names)?;
    let books = Books::open(&desk.places)?;
    findings.iter().filter_map(|f| f.recipe.as_ref()).try_for_each(|recipe| books.not_of_another(recipe))?;
    decide(options, &mut findings);
    let leaving = leaving(&desk, &recipes, &findings)?;
    let plan = if options.dry_run {
        dry(&desk, &findings, settings.json)?;
        None
    } else {
        // Files that are gone must be there before anything can be written into them.
        bring_back(&desk, &mut findings)?;
        let wanted = wanted(&findings);
        let is_needed = !wanted.is_empty() || !leaving.is_empty();
        let plan = is_needed.then(|| install::quietly(&desk, &overwrite, wanted, &leaving, Why::Same));
        let plan = plan.transpose()?;
        correct(&desk, &findings)?;
        plan
    };
    print(settings, &desk, plan.as_ref(), &findings, !options.dry_run)?;
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
            Problem::Stale => "correct",
            _ if options.forget => "correct",
            Problem::Other => "upgrade",
            Problem::Missing | Problem::Broken | Problem::Moved => "install",
        };
    }
}

/// What is to be made.
fn wanted(findings: &[Finding]) -> Vec<Recipe> {
    let made = findings.iter().filter(|f| matches!(f.action, "install" | "upgrade"));
    made.filter_map(|f| f.recipe.clone()).collect()
}

/// What goes; nothing that stays may need it.
fn leaving(desk: &Desk, recipes: &[Recipe], findings: &[Finding]) -> anyhow::Result<Vec<Recipe>> {
    let go: Vec<_> = findings.iter().filter(|f| f.action == "remove").collect();
    for recipe in recipes.iter().filter(|r| r.state.installed || r.claim.is_some()) {
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
    Ok(go.into_iter().filter_map(|f| f.recipe.clone()).collect())
}

/// Makes the recipe files that are gone of what is to be removed or adopted.
fn bring_back(desk: &Desk, findings: &mut [Finding]) -> anyhow::Result<()> {
    for finding in findings.iter_mut().filter(|f| f.gone && f.action != "none") {
        let Some(recipe) = &finding.recipe else {
            return Err(anyhow::anyhow!("the recipe of {} was not kept", finding.name)).exit(exit::NOT_FOUND);
        };
        let tx = recipe.state.tx.as_deref().unwrap_or_default();
        let text = db::recipe(&desk.own, &finding.name, tx)?
            .with_context(|| format!("the recipe of {} was not kept", finding.name))?;
        let text = recipe.state.splice(&text).map_err(|e| crate::state::located(&recipe.path, &text, &e))?;
        tx::bring_back(&recipe.path, &text)?;
        tell(&format!("{} is there again, as it was installed", recipe.path.display()));
    }
    Ok(())
}

/// Writes into recipe files what is true here.
fn correct(desk: &Desk, findings: &[Finding]) -> anyhow::Result<()> {
    let wrong = findings.iter().filter(|f| f.action == "correct");
    wrong.filter_map(|f| f.recipe.as_ref()).try_for_each(|recipe| tx::rewrite(desk, recipe, |_| {}))
}

/// Says what a transaction would do, as far as that is known without making anything.
fn dry(desk: &Desk, findings: &[Finding], json: bool) -> anyhow::Result<()> {
    let mut find = |name: &str| shelf::load(&desk.places, name);
    let steps = resolve::missing(wanted(findings), &desk.base, &mut find)?;
    for step in steps.iter().filter(|_| !json) {
        let recipe = &step.recipe;
        output::line(output::change(&recipe.name, recipe.installed_version(), Some(&recipe.version)))?;
    }
    Ok(())
}

fn print(
    settings: &Settings,
    desk: &Desk,
    plan: Option<&Plan>,
    findings: &[Finding],
    done: bool,
) -> anyhow::Result<()> {
    findings.iter().for_each(|f| tell(&f.text(&desk.places.prefix.display().to_string())));
    if settings.json {
        let packages: Vec<_> =
            plan.iter().flat_map(|p| &p.journal.packages).map(output::change_json).collect();
        let (tx, notes) = (plan.map(|p| &p.journal.tx), plan.map(|p| &p.notes[..]).unwrap_or_default());
        return output::json_of_all([
            ("tx", json!(tx)),
            ("done", done.into()),
            ("packages", packages.into()),
            ("findings", json!(findings)),
            ("notes", json!(notes)),
        ]);
    }
    if let Some(plan) = plan {
        output::changes(plan, true, false)?;
    }
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
