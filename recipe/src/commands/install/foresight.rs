//! What an installation will do, before any of it is done: wanted packages -> transactions, in order.
//!
//! What is needed to build comes first, in transactions of its own. Each is worked out as if those before it were done, so what
//! is shown, asked for and refused is what is carried out. Only code could know more: a recipe whose `is_installed()` says
//! that it is there is left out when its turn comes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use common::cli::Mark;

use super::Why;
use crate::commands::graph_with;
use crate::exit;
use crate::recipe::Recipe;
use crate::resolve::{self, Changed, Step};
use crate::shelf;
use crate::state::State;
use crate::tx::Desk;

/// A transaction that is to come.
#[derive(Debug)]
pub(in crate::commands) struct Coming {
    /// Its packages, dependencies first.
    pub(in crate::commands) steps: Vec<Step>,
    /// Why they come.
    pub(super) why: Why,
    /// The package that cannot be built without them.
    pub(super) to_build: Option<String>,
}

/// All transactions for what is wanted; `no_deps`: nothing else is installed, and nobody else is asked.
///
/// # Errors
/// A dependency cannot be satisfied, others would lack what they need, or packages need each other to be built.
pub(in crate::commands) fn foresee(
    desk: &Desk,
    wanted: Vec<Recipe>,
    why: Why,
    no_deps: bool,
) -> anyhow::Result<Vec<Coming>> {
    let (future, chain, coming) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut foresight = Foresight { desk, no_deps, leaving: &[], future, chain, coming };
    foresight.transaction(wanted, why, None)?;
    Ok(foresight.coming)
}

/// As [`foresee`], as before, where `here` is installed, though no recipe file says so, and `leaving`, which is among it, goes with the last
/// transaction.
///
/// # Errors
/// As [`foresee`].
pub(in crate::commands) fn foresee_among(
    desk: &Desk,
    wanted: Vec<Recipe>,
    here: &[Recipe],
    leaving: &[Recipe],
) -> anyhow::Result<Vec<Coming>> {
    let future = here.iter().map(|recipe| (recipe.name.clone(), recipe.clone())).collect();
    let (chain, coming) = (Vec::new(), Vec::new());
    let mut foresight = Foresight { desk, no_deps: false, leaving, future, chain, coming };
    foresight.transaction(wanted, Why::Same, None)?;
    Ok(foresight.coming)
}

/// Names of what these are built with, and of what of `leaving` that needs.
///
/// # Errors
/// A dependency is not written as one.
pub(super) fn built_with(coming: &[Coming], leaving: &[Recipe]) -> anyhow::Result<BTreeSet<String>> {
    let (mut all, mut todo) = (BTreeSet::new(), Vec::new());
    for Step { recipe, .. } in coming.iter().flat_map(|transaction| &transaction.steps) {
        for text in &recipe.build_deps {
            todo.push(resolve::parse(recipe, text)?.name);
        }
    }
    while let Some(name) = todo.pop() {
        for recipe in leaving.iter().filter(|recipe| recipe.name == name && !all.contains(&name)) {
            for text in &recipe.deps {
                todo.push(resolve::parse(recipe, text)?.name);
            }
        }
        all.insert(name);
    }
    Ok(all)
}

struct Foresight<'a> {
    desk: &'a Desk,
    no_deps: bool,
    /// What goes; what it needs is not asked.
    leaving: &'a [Recipe],
    /// Recipes with the state that they will have.
    future: BTreeMap<String, Recipe>,
    /// Packages that are waiting to be built.
    chain: Vec<String>,
    coming: Vec<Coming>,
}

impl Foresight<'_> {
    /// One transaction with these packages and what they need, and those that must come before it.
    fn transaction(&mut self, wanted: Vec<Recipe>, why: Why, to_build: Option<&str>) -> anyhow::Result<()> {
        let steps = match self.no_deps {
            true => wanted.into_iter().map(|recipe| Step { recipe, wanted: true }).collect(),
            false => self.steps(wanted, why)?,
        };
        if !self.no_deps {
            self.needed_by_others(&steps)?;
        }
        for Step { recipe, .. } in &steps {
            resolve::allowed(recipe, &recipe.version)?;
            let version = Some(recipe.version.clone());
            let state = State { installed: true, version, ..recipe.state.clone() };
            self.future.insert(recipe.name.clone(), Recipe { state, ..recipe.clone() });
        }
        if !steps.is_empty() {
            self.coming.push(Coming { steps, why, to_build: to_build.map(str::to_owned) });
        }
        Ok(())
    }

    /// What is to be made, once all that is needed to build it is installed.
    fn steps(&mut self, mut wanted: Vec<Recipe>, why: Why) -> anyhow::Result<Vec<Step>> {
        let mut settled = BTreeSet::new();
        loop {
            let steps = resolve::missing(wanted.clone(), &self.desk.base, &mut |name| self.find(name))?;
            let before = settled.len();
            for step in &steps {
                let missing = self.missing_build_deps(&step.recipe)?;
                if !missing.is_empty() {
                    settled.extend(missing.iter().map(|r| r.name.clone()));
                    self.build_deps(&step.recipe, missing, &wanted, why)?;
                    break;
                }
            }
            if settled.len() == before {
                return Ok(steps);
            }
            // What has come by then is not made once more.
            wanted.retain(|recipe| !settled.contains(&recipe.name));
        }
    }

    /// What a recipe needs to be built has to be installed before its code runs.
    fn build_deps(
        &mut self,
        recipe: &Recipe,
        missing: Vec<Recipe>,
        wanted: &[Recipe],
        why: Why,
    ) -> anyhow::Result<()> {
        let is_waiting = self.chain.contains(&recipe.name);
        self.chain.push(recipe.name.clone());
        if is_waiting {
            let chain = self.chain.join(", ");
            return Err(anyhow::anyhow!("these need each other to be built: {chain}")).exit(exit::DEPENDENCY);
        }
        let is_wanted = |r: &Recipe| wanted.iter().any(|w| w.name == r.name);
        let (asked, needed): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_wanted);
        for (recipes, why) in [(asked, why), (needed, Why::Needed)] {
            if !recipes.is_empty() {
                self.transaction(recipes, why, Some(&recipe.name))?;
            }
        }
        self.chain.pop();
        Ok(())
    }

    fn missing_build_deps(&self, recipe: &Recipe) -> anyhow::Result<Vec<Recipe>> {
        let mut missing = Vec::new();
        for text in &recipe.build_deps {
            let requirement = resolve::parse(recipe, text)?;
            let needed = || format!("{requirement} is needed to build {}", recipe.name);
            let base = &self.desk.base;
            let choice = resolve::choose(&requirement, false, base, &mut |name| self.find(name));
            missing.extend(choice.with_context(needed)?);
        }
        Ok(missing)
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
        let mut broken = graph_with(&self.desk.places, &self.desk.own, &self.future)?.broken(&changes);
        // What the steps themselves need was resolved.
        broken.retain(|b| steps.iter().all(|step| step.recipe.name != b.by));
        broken.retain(|b| self.leaving.iter().all(|recipe| recipe.name != b.by));
        resolve::none_broken(broken, &self.desk.base)
    }

    /// A recipe as it will be.
    fn find(&self, name: &str) -> anyhow::Result<Recipe> {
        match self.future.get(name) {
            Some(recipe) => Ok(recipe.clone()),
            None => shelf::load(&self.desk.places, name),
        }
    }
}
