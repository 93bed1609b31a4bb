//! `recipe check`: installed files and directories against what was installed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cli::Mark;
use serde::Serialize;

use super::{Settings, output};
use crate::claims::{self, Books};
use crate::db::Record;
use crate::dir::Dir;
use crate::places::{OWN, Places};
use crate::recipe::Recipe;
use crate::stage::{What, examine};
use crate::tx::journal::Journal;
use crate::voice::summary::several;
use crate::{db, exit, lock, shelf};

/// How long a transaction is waited for at least that is moving files; --wait may say longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    package: String,
    path: String,
    problem: String,
}

/// What one look found.
#[derive(Debug)]
struct Seen {
    packages: usize,
    files: usize,
    findings: Vec<Finding>,
    /// Recipes that cannot be read: whether their packages are here is not known from them.
    unreadable: Vec<anyhow::Error>,
}

impl Seen {
    fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.unreadable.is_empty()
    }

    fn is_same(&self, other: &Self) -> bool {
        let counts = |seen: &Self| (seen.packages, seen.files, seen.unreadable.len());
        counts(self) == counts(other) && self.findings == other.findings
    }
}

/// Runs it. Exit code [`exit::INTEGRITY`] if something differs; config files may. [`exit::RECIPE`] if nothing does, but a recipe cannot be
/// read.
///
/// # Errors
/// A package is not installed, or cannot be examined, or is being changed all the time ([`exit::LOCKED`]).
pub fn run(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let Seen { packages, files, findings, unreadable } = settled(settings, names)?;
    if settings.json {
        output::json_of("findings", &findings)?;
    } else {
        for f in &findings {
            let path = if f.path.is_empty() { String::new() } else { format!("{}: ", f.path) };
            output::line(format!("{}: {path}{}", f.package, f.problem))?;
        }
        let (files, packages) = (several(files, "file"), several(packages, "package"));
        crate::voice::note(&format!("{files} of {packages}, {} differ", findings.len()));
    }
    let unreadable = output::unreadable(&unreadable);
    Ok(if findings.is_empty() { unreadable } else { exit::INTEGRITY.into() })
}

