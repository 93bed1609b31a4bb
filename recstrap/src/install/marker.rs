//! The marker of an installation under way, and the lock that keeps a second one out.
//!
//! `.recstrap-incomplete` in the target's root is there, and on the disk, before anything else is written, and goes when
//! everything is proved. The lock is an flock(2) on the root directory itself: unlike one on the marker it holds from
//! before the marker exists, and it ends with the process, however that ends.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use common::layout::INCOMPLETE_MARKER;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::exit;
use super::root::Root;

/// A marker is short; a longer file of that name is something else.
const MAX: u64 = 4096;

/// What stands in the marker, for people and for the warning at boot.
#[derive(Debug, Serialize)]
struct Content {
    what: &'static str,
    tool: &'static str,
    pid: u32,
    begun: String,
    image: Option<Sha256>,
}

/// Takes the lock; it is held as long as `root` is open.
///
/// # Errors
/// The file system refuses. `Ok(false)`: somebody else holds it.
pub fn lock(root: &Root) -> rustix::io::Result<bool> {
    match rustix::fs::flock(&root.fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether an interrupted installation left its marker: a regular, short file of root's that is empty (killed in the middle
/// of writing it) or ours.
///
/// # Errors
/// It cannot be read.
pub fn is_there(root: &Root) -> std::io::Result<bool> {
    use std::io::Read;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&root.fd, INCOMPLETE_MARKER, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(false),
        Err(e) => return Err(e.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MAX || std::os::unix::fs::MetadataExt::uid(&meta) != 0 {
        return Ok(false);
    }
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text)?;
    // A power cut may leave the length without the bytes.
    let is_blank = text.iter().all(|&b| b == 0);
    let value: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    Ok(is_blank || value.is_some_and(|v| v.get("tool").is_some()))
}

/// Writes the marker and makes it durable.
///
/// # Errors
/// It cannot be written, or there is one that was not there when the target was examined.
pub fn put(root: &Root, again: bool, image: Option<Sha256>) -> anyhow::Result<()> {
    let content = Content {
        what: "an installation by recstrap is under way or was interrupted; run the same command again: it starts over",
        tool: concat!("recstrap ", env!("CARGO_PKG_VERSION")),
        pid: std::process::id(),
        begun: now(),
        image,
    };
    let begun = if again { OFlags::TRUNC } else { OFlags::CREATE | OFlags::EXCL };
    let flags = begun | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let write = || -> std::io::Result<()> {
        let file = rustix::fs::openat(&root.fd, INCOMPLETE_MARKER, flags, Mode::from_raw_mode(0o644))?;
        let mut file = File::from(file);
        file.write_all(&serde_json::to_vec_pretty(&content)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(rustix::fs::fsync(&root.fd)?)
    };
    write().with_context(|| failed(root)).exit(exit::TARGET)
}

/// Removes the marker and makes that durable: the last event of an installation. `times` sets the directory's times, which
/// this changes.
///
/// # Errors
/// The target cannot be written.
pub fn remove(root: &Root, times: impl FnOnce(&OwnedFd) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let remove = || -> anyhow::Result<()> {
        rustix::fs::unlinkat(&root.fd, INCOMPLETE_MARKER, AtFlags::empty()).map_err(std::io::Error::from)?;
        times(&root.fd)?;
        Ok(rustix::fs::fsync(&root.fd).map_err(std::io::Error::from)?)
    };
    remove().with_context(|| failed(root)).exit(exit::TARGET)
}

/// The present, for marker and record.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default().to_string()
}

fn failed(root: &Root) -> String {
    format!("failed to write {}", root.show(INCOMPLETE_MARKER.as_bytes()))
}
