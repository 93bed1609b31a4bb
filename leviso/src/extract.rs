//! `VerifiedRpm`s -> `Tree`.
//!
//! Metadata comes from the signed headers, content from the payloads, which stay memory-mapped; every file's content is
//! compared with its digest in the header before it enters the tree. Packages are prepared in parallel and merged in
//! the lock's order, so the result does not depend on the number of threads. Nothing is written outside the payload
//! cache: owners, capabilities and device nodes exist only in the tree.

mod caps;
mod cpio;
mod files;
mod merge;
mod payload;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use common::cli::Mark;
use rayon::prelude::*;
use sha2::Digest as _;

use self::files::{Digest, File, Kind};
use crate::base64;
use crate::epoch::Epoch;
use crate::exit;
use crate::progress::{Progress, Unit};
use crate::tree::{Content, Tree};
use crate::verify::{Header, VerifiedRpm, tags};

/// The root file system as the packages ship it, and what later stages want to know about the packages.
#[derive(Debug)]
pub struct Extracted {
    /// All files.
    pub tree: Tree,
    /// In the order of the lock.
    pub packages: Vec<PackageInfo>,
}

/// One extracted package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageInfo {
    /// `name-epoch:version-release.arch`, as in [`crate::tree::Origin::Package`].
    pub nevra: Arc<str>,
    /// Name.
    pub name: String,
    /// Epoch; 0 if it has none.
    pub epoch: u32,
    /// Version.
    pub version: String,
    /// Release.
    pub release: String,
    /// Architecture.
    pub arch: String,
    /// What it provides, itself included: `NAME = [EPOCH:]VERSION[-RELEASE]`, or `NAME` where no version is given.
    pub provides: Vec<String>,
    /// Licence expression; empty if the package has none.
    pub license: String,
    /// File name of the source package.
    pub sourcerpm: String,
    /// How many files it owns, ghosts included.
    pub files: usize,
    /// Absolute paths of all of them that are no directories, as the package writes them.
    pub paths: Vec<Vec<u8>>,
    /// Absolute paths it owns but does not ship (`%ghost`).
    pub ghosts: Vec<Vec<u8>>,
    /// sysusers.d(5) lines from its `user(x)`, `group(x)` and `groupmember(x/y)` Provides (rpm 4.19 and newer put them
    /// there; that is how rpm itself makes the accounts).
    pub sysusers: Vec<String>,
}

/// A package ready to be merged.
pub(crate) struct Prepared {
    pub(crate) info: PackageInfo,
    pub(crate) files: Vec<File>,
    /// For each file its content; none for what is not a regular file, and for ghosts.
    pub(crate) contents: Vec<Option<Content>>,
}

/// Unpacks all packages into one tree. `cache` keeps decompressed payloads for the next build. Times are clamped to
/// `epoch`.
///
/// # Errors
/// A payload cannot be unpacked, contradicts its header, or two packages ship different files under one path: the
/// error names them. Exit code [`exit::EXTRACT`].
pub fn extract(
    rpms: &[VerifiedRpm],
    cache: &Path,
    epoch: Epoch,
    progress: &dyn Progress,
) -> anyhow::Result<Extracted> {
    progress.begin("extract packages", rpms.len() as u64, Unit::Items);
    let prepared: Vec<anyhow::Result<Prepared>> = rpms
        .par_iter()
        .map(|rpm| {
            let context = || format!("failed to extract {} ({})", rpm.nevra(), rpm.path().display());
            let result = prepare(rpm, cache).with_context(context).exit(exit::EXTRACT);
            progress.advance(1);
            result
        })
        .collect();
    progress.end();
    let prepared = prepared.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let tree = merge::merge(&prepared, epoch).exit(exit::EXTRACT)?;
    Ok(Extracted { tree, packages: prepared.into_iter().map(|p| p.info).collect() })
}

fn prepare(rpm: &VerifiedRpm, cache: &Path) -> anyhow::Result<Prepared> {
    let files = files::list(rpm.header())?;
    let info = info(rpm, &files)?;
    if files.is_empty() {
        return Ok(Prepared { info, files, contents: Vec::new() });
    }
    let archive = payload::open(rpm, &files, cache, true)?;
    let contents = match contents(&archive, &files) {
        // A cached payload may be damaged: only one fresh from the package counts.
        Err(_) if archive.cached.is_some() => contents(&payload::open(rpm, &files, cache, false)?, &files)?,
        result => result?,
    };
    Ok(Prepared { info, files, contents })
}

