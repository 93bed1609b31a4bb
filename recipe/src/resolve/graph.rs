//! What is installed and who needs it: what would break, who depends on whom, what nobody needs any more.
//!
//! Recipes with their states -> answers. Pure.

use std::collections::{BTreeMap, BTreeSet};

use common::cli::Mark;

use super::parse;
use crate::base::{Answer, Base};
use crate::exit;
use crate::recipe::Recipe;
use crate::version::Requirement;

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

/// Those that the base does not meet.
///
/// # Errors
/// The base's list cannot be read.
fn unmet(broken: Vec<Broken>, base: &Base) -> anyhow::Result<Vec<Broken>> {
    let mut unmet = Vec::new();
    for need in broken {
        // A package of this name decides, as it does when it is chosen.
        let by_base = need.will_be.is_none() && matches!(base.answer(&need.requirement)?, Answer::Enough(_));
        if !by_base {
            unmet.push(need);
        }
    }
    Ok(unmet)
}

/// None of these that the base does not meet, or an error that names them all.
///
/// # Errors
/// There is one (exit code [`exit::DEPENDENCY`]), or the base's list cannot be read.
pub fn none_broken(broken: Vec<Broken>, base: &Base) -> anyhow::Result<()> {
    let broken = unmet(broken, base)?;
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

    /// What those that stay would lack if these went: neither they nor the base would have it.
    ///
    /// # Errors
    /// The base's list cannot be read.
    pub fn lacking(&self, names: &BTreeSet<String>, base: &Base) -> anyhow::Result<Vec<Broken>> {
        let goes = |name: &String| Changed { name: name.clone(), becomes: None };
        unmet(self.broken(&names.iter().map(goes).collect::<Vec<_>>()), base)
    }

    /// These packages and everything that cannot do without them.
    ///
    /// # Errors
    /// The base's list cannot be read.
    pub fn dependents(&self, names: &BTreeSet<String>, base: &Base) -> anyhow::Result<BTreeSet<String>> {
        let mut all = names.clone();
        loop {
            let more = self.lacking(&all, base)?;
            if more.is_empty() {
                return Ok(all);
            }
            all.extend(more.into_iter().map(|need| need.by));
        }
    }

    /// What came only for these and goes with them: not what others left before, nor what those need.
    ///
    /// # Errors
    /// The base's list cannot be read.
    pub fn left_behind(&self, names: &BTreeSet<String>, base: &Base) -> anyhow::Result<BTreeSet<String>> {
        let before = self.orphans(&BTreeSet::new());
        let mut left = self.orphans(names);
        left.retain(|name| !before.contains(name));
        loop {
            let lacking = self.lacking(&(names | &left), base)?;
            let count = left.len();
            left.retain(|name| lacking.iter().all(|need| need.requirement.name != *name));
            if left.len() == count {
                return Ok(left);
            }
        }
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
