//! Rooms: prefixes in the cache, for programs that are run without being installed.
//!
//! ```text
//! CACHE/run/NAME-VERSION-DIGEST/   DIGEST is of what the recipes say that the package and what it needs are made from
//!     lock                         shared by all that run programs from here; exclusive while it is made or removed
//!     prefix/                      a prefix like any other, with its own books
//!     recipes/                     copies of the recipes, whose state is that of this prefix
//!     ready                        there when all of it is; which files beside the recipes it was made from
//! ```
//!
//! The lock outlives `recipe`: the program that is run inherits it. A room that is not ready is litter of whoever made it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use common::cli::tell;
use common::hash::Sha256;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::{Errno, FdFlags};
use serde::{Deserialize, Serialize};

use crate::dir::{self, Dir};
use crate::interrupt::Interrupt;

const RUN: &str = "run";
const LOCK: &str = "lock";
const READY: &str = "ready";

/// How often it is tried again while somebody else makes it.
const PAUSE: Duration = Duration::from_millis(50);

/// A room, and a lock on it.
#[derive(Debug)]
pub struct Room {
    dir: Dir,
    lock: File,
}

/// A file beside a recipe that something was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Where it is.
    pub path: PathBuf,
    /// What it was.
    pub sha256: Sha256,
}

impl Room {
    /// The room of this name, ready to be run from, by as many as want to. `make` fills it if it is empty.
    ///
    /// # Errors
    /// It cannot be made, or a signal came.
    pub fn ready(
        cache: &Path,
        name: &str,
        interrupt: &Interrupt,
        mut make: impl FnMut(&Self) -> anyhow::Result<Vec<Beside>>,
    ) -> anyhow::Result<Self> {
        loop {
            let room = Self::open(cache, name, FlockOperation::NonBlockingLockShared, interrupt)?;
            if room.is_ready() {
                return Ok(room);
            }
            drop(room);
            let room = Self::open(cache, name, FlockOperation::NonBlockingLockExclusive, interrupt)?;
            if room.is_ready() {
                // Somebody else was faster.
                continue;
            }
            room.empty()?;
            match make(&room).and_then(|beside| room.finish(&beside)) {
                Ok(()) => {}
                Err(e) => {
                    room.remove(cache, name)?;
                    return Err(e);
                }
            }
        }
    }

    /// The room of this name, if it is there and ready. Makes nothing, and waits for nobody.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub fn made(cache: &Path, name: &str) -> anyhow::Result<Option<Self>> {
        let path = cache.join(RUN).join(name);
        let context = || format!("failed to open {}", path.display());
        let Some(dir) = Dir::open_if_there(&path).with_context(context)? else { return Ok(None) };
        let lock = match dir.read(LOCK) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            lock => lock.with_context(context)?,
        };
        // Who makes it holds it alone.
        let is_held = flock(&lock, FlockOperation::NonBlockingLockShared).is_err();
        let room = Self { dir, lock };
        Ok(Some(room).filter(|room| !is_held && room.is_ready()))
    }

    /// Its prefix.
    #[must_use]
    pub fn prefix(&self) -> PathBuf {
        self.dir.path.join("prefix")
    }

    /// Its recipes.
    #[must_use]
    pub fn recipes(&self) -> PathBuf {
        self.dir.path.join("recipes")
    }

    /// Leaves the lock to the program that this process becomes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hand_on(&self) -> std::io::Result<()> {
        Ok(rustix::io::fcntl_setfd(&self.lock, FdFlags::empty())?)
    }

    fn open(cache: &Path, name: &str, how: FlockOperation, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let all = Dir::ensure(&cache.join(RUN))?;
        let context = || format!("failed to open {}/{name}", all.path.display());
        let mut told = false;
        loop {
            let dir = all.make(name, 0o755).with_context(context)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let lock = match rustix::fs::openat(&dir, LOCK, flags, Mode::from_raw_mode(0o644)) {
                // It was removed in the last moment.
                Err(Errno::NOENT) => continue,
                lock => File::from(lock.with_context(context)?),
            };
            match flock(&lock, how) {
                Ok(()) if is_at(&dir, &lock) && is_at_dir(&all, name, &dir) => return Ok(Self { dir, lock }),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    interrupt.check()?;
                    if !told {
                        tell(&format!("waiting: {} is being made", dir.path.display()));
                        told = true;
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(e) => return Err(e).with_context(context),
            }
        }
    }

    /// Whether all of it is there, and the files beside the recipes are what they were.
    fn is_ready(&self) -> bool {
        let Ok(Ok(beside)) = self.dir.read(READY).map(serde_json::from_reader::<_, Vec<Beside>>) else {
            return false;
        };
        beside.iter().all(|file| {
            File::open(&file.path)
                .ok()
                .and_then(|open| Sha256::of_reader(open).ok())
                .is_some_and(|(sha256, _)| sha256 == file.sha256)
        })
    }

    fn finish(&self, beside: &[Beside]) -> anyhow::Result<()> {
        let json = serde_json::to_vec(beside).context("failed to finish it")?;
        self.dir.write(READY, &json).with_context(|| format!("failed to finish {}", self.dir.path.display()))
    }

    /// Removes what is in it, but for the lock.
    fn empty(&self) -> anyhow::Result<()> {
        self.dir.remove_file(READY)?;
        let names =
            self.dir.raw_names().with_context(|| format!("failed to read {}", self.dir.path.display()))?;
        let mut rest = names.iter().filter(|name| name.to_bytes() != LOCK.as_bytes());
        rest.try_for_each(|name| self.dir.remove_tree(name.to_bytes()))
    }

    fn remove(&self, cache: &Path, name: &str) -> anyhow::Result<()> {
        // Nobody may find half of it ready.
        self.empty()?;
        Dir::open(&cache.join(RUN)).context("failed to open the cache")?.remove_tree(name.as_bytes())
    }
}

