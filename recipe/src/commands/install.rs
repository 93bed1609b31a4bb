//! `recipe install`: names -> one transaction. What is needed to build comes before it, in transactions of its own.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use common::cli::{Mark, code, tell};
use globset::GlobMatcher;

use super::{Settings, output};
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve::{self, Step};
use crate::shelf;
use crate::tx::make::{self, Outcome};
use crate::tx::{self, Desk, Plan, plan::Planner};

/// Options.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Names of recipes, or paths of recipe files.
    #[arg(required = true)]
    names: Vec<String>,
    /// Install again what is installed in this version.
    #[arg(long)]
    reinstall: bool,
    /// Make the packages and say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
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

/// Options of `recipe upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeOptions {
    /// Names of packages; default: all that are installed.
    names: Vec<String>,
    /// Make the packages and say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it.
///
/// # Errors
/// A recipe is not found or wrong, a dependency cannot be satisfied, a phase fails, or files are in the way.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    // Wrong names are said before anything is locked or made.
    let mut paths =
        options.names.iter().map(|n| shelf::find(&settings.places, n)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = BTreeSet::new();
    paths.retain(|p| seen.insert(p.clone()));
    let patterns = options.overwrite.iter().map(|p| globset::Glob::new(p).map(|g| g.compile_matcher()));
    let patterns =
        patterns.collect::<Result<Vec<_>, _>>().context("cannot use --overwrite").exit(code::USAGE)?;
    let desk = settings.desk()?;
    let mut wanted = Vec::new();
    for path in &paths {
        let recipe = Recipe::load(path)?;
        if recipe.installed_version() == Some(&recipe.version) && !options.reinstall {
            tell(&format!("{} {} is installed already", recipe.name, recipe.version));
        } else {
            wanted.push(recipe);
        }
    }
    let why = if options.as_dep { Why::Needed } else { Why::Asked };
    Work { desk: &desk, options, overwrite: &patterns, json: settings.json }.run(wanted, why)
}

/// Runs `recipe upgrade`: what is installed in another version than its recipe has, in one transaction.
///
/// # Errors
/// As [`run`].
pub fn upgrade(settings: &Settings, options: &UpgradeOptions) -> anyhow::Result<ExitCode> {
    let desk = settings.desk()?;
    let recipes = match &options.names[..] {
        [] => shelf::all(&settings.places.recipes)?.0,
        names => {
            let load = |name: &String| shelf::installed(&settings.places, name);
            names.iter().map(load).collect::<anyhow::Result<_>>()?
        }
    };
    let old = recipes.into_iter().filter(Recipe::is_outdated).collect();
    let all = Options { dry_run: options.dry_run, ..Options::default() };
    Work { desk: &desk, options: &all, overwrite: &[], json: settings.json }.run(old, Why::Same)
}

/// Why packages are there afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The user named them.
    Asked,
    /// Something needs them, unless they were asked for before.
    Needed,
    /// As before.
    Same,
}

struct Work<'a> {
    desk: &'a Desk,
    options: &'a Options,
    overwrite: &'a [GlobMatcher],
    json: bool,
}

impl Work<'_> {
    /// What was asked for, and what came of it.
    fn run(&self, wanted: Vec<Recipe>, why: Why) -> anyhow::Result<ExitCode> {
        let plan = self.install(wanted, why, &mut Vec::new())?;
        output::changes(&plan, !plan.changes.is_empty() && !self.options.dry_run, self.json)?;
        Ok(ExitCode::SUCCESS)
    }

    /// One transaction with these packages and what they need. `chain`: packages that are waiting to be built.
    fn install(&self, wanted: Vec<Recipe>, why: Why, chain: &mut Vec<String>) -> anyhow::Result<Plan> {
        let steps = match self.options.no_deps {
            true => wanted.into_iter().map(|recipe| Step { recipe, wanted: true }).collect(),
            false => resolve::missing(wanted, &self.desk.base, &mut |name| self.find(name))?,
        };
        if !self.options.no_deps {
            for step in &steps {
                self.build_deps(&step.recipe, chain)?;
            }
        }
        let tx = Desk::new_tx();
        let overwrite = |path: &str| self.overwrite.iter().any(|p| p.is_match(path));
        let mut planner = Planner::new(self.desk, tx.clone(), &overwrite);
        for Step { recipe, wanted } in steps {
            match make::make(self.desk, &tx, &recipe.path)? {
                Outcome::Present(recipe) => {
                    tell(&format!("{} is there already, but not installed by recipe", recipe.name));
                }
                Outcome::Made(made) => {
                    // What was asked for by name stays asked for.
                    let state = &made.recipe.state;
                    let as_dep = match why {
                        Why::Asked if wanted => false,
                        Why::Same if state.installed => state.as_dep,
                        _ => !state.installed || state.as_dep,
                    };
                    planner.install(*made, as_dep)?;
                }
            }
        }
        let plan = planner.finish()?;
        if !plan.changes.is_empty() && !self.options.dry_run {
            tx::run(self.desk, &plan)?;
        }
        Ok(plan)
    }

    /// What a recipe needs to be built has to be installed before its code runs.
    fn build_deps(&self, recipe: &Recipe, chain: &mut Vec<String>) -> anyhow::Result<()> {
        let mut missing = Vec::new();
        for text in &recipe.build_deps {
            let requirement = resolve::parse(recipe, text)?;
            let needed = || format!("{requirement} is needed to build {}", recipe.name);
            let base = &self.desk.base;
            let choice = resolve::choose(&requirement, false, base, &mut |name| self.find(name));
            missing.extend(choice.with_context(needed)?);
        }
        if missing.is_empty() {
            return Ok(());
        }
        if chain.contains(&recipe.name) {
            chain.push(recipe.name.clone());
            return Err(anyhow::anyhow!("these need each other to be built: {}", chain.join(", ")))
                .exit(exit::DEPENDENCY);
        }
        let names: Vec<_> = missing.iter().map(|r| r.name.as_str()).collect();
        if self.options.dry_run {
            bail!("{} must be installed before {} can be made", names.join(", "), recipe.name);
        }
        chain.push(recipe.name.clone());
        let plan = self.install(missing, Why::Needed, chain)?;
        chain.pop();
        // Data on stdout is one document: that of what was asked for.
        if self.json { Ok(()) } else { output::changes(&plan, true, false) }
    }

    fn find(&self, name: &str) -> anyhow::Result<Recipe> {
        shelf::load(&self.desk.places, name)
    }
}
