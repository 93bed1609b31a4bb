//! What a finished build was made of and what came out, as JSON.
//!
//! In: the lock, the epoch, the images. Out: two documents.
//!
//! [`Manifest`] lies on the disc itself (`live/manifest.json`), so the same lock gives the same bytes: no host name, no
//! path, no time but the epoch, and nothing of the disc, whose digest it would change.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "profile": "rocky10",                     the profile's name
//!   "lock": "9f86d0...",                      SHA-256 of the lock file's text
//!   "epoch": 1780000001,                      "now" of every output, seconds since 1970 UTC
//!   "inputs": [                               packages, in the lock's order
//!     { "nevra": "bash-5.2.26-6.el10.x86_64", "repo": "baseos", "sha256": "...", "signer": "..." }
//!   ],
//!   "tree": {                                 the root file system: digest of its listing, names, bytes of its files
//!     "digest": "...", "entries": 31234, "bytes": 1073741824
//!   },
//!   "outputs": {                              images by name: rootfs, initramfs, uki, esp
//!     "rootfs": { "size": 314572800, "sha256": "..." }
//!   }
//! }
//! ```
//!
//! [`BuildReport`] lies beside the disc (`NAME.iso.json`) and has, on top of the same keys, what the manifest cannot
//! have:
//!
//! ```json
//!   "iso": { "file": "levitateos-1-x86_64.iso", "size": 1, "sha256": "...", "label": "LEVITATEOS", "uuid": "..." },
//!   "stages": [ { "name": "resolve", "seconds": 0.42 } ]
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;
use crate::iso;
use crate::lock::Lock;
use crate::tree::listing::Summary;

/// The schema this code writes and reads.
pub const SCHEMA: u32 = 1;

/// What the disc says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the profile.
    pub profile: String,
    /// Digest of the lock's text.
    pub lock: Sha256,
    /// The build's "now", seconds since 1970 UTC.
    pub epoch: i64,
    /// Packages, in the lock's order.
    pub inputs: Vec<Input>,
    /// What the root file system holds, whatever image it is in.
    pub tree: Summary,
    /// Images by name.
    pub outputs: BTreeMap<String, Output>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// As [`crate::lock::LockedPackage::nevra`].
    pub nevra: String,
    /// Id of its repository.
    pub repo: String,
    /// Digest of the file.
    pub sha256: Sha256,
    /// Fingerprint of the key that signed it.
    pub signer: String,
}

/// An image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Sha256,
}

impl Output {
    /// Of bytes in memory.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: Sha256::of(bytes) }
    }

    /// Of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let meta = std::fs::metadata(path).with_context(|| format!("failed to hash {}", path.display()))?;
        Ok(Self { size: meta.len(), sha256: Sha256::of_file(path)? })
    }
}

impl Manifest {
    /// A manifest without outputs.
    #[must_use]
    pub fn new(lock: &Lock, epoch: Epoch, tree: Summary) -> Self {
        let input = |package: &crate::lock::LockedPackage| Input {
            nevra: package.nevra(),
            repo: package.repo.clone(),
            sha256: package.sha256,
            signer: package.signer.clone(),
        };
        Self {
            schema: SCHEMA,
            profile: lock.profile.clone(),
            lock: Sha256::of(lock.to_toml().as_bytes()),
            epoch: epoch.0,
            inputs: lock.packages.iter().map(input).collect(),
            tree,
            outputs: BTreeMap::new(),
        }
    }

    /// Adds an image.
    #[must_use]
    pub fn with(mut self, name: &str, output: Output) -> Self {
        self.outputs.insert(name.to_owned(), output);
        self
    }

    /// The document, with a newline at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(self)
    }

    /// Reads a manifest or the manifest part of a build report.
    ///
    /// # Errors
    /// It is not JSON, lacks a key, or has another schema.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let manifest: Self = serde_json::from_str(text).context("this is not a valid manifest")?;
        ensure!(manifest.schema == SCHEMA, "expected manifest schema {SCHEMA}, found {}", manifest.schema);
        Ok(manifest)
    }
}

/// What lies beside the disc: the manifest, the disc, and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuildReport {
    #[serde(flatten)]
    manifest: Manifest,
    iso: Disc,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Disc {
    file: String,
    #[serde(flatten)]
    output: Output,
    label: String,
    uuid: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Stage {
    name: String,
    seconds: f64,
}

impl BuildReport {
    /// Of the disc `file` (its name, without directories) with that label.
    #[must_use]
    pub fn new(manifest: Manifest, file: &str, label: &str, disc: &iso::Report) -> Self {
        let output = Output { size: disc.size, sha256: disc.digest };
        let iso = Disc { file: file.to_owned(), output, label: label.to_owned(), uuid: disc.uuid.clone() };
        Self { manifest, iso, stages: Vec::new() }
    }

    /// Every image with its name, the disc last.
    pub fn images(&self) -> impl Iterator<Item = (&str, Output)> {
        let inside = self.manifest.outputs.iter().map(|(name, output)| (name.as_str(), *output));
        inside.chain(std::iter::once(("iso", self.iso.output)))
    }

    /// Adds a stage, in the order of the pipeline.
    #[must_use]
    pub fn stage(mut self, name: &str, took: Duration) -> Self {
        // Milliseconds are what a reader compares.
        let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        self.stages.push(Stage { name: name.to_owned(), seconds });
        self
    }

    /// The document, with a newline at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(self)
    }
}

fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.unwrap_or_else(|e| unreachable!("string keys and plain values always serialise: {e}")) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{LockedPackage, VERSION};

    fn manifest() -> Manifest {
        let package = LockedPackage {
            name: "bash".into(),
            evr: "0:5.2.26-6.el10".into(),
            arch: "x86_64".into(),
            repo: "baseos".into(),
            location: "b/bash.rpm".into(),
            size: 1,
            sha256: Sha256::of(b"bash"),
            signer: "AB".into(),
        };
        let request = Sha256::of(b"request");
        let lock = Lock {
            version: VERSION,
            profile: "lab".into(),
            request,
            date: 7,
            repos: Vec::new(),
            packages: vec![package],
        };
        let tree = Summary { digest: Sha256::of(b"tree"), entries: 3, bytes: 4 };
        Manifest::new(&lock, Epoch(7), tree)
            .with("uki", Output::of_bytes(b"uki"))
            .with("esp", Output::of_bytes(b"esp"))
    }

    #[test]
    fn a_manifest_round_trips_and_other_schemas_are_refused() {
        let manifest = manifest();
        let text = manifest.to_json();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest);
        assert!(text.find("\"esp\"") < text.find("\"uki\""), "{text}");
        assert!(text.contains("\"nevra\": \"bash-5.2.26-6.el10.x86_64\"") && text.ends_with("}\n"), "{text}");
        let newer = text.replace("\"schema\": 1", "\"schema\": 2");
        assert!(Manifest::parse(&newer).unwrap_err().to_string().contains("schema"));
    }

    #[test]
    fn the_report_is_the_manifest_and_more() {
        let disc = iso::Report { size: 9, digest: Sha256::of(b"disc"), uuid: "2026".into() };
        let report = BuildReport::new(manifest(), "x.iso", "LEVITATEOS", &disc)
            .stage("resolve", Duration::from_micros(1_234_567))
            .stage("fetch", Duration::ZERO);
        let text = report.to_json();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["iso"]["sha256"], Sha256::of(b"disc").to_string());
        assert_eq!(value["iso"]["size"], 9);
        assert_eq!(value["stages"][0], serde_json::json!({ "name": "resolve", "seconds": 1.235 }));
    }
}
