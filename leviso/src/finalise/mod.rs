//! What scriptlets would have done, from the packages' own data; one file a concern.
//!
//! A tree as the packages' payloads leave it + the profile -> a tree that boots. No program of the image runs; each
//! result is compared in tests with what the real tool makes. Order matters: overlays first, so that their sysusers.d,
//! presets and units count like a package's; accounts next, after which every owner is a number. `packages`, which says whose
//! each file is, comes behind everything that makes one: the pipeline calls it.

mod conf;
mod lines;
mod string_pool;
pub mod exclude;
pub mod overlays;
pub mod accounts;
pub mod directories;
pub mod os_release;
pub mod machine_id;
pub mod locale;
pub mod presets;
pub mod resolv_conf;
pub mod shells;
pub mod alternatives;
pub mod crypto_policies;
pub mod ca_trust;
pub mod ld_so_cache;
pub mod hwdb;
pub mod catalog;
pub mod updated;
#[cfg(feature = "build")]
pub mod packages;

use crate::profile::Profile;
use crate::progress::{Progress, Unit};
use crate::tree::Tree;
use accounts::Accounts;

/// What later stages need to know of the finished system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finalised {
    /// Users and groups with their numbers.
    pub accounts: Accounts,
}

/// Finishes the tree. `sysusers_provides` are the sysusers.d lines of the packages' `user(NAME)` provides.
///
/// # Errors
/// The tree cannot become a system that boots as the profile says; exit code [`crate::exit::SYSTEM`] or, where the
/// profile is at fault, [`crate::exit::PROFILE`].
pub fn finalise(
    tree: &mut Tree,
    profile: &Profile,
    sysusers_provides: &[String],
    progress: &dyn Progress,
) -> anyhow::Result<Finalised> {
    progress.begin("finalise the system", 1, Unit::Items);
    exclude::apply(tree, &profile.image.exclude)?;
    overlays::apply(tree, &profile.overlays)?;
    let accounts = accounts::apply(tree, &profile.users, sysusers_provides)?;
    directories::apply(tree, &accounts)?;
    os_release::apply(tree, profile)?;
    machine_id::apply(tree, &profile.os.hostname)?;
    locale::apply(tree)?;
    presets::apply(tree, &profile.services)?;
    resolv_conf::apply(tree)?;
    alternatives::apply(tree, &profile.alternatives)?;
    shells::apply(tree)?;
    crypto_policies::apply(tree)?;
    ca_trust::apply(tree)?;
    ld_so_cache::apply(tree)?;
    hwdb::apply(tree)?;
    catalog::apply(tree)?;
    updated::apply(tree)?;
    progress.advance(1);
    progress.end();
    Ok(Finalised { accounts })
}
