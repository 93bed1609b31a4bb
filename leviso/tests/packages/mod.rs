//! Shared by the tests of fetch, sync, verify and extract: a signing key, and locks made from files.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::hash::Sha256;
use labrepo::key::SigningKey;
use labrepo::rpm::Package;
use leviso::fetch::Fetched;
use leviso::lock::LockedPackage;
use leviso::profile::Repo;
use leviso::verify::{Keyring, VerifiedRpm};

/// When keys and packages of tests were made: in the past.
pub(crate) const TIME: u32 = 1_700_000_000;

/// One key for all tests of a file.
pub(crate) fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate("tests", TIME).unwrap())
}

/// A keyring that trusts `key`.
pub(crate) fn keyring(key: &SigningKey) -> Keyring {
    Keyring::parse(&key.certificate().unwrap(), &[key.fingerprint()], Path::new("test.key")).unwrap()
}

/// What a lock would say about a package of these bytes.
pub(crate) fn lock(package: &Package, bytes: &[u8], signer: &str) -> LockedPackage {
    LockedPackage {
        name: package.name.clone(),
        evr: format!("{}:{}-{}", package.epoch.unwrap_or(0), package.version, package.release),
        arch: package.arch.clone(),
        repo: "test".to_owned(),
        location: format!("Packages/{}", package.file_name()),
        size: bytes.len() as u64,
        sha256: Sha256::of(bytes),
        signer: signer.to_owned(),
    }
}

/// A repository of a profile, with signed metadata.
pub(crate) fn repo(id: &str, baseurl: &[&str], fingerprint: &str) -> Repo {
    Repo {
        id: id.to_owned(),
        baseurl: baseurl.iter().map(|u| (*u).to_owned()).collect(),
        mirrorlist: None,
        metalink: None,
        key: PathBuf::from("test.key"),
        fingerprints: vec![fingerprint.to_owned()],
        signed_metadata: true,
        priority: 99,
        includepkgs: Vec::new(),
        excludepkgs: Vec::new(),
    }
}

/// Builds, signs, stores and verifies packages.
pub(crate) fn verified(dir: &Path, packages: &[Package]) -> Vec<VerifiedRpm> {
    let one = |(i, package): (usize, &Package)| {
        let bytes = package.build(key()).unwrap().bytes;
        let path = dir.join(format!("{i}.rpm"));
        std::fs::write(&path, &bytes).unwrap();
        let locked = lock(package, &bytes, &key().fingerprint());
        leviso::verify::rpm(&path, &locked, &keyring(key())).unwrap()
    };
    packages.iter().enumerate().map(one).collect()
}

/// As fetch hands it on.
pub(crate) fn fetched(locked: LockedPackage, path: &Path) -> Fetched {
    Fetched { locked, path: path.to_owned() }
}
