//! What is wrong with a prefix, its recipes and the system, and what can be done: [`examine`] looks, and changes nothing.
//!
//! Takes no lock: what another recipe does meanwhile may look unfinished, and is left out where a lock's holder is alive. What
//! cannot be examined is a finding, too.

mod system;
mod packages;

use serde::Serialize;

use crate::interrupt::Interrupt;
use crate::places::Places;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// One of [`CHECKS`].
    pub check: &'static str,
    /// What it is about: a path, a package, a program.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
    /// What can be done.
    pub hint: String,
}

/// All checks with what they find, for the manual.
pub const CHECKS: &[(&str, &str)] = &[
    ("path", "PREFIX/bin is not in PATH"),
    ("permissions", "others can change the prefix, recipes or downloads, or you cannot"),
    ("interrupted", "a run was interrupted, and nobody works there now"),
    ("recipes", "a recipe cannot be read"),
    ("base", "the list of the base's packages cannot be read"),
    (
        "record",
        "an installed package without its record or in another version, or a record of a package that no recipe knows of",
    ),
    ("file", "an installed file is missing, or belongs to the base or to another package, too"),
    ("dependency", "something is needed that nothing satisfies"),
    ("cache", "downloads cannot be kept"),
    ("confinement", "programs of recipes cannot be confined, so they do not run"),
    ("account", "root has no user to run programs of recipes as"),
];

/// Everything that is wrong, in the order of [`CHECKS`].
#[must_use]
pub fn examine(places: &Places, interrupt: &Interrupt) -> Vec<Finding> {
    let mut found = Found::default();
    system::path(places, &mut found);
    system::permissions(places, &mut found);
    system::interrupted(places, &mut found);
    packages::examine(places, &mut found);
    system::cache(places, &mut found);
    system::confinement(interrupt, &mut found);
    let order = |finding: &Finding| CHECKS.iter().position(|(check, _)| *check == finding.check);
    found.0.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
    found.0.dedup();
    found.0
}

/// What was found so far.
#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn add(
        &mut self,
        check: &'static str,
        subject: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Finding { check, subject: subject.into(), problem: problem.into(), hint: hint.into() });
    }
}
