//! One file a command: settings and options -> work, text or JSON on stdout, exit code.

pub mod install;
pub mod upgrade;
mod ahead;
pub mod remove;
pub mod list;
pub mod search;
pub mod info;
pub mod files;
pub mod owns;
pub mod which;
pub mod check;
pub mod doctor;
pub mod needs;
pub mod impact;
pub mod helpers;
pub mod lint;
pub mod hash;
pub mod edit;
pub mod review;
pub mod trust;
pub mod repair;
pub mod history;
pub mod undo;
pub mod lock;
pub mod fetch;
pub mod cache;
pub mod sync;
pub mod etc;
pub mod run;
pub mod pin;
pub mod update;
pub mod new;
mod output;
mod details;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::db;
use crate::dir::Dir;
use crate::interrupt::Interrupt;
use crate::places::Places;
use crate::recipe::Recipe;
use crate::resolve::{self, Graph};
use crate::shelf;
use crate::tx::Desk;
use crate::tx::recover::Outcome;

/// What the command line said, filled in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All paths.
    pub places: Places,
    /// Use only the cache.
    pub offline: bool,
    /// Make only what the lock file has, as it has it.
    pub locked: bool,
    /// Make only what was reviewed.
    pub require_trust: bool,
    /// How long to wait for the lock.
    pub wait: Duration,
    /// JSON on stdout.
    pub json: bool,
    /// ^C.
    pub interrupt: Interrupt,
}

/// What is installed and what needs what, by the dependencies of the installed versions.
fn graph(places: &Places, own: &Dir) -> anyhow::Result<Graph> {
    graph_with(places, own, &BTreeMap::new())
}

/// As [`graph`], where these recipes are in this state.
fn graph_with(places: &Places, own: &Dir, future: &BTreeMap<String, Recipe>) -> anyhow::Result<Graph> {
    let (mut recipes, errors) = shelf::all(places)?;
    recipes.retain(|recipe| !future.contains_key(&recipe.name));
    recipes.extend(future.values().cloned());
    for error in errors {
        common::cli::tell(&format!("warning: what this recipe needs is not considered: {error:#}"));
    }
    Graph::new(recipes, |recipe| {
        // The file may be another version's by now.
        let record = if recipe.is_outdated() { db::installed(own, recipe)? } else { None };
        let mut deps = record.map_or_else(|| recipe.deps.clone(), |r| r.deps);
        deps.retain(|text| match resolve::parse(recipe, text) {
            Ok(_) => true,
            Err(e) => {
                common::cli::tell(&format!("warning: what this recipe needs is not considered: {e:#}"));
                false
            }
        });
        Ok(deps)
    })
}

impl Settings {
    /// The prefix, locked and clean.
    fn desk(&self) -> anyhow::Result<Desk> {
        Ok(self.desk_and_outcome()?.0)
    }

    /// As [`Settings::desk`]; if it is only to be said what would happen, without a lock and for everybody who can read.
    fn desk_or_look(&self, only_look: bool) -> anyhow::Result<Desk> {
        if !only_look {
            return self.desk();
        }
        let mut desk = Desk::look(&self.places, self.offline, self.locked, &self.interrupt)?;
        desk.require_trust = self.require_trust;
        Ok(desk)
    }

    /// As [`Settings::desk`], and what was cleaned up.
    fn desk_and_outcome(&self) -> anyhow::Result<(Desk, Outcome)> {
        let (mut desk, outcome) =
            Desk::open(&self.places, self.wait, self.offline, self.locked, &self.interrupt)?;
        desk.require_trust = self.require_trust;
        Ok((desk, outcome))
    }
}
