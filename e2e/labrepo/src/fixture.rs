//! Tiny repositories in a temporary directory, whole or with chosen defects.
//!
//! [`Fixture`] -> [`Fixture::write`] -> [`TestRepo`], which is removed when dropped. A defect touches what it names and
//! nothing else: every other digest and signature of the repository is right, so that a test which stops for the wrong
//! reason shows.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::key::SigningKey;
use crate::repo::{self, Entry, Repodata, Storage};
use crate::rpm::{DEFAULT_TIME, File, Kind, Package, Rpm};

/// What is wrong with a repository. The text is the name of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// One bit of the payload is flipped; repodata describes the good file.
    FlippedPayload(String),
    /// One bit of the payload is flipped and repodata describes the bad file: only the signed payload digest tells.
    FlippedPayloadListed(String),
    /// One bit of the main header (in the summary's text) is flipped and repodata describes the bad file: only the
    /// signature and the header digest tell.
    FlippedHeaderListed(String),
    /// The second half of the file is missing; repodata describes the whole file.
    Truncated(String),
    /// The second half of the file is missing and repodata describes what is left.
    TruncatedListed(String),
    /// The file is not there.
    Missing(String),
    /// The package carries no signature.
    Unsigned(String),
    /// The package is signed by a key nobody trusts.
    ForeignKey(String),
    /// Repodata and file name say this package; the header, rightly signed, says `impostor`.
    OtherName(String),
    /// Repodata and file name say this package's version; the header, rightly signed, says version `0.0.1`.
    OtherVersion(String),
    /// repomd.xml is not what was signed.
    RepomdChanged,
    /// repomd.xml.asc is missing.
    RepomdUnsigned,
    /// repomd.xml.asc is made by a key nobody trusts.
    RepomdForeignKey,
    /// primary.xml is well formed but not the one repomd.xml describes.
    PrimaryChanged,
    /// primary.xml is cut in half.
    PrimaryTruncated,
}

/// A repository to be written.
#[derive(Debug)]
pub struct Fixture<'a> {
    key: &'a SigningKey,
    packages: Vec<Package>,
    defects: Vec<Defect>,
    storage: Storage,
    time: u32,
}

/// A repository in a temporary directory.
#[derive(Debug)]
pub struct TestRepo {
    temp: tempfile::TempDir,
    fingerprint: String,
    files: Vec<(String, PathBuf)>,
}

impl<'a> Fixture<'a> {
    /// An empty repository whose packages and metadata `key` signs.
    #[must_use]
    pub fn new(key: &'a SigningKey) -> Self {
        let (packages, defects) = (Vec::new(), Vec::new());
        Self { key, packages, defects, storage: Storage::Zstd, time: DEFAULT_TIME }
    }

    /// Adds a package.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a builder step, not arithmetic")]
    pub fn add(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    /// Adds a defect.
    #[must_use]
    pub fn defect(mut self, defect: Defect) -> Self {
        self.defects.push(defect);
        self
    }

    /// Stores the metadata as gzip instead of zstd.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.storage = Storage::Gzip;
        self
    }

    /// Sets the revision of repomd.xml and the time of its signature, seconds since 1970 UTC.
    #[must_use]
    pub fn time(mut self, time: u32) -> Self {
        self.time = time;
        self
    }

    /// Builds the packages and writes everything into a new temporary directory.
    ///
    /// # Errors
    /// A package cannot be built, a defect names none, or the directory cannot be written.
    pub fn write(self) -> anyhow::Result<TestRepo> {
        let temp =
            tempfile::Builder::new().prefix("labrepo-").tempdir().context("failed to make a directory")?;
        self.write_to(temp)
    }

    fn write_to(self, temp: tempfile::TempDir) -> anyhow::Result<TestRepo> {
        let dir = temp.path();
        let stranger = SigningKey::generate("stranger", DEFAULT_TIME)?;
        let mut entries = Vec::new();
        let mut files = Vec::new();
        let mut applied = 0;
        for package in &self.packages {
            let good = package.build(self.key)?;
            let href = repo::href(&good);
            let path = dir.join(&href);
            let mut bytes = Some(good.bytes.clone());
            let mut listed = good.bytes.clone();
            for defect in &self.defects {
                if let Some((stored, described)) = apply(defect, &good, self.key, &stranger)? {
                    (bytes, listed) = (stored, described);
                    applied += 1;
                }
            }
            entries.push(Entry::describe(&good, &href, &listed));
            if let Some(bytes) = bytes {
                common::fs::write_atomic(&path, &bytes)?;
            }
            files.push((package.name.clone(), path));
        }
        let has = |d: &Defect| self.defects.contains(d);
        applied += self.defects.iter().filter(|d| d.package().is_none()).count();
        anyhow::ensure!(applied == self.defects.len(), "a defect names no package of {:?}", self.defects);

        let mut data = Repodata::render(&entries, self.time, self.storage)?;
        if has(&Defect::PrimaryTruncated) {
            let primary = &mut data.files[0].1;
            primary.truncate(primary.len() / 2);
        }
        if has(&Defect::PrimaryChanged) {
            let changed: Vec<Entry> = entries
                .iter()
                .map(|e| Entry { primary: e.primary.replace("<summary>", "<summary>Changed: "), ..e.clone() })
                .collect();
            data.files[0].1 = Repodata::render(&changed, self.time, self.storage)?.files.swap_remove(0).1;
        }
        let signer = if has(&Defect::RepomdForeignKey) { &stranger } else { self.key };
        data.write(dir, (!has(&Defect::RepomdUnsigned)).then_some(signer), self.time)?;
        if has(&Defect::RepomdChanged) {
            let text = data.repomd.replace("<revision>", "<revision>9");
            common::fs::write_atomic(&dir.join("repodata/repomd.xml"), text.as_bytes())?;
        }
        common::fs::write_atomic(&dir.join(KEY_FILE), &self.key.certificate()?)?;
        Ok(TestRepo { temp, fingerprint: self.key.fingerprint(), files })
    }
}

