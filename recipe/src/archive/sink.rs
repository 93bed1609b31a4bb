//! Where entries of archives become files: one gate for all formats.

use std::collections::HashMap;
use std::io::Read;

use anyhow::{Context, bail, ensure};
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::interrupt::Interrupt;

/// More names than any package has.
const MAX_ENTRIES: usize = 2_000_000;
/// Later than this (2100) is nobody's time; `make` would wait for it.
const MAX_TIME: i64 = 4_102_444_800;

pub(super) struct Sink<'a> {
    root: &'a Dir,
    interrupt: &'a Interrupt,
    limit: u64,
    written: u64,
    seen: HashMap<Vec<u8>, Kind>,
    /// Made last, so that nothing can be written through them.
    links: Vec<(Vec<u8>, Vec<u8>)>,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dir,
    File,
    Link,
}

impl<'a> Sink<'a> {
    pub(super) fn new(root: &'a Dir, limit: u64, interrupt: &'a Interrupt) -> Self {
        let (seen, links) = (HashMap::new(), Vec::new());
        Self { root, interrupt, limit, written: 0, seen, links, buffer: vec![0; 128 << 10] }
    }

    pub(super) fn dir(&mut self, name: &[u8]) -> anyhow::Result<()> {
        let Some(path) = self.name(name)? else { return Ok(()) };
        self.make_dirs(&path, path.len())
    }

    pub(super) fn file(
        &mut self,
        name: &[u8],
        mode: u32,
        time: Option<i64>,
        content: &mut dyn Read,
    ) -> anyhow::Result<()> {
        let path = self.name(name)?.with_context(|| format!("{} is a file's name", show(name)))?;
        let (parent, last) = self.place(&path, Kind::File)?;
        let context = || format!("failed to write {}", show(&path));
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut file = parent.create(&last, mode).with_context(context)?;
        loop {
            let n = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => 0,
                Err(e) => {
                    return Err(e).with_context(|| format!("failed to read {} in the archive", show(&path)));
                }
            };
            self.written += n as u64;
            ensure!(
                self.written <= self.limit,
                "the archive holds more than {} bytes, far more than its size allows",
                self.limit
            );
            self.interrupt.check()?;
            std::io::Write::write_all(&mut file, &self.buffer[..n]).with_context(context)?;
        }
        // umask is the caller's, what is installed is not.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).with_context(context)?;
        if let Some(time) = time.filter(|t| (0..MAX_TIME).contains(t)) {
            let time = Timespec { tv_sec: time, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::futimens(&file, &times).with_context(context)?;
        }
        Ok(())
    }

    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> anyhow::Result<()> {
        let path = self.name(name)?.with_context(|| format!("{} is a link's name", show(name)))?;
        ensure!(!target.is_empty() && !target.contains(&0), "{} is a link to nothing", show(name));
        // Up only at the beginning: the directories above a link are real ones, so that can be counted. Behind a name there
        // may be another link, and `..` would lead up from where that leads.
        let mut up_left = path.iter().filter(|b| **b == b'/').count();
        let mut named = false;
        let inside = !target.starts_with(b"/")
            && target.split(|b| *b == b'/').all(|part| match part {
                b"" | b"." => true,
                b".." => !named && up_left.checked_sub(1).map(|left| up_left = left).is_some(),
                _ => {
                    named = true;
                    true
                }
            });
        ensure!(inside, "{} is a link that leads out of the archive: {}", show(name), show(target));
        self.place(&path, Kind::Link)?;
        self.links.push((path, target.to_owned()));
        Ok(())
    }

    pub(super) fn hardlink(&mut self, name: &[u8], target: &[u8]) -> anyhow::Result<()> {
        let path = self.name(name)?.with_context(|| format!("{} is a link's name", show(name)))?;
        let first = self.name(target)?.filter(|t| self.seen.get(t) == Some(&Kind::File));
        let first = first.with_context(|| {
            format!("{} is another name of {}, which is no file of this archive", show(name), show(target))
        })?;
        let (parent, last) = self.place(&path, Kind::File)?;
        let (from, from_name) = self.open_parent(&first)?;
        rustix::fs::linkat(&from, &*from_name, &parent, &*last, AtFlags::empty())
            .with_context(|| format!("failed to link {}", show(&path)))
    }

    /// Makes the links. Until this is called the archive is not unpacked.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        for (path, target) in std::mem::take(&mut self.links) {
            let (parent, last) = self.open_parent(&path)?;
            rustix::fs::symlinkat(&*target, &parent, &*last)
                .with_context(|| format!("failed to make the link {}", show(&path)))?;
        }
        Ok(())
    }

    /// A name of the archive as a path below the root; none for the root itself.
    fn name(&self, name: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        ensure!(!name.starts_with(b"/"), "{} is an absolute name", show(name));
        ensure!(!name.contains(&0), "{} has a NUL in it", show(name));
        let mut path = Vec::with_capacity(name.len());
        for part in name.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => bail!("{} leads out of the archive", show(name)),
                part => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(part);
                }
            }
        }
        Ok((!path.is_empty()).then_some(path))
    }

    /// Makes the directories above a new name and opens the last of them.
    fn place(&mut self, path: &[u8], kind: Kind) -> anyhow::Result<(Dir, Vec<u8>)> {
        ensure!(self.seen.len() < MAX_ENTRIES, "the archive has more than {MAX_ENTRIES} names");
        let dir = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
        self.make_dirs(path, dir)?;
        ensure!(self.seen.insert(path.to_owned(), kind).is_none(), "{} is in the archive twice", show(path));
        self.open_parent(path)
    }

    fn open_parent(&self, path: &[u8]) -> anyhow::Result<(Dir, Vec<u8>)> {
        let at = path.iter().rposition(|b| *b == b'/');
        let (dir, last) = at.map_or((&path[..0], path), |at| (&path[..at], &path[at + 1..]));
        let dir = self
            .root
            .sub_bytes(dir)
            .with_context(|| format!("failed to open the directory of {}", show(path)))?;
        Ok((dir, last.to_owned()))
    }

    fn make_dirs(&mut self, path: &[u8], len: usize) -> anyhow::Result<()> {
        let ends = path[..len].iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        for end in ends.chain((len > 0).then_some(len)).collect::<Vec<_>>() {
            let dir = &path[..end];
            match self.seen.get(dir) {
                Some(Kind::Dir) => continue,
                Some(_) => bail!("{} is in the archive as a directory and as something else", show(dir)),
                None => {}
            }
            ensure!(self.seen.len() < MAX_ENTRIES, "the archive has more than {MAX_ENTRIES} names");
            let (parent, last) = self.open_parent(dir)?;
            match rustix::fs::mkdirat(&parent, &*last, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e).with_context(|| format!("failed to create {}", show(dir))),
            }
            let made = parent.sub_bytes(&last).with_context(|| format!("failed to open {}", show(dir)))?;
            rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))
                .with_context(|| format!("failed to create {}", show(dir)))?;
            self.seen.insert(dir.to_owned(), Kind::Dir);
        }
        Ok(())
    }
}

pub(super) fn show(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}
