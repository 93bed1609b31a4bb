//! The lock: every package of a build by identity, place, size and digest. TOML, sorted, reviewed like code.
//!
//! Two builds from one lock are byte-identical (TEAM/0005), so nothing here depends on the machine that made it:
//! places are relative to repositories, whose base URLs the profile gives.

use std::path::Path;

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::exit;

/// The format this code reads and writes.
pub const VERSION: u32 = 1;

/// What a build is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Format version, [`VERSION`].
    pub version: u32,
    /// Name of the profile it was resolved for.
    pub profile: String,
    /// Digest of the profile's request (packages, excludes, repositories): a changed profile asks for a new lock.
    pub request: Sha256,
    /// Seconds since 1970 UTC: the newest repository revision. Becomes every output's "now".
    pub date: i64,
    /// Repositories, sorted by id.
    #[serde(rename = "repo")]
    pub repos: Vec<LockedRepo>,
    /// Packages, sorted by name, then architecture, then version.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// The state of a repository at lock time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRepo {
    /// The profile's id of it.
    pub id: String,
    /// `<revision>` of repomd.xml, usually seconds since 1970.
    pub revision: String,
    /// Digest of repomd.xml.
    pub repomd: Sha256,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Name.
    pub name: String,
    /// `epoch:version-release`, the epoch always written.
    pub evr: String,
    /// Architecture: `x86_64` or `noarch`.
    pub arch: String,
    /// Id of its repository.
    pub repo: String,
    /// `<location href>`: path relative to the repository's base URL.
    pub location: String,
    /// Size of the file, bytes.
    pub size: u64,
    /// Digest of the file.
    pub sha256: Sha256,
    /// Fingerprint of the key that must have signed it, upper-case hex; where its repository has several pinned keys,
    /// those that may have, separated by commas.
    pub signer: String,
}

impl LockedPackage {
    /// `name-epoch:version-release.arch`; the epoch is left out when it is 0, as rpm and dnf print it.
    #[must_use]
    pub fn nevra(&self) -> String {
        let evr = self.evr.strip_prefix("0:").unwrap_or(&self.evr);
        format!("{}-{evr}.{}", self.name, self.arch)
    }
}

impl Lock {
    /// Parses a lock; the error names line and column.
    ///
    /// # Errors
    /// It is not TOML, has unknown or missing keys, or another format version.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let lock: Self = toml::from_str(text).context("this is not a valid lock")?;
        if lock.version != VERSION {
            anyhow::bail!("expected lock version {VERSION}, found {}", lock.version);
        }
        Ok(lock)
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// It cannot be read or parsed; exit code [`exit::PROFILE`].
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = common::fs::read_to_string(path).exit(exit::PROFILE)?;
        Self::parse(&text).with_context(|| format!("failed to parse {}", path.display())).exit(exit::PROFILE)
    }

    /// The text of the lock; the same lock gives the same text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let body =
            toml::to_string(self).unwrap_or_else(|e| unreachable!("a lock holds only plain values: {e}"));
        format!("# Made by `leviso lock`. Review it like code; do not edit it.\n{body}")
    }
}
