//! Which packages: a profile's request and the repositories' metadata in, a lock out. Pure: no files, no clock.
//!
//! ```text
//! pool   what may be chosen (architecture, globs, excludes, priority) and who provides what
//! rules  everything reachable from the request as clauses over packages, alternatives in order of preference
//! solve  the clauses in resolvo, a SAT solver
//! explain  when there is no solution: who wants what, what offers it and why not
//! ```
//!
//! The same metadata and request give the same lock, whatever the order in which repositories list their packages.
//! Versions compare as rpm compares them (`evr`), rich dependencies mean what rpm's manual says (`rich`). One version
//! of each name is chosen, kernels too. Older versions are taken only where the newest cannot be had. Recommends are
//! followed where possible if the profile says `weak`; Supplements, Suggests and Enhances never are.

mod evr;
mod rich;
mod pool;
mod rules;
mod solve;
mod explain;

use std::collections::BTreeSet;

use crate::lock::{self, Lock, LockedPackage, LockedRepo};
use crate::profile::Profile;
use crate::repodata::RepoMetadata;
use pool::{Id, Pool};

/// Which of two `[epoch:]version[-release]` is newer, as rpm says; kernels are named so, too.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    evr::compare(a, b)
}

/// Chooses the packages.
///
/// # Errors
/// No set of packages satisfies the profile; explains why in one screen, exit code [`crate::exit::RESOLVE`].
pub fn resolve(profile: &Profile, repos: &[RepoMetadata]) -> anyhow::Result<Lock> {
    let pool = Pool::new(profile, repos);
    let rules = rules::rules(profile, &pool);
    match solve::solve(&pool, &rules) {
        Some(chosen) => Ok(to_lock(profile, &pool, &chosen)),
        None => Err(explain::explain(profile, &pool, &rules)),
    }
}

/// Paths that something needs and that no package in `repos` is known to have. If there are any, read filelists.xml
/// of the repositories ([`crate::repodata::read_filelists`]) and ask again until nothing new is wanted; primary.xml has
/// only some of the paths.
#[must_use]
pub fn unmet_paths(profile: &Profile, repos: &[RepoMetadata]) -> BTreeSet<String> {
    rules::unmet_paths(profile, &Pool::new(profile, repos))
}

fn to_lock(profile: &Profile, pool: &Pool<'_>, chosen: &[Id]) -> Lock {
    let mut packages: Vec<LockedPackage> = chosen.iter().map(|&id| locked(profile, pool, id)).collect();
    packages.sort_by(|a, b| (&a.name, &a.arch, &a.evr).cmp(&(&b.name, &b.arch, &b.evr)));
    let mut repos: Vec<LockedRepo> = pool
        .repos
        .iter()
        .map(|r| LockedRepo { id: r.id.clone(), revision: r.revision.clone(), repomd: r.repomd })
        .collect();
    repos.sort_by(|a, b| a.id.cmp(&b.id));
    // A revision is what its publisher likes; where it is not a time, it does not count.
    let revisions = pool.repos.iter().filter_map(|r| r.revision.parse::<u32>().ok());
    Lock {
        version: lock::VERSION,
        profile: profile.name.clone(),
        request: profile.request(),
        date: revisions.max().map_or(0, i64::from),
        repos,
        packages,
    }
}

fn locked(profile: &Profile, pool: &Pool<'_>, id: Id) -> LockedPackage {
    let candidate = pool.get(id);
    let (repo, package) = (&pool.repos[candidate.repo], candidate.package);
    let settings = profile.repos.iter().find(|r| r.id == repo.id);
    LockedPackage {
        name: repo.text(package.name).to_owned(),
        evr: repo.text(package.evr).to_owned(),
        arch: repo.text(package.arch).to_owned(),
        repo: repo.id.clone(),
        location: repo.text(package.location).to_owned(),
        size: package.size,
        sha256: package.sha256,
        signer: settings.map(|s| s.fingerprints.join(",")).unwrap_or_default(),
    }
}
