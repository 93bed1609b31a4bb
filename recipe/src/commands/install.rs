//! `recipe install`: names -> one transaction. What is needed to build comes before it, in transactions of its own.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use common::cli::{Mark, code, tell};
use globset::GlobMatcher;

use super::{Settings, graph, output};
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve::{self, Changed, Step};
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
    /// Do it although other packages would lack what they need, and install nothing that is not named here.
    #[arg(long)]
    no_deps: bool,
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
    let old = recipes.into_iter().filter(Recipe::is_outdated);
    // Who names a pinned package is told why it cannot be; else it is left out.
    let (held, old) = old.partition(|r| options.names.is_empty() && r.held_by().is_some());
    let all = Options { dry_run: options.dry_run, no_deps: options.no_deps, ..Options::default() };
    let work = Work { desk: &desk, options: &all, overwrite: &[], json: settings.json };
    let mut plan = work.install(old, Why::Same, &mut Vec::new())?;
    plan.notes.extend(held.iter().filter_map(left_out));
    work.print(&plan)
}

/// What is said of a package that its pin keeps as it is.
fn left_out(recipe: &Recipe) -> Option<String> {
    let (name, installed) = (&recipe.name, recipe.installed_version()?);
    Some(format!(
        "{name} stays {installed}: it is pinned to {}; its recipe has {}",
        recipe.held_by()?,
        recipe.version
    ))
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
        self.print(&plan)
    }

    fn print(&self, plan: &Plan) -> anyhow::Result<ExitCode> {
        output::changes(plan, !plan.changes.is_empty() && !self.options.dry_run, self.json)?;
        Ok(ExitCode::SUCCESS)
    }

    /// One transaction with these packages and what they need. `chain`: packages that are waiting to be built.
    fn install(&self, wanted: Vec<Recipe>, why: Why, chain: &mut Vec<String>) -> anyhow::Result<Plan> {
        let steps = match self.options.no_deps {
            true => wanted.into_iter().map(|recipe| Step { recipe, wanted: true }).collect(),
            false => self.steps(wanted, why, chain)?,
        };
        if !self.options.no_deps {
            self.needed_by_others(&steps)?;
        }
        let tx = Desk::new_tx();
        let overwrite = |path: &str| self.overwrite.iter().any(|p| p.is_match(path));
        let mut planner = Planner::new(self.desk, tx.clone(), &overwrite);
        for Step { recipe, wanted } in steps {
            resolve::allowed(&recipe, &recipe.version)?;
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

    /// Packages that are not in the transaction must have what they need afterwards, too.
    fn needed_by_others(&self, steps: &[Step]) -> anyhow::Result<()> {
        if !steps.iter().any(|step| step.recipe.is_outdated()) {
            return Ok(());
        }
        let change = |Step { recipe, .. }: &Step| {
            let needs = recipe.deps.iter().map(|text| resolve::parse(recipe, text));
            let becomes = Some((recipe.version.clone(), needs.collect::<anyhow::Result<_>>()?));
            Ok(Changed { name: recipe.name.clone(), becomes })
        };
        let changes = steps.iter().map(change).collect::<anyhow::Result<Vec<_>>>()?;
        let mut broken = graph(&self.desk.places, &self.desk.own)?.broken(&changes);
        // What the steps themselves need was resolved.
        broken.retain(|b| steps.iter().all(|step| step.recipe.name != b.by));
        resolve::none_broken(broken, &self.desk.base)
    }

    /// What is to be made, once all that is needed to build it is installed.
    fn steps(&self, mut wanted: Vec<Recipe>, why: Why, chain: &mut Vec<String>) -> anyhow::Result<Vec<Step>> {
        let mut settled = BTreeSet::new();
        loop {
            let steps = resolve::missing(wanted.clone(), &self.desk.base, &mut |name| self.find(name))?;
            let before = settled.len();
            for step in &steps {
                let missing = self.missing_build_deps(&step.recipe, &settled)?;
                if !missing.is_empty() {
                    settled.extend(missing.iter().map(|r| r.name.clone()));
                    self.build_deps(&step.recipe, missing, &wanted, why, chain)?;
                    break;
                }
            }
            if settled.len() == before {
                return Ok(steps);
            }
            // What has come by now is not made once more.
            wanted.retain(|recipe| !settled.contains(&recipe.name));
        }
    }

    /// What a recipe needs to be built has to be installed before its code runs.
    fn build_deps(
        &self,
        recipe: &Recipe,
        missing: Vec<Recipe>,
        wanted: &[Recipe],
        why: Why,
        chain: &mut Vec<String>,
    ) -> anyhow::Result<()> {
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
        let is_wanted = |r: &Recipe| wanted.iter().any(|w| w.name == r.name);
        let (asked, needed): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_wanted);
        for (recipes, why) in [(asked, why), (needed, Why::Needed)] {
            if recipes.is_empty() {
                continue;
            }
            let plan = self.install(recipes, why, chain)?;
            // Data on stdout is one document: that of what was asked for.
            if !self.json {
                output::changes(&plan, true, false)?;
            }
        }
        chain.pop();
        Ok(())
    }

    /// `settled`: those that were seen to already; some are there by other means, and no state says so.
    fn missing_build_deps(&self, recipe: &Recipe, settled: &BTreeSet<String>) -> anyhow::Result<Vec<Recipe>> {
        let mut missing = Vec::new();
        for text in &recipe.build_deps {
            let requirement = resolve::parse(recipe, text)?;
            let needed = || format!("{requirement} is needed to build {}", recipe.name);
            let base = &self.desk.base;
            let choice = resolve::choose(&requirement, false, base, &mut |name| self.find(name));
            missing.extend(choice.with_context(needed)?.filter(|recipe| !settled.contains(&recipe.name)));
        }
        Ok(missing)
    }

    fn find(&self, name: &str) -> anyhow::Result<Recipe> {
        shelf::load(&self.desk.places, name)
    }
}
