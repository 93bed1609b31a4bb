//! What must hold before any code of a transaction runs: wanted packages -> everything whose code will run -> it is as locked, and trusted.
//!
//! Each recipe is looked at once more when it is made: files can change meanwhile. Here it is all of them, so that the code of the
//! first does not run when the last is refused.

use common::cli::Mark;

use crate::code::Code;
use crate::exit;
use crate::lockfile::{NAME, resolved};
use crate::recipe::Recipe;
use crate::resolve;
use crate::shelf;
use crate::tx::Desk;

/// With `--locked`: all of these are as the lock file has them, and so is what they need.
///
/// # Errors
/// One is not (exit code [`exit::LOCKFILE`]).
pub(super) fn as_locked(desk: &Desk, all: &[Recipe]) -> anyhow::Result<()> {
    let Some(lockfile) = desk.lockfile.as_ref().filter(|_| desk.locked) else { return Ok(()) };
    for recipe in all {
        let package = lockfile.require(&Code::load(&recipe.path)?)?;
        let mut deps = Vec::new();
        for text in &recipe.deps {
            let name = resolve::parse(recipe, text)?.name;
            deps.push(resolved(&name, version(desk, all, &name)?.as_deref()));
        }
        if let Some(why) = package.deps_differ(&deps) {
            return Err(anyhow::anyhow!("{}: {why}", recipe.name))
                .exit(exit::LOCKFILE)
                .hint(format!("`recipe lock {}` writes down what is here", recipe.name));
        }
        for text in &recipe.build_deps {
            let name = resolve::parse(recipe, text)?.name;
            let comes = all.iter().any(|r| r.name == name);
            if let Some(built_with) = here(desk, &name)?.filter(|_| !comes) {
                installed_as_locked(desk, &built_with)?;
            }
        }
    }
    Ok(())
}

/// None of these can do more than when it was trusted; with `--require-trust` all are trusted as they are.
///
/// # Errors
/// One is not (exit code [`exit::TRUST`]).
pub(super) fn as_trusted(desk: &Desk, all: &[Recipe]) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let trust = desk.trust()?;
    for recipe in all {
        if let Some(line) = trust.check(&Code::load(&recipe.path)?)? {
            common::cli::tell(&line);
        }
    }
    Ok(())
}

/// With `--locked`: the version that is installed is that of the lock file, if it has one.
///
/// # Errors
/// It is not (exit code [`exit::LOCKFILE`]).
pub(super) fn installed_as_locked(desk: &Desk, recipe: &Recipe) -> anyhow::Result<()> {
    let lockfile = desk.lockfile.as_ref().filter(|_| desk.locked);
    let locked = lockfile.and_then(|lockfile| lockfile.get(&recipe.name));
    match (locked, recipe.installed_version()) {
        (Some(locked), Some(version)) if locked.version != version => {
            let name = &recipe.name;
            Err(anyhow::anyhow!("{name} {version} is installed, and {NAME} has {name} {}", locked.version))
                .exit(exit::LOCKFILE)
                .hint(format!("`recipe lock {name}` writes down what its recipe says now"))
        }
        _ => Ok(()),
    }
}

/// The version that a dependency will have; none if it is not a recipe's.
fn version(desk: &Desk, all: &[Recipe], name: &str) -> anyhow::Result<Option<String>> {
    if let Some(comes) = all.iter().find(|recipe| recipe.name == name) {
        return Ok(Some(comes.version.clone()));
    }
    Ok(here(desk, name)?.and_then(|recipe| recipe.installed_version().map(str::to_owned)))
}

/// The recipe of a name, if there is one and it is installed.
fn here(desk: &Desk, name: &str) -> anyhow::Result<Option<Recipe>> {
    match shelf::load(&desk.places, name) {
        Ok(recipe) => Ok(Some(recipe).filter(|recipe| recipe.state.installed)),
        Err(e) if common::cli::exit_code(&e) == exit::NOT_FOUND => Ok(None),
        Err(e) => Err(e),
    }
}
