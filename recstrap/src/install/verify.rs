//! The target is read back, and compared name by name with what was to be written.
//!
//! In: the plan, and digests of contents as far as they are known. Out: the digest of the listing of the target, every
//! name that differs, is missing, or is too many, and the digests that were not known: whether those are right, only the
//! digest of the whole tree tells ([`super::proof`]). Nothing that was remembered while writing is believed but the plan.

mod compare;
mod disk;
mod files;
mod read;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use common::listing::{Kind, Listing};
use common::mounts;
use rustix::io::Errno;

use super::control::Control;
use super::exit;
use super::extract::Digests;
use super::plan::{Fate, Plan};
use super::preflight::target;
use super::progress::Progress;
use super::root::{self, Root};
use disk::{Disks, Placed};

/// How many threads read files for each processor: most of the time, each waits for the disk.
const READERS: usize = 8;

/// How many read from the disk itself, in long runs: while some wait, as many hash.
const DISK_READERS: usize = 2;

/// More of them keep no disk busier; each needs a mebibyte.
const READERS_MAX: usize = 64;

/// So many differences are named; the rest is counted.
const NAMED: usize = 20;

/// What all threads share.
#[derive(Debug)]
pub struct Job<'j> {
    /// What is read.
    pub root: &'j Root,
    /// What must be there.
    pub plan: &'j Plan,
    /// Its contents, as far as they are known.
    pub digests: &'j Digests,
    /// Whether what is in /home is not ours.
    pub keep_home: bool,
    /// Stops.
    pub control: &'j Control,
    /// Counts.
    pub progress: &'j Progress,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Digest of the listing of what is there.
    pub digest: Option<Sha256>,
    /// Some of the differences: path and what it is.
    pub differences: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// Those that were known, and where none was, what was found.
    pub digests: Digests,
}

/// What a worker found, before all share it.
#[derive(Debug, Default)]
struct Part {
    /// Numbers of names, and their lines as they were found.
    lines: Vec<(u32, Vec<u8>)>,
    /// Numbers of files' first names, and digests that were not known.
    digests: Vec<(u32, Sha256)>,
    /// Files whose contents are still to be read.
    placed: Vec<Placed>,
    wrong: Vec<String>,
}

/// What all workers found.
struct Shared(Mutex<All>);

struct All {
    lines: Vec<Option<Vec<u8>>>,
    placed: Vec<Placed>,
    found: Found,
}

impl Shared {
    fn new(job: &Job<'_>) -> Self {
        let found = Found { digests: job.digests.clone(), ..Found::default() };
        Self(Mutex::new(All { lines: vec![None; job.plan.nodes.len()], placed: Vec::new(), found }))
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of everything, in listing order.
    fn finish(self) -> anyhow::Result<Found> {
        let All { lines, mut found, .. } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut listing = Listing::new(std::io::sink())?;
        for line in lines.iter().flatten() {
            listing.push_line(line)?;
        }
        found.digest = Some(listing.finish().0);
        Ok(found)
    }
}

impl All {
    fn add(&mut self, mut part: Part, plan: &Plan) {
        part.lines.into_iter().for_each(|(at, line)| self.lines[at as usize] = Some(line));
        self.placed.append(&mut part.placed);
        for (at, digest) in part.digests {
            // All names of a file are read; they are one, or something is wrong.
            if *self.found.digests[at as usize].get_or_insert(digest) != digest {
                part.wrong.push(format!("/{}: its names have different contents", lossy(&plan.path(at))));
            }
        }
        self.found.count += part.wrong.len();
        let room = NAMED.saturating_sub(self.found.differences.len());
        self.found.differences.extend(part.wrong.into_iter().take(room));
    }
}

impl Job<'_> {
    /// Reads everything back, as fast as so many processors can hash it.
    ///
    /// # Errors
    /// The target cannot be read, or all work is to stop. Differences are no error here.
    pub fn run(&self, jobs: usize) -> anyhow::Result<Found> {
        let dirs: Vec<u32> = self.plan.dirs().collect();
        let units = &self.plan.units;
        let disks = self.disks();
        let all = Shared::new(self);
        self.workers(readers(jobs, READERS), &all, |at, buffer, part| {
            match (dirs.get(at), units.get(at.wrapping_sub(dirs.len()))) {
                (Some(&dir), _) => self.directory(dir, part).map(|()| true),
                (None, Some(unit)) => self.unit(unit, &disks, buffer, part).map(|()| true),
                (None, None) => Ok(false),
            }
        })?;
        let mut placed = std::mem::take(&mut all.lock().placed);
        let runs = disk::runs(&mut placed);
        self.workers(readers(jobs, DISK_READERS), &all, |at, buffer, part| match runs.get(at) {
            Some(run) => self.on_disk(&disks, run, buffer, part).map(|()| true),
            None => Ok(false),
        })?;
        all.finish()
    }

