//! Repodata: packages -> primary, filelists, other -> repomd.xml -> repomd.xml.asc.
//!
//! ```text
//! DIR/Packages/f/foo-1.0-1.noarch.rpm
//! DIR/repodata/repomd.xml, repomd.xml.asc
//! DIR/repodata/SHA256-primary.xml.zst, -filelists.xml.zst, -other.xml.zst
//! ```
//!
//! An [`Entry`] holds one package's three XML fragments; they can be kept and reused, so that one changed package does
//! not mean reading all. Same entries, same bytes; only the signature differs (it is salted). Format: what createrepo_c
//! writes, with which a test compares.

mod xml;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::key::SigningKey;
use crate::rpm::Rpm;

/// The code that decides what an RPM and its entry look like beyond their description: what was made by other code is
/// made again.
pub(crate) const CODE: &str = concat!(
    include_str!("rpm.rs"),
    include_str!("rpm/build.rs"),
    include_str!("rpm/header.rs"),
    include_str!("rpm/payload.rs"),
    include_str!("rpm/deps.rs"),
    include_str!("repo.rs"),
    include_str!("repo/xml.rs"),
    include_str!("key.rs"),
);

/// How the XML files are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// `.xml.zst`, as createrepo_c 1.0 and later
    Zstd,
    /// `.xml.gz`, as Enterprise Linux's own repositories
    Gzip,
}

/// What repodata says of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Package name, by which entries are sorted.
    pub name: String,
    /// Path of the file from the repository's root.
    pub href: String,
    /// Digest of the file.
    pub sha256: Sha256,
    /// `<package>` of primary.xml.
    pub primary: String,
    /// `<package>` of filelists.xml.
    pub filelists: String,
    /// `<package>` of other.xml.
    pub other: String,
}

impl Entry {
    /// Describes a package that lies at [`href`].
    #[must_use]
    pub fn new(rpm: &Rpm) -> Self {
        Self::describe(rpm, &href(rpm), &rpm.bytes)
    }

    /// Describes a file `bytes` at `href` as if it held `rpm`.
    #[must_use]
    pub fn describe(rpm: &Rpm, href: &str, bytes: &[u8]) -> Self {
        let sha256 = Sha256::of(bytes);
        Self {
            name: rpm.package.name.clone(),
            href: href.to_owned(),
            sha256,
            primary: xml::primary(rpm, href, sha256, bytes.len()),
            filelists: xml::filelists(&rpm.package, sha256),
            other: xml::other(&rpm.package, sha256),
        }
    }
}

/// `Packages/f/foo-1.0-1.noarch.rpm`, as Rocky lays it out.
#[must_use]
pub fn href(rpm: &Rpm) -> String {
    let initial = rpm.package.name.chars().next().unwrap_or('_').to_ascii_lowercase();
    format!("Packages/{initial}/{}", rpm.package.file_name())
}

/// The files of a repodata directory, not yet written.
#[derive(Debug, Clone)]
pub struct Repodata {
    /// The text of repomd.xml.
    pub repomd: String,
    /// File name -> content of the files it names: primary first.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Repodata {
    /// Renders the metadata of `entries`; `time` (seconds since 1970 UTC) becomes revision and timestamps.
    ///
    /// # Errors
    /// Compression failed.
    pub fn render(entries: &[Entry], time: u32, storage: Storage) -> anyhow::Result<Self> {
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by(|a, b| (&a.name, &a.href).cmp(&(&b.name, &b.href)));
        let mut repodata = Self { repomd: xml::repomd_head(time), files: Vec::new() };
        type Part = fn(&Entry) -> &str;
        let parts: [(&str, Part); 3] =
            [("primary", |e| &e.primary), ("filelists", |e| &e.filelists), ("other", |e| &e.other)];
        for (kind, part) in parts {
            let mut text = xml::list_head(kind, sorted.len());
            sorted.iter().for_each(|entry| text.push_str(part(entry)));
            text.push_str(xml::list_tail(kind));
            let (bytes, suffix) = compress(text.as_bytes(), storage)?;
            let name = format!("{}-{kind}.xml.{suffix}", Sha256::of(&bytes));
            repodata.repomd.push_str(&xml::repomd_data(kind, &name, &bytes, text.as_bytes(), time));
            repodata.files.push((name, bytes));
        }
        repodata.repomd.push_str(xml::REPOMD_TAIL);
        Ok(repodata)
    }

    /// Writes the files into `dir/repodata`; what is there already with the same content stays untouched, what is not
    /// named any more goes away. `key` signs repomd.xml.
    ///
    /// # Errors
    /// A file cannot be written or removed.
    pub fn write(&self, dir: &Path, key: Option<&SigningKey>, time: u32) -> anyhow::Result<()> {
        let dir = dir.join("repodata");
        std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
        for (name, bytes) in &self.files {
            write_changed(&dir.join(name), bytes)?;
        }
        let asc = dir.join("repomd.xml.asc");
        let repomd = dir.join("repomd.xml");
        if asc.exists() && std::fs::read(&repomd).ok().is_none_or(|old| old != self.repomd.as_bytes()) {
            // First of all: whoever is interrupted from here on leaves no signature rather than a wrong one.
            std::fs::remove_file(&asc).with_context(|| format!("failed to remove {}", asc.display()))?;
        }
        write_changed(&repomd, self.repomd.as_bytes())?;
        if let Some(key) = key
            && !asc.exists()
        {
            common::fs::write_atomic(&asc, &key.sign_armored(self.repomd.as_bytes(), time)?)?;
        }
        self.remove_others(&dir)
    }

    fn remove_others(&self, dir: &Path) -> anyhow::Result<()> {
        let context = || format!("failed to tidy {}", dir.display());
        for entry in std::fs::read_dir(dir).with_context(context)? {
            let name = entry.with_context(context)?.file_name();
            let ours = |n: &str| n.starts_with("repomd.xml") || self.files.iter().any(|(f, _)| f == n);
            if !name.to_str().is_some_and(ours) {
                std::fs::remove_file(dir.join(name)).with_context(context)?;
            }
        }
        Ok(())
    }
}

/// Writes `bytes` unless the file holds them already; says whether it wrote.
///
/// # Errors
/// The file cannot be written.
pub fn write_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    let same = std::fs::read(path).is_ok_and(|old| old == bytes);
    if !same {
        common::fs::write_atomic(path, bytes)?;
    }
    Ok(!same)
}

/// Removes the packages of `repo` that are not among `entries`.
///
/// # Errors
/// A directory of it cannot be read, or a file not be removed.
pub fn remove_others(repo: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    let known: BTreeSet<PathBuf> = entries.iter().map(|e| repo.join(&e.href)).collect();
    let root = repo.join("Packages");
    let context = || format!("failed to tidy {}", root.display());
    for dir in std::fs::read_dir(&root).with_context(context)? {
        for file in std::fs::read_dir(dir.with_context(context)?.path()).with_context(context)? {
            let path = file.with_context(context)?.path();
            if !known.contains(&path) {
                std::fs::remove_file(&path).with_context(context)?;
            }
        }
    }
    Ok(())
}

fn compress(text: &[u8], storage: Storage) -> anyhow::Result<(Vec<u8>, &'static str)> {
    Ok(match storage {
        Storage::Zstd => (zstd::encode_all(text, 10)?, "zst"),
        Storage::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text)?;
            (encoder.finish()?, "gz")
        }
    })
}
