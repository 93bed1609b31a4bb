//! The plan is carried out: directories, files by several threads, links, and the attributes of directories last.
//!
//! In: a settled plan and a source of contents. Out: the target's files, and the digests that [`Hash`] asks for. The
//! writer trusts neither: names are checked where they are used, every file is created anew
//! ([`super::root`] says how nothing else is reached), a content of another length than its inode says is an error.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow};
use common::cli::Mark;
use common::hash::Sha256;
use common::listing::Listing;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::content::{Buffer, Writer};
use super::control::Control;
use super::plan::{Fate, Node, Paths, Plan, Unit, What};
use super::progress::Progress;
use super::root::{self, Root};
use super::source::Source;
use super::writeback::Writeback;
use super::{attributes, exit};

const NEW: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What all threads share.
#[derive(Debug)]
pub struct Job<'j, S> {
    /// Where to.
    pub root: &'j Root,
    /// What.
    pub plan: &'j Plan,
    /// Contents.
    pub source: &'j S,
    /// Whose digests are made.
    pub hash: Hash,
    /// Told of what was written.
    pub writeback: &'j Writeback,
    /// Stops.
    pub control: &'j Control,
    /// Counts.
    pub progress: &'j Progress,
}

/// Whose content is hashed on its way. Hashing costs a fourth of all processor time of an installation, and what is read
/// back is hashed anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// Every file's: nothing else says what has to be on the disk.
    All,
    /// Only of what is not installed and will not be read back, so that the digest of the whole tree can be proved.
    Absent,
    /// Nobody's.
    Nothing,
}

/// The digest of each file of the image, by the number of its first name; none for what is no file or was not hashed.
pub type Digests = Vec<Option<Sha256>>;

