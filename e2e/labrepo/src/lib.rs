//! Makes the lab: a real, signed RPM repository from Debian packages, and tiny defective ones for tests.
//!
//! Debian's ways stay in this crate: what it hands on are RPM files, repodata and a key.
//!
//! - [`key`]: the OpenPGP key that signs
//! - [`rpm`]: a package description in memory -> the bytes of an RPM v4 file
//! - [`repo`]: packages -> repodata, signed
//! - [`fixture`]: a tiny repository in a temporary directory, whole or with a chosen defect
//! - [`debian`]: reads Debian packages and translates their relations and versions
//! - [`lab`]: the lab itself
//! - [`pack`]: trees of files -> packages in a signed repository: how our own tools become packages
//!
//! A fixture in a test of another crate:
//!
//! ```
//! use labrepo::fixture::{Defect, Fixture};
//! use labrepo::key::SigningKey;
//! use labrepo::rpm::Package;
//!
//! # fn main() -> anyhow::Result<()> {
//! let key = SigningKey::generate("fixture", 1_700_000_000)?;
//! let foo = Package::new("foo", "1.0", "1", "noarch").file("/usr/bin/foo", b"hi", 0o755).requires("bar >= 1");
//! let bar = Package::new("bar", "2.0", "1", "noarch");
//! let repo = Fixture::new(&key).add(foo).add(bar).write()?;
//! assert!(repo.url().starts_with("file:///"));
//! assert!(repo.package("foo").is_file() && repo.key_path().is_file());
//! assert_eq!(repo.fingerprint().len(), 40);
//!
//! let bad = Fixture::new(&key).add(Package::new("foo", "1.0", "1", "noarch")).defect(Defect::Unsigned("foo".into()));
//! bad.write()?;
//! # Ok(())
//! # }
//! ```

pub mod key;
pub mod rpm;
pub mod repo;
pub mod fixture;
pub mod debian;
pub mod lab;
pub mod pack;
