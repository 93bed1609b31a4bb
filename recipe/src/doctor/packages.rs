//! Recipes, records, files and dependencies: what they say of each other.

use std::collections::{BTreeMap, BTreeSet};

use common::cli::hint_of;

use super::Found;
use crate::base::{Answer, Base};
use crate::claims::{self, Books};
use crate::db::{self, Record};
use crate::dir::{self, Dir};
use crate::lock;
use crate::places::{OWN, Places};
use crate::recipe::Recipe;
use crate::shelf;
use crate::tx::history::{History, OWNERS};
use crate::tx::journal::Journal;
use crate::version::Requirement;

pub(super) fn examine(places: &Places, found: &mut Found) {
    let recipes = recipes(places, found);
    let installed: BTreeMap<&str, &Recipe> =
        recipes.iter().filter(|r| r.state.installed).map(|r| (r.name.as_str(), r)).collect();
    let base = Base::of(&places.sysroot);
    if let Err(e) = base.is_known() {
        let hint =
            "nothing can be installed without it; it came with the image that the system was installed from";
        found.add("base", common::layout::PACKAGES, format!("{e:#}"), hint);
    }
    let prefix = Dir::open(&places.prefix_here()).ok();
    let own = prefix.as_ref().and_then(|prefix| prefix.sub(OWN).ok());
    let claimed: BTreeSet<_> =
        recipes.iter().filter(|r| r.claim.is_some()).map(|r| r.name.as_str()).collect();
    for recipe in recipes.iter().filter(|r| r.claim.is_some()) {
        claim(places, recipe, found);
    }
    for recipe in installed.values() {
        let record = record(places, own.as_ref(), recipe, found);
        let deps = record.filter(|_| recipe.is_outdated()).map_or_else(|| recipe.deps.clone(), |r| r.deps);
        let supply = Supply { recipes: &recipes, claimed: &claimed, installed: &installed, base: &base };
        dependencies(recipe, &deps, &supply, found);
    }
    // What somebody is writing just now is not in its place yet.
    if let Some(own) = own.as_ref().filter(|own| lock::holder(own).is_none()) {
        let lost = |name: &str| Some(Books::open(places).and_then(|books| books.lost(name)).ok()??.0);
        strays(own, &installed, &lost, found);
    }
    files(places, prefix.as_ref(), &installed, &base, found);
}

fn recipes(places: &Places, found: &mut Found) -> Vec<Recipe> {
    let dir = places.recipes.display().to_string();
    let files = match shelf::files(places.shelf()) {
        Ok(files) => files,
        Err(e) => {
            found.add(
                "recipes",
                dir,
                format!("{e:#}"),
                "--recipes DIR or RECIPE_PATH says where recipes are",
            );
            return Vec::new();
        }
    };
    let mut recipes = Vec::new();
    let books = Books::open(places).ok();
    for path in files {
        match Recipe::load(&path)
            .and_then(|recipe| books.as_ref().map_or(Ok(recipe.clone()), |b| b.settle(recipe)))
        {
            Ok(recipe) => recipes.push(recipe),
            Err(e) => {
                let shown = path.display().to_string();
                // The first line has the place; the others show it.
                let text = format!("{e:#}");
                let problem = text.lines().next().unwrap_or_default();
                let problem = problem.strip_prefix(&format!("{shown}:")).unwrap_or(problem).to_owned();
                let hint = format!("`recipe lint {shown}` shows it; what is installed of it is not known");
                found.add("recipes", shown, problem, hint);
            }
        }
    }
    recipes
}

/// A recipe file that says what is not true here.
fn claim(places: &Places, recipe: &Recipe, found: &mut Found) {
    let Some(why) = claims::untrue(places, recipe) else { return };
    let problem = why.strip_prefix(&format!("{}: ", recipe.name)).unwrap_or(&why);
    let hint = format!("{}; `recipe sync-state --forget {}` corrects the file", claims::HINT, recipe.name);
    found.add("record", &recipe.name, problem, hint);
}

/// The record of what is installed of a recipe.
fn record(places: &Places, own: Option<&Dir>, recipe: &Recipe, found: &mut Found) -> Option<Record> {
    let none = || {
        let name = &recipe.name;
        format!(
            "`recipe install --reinstall {name}` makes one; if {name} is in another prefix, say so with --prefix"
        )
    };
    let (problem, hint) = match own.map(|own| db::installed(own, recipe)) {
        Some(Ok(Some(record))) => {
            if let Some((problem, hint)) = claims::other_version(places, recipe, &record) {
                found.add("record", &recipe.name, problem, hint);
            }
            return Some(record);
        }
        Some(Err(e)) => (format!("its record cannot be read: {e:#}"), hint_of(&e).unwrap_or_else(none)),
        _ => ("it is installed, but there is no record of it here".to_owned(), none()),
    };
    found.add("record", &recipe.name, problem, hint);
    None
}