const KEY_FILE: &str = "RPM-GPG-KEY-fixture";

impl TestRepo {
    /// The root of the repository: `repodata`, `Packages` and the key file are in it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// Its URL, `file:///...`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.dir().display())
    }

    /// The armored certificate that packages and metadata are to be checked with.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.dir().join(KEY_FILE)
    }

    /// The fingerprint of that certificate, upper-case hex.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where the file of a package is (or should be, see [`Defect::Missing`]).
    ///
    /// # Panics
    /// The repository has no such package.
    #[must_use]
    pub fn package(&self, name: &str) -> &Path {
        let found = self.files.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("no package {name} in the fixture")).1
    }
}

impl Defect {
    fn package(&self) -> Option<&str> {
        match self {
            Self::FlippedPayload(name)
            | Self::FlippedPayloadListed(name)
            | Self::FlippedHeaderListed(name)
            | Self::Truncated(name)
            | Self::TruncatedListed(name)
            | Self::Missing(name)
            | Self::Unsigned(name)
            | Self::ForeignKey(name)
            | Self::OtherName(name)
            | Self::OtherVersion(name) => Some(name),
            Self::RepomdChanged
            | Self::RepomdUnsigned
            | Self::RepomdForeignKey
            | Self::PrimaryChanged
            | Self::PrimaryTruncated => None,
        }
    }
}

/// What is stored (if anything) and what repodata describes.
type Stored = (Option<Vec<u8>>, Vec<u8>);

fn apply(
    defect: &Defect,
    good: &Rpm,
    key: &SigningKey,
    stranger: &SigningKey,
) -> anyhow::Result<Option<Stored>> {
    let package = &good.package;
    if defect.package() != Some(&package.name) {
        return Ok(None);
    }
    let whole = || good.bytes.clone();
    let half = || good.bytes[..good.bytes.len() / 2].to_vec();
    let flipped = |at: usize| {
        let mut bytes = good.bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let same = |bytes: Vec<u8>| (Some(bytes.clone()), bytes);
    let (start, end) = good.header_range;
    let payload_middle = usize::midpoint(end, good.bytes.len());
    Ok(Some(match defect {
        Defect::FlippedPayload(_) => (Some(flipped(payload_middle)), whole()),
        Defect::FlippedPayloadListed(_) => same(flipped(payload_middle)),
        Defect::FlippedHeaderListed(_) => {
            let summary = package.summary.as_bytes();
            let at = good.bytes[start..end].windows(summary.len()).position(|w| w == summary);
            same(flipped(start + at.context("a header without its summary")?))
        }
        Defect::Truncated(_) => (Some(half()), whole()),
        Defect::TruncatedListed(_) => same(half()),
        Defect::Missing(_) => (None, whole()),
        Defect::Unsigned(_) => same(package.build_unsigned()?.bytes),
        Defect::ForeignKey(_) => same(package.build(stranger)?.bytes),
        Defect::OtherName(_) => {
            same(Package { name: "impostor".into(), ..package.clone() }.build(key)?.bytes)
        }
        Defect::OtherVersion(_) => {
            same(Package { version: "0.0.1".into(), ..package.clone() }.build(key)?.bytes)
        }
        Defect::RepomdChanged
        | Defect::RepomdUnsigned
        | Defect::RepomdForeignKey
        | Defect::PrimaryChanged
        | Defect::PrimaryTruncated => return Ok(None),
    }))
}

/// Packages, rightly built, whose file names try to leave the directory they are extracted into: what each tries, and
/// the package.
#[must_use]
pub fn hostile_packages() -> Vec<(&'static str, Package)> {
    let new = || Package::new("hostile", "1", "1", "noarch");
    let link = |path: &str, to: &str| File::new(path, Kind::Symlink(to.into()), 0o777);
    vec![
        ("dot-dot at the root", new().file("/../../evil", b"evil", 0o644)),
        ("dot-dot inside", new().file("/usr/../../../evil", b"evil", 0o644)),
        ("dot-dot as the last component", new().file("/usr/..", b"evil", 0o644)),
        ("no leading slash", new().file("../evil", b"evil", 0o644)),
        ("through an own symlink", new().with(link("/a", "/..")).file("/a/../evil", b"evil", 0o644)),
        (
            "through a symlink loop",
            new().with(link("/a", "/b")).with(link("/b", "/a")).file("/a/evil", b"", 0o644),
        ),
        ("empty name", new().file("", b"evil", 0o644)),
        ("the root itself as a file", new().file("/", b"evil", 0o644)),
        ("a file where a directory is", new().dir("/usr/bin", 0o755).file("/usr", b"evil", 0o644)),
        ("double slashes and dots", new().file("//.//usr/./evil", b"evil", 0o644)),
    ]
}