/// Writes a file of a room's recipes.
///
/// # Errors
/// It cannot be written.
pub fn put(dir: &Dir, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    dir.create(name.as_bytes(), 0o644)?.write_all(bytes)
}

fn is_at(dir: &Dir, lock: &File) -> bool {
    let found = dir.stat(LOCK).ok().flatten().map(|stat| stat.st_ino);
    rustix::fs::fstat(lock).is_ok_and(|stat| Some(stat.st_ino) == found)
}

fn is_at_dir(all: &Dir, name: &str, dir: &Dir) -> bool {
    let found = all.stat(name).ok().flatten().map(|stat| stat.st_ino);
    rustix::fs::fstat(dir).is_ok_and(|stat| Some(stat.st_ino) == found)
}

/// A room as `recipe cache` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Bytes in all of its files.
    pub size: u64,
    /// Whether a program runs there, or somebody makes it.
    pub busy: bool,
}

/// All rooms of a cache.
///
/// # Errors
/// They cannot be read.
pub fn list(cache: &Path) -> anyhow::Result<Vec<Item>> {
    let path = cache.join(RUN);
    let context = || format!("failed to list {}", path.display());
    let Some(all) = Dir::open_if_there(&path).with_context(context)? else { return Ok(Vec::new()) };
    let mut items = Vec::new();
    for name in all.utf8_names().with_context(context)? {
        let Ok(dir) = all.sub(&name) else { continue };
        items.push(Item { busy: alone(&dir).is_none(), size: size(&dir), name });
    }
    Ok(items)
}

/// Removes rooms in which nothing runs; what was removed.
///
/// # Errors
/// Something cannot be removed.
pub fn remove(cache: &Path, items: &[Item]) -> anyhow::Result<Vec<Item>> {
    let mut removed = Vec::new();
    for item in items {
        let all = Dir::open(&cache.join(RUN)).context("failed to open the cache")?;
        let Ok(dir) = all.sub(&item.name) else { continue };
        let Some(lock) = alone(&dir) else { continue };
        Room { dir, lock }.remove(cache, &item.name)?;
        removed.push(item.clone());
    }
    Ok(removed)
}

/// The lock of a room, if nobody else has it.
fn alone(dir: &Dir) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = File::from(rustix::fs::openat(dir, LOCK, flags, Mode::from_raw_mode(0o644)).ok()?);
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok().map(|()| lock)
}

/// Bytes in all files below; what cannot be read counts nothing.
fn size(dir: &Dir) -> u64 {
    let names = dir.utf8_names().unwrap_or_default();
    let one = |name: String| match dir.stat(&name) {
        Ok(Some(stat)) if dir::kind(&stat).is_dir() => dir.sub(&name).map_or(0, |below| size(&below)),
        Ok(Some(stat)) if dir::kind(&stat).is_file() => u64::try_from(stat.st_size).unwrap_or_default(),
        _ => 0,
    };
    names.into_iter().map(one).sum()
}
