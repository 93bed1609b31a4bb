//! Wanted packages -> what must be installed, in order, or an explanation.
//!
//! A dependency is satisfied by a recipe or by the base: by a recipe that is installed, else by the base, else by a recipe that
//! then is installed.
//!
//! Every name has one recipe, and so one version: there is nothing to choose between, and a walk of the graph finds the
//! answer or the contradiction. Pure: recipes come through a function.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use common::cli::Mark;

use crate::base::{Answer, Base};
use crate::exit;
use crate::recipe::Recipe;
use crate::version::Requirement;

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
/// It is not written as one.
pub fn parse(recipe: &Recipe, text: &str) -> anyhow::Result<Requirement> {
    Requirement::parse(text)
        .with_context(|| format!("in the dependencies of {}", recipe.name))
        .exit(exit::RECIPE)
}

/// A package that will be there in another version, or not at all.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// The version and what that needs; none if it goes.
    pub becomes: Option<(String, Vec<Requirement>)>,
}

/// A need that would not be met any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whose it is.
    pub by: String,
    /// What is needed.
    pub requirement: Requirement,
    /// The version that would be there.
    pub will_be: Option<String>,
}

/// None of these that the base does not meet, or an error that names them all.
///
/// # Errors
/// There is one (exit code [`exit::DEPENDENCY`]), or the base's list cannot be read.
pub fn none_broken(broken: Vec<Broken>, base: &Base) -> anyhow::Result<()> {
    let mut unmet = Vec::new();
    for need in broken {
        // A package of this name decides, as it does when it is chosen.
        let by_base = need.will_be.is_none() && matches!(base.answer(&need.requirement)?, Answer::Enough(_));
        if !by_base {
            unmet.push(need);
        }
    }
    let broken = unmet;
    if broken.is_empty() {
        return Ok(());
    }
    let line = |b: &Broken| match &b.will_be {
        Some(version) => format!("{} is needed by {}, and {version} would be installed", b.requirement, b.by),
        None => format!("{} is needed by {}, and would not be installed", b.requirement, b.by),
    };
    let lines: Vec<_> = broken.iter().map(line).collect();
    Err(anyhow::anyhow!("{}", lines.join("\n  ")))
        .exit(exit::DEPENDENCY)
        .hint("--no-deps does it all the same")
}

/// Installed packages and who needs them.
pub struct Graph {
    /// Installed packages by name.
    pub installed: BTreeMap<String, Recipe>,
    /// What each of them needs: the names that are installed, and how it is asked for.
    needs: BTreeMap<String, Vec<Requirement>>,
}

impl Graph {
    /// Of these recipes; `deps` are those of the installed version.
    ///
    /// # Errors
    /// A dependency is not written as one.
    pub fn new(
        recipes: Vec<Recipe>,
        mut deps: impl FnMut(&Recipe) -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Self> {
        let mut graph = Self { installed: BTreeMap::new(), needs: BTreeMap::new() };
        for recipe in recipes.into_iter().filter(|r| r.state.installed) {
            let needs = deps(&recipe)?.iter().map(|t| parse(&recipe, t)).collect::<anyhow::Result<_>>()?;
            graph.needs.insert(recipe.name.clone(), needs);
            graph.installed.insert(recipe.name.clone(), recipe);
        }
        Ok(graph)
    }

    /// What an installed package needs.
    pub fn needs(&self, name: &str) -> impl Iterator<Item = &Requirement> {
        self.needs.get(name).into_iter().flatten()
    }

    /// Installed packages that need this one directly.
    pub fn needed_by<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.needs
            .iter()
            .filter(move |(_, needs)| needs.iter().any(|n| n.name == name))
            .map(|(by, _)| by.as_str())
    }

    /// This package and everything that cannot do without it.
    #[must_use]
    pub fn dependents(&self, names: &[String]) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = BTreeSet::new();
        let mut todo: Vec<String> = names.to_vec();
        while let Some(name) = todo.pop() {
            if all.insert(name.clone()) {
                todo.extend(self.needed_by(&name).map(str::to_owned));
            }
        }
        all
    }

    /// Needs that would not be met any more after these changes, though they are now, or that come with them.
    #[must_use]
    pub fn broken(&self, changes: &[Changed]) -> Vec<Broken> {
        let version = |name: &str| match changes.iter().find(|c| c.name == name) {
            Some(change) => change.becomes.as_ref().map(|b| b.0.as_str()),
            None => self.version(name),
        };
        let stays = self.needs.iter().filter(|(by, _)| changes.iter().all(|c| c.name != **by));
        let comes = changes.iter().filter_map(|c| Some((&c.name, &c.becomes.as_ref()?.1)));
        let mut broken = Vec::new();
        for (by, needs) in stays.chain(comes) {
            for requirement in needs {
                let met = |version: Option<&str>| version.is_some_and(|v| requirement.accepts(v));
                let was_met =
                    || met(self.version(&requirement.name)) || !self.needs(by).any(|r| r == requirement);
                let will_be = version(&requirement.name);
                if !met(will_be) && was_met() {
                    let will_be = will_be.map(str::to_owned);
                    broken.push(Broken { by: by.clone(), requirement: requirement.clone(), will_be });
                }
            }
        }
        broken
    }

    fn version(&self, name: &str) -> Option<&str> {
        self.installed.get(name).and_then(Recipe::installed_version)
    }

    /// Packages that came for others which are gone, or would be without `without`.
    #[must_use]
    pub fn orphans(&self, without: &BTreeSet<String>) -> BTreeSet<String> {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        let explicit = self.installed.values().filter(|r| !r.state.as_dep).map(|r| r.name.as_str());
        let mut todo: Vec<&str> = explicit.filter(|n| !without.contains(*n)).collect();
        while let Some(name) = todo.pop() {
            if kept.insert(name) {
                todo.extend(self.needs(name).map(|r| r.name.as_str()).filter(|n| !without.contains(*n)));
            }
        }
        self.installed
            .keys()
            .filter(|n| !kept.contains(n.as_str()) && !without.contains(*n))
            .cloned()
            .collect()
    }
}
