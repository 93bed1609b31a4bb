//! Texts of recipe files as they were read last, in one file of the user's cache -> ten thousand files that need not be opened again.
//!
//! Each file is looked at every time: its text is taken from here only if device, inode, size and both times of change, to the
//! nanosecond, are those it was read with. A file that was changed less than [`SETTLED`] before it was read is not kept, since a
//! second change within one tick of its file system's clock could not be seen. What does not fit, is torn, or somebody else's, is
//! as if it were not there. Only what is shown comes from here; what something is decided by is read (see [`super::all`]).
//!
//! ```text
//! CACHE/texts/DEVICE-INODE        of the recipes' directory; numbers are little-endian
//!     MAGIC, rows: u32, CRC-32 of the rows: u32
//!     row by (device, inode): device, inode: u64; modified, changed: i64 s; modified, changed: u32 ns; size, CRC-32: u32
//!     the texts, in the order of the rows
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use common::fs::AtomicFile;
use rustix::fs::{Mode, OFlags, Stat};
use serde::Serialize;

use crate::dir::Dir;

/// The directory in the cache.
const TEXTS: &str = "texts";
const MAGIC: &[u8; 8] = b"recipes1";
const HEAD: usize = MAGIC.len() + 8;
const ROW: usize = 48;

/// The coarsest clock of a file system that recipes lie on has a tick of two seconds.
const SETTLED: Duration = Duration::from_secs(3);
/// Fewer files are read more quickly than they are kept.
const WORTH: usize = 256;

/// Which content of which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    file: (u64, u64),
    size: u32,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Stamp {
    /// None for what is no file, or larger than recipes are.
    pub(super) fn of(stat: &Stat) -> Option<Self> {
        if !crate::dir::kind(stat).is_file() {
            return None;
        }
        let nanoseconds = |n| u32::try_from(n).ok();
        Some(Self {
            file: (stat.st_dev, stat.st_ino),
            size: u32::try_from(stat.st_size).ok()?,
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)?),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)?),
        })
    }
}

/// A row of the table.
struct Row {
    stamp: Stamp,
    crc: u32,
    /// Where its text begins.
    at: usize,
    used: AtomicBool,
}

/// What is kept of a directory, and what is new.
pub(super) struct Kept {
    path: PathBuf,
    bytes: Vec<u8>,
    rows: Vec<Row>,
    /// Seconds since 1970: files changed until then are settled.
    settled: i64,
    new: Mutex<Vec<(Stamp, String)>>,
}

impl Kept {
    /// What is kept of this directory; nothing, if that cannot be told.
    pub(super) fn open(cache: &Path, dir: &Dir) -> Option<Self> {
        let of = rustix::fs::fstat(dir).ok()?;
        let path = cache.join(TEXTS).join(format!("{:x}-{:x}", of.st_dev, of.st_ino));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let settled = i64::try_from(now.saturating_sub(SETTLED).as_secs()).ok()?;
        let bytes = own(&path).unwrap_or_default();
        // Half a table is none.
        let rows = table(&bytes).unwrap_or_default();
        Some(Self { path, bytes, rows, settled, new: Mutex::default() })
    }

    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text that a file of this stamp has.
    pub(super) fn text(&self, stamp: &Stamp) -> Option<&str> {
        let row = &self.rows[self.rows.binary_search_by(|row| row.stamp.cmp(stamp)).ok()?];
        let text = self.bytes.get(row.at..row.at + row.stamp.size as usize)?;
        let text =
            std::str::from_utf8(text).ok().filter(|text| crc32fast::hash(text.as_bytes()) == row.crc)?;
        row.used.store(true, Ordering::Relaxed);
        Some(text)
    }

    /// Keeps a text that was read of an open file; the stamp is from before.
    pub(super) fn keep(&self, stamp: Stamp, text: &str) {
        if stamp.changed.0 < self.settled && stamp.size as usize == text.len() {
            self.new.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((stamp, text.to_owned()));
        }
    }

