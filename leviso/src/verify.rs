//! Files -> `VerifiedRpm`: digests, signatures by pinned fingerprints, the name that was asked for.
//!
//! A [`VerifiedRpm`] can only be made here, and only if all of this holds: the file has the lock's size and SHA-256; its
//! headers keep rpm's limits; the header digest is there and right; a pinned key, the one the lock names, has signed
//! the header; the digest of the compressed payload is in that signed header and right; the header's NEVRA is the
//! lock's. No switch skips a step. What cannot be checked is refused.

mod header;
mod keyring;
mod package;
pub mod tags;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use common::cli::Mark;
use rayon::prelude::*;

pub use header::{Header, Part};
pub use keyring::{Keyring, SignatureError, normalise};
pub use package::VerifiedRpm;

use crate::exit;
use crate::fetch::Fetched;
use crate::lock::LockedPackage;
use crate::progress::{Progress, Unit};

/// Verifies every package in parallel; the result keeps the order. `keyrings` by repository id.
///
/// # Errors
/// Any package is not what the lock promises: the first one in order is named. Exit code [`exit::VERIFY`].
pub fn packages(
    fetched: &[Fetched],
    keyrings: &BTreeMap<String, Keyring>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<VerifiedRpm>> {
    progress.begin("verify packages", fetched.len() as u64, Unit::Items);
    let results: Vec<anyhow::Result<VerifiedRpm>> = fetched
        .par_iter()
        .map(|f| {
            let keyring = keyrings.get(&f.locked.repo).with_context(|| {
                format!("{}: no keys for the repository {:?}", f.locked.nevra(), f.locked.repo)
            });
            let result = keyring.exit(exit::VERIFY).and_then(|k| rpm(&f.path, &f.locked, k));
            progress.advance(1);
            result
        })
        .collect();
    progress.end();
    let failed = results.iter().filter(|r| r.is_err()).count();
    let result: anyhow::Result<Vec<_>> = results.into_iter().collect();
    result.with_context(|| format!("{failed} of {} packages failed verification", fetched.len()))
}

/// Verifies one package file.
///
/// # Errors
/// It is not what the lock promises; the error names the file, what was expected and what was found. Exit code
/// [`exit::VERIFY`].
pub fn rpm(path: &Path, locked: &LockedPackage, keyring: &Keyring) -> anyhow::Result<VerifiedRpm> {
    VerifiedRpm::check(path, locked, keyring)
        .with_context(|| format!("{} ({}) is not what the lock promises", locked.nevra(), path.display()))
        .exit(exit::VERIFY)
        .hint("the file was changed, or is not from this repository: remove it and fetch again; if that does not help, do not use this mirror")
}

/// Checks `data`, called `name` in errors, against a detached signature (armored or binary); returns the pinned
/// fingerprint that made it.
///
/// # Errors
/// No good signature by a pinned key. Exit code [`exit::VERIFY`].
pub fn verify_detached<'k>(
    data: &[u8],
    signature: &[u8],
    name: &str,
    keyring: &'k Keyring,
) -> anyhow::Result<&'k str> {
    keyring
        .check(data, [signature])
        .with_context(|| format!("{name} does not match its signature (keys: {})", keyring.path().display()))
        .exit(exit::VERIFY)
}
