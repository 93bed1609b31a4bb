//! What was installed, as JSON in the new system: `var/lib/levitate/installed.json`.
//!
//! ```json
//! {
//!   "schema": 1,
//!   "tool": "recstrap 0.1.0",
//!   "time": "2026-11-25T14:00:00Z",
//!   "image": { "sha256": "...", "size": 314572800, "vouched": true },   vouched: a manifest said so
//!   "tree": { "image": "...", "target": "..." },    digests of listings: of the image, and read back (null: --no-verify)
//!   "volume": "2f5c...",                            UUID of the root file system, null if unknown
//!   "excludes": ["usr/share/doc/*"],
//!   "differences": [ { "path": "etc/machine-id", "why": "..." } ]
//! }
//! ```
//!
//! The record is written and synced before the marker goes, and the directories' times are put back: the rest of the
//! tree stays as it was verified.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use common::layout::INSTALLED_RECORD;
use common::mounts::Mount;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::plan::Plan;
use super::root::Root;
use super::{attributes, exit};

/// The schema this code writes.
pub const SCHEMA: u32 = 1;

/// The document.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Program and version.
    pub tool: &'static str,
    /// When, UTC.
    pub time: String,
    /// Which image.
    pub image: Image,
    /// What is in it, and what is on the disk.
    pub tree: Trees,
    /// UUID of the root file system.
    pub volume: Option<String>,
    /// Patterns of names that were not wanted.
    pub excludes: Vec<String>,
    /// Names that are not as in the image.
    pub differences: Vec<Difference>,
}

/// An image.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    /// Digest of the file.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// Whether a manifest said that it must be this one.
    pub vouched: bool,
}

/// Digests of listings.
#[derive(Debug, Clone, Serialize)]
pub struct Trees {
    /// What was decompressed.
    pub image: Sha256,
    /// What was read back.
    pub target: Option<Sha256>,
}

/// A name that is not as in the image.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// From the root.
    pub path: String,
    /// Why.
    pub why: &'static str,
}

/// All of a plan's differences.
#[must_use]
pub fn differences(plan: &Plan) -> Vec<Difference> {
    let lossy = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
    plan.differences().into_iter().map(|(path, why)| Difference { path: lossy(path), why }).collect()
}

/// UUID of the file system mounted there, as udev knows it.
#[must_use]
pub fn volume(mount: &Mount) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let rdev = |path: &Path| path.metadata().ok().map(|m| m.rdev()).filter(|&rdev| rdev != 0);
    let device = rdev(&mount.source)?;
    let entries = std::fs::read_dir("/dev/disk/by-uuid").ok()?;
    let found = entries.flatten().find(|e| rdev(&e.path()) == Some(device))?;
    found.file_name().into_string().ok()
}

/// Writes it, durably.
///
/// # Errors
/// The target cannot be written.
pub fn write(root: &Root, plan: &Plan, record: &Record) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", root.show(INSTALLED_RECORD.as_bytes()));
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    write_file(root, &text).with_context(failed).exit(exit::TARGET)?;
    // Some of the directories on the way are the image's; their times were verified.
    for path in parents() {
        let dir = root.dir(path.as_bytes()).map_err(std::io::Error::from);
        let dir = dir.with_context(failed).exit(exit::TARGET)?;
        if let Some(at) = plan.dirs().find(|&at| plan.path(at) == path.as_bytes()) {
            attributes::set_times(&dir, plan.node(at))?;
        }
        rustix::fs::fsync(&dir).map_err(std::io::Error::from).with_context(failed).exit(exit::TARGET)?;
    }
    Ok(())
}

/// The record's directories, the outermost first.
fn parents() -> impl Iterator<Item = &'static str> {
    INSTALLED_RECORD.match_indices('/').map(|(at, _)| &INSTALLED_RECORD[..at])
}

fn write_file(root: &Root, text: &[u8]) -> std::io::Result<()> {
    let mut dir = root.dir(b"")?;
    for path in parents() {
        match rustix::fs::mkdirat(&dir, base(path), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => dir = root.dir(path.as_bytes())?,
            Err(e) => return Err(e.into()),
        }
    }
    let (temp, name) = (".installed.json.tmp", base(INSTALLED_RECORD));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&dir, temp, flags, Mode::from_raw_mode(0o644))?);
    file.write_all(text)?;
    file.sync_all()?;
    rustix::fs::renameat(&dir, temp, &dir, name)?;
    // Read back like everything else, from the disk.
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut found = Vec::new();
    File::from(rustix::fs::openat(&dir, name, flags, Mode::empty())?).read_to_end(&mut found)?;
    if found != text {
        return Err(std::io::Error::other("what was read back is not what was written"));
    }
    Ok(())
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, base)| base)
}