fn contents(archive: &payload::Archive, files: &[File]) -> anyhow::Result<Vec<Option<Content>>> {
    let ranges = cpio::locate(archive.as_slice(), files)?;
    let mut contents = Vec::with_capacity(files.len());
    for (i, (file, range)) in files.iter().zip(&ranges).enumerate() {
        let (Kind::Regular { digest, .. }, Some(range)) = (&file.kind, range) else {
            contents.push(None);
            continue;
        };
        let bytes = &archive.as_slice()[range.clone()];
        // Names of one inode share one range: hash it once.
        if !(i > 0 && ranges[i - 1].as_ref() == Some(range) && same_digest(&files[i - 1], file)) {
            check(digest.as_ref(), bytes)
                .with_context(|| String::from_utf8_lossy(&file.path).into_owned())?;
        }
        let range = archive.start + range.start..archive.start + range.end;
        contents.push(Content::mapped(&archive.map, range));
    }
    Ok(contents)
}

fn same_digest(a: &File, b: &File) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Regular { digest: a, .. }, Kind::Regular { digest: b, .. }) => a == b,
        _ => false,
    }
}

fn check(digest: Option<&Digest>, bytes: &[u8]) -> anyhow::Result<()> {
    let (expected, found) = match digest {
        None => {
            ensure!(bytes.is_empty(), "it has content but no digest");
            return Ok(());
        }
        Some(Digest::Sha256(hex)) => (hex, to_hex(&sha2::Sha256::digest(bytes))),
        Some(Digest::Sha512(hex)) => (hex, to_hex(&sha2::Sha512::digest(bytes))),
    };
    ensure!(*expected == found, "expected the digest {expected}, found {found}");
    Ok(())
}

fn info(rpm: &VerifiedRpm, files: &[File]) -> anyhow::Result<PackageInfo> {
    let text = |tag| Ok::<_, anyhow::Error>(rpm.header().text(tag)?.unwrap_or_default().to_owned());
    Ok(PackageInfo {
        nevra: rpm.nevra().clone(),
        name: text(tags::NAME)?,
        epoch: rpm.header().u32(tags::EPOCH)?.unwrap_or(0),
        version: text(tags::VERSION)?,
        release: text(tags::RELEASE)?,
        arch: text(tags::ARCH)?,
        provides: provides(rpm.header())?,
        license: text(tags::LICENSE)?,
        sourcerpm: text(tags::SOURCERPM)?,
        files: files.len(),
        paths: files.iter().filter(|f| f.kind != Kind::Dir).map(|f| f.path.clone()).collect(),
        ghosts: files.iter().filter(|f| f.ghost).map(|f| f.path.clone()).collect(),
        sysusers: sysusers(rpm.header())?,
    })
}

/// RPMSENSE_EQUAL, and the mask of all comparisons.
const EQUAL: u32 = 1 << 3;
const SENSE: u32 = 0b1110;

/// Names and exact versions of the Provides. A version that is no version (of an account: see [`sysusers`]) is left out.
fn provides(header: &Header) -> anyhow::Result<Vec<String>> {
    let names = header.strings(tags::PROVIDENAME)?.unwrap_or_default();
    let versions = header.strings(tags::PROVIDEVERSION)?.unwrap_or_default();
    let flags = header.u32s(tags::PROVIDEFLAGS)?.unwrap_or_default();
    let all = names.iter().enumerate().map(|(i, name)| {
        let name = String::from_utf8_lossy(name);
        let exact = flags.get(i).is_some_and(|f| f & SENSE == EQUAL) && !is_account(name.as_bytes());
        let version = versions.get(i).filter(|v| exact && !v.is_empty());
        version.map_or_else(|| name.to_string(), |v| format!("{name} = {}", String::from_utf8_lossy(v)))
    });
    Ok(all.collect())
}

fn is_account(name: &[u8]) -> bool {
    [&b"user("[..], b"group(", b"groupmember("].iter().any(|p| name.starts_with(p))
}

/// `user(dbus) = <base64 of a sysusers.d line>`: names and versions of Provides are parallel arrays.
fn sysusers(header: &Header) -> anyhow::Result<Vec<String>> {
    let names = header.strings(tags::PROVIDENAME)?.unwrap_or_default();
    let versions = header.strings(tags::PROVIDEVERSION)?.unwrap_or_default();
    let mut lines = Vec::new();
    for (name, version) in names.iter().zip(versions) {
        if !is_account(name) || version.is_empty() {
            continue;
        }
        let line =
            base64::decode(&String::from_utf8_lossy(version)).ok().and_then(|b| String::from_utf8(b).ok());
        let shown = String::from_utf8_lossy(name);
        let line = line.with_context(|| format!("the sysusers line of {shown} is not base64 text"))?;
        lines.push(line.trim_end_matches(['\0', '\n']).to_owned());
    }
    Ok(lines)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