impl<S: Source> Job<'_, S> {
    /// Does everything, by so many threads. Failures are left in `control`, too.
    ///
    /// # Errors
    /// The first failure of any thread, or an interruption.
    pub fn run(&self, jobs: usize) -> anyhow::Result<Digests> {
        // Modes are set as they are to be.
        rustix::process::umask(Mode::empty());
        self.directories()?;
        let digests = self.workers(jobs, |unit, scratch, buffer| self.unit(unit, scratch, buffer))?;
        self.links()?;
        self.finish_directories()?;
        Ok(digests)
    }

    /// Makes all directories, parents first, closed to others.
    fn directories(&self) -> anyhow::Result<()> {
        attributes::forget_default_acl(&self.root.fd)?;
        let mut open: Option<(u32, OwnedFd)> = None;
        for at in self.plan.dirs().skip(1) {
            self.control.check()?;
            let parent = self.plan.node(at).parent;
            let dir = match open.take() {
                Some((dir, fd)) if dir == parent => fd,
                _ => self.dir(parent)?,
            };
            let make = || -> anyhow::Result<()> {
                let name = root::plain(&self.plan.node(at).name)?;
                match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
                    // A mount point, or a directory on the way to one: all else was refused or removed before.
                    Err(Errno::EXIST) if is_dir(&dir, name)? => {
                        attributes::forget_default_acl(&root::subdir(&dir, name).map_err(target_error)?)
                    }
                    result => result.map_err(target_error),
                }
            };
            make().with_context(|| self.failed("make", at)).exit(exit::TARGET)?;
            open = Some((parent, dir));
        }
        Ok(())
    }

    /// Reads all contents of the image and writes nothing.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn digests(&self, jobs: usize) -> anyhow::Result<Digests> {
        self.workers(jobs, |unit, scratch, buffer| {
            let files = unit.nodes.iter().map(|&at| (at, self.plan.node(at)));
            let files = files.filter(|(_, node)| matches!(node.what, What::File(_)) && node.first.is_none());
            let mut digests = Vec::new();
            for (at, node) in files {
                digests.extend(self.content(None, true, node, scratch, buffer)?.map(|digest| (at, digest)));
            }
            Ok(digests)
        })
    }

    fn workers(
        &self,
        jobs: usize,
        work_on: impl Fn(&Unit, &mut S::Scratch, &mut Buffer) -> anyhow::Result<Vec<(u32, Sha256)>> + Sync,
    ) -> anyhow::Result<Digests> {
        let next = AtomicUsize::new(0);
        let digests = Mutex::new(vec![None; self.plan.nodes.len()]);
        let work = || -> anyhow::Result<()> {
            let (mut scratch, mut buffer) = (S::Scratch::default(), Buffer::default());
            loop {
                let Some(unit) = self.plan.units.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok(());
                };
                let found = work_on(unit, &mut scratch, &mut buffer)?;
                let mut digests = digests.lock().unwrap_or_else(PoisonError::into_inner);
                found.into_iter().for_each(|(at, digest)| digests[at as usize] = Some(digest));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| self.control.note(work()));
            }
        });
        self.control.outcome()?;
        Ok(digests.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// All files of one unit.
    fn unit(
        &self,
        unit: &Unit,
        scratch: &mut S::Scratch,
        buffer: &mut Buffer,
    ) -> anyhow::Result<Vec<(u32, Sha256)>> {
        let is_left = matches!(self.plan.node(unit.dir).fate, Fate::Left(_));
        let dir = if is_left { None } else { Some(self.dir(unit.dir)?) };
        let mut digests = Vec::new();
        for &at in &unit.nodes {
            self.control.check()?;
            let node = self.plan.node(at);
            let made = self.name(dir.as_ref(), node, scratch, buffer);
            if let Some(digest) = made.with_context(|| self.failed("install", at))? {
                digests.push((node.first.unwrap_or(at), digest));
            }
        }
        Ok(digests)
    }

    /// One name; the digest of its content if it was read.
    fn name(
        &self,
        dir: Option<&OwnedFd>,
        node: &Node,
        scratch: &mut S::Scratch,
        buffer: &mut Buffer,
    ) -> anyhow::Result<Option<Sha256>> {
        let dir = dir.filter(|_| !matches!(node.fate, Fate::Left(_)) && node.link_to.is_none());
        let Some(dir) = dir else {
            let is_unread = matches!(node.what, What::File(_)) && node.first.is_none();
            if !is_unread || self.hash == Hash::Nothing {
                return Ok(None);
            }
            return self.content(None, true, node, scratch, buffer);
        };
        let name = root::plain(&node.name).exit(exit::IMAGE)?;
        if node.place > 0 {
            self.replace(dir, name)?;
        }
        let plain = self.plan.is_plain(node);
        if let What::File(_) = node.what {
            let file =
                rustix::fs::openat(dir, name, NEW, attributes::first_mode(node)).map_err(target_error)?;
            let is_emptied = node.fate != Fate::Install;
            let hash = self.hash == Hash::All || self.hash == Hash::Absent && is_emptied;
            let digest = if is_emptied && !hash {
                None
            } else {
                self.content((!is_emptied).then_some(&file), hash, node, scratch, buffer)?
            };
            if !plain {
                attributes::set(&file, node, false)?;
            }
            drop(file);
            self.writeback.wrote(node.size(), self.control)?;
            return Ok(digest);
        }
        let make = |kind, device| rustix::fs::mknodat(dir, name, kind, attributes::PRIVATE, device);
        let device = |major: &u32, minor: &u32| rustix::fs::makedev(*major, *minor);
        match &node.what {
            What::Symlink(target) => rustix::fs::symlinkat(&**target, dir, name),
            What::Char(major, minor) => make(FileType::CharacterDevice, device(major, minor)),
            What::Block(major, minor) => make(FileType::BlockDevice, device(major, minor)),
            What::Fifo => make(FileType::Fifo, 0),
            What::Socket => make(FileType::Socket, 0),
            What::Dir | What::File(_) => Ok(()),
        }
        .map_err(target_error)?;
        attributes::set_by_name(dir, name, node)?;
        Ok(None)
    }

    fn content(
        &self,
        file: Option<&OwnedFd>,
        hash: bool,
        node: &Node,
        scratch: &mut S::Scratch,
        buffer: &mut Buffer,
    ) -> anyhow::Result<Option<Sha256>> {
        let What::File(size) = node.what else { unreachable!("callers ask for files only") };
        let mut writer = Writer::new(file, size, hash, buffer, self.control, self.progress);
        self.source.read(node.id, scratch, &mut writer)?;
        writer.finish()
    }

    /// Mounts below the target are not emptied, so a file of an earlier attempt may be there.
    fn replace(&self, dir: &OwnedFd, name: &[u8]) -> anyhow::Result<()> {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(target_error(e)),
        }
    }

    /// Later names of files that have several; their first ones are there by now.
    fn links(&self) -> anyhow::Result<()> {
        let all = self.plan.nodes.iter().enumerate();
        for (at, source) in all.filter_map(|(at, n)| Some((at as u32, n.link_to?))) {
            self.control.check()?;
            let (node, source) = (self.plan.node(at), self.plan.node(source));
            let link = || -> anyhow::Result<()> {
                let (from, to) = (self.dir(source.parent)?, self.dir(node.parent)?);
                let (from_name, to_name) = (root::plain(&source.name)?, root::plain(&node.name)?);
                if node.place > 0 {
                    self.replace(&to, to_name)?;
                }
                rustix::fs::linkat(&from, from_name, &to, to_name, AtFlags::empty()).map_err(target_error)
            };
            link().with_context(|| self.failed("link", at))?;
        }
        Ok(())
    }

    /// Attributes of directories, the deepest first: nothing is made in them any more.
    fn finish_directories(&self) -> anyhow::Result<()> {
        for at in self.plan.dirs().rev() {
            self.control.check()?;
            let node = self.plan.node(at);
            if self.plan.is_plain(node) {
                continue;
            }
            let dir = self.dir(at)?;
            attributes::set(&dir, node, true).with_context(|| self.failed("finish", at))?;
        }
        Ok(())
    }

    fn dir(&self, at: u32) -> anyhow::Result<OwnedFd> {
        let opened = self.root.dir(&self.plan.path(at)).map_err(target_error);
        opened.with_context(|| self.failed("open", at))
    }

    fn failed(&self, verb: &str, at: u32) -> String {
        format!("failed to {verb} {}", self.root.show(&self.plan.path(at)))
    }
}