    /// The disks under the target and what is mounted below it.
    fn disks(&self) -> Disks {
        let Ok(mounts) = mounts::read() else { return Disks::default() };
        let below: Vec<_> = self.plan.places.iter().filter_map(|p| self.root.dir(&p.path).ok()).collect();
        Disks::under(std::iter::once(&self.root.fd).chain(&below), &mounts)
    }

    /// Does piece after piece, each in one of the threads, until `work` says that there is no more.
    fn workers(
        &self,
        readers: usize,
        all: &Shared,
        work: impl Fn(usize, &mut read::Buffer, &mut Part) -> anyhow::Result<bool> + Sync,
    ) -> anyhow::Result<()> {
        let next = AtomicUsize::new(0);
        let work = || -> anyhow::Result<()> {
            let mut buffer = read::Buffer::new();
            loop {
                let mut part = Part::default();
                if !work(next.fetch_add(1, Ordering::Relaxed), &mut buffer, &mut part)? {
                    return Ok(());
                }
                all.lock().add(part, self.plan);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| self.control.note(work()));
            }
        });
        self.control.outcome()
    }

    /// A directory's own attributes, and whether there is something in it that should not.
    fn directory(&self, at: u32, part: &mut Part) -> anyhow::Result<()> {
        self.control.check()?;
        let path = self.plan.path(at);
        let dir = match self.root.dir(&path) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                part.wrong.push(format!("/{}: expected a directory, found none", lossy(&path)));
                return Ok(());
            }
            Err(e) => return Err(self.failed(e, &path)),
        };
        let (stat, xattrs) = read::about(&dir).map_err(|e| self.failed(e, &path))?;
        let node = self.plan.node(at);
        self.compare(at, &path, Some((&stat, Kind::Dir, xattrs)), part);

        let is_ours = node.place == 0 && !(self.keep_home && path == b"home");
        if !is_ours {
            return Ok(());
        }
        let there = root::names(&dir).with_context(|| self.context(&path)).exit(exit::TARGET)?;
        let children = self.plan.children[at as usize].iter().map(|&c| self.plan.node(c));
        let known: BTreeSet<&[u8]> =
            children.filter(|n| !matches!(n.fate, Fate::Left(_))).map(|n| &*n.name).collect();
        for name in there.iter().filter(|name| !known.contains(&***name)) {
            let is_own = at == 0 && target::is_own(name);
            let extra = if path.is_empty() { name.clone() } else { [&*path, name].join(&b'/') };
            // A mount point of the user's, or a directory on the way to one.
            let is_way = self.plan.places.iter().any(|p| {
                p.path.strip_prefix(&*extra).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            });
            // Directories that may be there in an empty target without being in the image.
            let is_allowed = matches!(&*extra, b"home" | b"boot" | b"efi" | b"boot/efi");
            if !(is_own || is_way || is_allowed && root::subdir(&dir, name).is_ok()) {
                part.wrong.push(format!("/{}: expected nothing, found something", lossy(&extra)));
            }
        }
        Ok(())
    }

    fn failed(&self, e: Errno, path: &[u8]) -> anyhow::Error {
        if e == Errno::CANCELED {
            return super::control::Stopped.into();
        }
        Err::<(), _>(std::io::Error::from(e))
            .context(self.context(path))
            .exit(exit::TARGET)
            .expect_err("an error")
    }

    fn context(&self, path: &[u8]) -> String {
        format!("failed to read back {}", self.root.show(path))
    }
}

fn readers(jobs: usize, each: usize) -> usize {
    if jobs <= 1 { 1 } else { (jobs * each).min(READERS_MAX) }
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
