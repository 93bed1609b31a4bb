//! What packages are made from, at the same time and before the first of them is made: transactions that are to come, and the lock
//! file -> files in the cache, where recipes find them.
//!
//! Only running a recipe says what it downloads; the lock file says what one that says the same did. Where that is not known, or
//! only one file is missing, the recipe downloads for itself.

use super::Coming;
use crate::code::Code;
use crate::fetch::many::JOBS;
use crate::lockfile::State;
use crate::resolve::Step;
use crate::tx::Desk;

/// Downloads what is missing.
///
/// # Errors
/// A file cannot be had, and nothing else is allowed (`--locked`); a recipe cannot be read; or a signal came.
pub(super) fn ahead(desk: &Desk, coming: &[Coming]) -> anyhow::Result<()> {
    let Some(lockfile) = desk.lockfile.as_ref().filter(|_| !desk.fetcher.is_offline()) else { return Ok(()) };
    let mut files = Vec::new();
    for Step { recipe, .. } in coming.iter().flat_map(|transaction| &transaction.steps) {
        // It may say that it is there already.
        if recipe.has("is_installed") && !recipe.state.installed {
            continue;
        }
        if let State::Same(package) = lockfile.state_of(&Code::load(&recipe.path)?)? {
            files.extend(package.downloads().filter(|file| !desk.fetcher.seems_to_have(file)));
        }
    }
    files.sort_by(|a, b| a.url.cmp(&b.url));
    files.dedup();
    if files.len() < 2 {
        return Ok(());
    }
    let results = desk.fetcher.all(JOBS, &files);
    desk.interrupt.check()?;
    // Without --locked a recipe may know another way.
    if desk.locked { results.into_iter().try_for_each(|result| result.map(drop)) } else { Ok(()) }
}
