//! Wanted packages -> what must be installed, in order, or an explanation.
//!
//! A dependency is satisfied by a recipe or by the base: by a recipe that is installed, else by the base, else by a recipe that
//! then is installed.
//!
//! Every name has one recipe, and so one version: there is nothing to choose between, and a walk of the graph finds the
//! answer or the contradiction. Pure: recipes come through a function.
//!
//! - [`graph`]: the same question about what is installed

mod graph;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use common::cli::Mark;

use crate::base::{Answer, Base};
use crate::exit;
use crate::recipe::Recipe;
use crate::version::Requirement;
pub use graph::{Broken, Changed, Graph, none_broken};

/// A package that must be installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its recipe.
    pub recipe: Recipe,
    /// Asked for by name, not only needed by something.
    pub wanted: bool,
}

/// The packages that are missing for these, dependencies first.
///
/// # Errors
/// A dependency has no recipe, or not in the version that is asked for (exit code [`exit::DEPENDENCY`]).
pub fn missing(
    wanted: Vec<Recipe>,
    base: &Base,
    find: &mut dyn FnMut(&str) -> anyhow::Result<Recipe>,
) -> anyhow::Result<Vec<Step>> {
    let names: BTreeSet<_> = wanted.iter().map(|r| r.name.clone()).collect();
    let (seen, settled) = (BTreeMap::new(), Vec::new());
    let mut walk = Walk { base, find, names, seen, settled, steps: Vec::new() };
    for recipe in wanted {
        walk.visit(recipe, &mut Vec::new())?;
    }
    Ok(walk.steps)
}

struct Walk<'a> {
    base: &'a Base,
    find: &'a mut dyn FnMut(&str) -> anyhow::Result<Recipe>,
    names: BTreeSet<String>,
    /// Versions as they will be.
    seen: BTreeMap<String, String>,
    /// What needed nothing new, and who needs it: it must be so, too, when something else brings a recipe of that name.
    settled: Vec<(Requirement, String)>,
    steps: Vec<Step>,
}

impl Walk<'_> {
    /// `chain`: who needs whom, from what was asked for to here.
    fn visit(&mut self, recipe: Recipe, chain: &mut Vec<String>) -> anyhow::Result<()> {
        // Packages that need each other come in one transaction: in which order is all the same.
        if self.seen.contains_key(&recipe.name) {
            return Ok(());
        }
        let unfit = |(wanted, _): &&(Requirement, String)| {
            wanted.name == recipe.name && !wanted.accepts(&recipe.version)
        };
        if let Some((_, needed)) = self.settled.iter().find(unfit) {
            return will_be(&recipe.name, &recipe.version, needed);
        }
        allowed(&recipe, &recipe.version)?;
        self.seen.insert(recipe.name.clone(), recipe.version.clone());
        chain.push(format!("{} {}", recipe.name, recipe.version));
        for text in &recipe.deps {
            let requirement = parse(&recipe, text)?;
            let dependency = self.satisfied(&requirement, chain)?;
            if let Some(dependency) = dependency {
                self.visit(dependency, chain)?;
            }
        }
        chain.pop();
        let wanted = self.names.contains(&recipe.name);
        self.steps.push(Step { recipe, wanted });
        Ok(())
    }

    /// The recipe to install for a requirement; none if what is there, or will be, is enough.
    fn satisfied(&mut self, requirement: &Requirement, chain: &[String]) -> anyhow::Result<Option<Recipe>> {
        let by = chain.iter().rev().cloned().collect::<Vec<_>>().join(", by ");
        let needed = format!("{requirement} is needed by {by}");
        if let Some(version) = self.seen.get(&requirement.name) {
            if requirement.accepts(version) {
                return Ok(None);
            }
            return will_be(&requirement.name, version, &needed);
        }
        let wanted = self.names.contains(&requirement.name);
        let choice = choose(requirement, wanted, self.base, self.find).with_context(|| needed.clone())?;
        if choice.is_none() {
            self.settled.push((requirement.clone(), needed));
        }
        Ok(choice)
    }
}

