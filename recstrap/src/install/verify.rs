//! The target is read back, and compared name by name with what was to be written.
//!
//! In: the plan, and digests of contents as far as they are known. Out: the digest of the listing of the target, every
//! name that differs, is missing, or is too many, and the digests that were not known: whether those are right, only the
//! digest of the whole tree tells ([`super::proof`]). Nothing that was remembered while writing is believed but the plan.

mod read;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use common::listing::{self, Entry, Kind, Listing, Xattr};
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;

use super::control::Control;
use super::extract::{Digests, NO_FILE};
use super::plan::{Fate, Node, Plan, Unit, What};
use super::preflight::target;
use super::progress::Progress;
use super::root::{self, Root};
use super::{attributes, exit};
use read::values;

/// How many threads read for each processor: most of the time, each waits for the disk.
const READERS: usize = 8;

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
    wrong: Vec<String>,
}

impl Job<'_> {
    /// Reads everything back, as fast as so many processors can hash it.
    ///
    /// # Errors
    /// The target cannot be read, or all work is to stop. Differences are no error here.
    pub fn run(&self, jobs: usize) -> anyhow::Result<Found> {
        let dirs: Vec<u32> = self.plan.dirs().collect();
        let units = &self.plan.units;
        let readers = if jobs <= 1 { 1 } else { (jobs * READERS).min(READERS_MAX) };
        let next = AtomicUsize::new(0);
        let none = Found { digests: self.digests.clone(), ..Found::default() };
        let shared = Mutex::new((vec![None; self.plan.nodes.len()], none));
        let work = || -> anyhow::Result<()> {
            let mut buffer = read::Buffer::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let mut part = Part::default();
                match (dirs.get(at), units.get(at.wrapping_sub(dirs.len()))) {
                    (Some(&dir), _) => self.directory(dir, &mut part)?,
                    (None, Some(unit)) => self.unit(unit, &mut buffer, &mut part)?,
                    (None, None) => return Ok(()),
                }
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let (all, found) = &mut *shared;
                part.lines.into_iter().for_each(|(at, line)| all[at as usize] = Some(line));
                for (at, digest) in part.digests {
                    // All names of a file are read; they are one, or something is wrong.
                    if *found.digests[at as usize].get_or_insert(digest) != digest {
                        let path = self.plan.path(at);
                        part.wrong.push(format!("/{}: its names have different contents", lossy(&path)));
                    }
                }
                found.count += part.wrong.len();
                let room = NAMED.saturating_sub(found.differences.len());
                found.differences.extend(part.wrong.into_iter().take(room));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| self.control.note(work()));
            }
        });
        self.control.outcome()?;
        let (lines, mut found) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut listing = Listing::new(std::io::sink())?;
        for line in lines.iter().flatten() {
            listing.push_line(line)?;
        }
        found.digest = Some(listing.finish().0);
        Ok(found)
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
        let stat = rustix::fs::fstat(&dir).map_err(|e| self.failed(e, &path))?;
        let xattrs = attributes::list(|buffer| rustix::fs::flistxattr(&dir, buffer))
            .and_then(|names| values(names, |name, buffer| rustix::fs::fgetxattr(&dir, name, buffer)))
            .map_err(|e| self.failed(e, &path))?;
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

    fn unit(&self, unit: &Unit, buffer: &mut read::Buffer, part: &mut Part) -> anyhow::Result<()> {
        let dir_path = self.plan.path(unit.dir);
        if matches!(self.plan.node(unit.dir).fate, Fate::Left(_)) {
            return Ok(());
        }
        let dir = match self.root.dir(&dir_path) {
            Ok(dir) => dir,
            // The directory itself is named as a difference.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(e) => return Err(self.failed(e, &dir_path)),
        };
        let from = read::From::of(&dir).map_err(|e| self.failed(e, &dir_path))?;
        let there = unit.nodes.iter().map(|&at| (at, self.plan.node(at)));
        let there: Vec<_> = there.filter(|(_, node)| !matches!(node.fate, Fate::Left(_))).collect();
        let open = |node: &Node| {
            matches!(node.what, What::File(_)).then(|| read::open(&dir, &node.name, node.size(), from))
        };
        let opened: Vec<_> = there.iter().map(|(_, node)| open(node)).collect();
        for ((at, node), opened) in there.into_iter().zip(opened) {
            self.control.check()?;
            let path =
                if dir_path.is_empty() { node.name.to_vec() } else { [&*dir_path, &node.name].join(&b'/') };
            let read = match opened {
                Some(Ok(Some(file))) => read::file(&file, buffer, self.control, self.progress),
                Some(Err(e)) => Err(e),
                Some(Ok(None)) | None => read::other(&dir, &node.name),
            };
            let found = match read {
                Ok(found) => Some(found),
                Err(Errno::NOENT) => None,
                Err(e) => return Err(self.failed(e, &path)),
            };
            let mut target = Vec::new();
            let found = found.map(|(stat, content, xattrs)| {
                let kind = content.kind(&stat, &mut target);
                (stat, kind, xattrs)
            });
            self.compare(at, &path, found.as_ref().map(|(s, k, x)| (s, k.clone(), x.clone())), part);
        }
        Ok(())
    }

    /// Renders what is expected and what was found; they are equal, or it is a difference.
    fn compare(&self, at: u32, path: &[u8], found: Option<(&Stat, Kind<'_>, Vec<Xattr>)>, part: &mut Part) {
        let node = self.plan.node(at);
        let link = node.link_to.map(|source| self.plan.path(source));
        let Some((stat, kind, mut xattrs)) = found else {
            part.wrong.push(format!("/{}: expected it, found nothing", lossy(path)));
            return;
        };
        let file = node.first.unwrap_or(at);
        let content = match (node.fate, self.digests[file as usize], &kind) {
            (Fate::Install, None, Kind::File { sha256, .. }) => {
                part.digests.push((file, *sha256));
                *sha256
            }
            (_, known, _) => known.unwrap_or(NO_FILE),
        };
        let mut expected = node.entry(path, content, link.as_deref());
        if let (Fate::Emptied(_), Kind::File { size, sha256 }) = (node.fate, &mut expected.kind) {
            (*size, *sha256) = (0, Sha256::of(b""));
        }
        // What the kernel adds by itself is no difference, unless the image has it too.
        xattrs.retain(|(name, _)| {
            !attributes::is_the_systems(name) || node.xattrs.iter().any(|(wanted, _)| wanted == name)
        });
        // Whether it really is a link shows in the number of the inode.
        let is_linked = node.link_to.is_none_or(|source| self.same_inode(source, stat));
        let mut entry = Entry {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            mtime_nsec: stat.st_mtime_nsec as u32,
            xattrs: &xattrs,
            hardlink: if is_linked { link.as_deref() } else { None },
        };
        if self.plan.is_plain(node) {
            // FAT has none of these.
            entry = Entry { kind: entry.kind, ..expected.clone() };
        }
        let found = listing::line(&entry);
        if expected != entry {
            let expected = listing::line(&expected);
            if expected != found {
                part.wrong.push(format!("/{}: {}", lossy(path), what_differs(&expected, &found)));
            }
        }
        part.lines.push((at, found));
    }

    fn same_inode(&self, source: u32, stat: &Stat) -> bool {
        let node = self.plan.node(source);
        let look = || {
            let dir = self.root.dir(&self.plan.path(node.parent))?;
            rustix::fs::statat(&dir, &*node.name, AtFlags::SYMLINK_NOFOLLOW)
        };
        look().is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
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

/// The words of two lines that are not the same in both.
fn what_differs(expected: &[u8], found: &[u8]) -> String {
    let words = |line: &[u8]| -> Vec<String> {
        line.trim_ascii().split(|&b| b == b' ').map(|w| String::from_utf8_lossy(w).into_owned()).collect()
    };
    let (expected, found) = (words(expected), words(found));
    let only = |here: &[String], there: &[String]| -> String {
        let only: Vec<_> = here.iter().filter(|w| !there.contains(w)).cloned().collect();
        if only.is_empty() { "nothing more".to_owned() } else { only.join(" ") }
    };
    format!("expected {}, found {}", only(&expected, &found), only(&found, &expected))
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