/// What is there when nobody is moving files: half of a transaction is no finding. No lock is taken, so that nobody is kept from
/// working; what looks wrong is looked at again instead.
fn settled(settings: &Settings, names: &[String]) -> anyhow::Result<Seen> {
    let until = Instant::now() + settings.wait.max(PATIENCE);
    loop {
        let seen = look(settings, names);
        if seen.as_ref().is_ok_and(Seen::is_sound) {
            return seen;
        }
        if !moving(settings) {
            let again = look(settings, names);
            let same = match (&seen, &again) {
                (Ok(seen), Ok(again)) => seen.is_same(again),
                (Err(_), Err(_)) => true,
                _ => false,
            };
            if same && !moving(settings) {
                return again;
            }
        }
        if Instant::now() > until {
            return Err(anyhow::anyhow!("{} is being changed", settings.places.prefix.display()))
                .exit(exit::LOCKED)
                .hint("wait until the other recipe has finished; --wait SECONDS does so");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a transaction is open whose process lives. One that was interrupted is not waited for.
fn moving(settings: &Settings) -> bool {
    let own = Dir::open(&settings.places.prefix_here()).and_then(|prefix| prefix.sub(OWN));
    own.is_ok_and(|own| !matches!(Journal::open(&own), Ok(None)) && lock::holder(&own).is_some())
}

fn look(settings: &Settings, names: &[String]) -> anyhow::Result<Seen> {
    // A claim that is not true is a finding, also of a package that is named.
    let load = |places: &Places, name: &str| match shelf::load(places, name) {
        Ok(recipe) if recipe.claim.is_some() => Ok(recipe),
        _ => shelf::installed(places, name),
    };
    let mut findings = Vec::new();
    let mut known = names.to_vec();
    known.retain(|name| {
        let lost = lost(&settings.places, name);
        let is_known = lost.is_none();
        findings.extend(lost);
        is_known
    });
    let (mut recipes, unreadable) = match known.is_empty() && !names.is_empty() {
        true => (Vec::new(), Vec::new()),
        false => shelf::named_or_all(&settings.places, &known, load)?,
    };
    if names.is_empty() {
        let here = Books::open(&settings.places)?.unclaimed(&recipes)?;
        findings.extend(here.iter().filter_map(|(_, record)| lost(&settings.places, &record.name)));
    }
    recipes.retain(|r| r.state.installed || r.claim.is_some());
    for recipe in &recipes {
        package(settings, recipe, &mut findings)
            .with_context(|| format!("failed to check {}", recipe.name))?;
    }
    let files = recipes.iter().map(|recipe| recipe.state.files.len()).sum();
    Ok(Seen { packages: recipes.len(), files, findings, unreadable })
}

/// A package that is here, although its recipe file, if there is one, does not say so.
fn lost(places: &Places, name: &str) -> Option<Finding> {
    let says = match shelf::load(places, name) {
        Ok(recipe) => recipe.state.installed || recipe.claim.is_some(),
        Err(e) => common::cli::exit_code(&e) != exit::NOT_FOUND,
    };
    let (why, hint) = claims::lost(places, name).filter(|_| !says)?;
    Some(Finding { package: name.to_owned(), path: String::new(), problem: format!("{why}; {hint}") })
}

fn package(settings: &Settings, recipe: &Recipe, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let mut add = |path: &str, problem: String| {
        findings.push(Finding { package: recipe.name.clone(), path: path.to_owned(), problem });
    };
    if recipe.claim.is_some() {
        let claim = recipe.claim.as_deref().and_then(|c| c.version.clone()).unwrap_or_default();
        add(
            "",
            format!("its recipe says that {claim} is installed, which is not true here; {}", claims::HINT),
        );
        if !recipe.state.installed {
            return Ok(());
        }
    }
    let prefix = settings.places.prefix_here();
    let prefix = Dir::open(&prefix).with_context(|| format!("failed to open {}", prefix.display()))?;
    let own = prefix.sub(OWN).ok();
    let record = own.map(|own| db::installed(&own, recipe)).transpose()?.flatten();
    let Some(record) = record else {
        add("", "there is no record of what was installed".to_owned());
        return files(settings, &prefix, recipe, None, &mut add);
    };
    if let Some((problem, hint)) = claims::other_version(&settings.places, recipe, &record) {
        add("", format!("{problem}; {hint}"));
    }
    for path in &record.empty {
        let problem = match prefix.stat(path) {
            Ok(Some(stat)) if crate::dir::kind(&stat).is_dir() => continue,
            Ok(Some(_)) => "it is no directory any more".to_owned(),
            Ok(None) => MISSING.to_owned(),
            Err(e) => unseen(&e),
        };
        add(&settings.places.installed(path), problem);
    }
    files(settings, &prefix, recipe, Some(&record), &mut add)
}

/// Its files.
fn files(
    settings: &Settings,
    prefix: &Dir,
    recipe: &Recipe,
    record: Option<&Record>,
    add: &mut dyn FnMut(&str, String),
) -> anyhow::Result<()> {
    for file in &recipe.state.files {
        let Some(path) = settings.places.relative(file) else {
            add(file, format!("it is outside of {}", settings.places.prefix.display()));
            continue;
        };
        let wanted = record.iter().flat_map(|r| &r.files).find(|e| e.path == path);
        match prefix.stat(path) {
            Ok(Some(_)) => {}
            Ok(None) => {
                add(file, MISSING.to_owned());
                continue;
            }
            Err(e) => {
                add(file, unseen(&e));
                continue;
            }
        }
        let Some(wanted) = wanted.filter(|w| !w.config) else { continue };
        match examine(prefix, path)? {
            Some(found) if found == wanted.what => {}
            found => add(file, difference(&wanted.what, found.as_ref())),
        }
    }
    Ok(())
}

const MISSING: &str = "it is missing";

fn unseen(e: &std::io::Error) -> String {
    format!("it cannot be examined: {e}")
}

fn difference(wanted: &What, found: Option<&What>) -> String {
    match (wanted, found) {
        (What::File { sha256: a, .. }, Some(What::File { sha256: b, .. })) if a != b => {
            "its content has changed".to_owned()
        }
        (What::File { mode: a, .. }, Some(What::File { mode: b, .. })) => {
            format!("its mode is {b:04o}, not {a:04o}")
        }
        (What::Link { target: a }, Some(What::Link { target: b })) => format!("it leads to {b}, not to {a}"),
        (What::File { .. }, _) => "it is no file any more".to_owned(),
        (What::Link { .. }, _) => "it is no link any more".to_owned(),
    }
}
