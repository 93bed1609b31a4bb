//! The target is read back, and compared name by name with what was to be written.
//!
//! In: the plan, and the digests of what was decompressed. Out: the digest of the listing of the target, and every name
//! that differs, is missing, or is too many. Contents are read from the disk: the kernel's copy of each file is dropped
//! before (everything was synced, so it can be). Nothing that was remembered while writing is believed but the plan.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use common::listing::{self, Entry, Kind, Listing, Xattr};
use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::Digest;

use super::control::Control;
use super::extract::Digests;
use super::plan::{Fate, Plan, Unit, What};
use super::preflight::target;
use super::progress::Progress;
use super::root::{self, Root};
use super::{attributes, exit};

/// How much of a file is read at once.
const WINDOW: usize = 1 << 20;

/// So many differences are named; the rest is counted.
const NAMED: usize = 20;

/// The files of a target while they are read back; a FIFO that took a file's place must not block.
const OLD: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// What all threads share.
#[derive(Debug)]
pub struct Job<'j> {
    /// What is read.
    pub root: &'j Root,
    /// What must be there.
    pub plan: &'j Plan,
    /// Its contents.
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
}

/// A name's line as it was found, by number of the node.
type Lines = Vec<Option<Vec<u8>>>;

impl Job<'_> {
    /// Reads everything back, by so many threads.
    ///
    /// # Errors
    /// The target cannot be read, or all work is to stop. Differences are no error here.
    pub fn run(&self, jobs: usize) -> anyhow::Result<Found> {
        let dirs: Vec<u32> = self.plan.dirs().collect();
        let units = &self.plan.units;
        let next = AtomicUsize::new(0);
        let shared: Mutex<(Lines, Found)> = Mutex::new((vec![None; self.plan.nodes.len()], Found::default()));
        let work = || -> anyhow::Result<()> {
            let mut buffer = vec![0; WINDOW];
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let mut lines = Vec::new();
                let mut wrong = Vec::new();
                match (dirs.get(at), units.get(at.wrapping_sub(dirs.len()))) {
                    (Some(&dir), _) => self.directory(dir, &mut lines, &mut wrong)?,
                    (None, Some(unit)) => self.unit(unit, &mut buffer, &mut lines, &mut wrong)?,
                    (None, None) => return Ok(()),
                }
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                lines.into_iter().for_each(|(at, line)| shared.0[at as usize] = Some(line));
                shared.1.count += wrong.len();
                let room = NAMED.saturating_sub(shared.1.differences.len());
                shared.1.differences.extend(wrong.into_iter().take(room));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
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
    fn directory(
        &self,
        at: u32,
        lines: &mut Vec<(u32, Vec<u8>)>,
        wrong: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        self.control.check()?;
        let path = self.plan.path(at);
        let dir = match self.root.dir(&path) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                wrong.push(format!("/{}: expected a directory, found none", lossy(&path)));
                return Ok(());
            }
            Err(e) => return Err(self.failed(e, &path)),
        };
        let stat = rustix::fs::fstat(&dir).map_err(|e| self.failed(e, &path))?;
        let xattrs = attributes::list(|buffer| rustix::fs::flistxattr(&dir, buffer))
            .and_then(|names| values(names, |name, buffer| rustix::fs::fgetxattr(&dir, name, buffer)))
            .map_err(|e| self.failed(e, &path))?;
        let node = self.plan.node(at);
        self.compare(at, &path, Some((&stat, Kind::Dir, xattrs)), lines, wrong);

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
                wrong.push(format!("/{}: expected nothing, found something", lossy(&extra)));
            }
        }
        Ok(())
    }

    fn unit(
        &self,
        unit: &Unit,
        buffer: &mut [u8],
        lines: &mut Vec<(u32, Vec<u8>)>,
        wrong: &mut Vec<String>,
    ) -> anyhow::Result<()> {
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
        for &at in &unit.nodes {
            self.control.check()?;
            let node = self.plan.node(at);
            if matches!(node.fate, Fate::Left(_)) {
                continue;
            }
            let path =
                if dir_path.is_empty() { node.name.to_vec() } else { [&*dir_path, &node.name].join(&b'/') };
            let read = if matches!(node.what, What::File(_)) {
                self.file(&dir, &node.name, buffer)
            } else {
                self.other(&dir, &node.name)
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
            self.compare(at, &path, found.as_ref().map(|(s, k, x)| (s, k.clone(), x.clone())), lines, wrong);
        }
        Ok(())
    }

    /// What should be a file, through one descriptor: nothing can change its place between two looks.
    fn file(&self, dir: &OwnedFd, name: &[u8], buffer: &mut [u8]) -> rustix::io::Result<Read> {
        let file = match rustix::fs::openat(dir, name, OLD, Mode::empty()) {
            Ok(file) => file,
            // A symlink or socket took its place.
            Err(Errno::LOOP | Errno::NXIO) => return self.other(dir, name),
            Err(e) => return Err(e),
        };
        let stat = rustix::fs::fstat(&file)?;
        let names = attributes::list(|buffer| rustix::fs::flistxattr(&file, buffer))?;
        let xattrs = values(names, |name, buffer| rustix::fs::fgetxattr(&file, name, buffer))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok((stat, Content::None, xattrs));
        }
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        let mut hasher = sha2::Sha256::new();
        let mut len = 0;
        loop {
            match rustix::io::read(&file, &mut *buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    self.progress.add(n as u64);
                    len += n as u64;
                    if self.control.check().is_err() {
                        return Err(Errno::CANCELED);
                    }
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        Ok((stat, Content::File(len, Sha256(hasher.finalize().into())), xattrs))
    }

    fn other(&self, dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<Read> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let path = root::proc_path(dir, name);
        let names = attributes::list(|buffer| rustix::fs::llistxattr(&*path, buffer))?;
        let xattrs = values(names, |name, buffer| rustix::fs::lgetxattr(&*path, name, buffer))?;
        let content = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                Content::Symlink(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes())
            }
            _ => Content::None,
        };
        Ok((stat, content, xattrs))
    }

    /// Renders what is expected and what was found; they are equal, or it is a difference.
    fn compare(
        &self,
        at: u32,
        path: &[u8],
        found: Option<(&Stat, Kind<'_>, Vec<Xattr>)>,
        lines: &mut Vec<(u32, Vec<u8>)>,
        wrong: &mut Vec<String>,
    ) {
        let node = self.plan.node(at);
        let link = node.link_to.map(|source| self.plan.path(source));
        let mut expected = node.entry(path, self.digests[node.first.unwrap_or(at) as usize], link.as_deref());
        if let (Fate::Emptied(_), Kind::File { size, sha256 }) = (node.fate, &mut expected.kind) {
            (*size, *sha256) = (0, Sha256::of(b""));
        }
        let Some((stat, kind, mut xattrs)) = found else {
            wrong.push(format!("/{}: expected it, found nothing", lossy(path)));
            return;
        };
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
        let (expected, found) = (listing::line(&expected), listing::line(&entry));
        if expected != found {
            wrong.push(format!("/{}: {}", lossy(path), what_differs(&expected, &found)));
        }
        lines.push((at, found));
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

/// What one name turned out to be.
type Read = (Stat, Content, Vec<Xattr>);

/// What no call of stat tells.
enum Content {
    File(u64, Sha256),
    Symlink(Vec<u8>),
    None,
}

impl Content {
    fn kind<'t>(self, stat: &Stat, target: &'t mut Vec<u8>) -> Kind<'t> {
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        match (self, FileType::from_raw_mode(stat.st_mode)) {
            (Self::File(size, sha256), _) => Kind::File { size, sha256 },
            (Self::Symlink(to), _) => {
                *target = to;
                Kind::Symlink(target)
            }
            (Self::None, FileType::Directory) => Kind::Dir,
            (Self::None, FileType::CharacterDevice) => Kind::Char(device.0, device.1),
            (Self::None, FileType::BlockDevice) => Kind::Block(device.0, device.1),
            (Self::None, FileType::Fifo) => Kind::Fifo,
            // A file where another kind was expected: its content does not matter any more.
            (Self::None, FileType::RegularFile) => {
                Kind::File { size: stat.st_size.cast_unsigned(), sha256: Sha256([0; 32]) }
            }
            (Self::None, _) => Kind::Socket,
        }
    }
}

/// Values of attributes, sorted by name.
fn values(
    mut names: Vec<Vec<u8>>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<Xattr>> {
    names.sort();
    let mut xattrs = Vec::new();
    // XATTR_SIZE_MAX; made only when there is one.
    let mut buffer = if names.is_empty() { Vec::new() } else { vec![0; 64 << 10] };
    for name in names {
        match get(&name, &mut buffer) {
            Ok(len) => xattrs.push((name.into(), buffer[..len].into())),
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(xattrs)
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
