//! Repository metadata: repomd.xml, primary.xml and filelists.xml in, compact packages out.
//!
//! The bytes come decompressed and already checked against the chain repomd.xml.asc -> repomd.xml -> primary (that is
//! `sync`'s work); they are read as hostile input all the same: every string, list and nesting is capped, nothing
//! panics, an error names the repository and the byte. Formats: createrepo_c(8) and the `repo`, `common`, `rpm`
//! and `filelists` namespaces at linux.duke.edu.
//!
//! primary.xml of a full distribution is 200 MB of text, most of it the same few thousand names again and again, so
//! strings are interned ([`Strings`]) and a dependency takes 12 bytes.

mod xml;
mod strings;
mod repomd;
mod primary;
mod filelists;

pub use filelists::read_filelists;
pub use primary::read_primary;
pub use repomd::{Checksum, RepoData, Repomd};
pub use strings::{Strings, Sym};

use common::hash::Sha256;

/// How a dependency bounds the version, as repodata's `flags` attribute says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Any version (no flags).
    Any,
    /// `LT`
    Lt,
    /// `LE`
    Le,
    /// `EQ`
    Eq,
    /// `GE`
    Ge,
    /// `GT`
    Gt,
}

/// A capability with an optional bound: one provide, require, conflict or obsolete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dep {
    /// Name, path, or a whole rich dependency when it begins with `(`.
    pub name: Sym,
    /// The bound.
    pub op: Op,
    /// `epoch:version` or `epoch:version-release`; empty when `op` is `Any`.
    pub evr: Sym,
}

/// One package as primary.xml tells it. Symbols are those of the [`RepoMetadata`] it belongs to.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name: letters, digits and `._+-` only.
    pub name: Sym,
    /// Architecture.
    pub arch: Sym,
    /// `epoch:version-release`, the epoch always written.
    pub evr: Sym,
    /// Digest of the file, which is also its id in filelists.xml.
    pub sha256: Sha256,
    /// Size of the file, bytes.
    pub size: u64,
    /// Path relative to the repository's base: no `..`, not absolute.
    pub location: Sym,
    /// What it offers, besides its files.
    pub provides: Box<[Dep]>,
    /// What it needs; rpmlib() features left out, each once.
    pub requires: Box<[Dep]>,
    /// What must not be there with it.
    pub conflicts: Box<[Dep]>,
    /// Which packages, by name, it replaces.
    pub obsoletes: Box<[Dep]>,
    /// What it would like to have.
    pub recommends: Box<[Dep]>,
    /// Files in primary.xml (createrepo's subset: `/etc/`, `bin/`, few others), plus those taken from filelists.xml.
    pub files: Vec<Sym>,
}

/// What the resolver needs of one repository.
#[derive(Debug, Clone)]
pub struct RepoMetadata {
    /// The profile's id of it.
    pub id: String,
    /// `<revision>` of repomd.xml.
    pub revision: String,
    /// Digest of repomd.xml.
    pub repomd: Sha256,
    /// The strings the packages refer to.
    pub strings: Strings,
    /// The packages, in the order of primary.xml.
    pub packages: Vec<Package>,
}

impl RepoMetadata {
    /// A repository without packages yet; `repomd` is the digest of the repomd.xml that `parsed` came from.
    #[must_use]
    pub fn new(id: &str, repomd: Sha256, parsed: &Repomd) -> Self {
        let revision = parsed.revision.clone();
        Self { id: id.to_owned(), revision, repomd, strings: Strings::default(), packages: Vec::new() }
    }

    /// The text of a symbol of this repository.
    #[must_use]
    pub fn text(&self, sym: Sym) -> &str {
        self.strings.get(sym)
    }
}
