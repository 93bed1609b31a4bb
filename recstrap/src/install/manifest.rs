//! The manifest of a disc, as far as recstrap needs it (written by leviso, `leviso/src/manifest.rs`).
//!
//! In: JSON. Out: what the image must be, and the digest of the tree in it. Other keys are ignored.

use std::path::Path;

use anyhow::{Context, ensure};
use common::hash::Sha256;
use serde::Deserialize;

/// The schema this code reads.
const SCHEMA: u32 = 1;

/// Size and digest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Output {
    /// Bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Sha256,
}

/// The tree in the root file system's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Tree {
    /// Digest of its listing ([`common::listing`]).
    pub digest: Sha256,
    /// Names, the root among them.
    pub entries: u64,
    /// Bytes of its files, each inode once.
    pub bytes: u64,
}

/// What the image must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// The image as a file.
    pub image: Output,
    /// What is in it.
    pub tree: Tree,
}

#[derive(Deserialize)]
struct Raw {
    schema: u32,
    outputs: Outputs,
    tree: Tree,
}

#[derive(Deserialize)]
struct Outputs {
    rootfs: Output,
}

impl Manifest {
    /// Reads it from a file.
    ///
    /// # Errors
    /// It cannot be read, is not JSON, has another schema, or lacks a key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Self::parse(&common::fs::read_to_string(path)?)
            .with_context(|| format!("{} is not a manifest of a disc", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let raw: Raw = serde_json::from_str(text)?;
        ensure!(raw.schema == SCHEMA, "expected manifest schema {SCHEMA}, found {}", raw.schema);
        Ok(Self { image: raw.outputs.rootfs, tree: raw.tree })
    }
}