fn will_be<T>(name: &str, version: &str, needed: &str) -> anyhow::Result<T> {
    let error = anyhow::anyhow!("{name} {version} will be installed");
    Err(error).context(needed.to_owned()).exit(exit::DEPENDENCY)
}

/// The recipe to install for a requirement; none if what is installed, or the base, is enough. `wanted`: the recipe will be
/// installed anyway, whatever there is.
///
/// # Errors
/// Neither has it, or not in the version that is asked for (exit code [`exit::DEPENDENCY`]).
pub fn choose(
    requirement: &Requirement,
    wanted: bool,
    base: &Base,
    find: &mut dyn FnMut(&str) -> anyhow::Result<Recipe>,
) -> anyhow::Result<Option<Recipe>> {
    let name = &requirement.name;
    let recipe = if requirement.names_recipe() { find(name) } else { no_recipe(base, name) };
    let installed = recipe.as_ref().ok().and_then(Recipe::installed_version);
    if !wanted && installed.is_some_and(|v| requirement.accepts(v)) {
        return Ok(None);
    }
    let answer = base.answer(requirement)?;
    // A recipe that is there but cannot be read may be installed.
    let unreadable = recipe.as_ref().is_err_and(|e| common::cli::exit_code(e) != exit::NOT_FOUND);
    let decides = wanted || installed.is_some() || unreadable;
    if matches!(answer, Answer::Enough(_)) && !decides {
        return Ok(None);
    }
    let of_base = match &answer {
        Answer::Other(has) | Answer::Enough(has) => Some(format!("the base has {has}")),
        Answer::Nothing => None,
    };
    match recipe {
        Ok(recipe) if requirement.accepts(&recipe.version) => {
            allowed(&recipe, &recipe.version)?;
            Ok(Some(recipe))
        }
        Ok(recipe) => {
            let of_base = of_base.map(|has| format!("{has}, ")).unwrap_or_default();
            let also = installed_too(&recipe);
            Err(anyhow::anyhow!("{of_base}the recipe of {name} has {}{also}", recipe.version))
                .exit(exit::DEPENDENCY)
        }
        Err(e) => match of_base {
            Some(has) => Err(e).context(has),
            None => Err(e),
        }
        .exit(exit::DEPENDENCY),
    }
}

/// Whether the package's user allows this version; the one that is installed may be installed again.
///
/// # Errors
/// Its pin forbids it (exit code [`exit::DEPENDENCY`]).
pub fn allowed(recipe: &Recipe, version: &str) -> anyhow::Result<()> {
    let installed = recipe.installed_version();
    match &recipe.pinned {
        Some(pin) if installed != Some(version) && !pin.accepts(version) => {
            let name = &recipe.name;
            let has = installed.map(|v| format!(", {v} is installed")).unwrap_or_default();
            Err(anyhow::anyhow!("{name} {version} would be installed, but {name} is pinned to {pin}{has}"))
                .exit(exit::DEPENDENCY)
                .hint(format!("`recipe unpin {name}` allows every version"))
        }
        _ => Ok(()),
    }
}

fn installed_too(recipe: &Recipe) -> String {
    recipe.installed_version().map(|v| format!(", and {v} is installed")).unwrap_or_default()
}

/// The error for a name that no recipe can have.
fn no_recipe(base: &Base, name: &str) -> anyhow::Result<Recipe> {
    let unknown = if base.is_known()? { "" } else { ", and nothing is known of the base of this system" };
    Err(anyhow::anyhow!("no recipe can be called {name:?}{unknown}")).exit(exit::NOT_FOUND)
}

/// A dependency of a recipe.
///
/// # Errors
/// It is not written as one (exit code [`exit::RECIPE`]).
pub fn parse(recipe: &Recipe, text: &str) -> anyhow::Result<Requirement> {
    let known = || recipe.misspelt.iter().find(|(dep, _)| dep == text);
    Requirement::parse(text)
        .map_err(|e| known().map_or(e, |(_, shown)| anyhow::anyhow!("{shown}")))
        .with_context(|| format!("in the dependencies of {}", recipe.name))
        .exit(exit::RECIPE)
}
