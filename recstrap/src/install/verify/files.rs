//! Files and other names that are no directories, read back.
//!
//! In: the units of the plan, then the files that lie on a disk in one piece, in the order of their places. Out: every name
//! with its attributes and its content. What cannot be read from its place ([`super::disk`]) is read as a file.

use std::os::fd::OwnedFd;

use common::hash::Sha256;
use common::listing::Kind;
use rustix::fs::FileType;
use rustix::io::Errno;
use sha2::Digest;

use super::super::plan::{Fate, Node, Unit, What};
use super::disk::{self, Disks, Placed, Run};
use super::read::{self, Buffer, From, WINDOW};
use super::{Job, Part};

impl Job<'_> {
    /// All names of one unit; files that `disks` can give are left for [`Job::on_disk`].
    pub(super) fn unit(
        &self,
        unit: &Unit,
        disks: &Disks,
        buffer: &mut Buffer,
        part: &mut Part,
    ) -> anyhow::Result<()> {
        if matches!(self.plan.node(unit.dir).fate, Fate::Left(_)) {
            return Ok(());
        }
        let path = self.plan.path(unit.dir);
        let Some(dir) = self.directory_with_names(&path)? else { return Ok(()) };
        let disk = disks.of(&dir);
        let mut rest = Vec::new();
        for &at in &unit.nodes {
            self.control.check()?;
            let node = self.plan.node(at);
            if matches!(node.fate, Fate::Left(_)) {
                continue;
            }
            match disk.and_then(|disk| placed(disk, &dir, at, node)) {
                Some(placed) => part.placed.push(placed),
                None => rest.push((at, node)),
            }
        }
        self.names(&dir, &path, &rest, buffer, part)
    }

    /// Neighbours on a disk, by one read; or one large file, by as many as it takes.
    pub(super) fn on_disk(
        &self,
        disks: &Disks,
        run: &Run<'_>,
        buffer: &mut Buffer,
        part: &mut Part,
    ) -> anyhow::Result<()> {
        let len = run.sectors.end - run.sectors.start;
        let bytes = usize::try_from(len).ok().and_then(|len| buffer.aligned().get_mut(..len));
        match (bytes, run.files) {
            (Some(bytes), [first, ..]) => {
                self.control.check()?;
                let count = disks.read(first, run.sectors.start, bytes).unwrap_or(0);
                let mut lost = Vec::new();
                for file in run.files {
                    let place = run.bytes_of(file);
                    match bytes[..count].get(place.start as usize..place.end as usize) {
                        Some(content) => self.content(file, Sha256::of(content), part),
                        None => lost.push(file),
                    }
                }
                lost.into_iter().try_for_each(|file| self.by_name(file.at, buffer, part))
            }
            (None, [file]) => match self.large(disks, run, file, buffer)? {
                Some(digest) => {
                    self.content(file, digest, part);
                    Ok(())
                }
                None => self.by_name(file.at, buffer, part),
            },
            _ => unreachable!("several files are put together only as far as the buffer holds them"),
        }
    }

    /// The digest of one file that is larger than the buffer. `None`: its place cannot be read.
    fn large(
        &self,
        disks: &Disks,
        run: &Run<'_>,
        file: &Placed,
        buffer: &mut Buffer,
    ) -> anyhow::Result<Option<Sha256>> {
        let mut hasher = sha2::Sha256::new();
        let mut place = run.bytes_of(file);
        let mut sectors = run.sectors.clone();
        let mut at = 0;
        while !sectors.is_empty() {
            self.control.check()?;
            let len = (sectors.end - sectors.start).min(WINDOW as u64) as usize;
            let bytes = &mut buffer.aligned()[..len];
            if disks.read(file, sectors.start, bytes) != Ok(len) {
                return Ok(None);
            }
            let end = (place.end - at).min(len as u64) as usize;
            hasher.update(&bytes[(place.start - at) as usize..end]);
            sectors.start += len as u64;
            at += len as u64;
            place.start = at;
        }
        Ok(Some(Sha256(hasher.finalize().into())))
    }

    fn content(&self, file: &Placed, digest: Sha256, part: &mut Part) {
        self.progress.add(file.size());
        let kind = Kind::File { size: file.size(), sha256: digest };
        self.compare(file.at, &self.plan.path(file.at), Some((&file.stat, kind, file.xattrs.clone())), part);
    }

    /// A file whose place on the disk could not be read: through its file system, which says what is wrong.
    fn by_name(&self, at: u32, buffer: &mut Buffer, part: &mut Part) -> anyhow::Result<()> {
        let node = self.plan.node(at);
        let path = self.plan.path(node.parent);
        let Some(dir) = self.directory_with_names(&path)? else { return Ok(()) };
        self.names(&dir, &path, &[(at, node)], buffer, part)
    }

    /// `None`: it is not there, which is a difference that is named with the directory itself.
    fn directory_with_names(&self, path: &[u8]) -> anyhow::Result<Option<OwnedFd>> {
        match self.root.dir(path) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(self.failed(e, path)),
        }
    }

    /// Names in one directory, by their names.
    fn names(
        &self,
        dir: &OwnedFd,
        dir_path: &[u8],
        names: &[(u32, &Node)],
        buffer: &mut Buffer,
        part: &mut Part,
    ) -> anyhow::Result<()> {
        // On most disks all files of a directory were left for their places.
        if names.is_empty() {
            return Ok(());
        }
        let from = From::of(dir).map_err(|e| self.failed(e, dir_path))?;
        let open = |node: &Node| {
            matches!(node.what, What::File(_)).then(|| read::open(dir, &node.name, node.size(), from))
        };
        let opened: Vec<_> = names.iter().map(|(_, node)| open(node)).collect();
        for ((at, node), opened) in names.iter().zip(opened) {
            self.control.check()?;
            let path =
                if dir_path.is_empty() { node.name.to_vec() } else { [dir_path, &node.name].join(&b'/') };
            let read = match opened {
                Some(Ok(Some(file))) => read::file(&file, buffer, self.control, self.progress),
                Some(Err(e)) => Err(e),
                Some(Ok(None)) | None => read::other(dir, &node.name),
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
            self.compare(*at, &path, found.as_ref().map(|(s, k, x)| (s, k.clone(), x.clone())), part);
        }
        Ok(())
    }
}

/// A file whose bytes can be read from a disk. `None`: it has none, they cannot, or it is no file any more.
fn placed(disk: usize, dir: &OwnedFd, at: u32, node: &Node) -> Option<Placed> {
    if !matches!(node.what, What::File(1..)) {
        return None;
    }
    let file = read::handle(dir, &node.name).ok()??;
    let (stat, xattrs) = read::about(&file).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let start = is_file.then(|| disk::start(&file, stat.st_size.cast_unsigned()))??;
    Some(Placed { at, stat, xattrs, disk, start })
}