/// Records of what no recipe says it is installed: neither that, nor kept for undo.
fn strays(
    own: &Dir,
    installed: &BTreeMap<&str, &Recipe>,
    lost: &dyn Fn(&str) -> Option<String>,
    found: &mut Found,
) {
    let kept = match history(own) {
        Ok(kept) => kept,
        Err(e) => {
            let hint = match dir::is_denied(&e) {
                true => OWNERS,
                false => {
                    "nothing can be undone as long as it is there; move that transaction's directory elsewhere"
                }
            };
            return found.add(
                "record",
                own.path.join("history").display().to_string(),
                format!("{e:#}"),
                hint,
            );
        }
    };
    for (name, tx) in db::names(own) {
        let is_installed = installed.get(name.as_str()).is_some_and(|r| r.state.tx.as_deref() == Some(&tx));
        let should_be = !installed.contains_key(name.as_str()) && lost(&name).as_ref() == Some(&tx);
        if is_installed || (kept.contains(&(name.clone(), tx.clone())) && !should_be) {
            continue;
        }
        let path = own.path.join(format!("db/{name}/{tx}"));
        let (problem, hint) = match should_be {
            true => ("no recipe file says that it is installed", claims::adopt(&name)),
            false => ("nothing refers to this record", format!("remove {}.json", path.display())),
        };
        found.add("record", name, problem, hint);
    }
}

/// Records that the history refers to.
fn history(own: &Dir) -> anyhow::Result<BTreeSet<(String, String)>> {
    let mut kept = BTreeSet::new();
    // An interrupted transaction is its own finding.
    if let Some(journal) = Journal::open(own)? {
        kept.extend(journal.packages.into_iter().map(|p| (p.name, journal.tx.clone())));
    }
    let Some(history) = History::open(own)? else { return Ok(kept) };
    for tx in history.newest_first() {
        for package in history.journal(tx)?.packages {
            kept.extend(package.from_tx.map(|from| (package.name.clone(), from)));
            kept.insert((package.name, tx.to_owned()));
        }
    }
    Ok(kept)
}

fn files(
    places: &Places,
    prefix: Option<&Dir>,
    installed: &BTreeMap<&str, &Recipe>,
    base: &Base,
    found: &mut Found,
) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (&name, recipe) in installed {
        for file in &recipe.state.files {
            if let Some(other) = owners.insert(file, name) {
                let hint =
                    format!("remove {name} and `recipe install --reinstall {other}`, or the other way round");
                found.add("file", file, format!("both {other} and {name} have installed it"), hint);
            }
            if let Some(problem) = missing(places, prefix, file) {
                found.add("file", file, problem, format!("`recipe install --reinstall {name}`"));
            }
            // What cannot be asked was reported once.
            if let Ok(Some(owner)) = base.place(file).and_then(|place| base.owner(&place)) {
                let problem = format!("it belongs to {name} and to the base ({owner})");
                found.add("file", file, problem, format!("`recipe remove {name}` leaves it to the base"));
            }
        }
    }
}

fn missing(places: &Places, prefix: Option<&Dir>, file: &str) -> Option<String> {
    let Some(path) = places.relative(file) else {
        return Some(format!("it is outside of {}", places.prefix.display()));
    };
    match prefix.map(|prefix| prefix.stat(path)) {
        Some(Ok(Some(_))) => None,
        Some(Err(e)) => Some(format!("it cannot be examined: {e}")),
        _ => Some("it is missing".to_owned()),
    }
}

/// What can satisfy dependencies.
struct Supply<'a> {
    recipes: &'a [Recipe],
    /// Names of packages whose recipes say what is not true here.
    claimed: &'a BTreeSet<&'a str>,
    installed: &'a BTreeMap<&'a str, &'a Recipe>,
    base: &'a Base,
}

fn dependencies(
    recipe: &Recipe,
    deps: &[String],
    Supply { recipes, claimed, installed, base }: &Supply<'_>,
    found: &mut Found,
) {
    let name = &recipe.name;
    for text in deps {
        let wanted = match Requirement::parse(text) {
            Ok(wanted) => wanted,
            Err(e) => {
                let hint = format!("mend `deps` in {}", recipe.path.display());
                found.add("dependency", name, format!("{e:#}"), hint);
                continue;
            }
        };
        let there = installed.get(wanted.name.as_str()).and_then(|r| r.installed_version());
        let answer = base.answer(&wanted).unwrap_or(Answer::Nothing);
        let problem = match (there, answer) {
            (Some(version), _) if wanted.accepts(version) => continue,
            (Some(version), _) => format!("it needs {wanted}, and {version} is installed"),
            (None, Answer::Enough(_)) => continue,
            // That it is not here is a finding already.
            (None, _) if claimed.contains(wanted.name.as_str()) => continue,
            (None, Answer::Other(has)) => format!("it needs {wanted}, and the base has {has}"),
            (None, Answer::Nothing) => format!("it needs {wanted}, which nothing satisfies"),
        };
        let needed = &wanted.name;
        let hint = match recipes.iter().find(|r| r.name == *needed) {
            Some(other) if wanted.accepts(&other.version) => {
                format!("`recipe install --reinstall {name}` brings what it needs")
            }
            Some(other) => format!(
                "the recipe of {needed} has {}: `recipe update {needed}` asks for a newer one, or mend `deps` of {name}",
                other.version
            ),
            None if wanted.names_recipe() => {
                format!("no recipe of {needed} can be read; write or mend it, or mend `deps` of {name}")
            }
            None => format!("only the base could have it: mend `deps` of {name}"),
        };
        found.add("dependency", name, problem, hint);
    }
}