    /// Writes it, if much is new. Files that were not asked for are forgotten.
    ///
    /// # Errors
    /// It cannot be written; what was there still is.
    pub(super) fn store(self) -> anyhow::Result<()> {
        let new = self.new.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if new.len() < WORTH {
            return Ok(());
        }
        let old = self.rows.iter().filter(|row| row.used.load(Ordering::Relaxed));
        let old = old.map(|row| (row.stamp, &self.bytes[row.at..row.at + row.stamp.size as usize]));
        let mut all: Vec<_> = old.chain(new.iter().map(|(stamp, text)| (*stamp, text.as_bytes()))).collect();
        all.sort_unstable_by_key(|(stamp, _)| *stamp);
        // One file can have several names.
        all.dedup_by_key(|(stamp, _)| *stamp);
        let mut rows = Vec::with_capacity(all.len() * ROW);
        for (stamp, text) in &all {
            let Stamp { file, size, modified, changed } = stamp;
            rows.extend([file.0, file.1].into_iter().flat_map(u64::to_le_bytes));
            rows.extend([modified.0, changed.0].into_iter().flat_map(i64::to_le_bytes));
            let crc = crc32fast::hash(text);
            rows.extend([modified.1, changed.1, *size, crc].into_iter().flat_map(u32::to_le_bytes));
        }
        let count = u32::try_from(all.len()).context("too many recipes")?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend([count, crc32fast::hash(&rows)].into_iter().flat_map(u32::to_le_bytes));
        bytes.append(&mut rows);
        all.iter().for_each(|(_, text)| bytes.extend_from_slice(text));
        let mut file = AtomicFile::create(&self.path)?;
        // Nobody reads here what he may not read there.
        rustix::fs::fchmod(file.file(), Mode::from_raw_mode(0o600))?;
        file.write_all(&bytes)?;
        file.commit_unsynced()
    }
}

/// A directory's file of texts.
#[derive(Debug, Serialize)]
pub(crate) struct Item {
    /// Its name in the cache's directory of texts.
    pub(crate) name: String,
    /// Bytes.
    size: u64,
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{TEXTS}/{}  {} bytes", self.name, self.size)
    }
}

/// All that is kept in a cache, sorted.
///
/// # Errors
/// It cannot be read.
pub(crate) fn list(cache: &Path) -> anyhow::Result<Vec<Item>> {
    let path = cache.join(TEXTS);
    let context = || format!("failed to list {}", path.display());
    let Some(dir) = Dir::open_if_there(&path).with_context(context)? else { return Ok(Vec::new()) };
    let item = |name: String| {
        let size = dir.stat(&name)?.map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or_default());
        Ok(Item { name, size })
    };
    dir.utf8_names()
        .with_context(context)?
        .into_iter()
        .map(item)
        .collect::<std::io::Result<_>>()
        .with_context(context)
}

/// Removes of it what was listed.
///
/// # Errors
/// Something cannot be removed.
pub(crate) fn remove(cache: &Path, items: &[Item]) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let path = cache.join(TEXTS);
    let context = || format!("failed to clean {}", path.display());
    let dir = Dir::open(&path).with_context(context)?;
    items.iter().try_for_each(|item| dir.remove_file(&item.name)).with_context(context)
}

/// The bytes of a file that is ours.
fn own(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).ok()? + 1);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The table of a whole file.
fn table(bytes: &[u8]) -> Option<Vec<Row>> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let head = head.strip_prefix(MAGIC)?;
    let (count, crc) = (u32_at(head, 0)?, u32_at(head, 4)?);
    let (rows, texts) = rest.split_at_checked((count as usize).checked_mul(ROW)?)?;
    if crc32fast::hash(rows) != crc {
        return None;
    }
    let mut at = HEAD + rows.len();
    let row = |row: &[u8]| {
        let long = |at: usize| Some(u64::from_le_bytes(row.get(at..at + 8)?.try_into().ok()?));
        let size = u32_at(row, 40)?;
        let stamp = Stamp {
            file: (long(0)?, long(8)?),
            size,
            modified: (long(16)?.cast_signed(), u32_at(row, 32)?),
            changed: (long(24)?.cast_signed(), u32_at(row, 36)?),
        };
        let row = Row { stamp, crc: u32_at(row, 44)?, at, used: AtomicBool::new(false) };
        at = at.checked_add(size as usize)?;
        Some(row)
    };
    let rows: Vec<Row> = rows.chunks_exact(ROW).map(row).collect::<Option<_>>()?;
    let sizes: u64 = rows.iter().map(|row| u64::from(row.stamp.size)).sum();
    (texts.len() as u64 == sizes).then_some(rows)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
