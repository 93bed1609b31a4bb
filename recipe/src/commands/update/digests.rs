//! Digests in a recipe's text -> those of the files that its new version downloads.
//!
//! Which call a digest belongs to, and what address that downloads, only the recipe knows: it is run as for an installation, up to
//! where every digest of its text was met. Nothing of it is installed.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Rehash;
use crate::recipe::Recipe;
use crate::text::{self, Place};
use crate::tx::{Desk, make};

/// Digests as they stand in a text, in small letters -> what stands there now.
pub(super) type Digests = BTreeMap<String, String>;

/// What in a text belongs to one version of a package.
pub(super) struct Stale {
    /// Where it is.
    pub(super) place: Place,
    /// The digest.
    pub(super) text: String,
    /// `digest`, or `commit`.
    pub(super) what: &'static str,
}

/// Digests and commits in a text: strings of nothing but hex digits, as many as SHA-256, SHA-512, BLAKE3 or git have.
pub(super) fn stale(text: &str) -> Vec<Stale> {
    let all = text::strings(text).unwrap_or_default();
    let found = all.into_iter().filter_map(|literal| {
        let digest = literal.text.trim().to_ascii_lowercase();
        let what = match digest.len() {
            64 | 128 => "digest",
            40 => "commit",
            _ => return None,
        };
        let hex = digest.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Stale { place: Place::of(text, literal.span.start), text: digest, what })
    });
    found.collect()
}

/// Runs a recipe, whose text has the new version already, until it has met all digests that stand in it.
///
/// # Errors
/// A phase fails before that.
pub(super) fn ask(desk: &Desk, recipe: &Recipe, text: &str) -> anyhow::Result<Digests> {
    let all = stale(text).into_iter().filter(|s| s.what == "digest");
    let old: BTreeSet<String> = all.map(|s| s.text).collect();
    if old.is_empty() {
        return Ok(Digests::new());
    }
    let mut new = Recipe::parse(text, &recipe.path)?;
    new.state.clone_from(&recipe.state);
    let program = make::program(desk, &Desk::new_tx(), &new, text, None)?;
    program.context().borrow_mut().rehash = Some(Rehash { old, new: Digests::new() });
    let is_done = || program.context().borrow().goes_on().is_err();
    for phase in ["acquire", "build", "install"].into_iter().filter(|p| program.has(p)) {
        let result = program.run(phase);
        if is_done() {
            break;
        }
        drop(result?);
    }
    let rehash = program.context().borrow_mut().rehash.take();
    Ok(rehash.unwrap_or_default().new)
}