/// The digest of the listing of the whole image, once the digest of every content is known.
///
/// # Errors
/// One is not.
pub fn tree_digest(plan: &Plan, digests: &Digests) -> anyhow::Result<Sha256> {
    let mut listing = Listing::new(std::io::sink())?;
    let mut paths = Paths::default();
    for (at, node) in plan.nodes.iter().enumerate() {
        let first = node.first.map(|first| plan.path(first));
        let path = paths.of(&plan.nodes, at as u32);
        let digest = match node.what {
            What::File(_) => digests[node.first.map_or(at, |first| first as usize)]
                .with_context(|| format!("/{} was not hashed", String::from_utf8_lossy(path)))?,
            _ => NO_FILE,
        };
        listing.push(&node.entry(path, digest, first.as_deref()))?;
    }
    Ok(listing.finish().0)
}

/// Stands where a listing has no digest.
pub const NO_FILE: Sha256 = Sha256([0; 32]);

fn is_dir(dir: &OwnedFd, name: &[u8]) -> anyhow::Result<bool> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(true),
        found => Err(anyhow!("expected a directory or nothing, found {found:?}")),
    }
}

fn target_error(e: Errno) -> anyhow::Error {
    Err::<(), _>(std::io::Error::from(e)).exit(exit::TARGET).expect_err("it is an error")
}
