//! One name of the target -> what it is: its attributes, and the digest of its content as it is on the disk.
//!
//! Contents are read from the disk, never from what the kernel remembers of them ([`From`]).

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;

use common::hash::Sha256;
use common::listing::{Kind, Xattr};
use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::Digest;

use super::super::attributes;
use super::super::control::Control;
use super::super::progress::Progress;
use super::super::root;

/// How the bytes of a file come from the disk, and not from the kernel's copy of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Past the kernel's copy (O_DIRECT), which may stay: quicker, and what is installed is at hand for the next steps.
    Device,
    /// Through the kernel's copy, which is dropped before. Everything was synced, so it can be.
    Cache,
}

impl From {
    /// The way for files in a directory: past the cache where that is known to read the device, whatever is in the cache.
    /// (btrfs reads compressed extents through the cache in any case, others do not know O_DIRECT.) Asked of each
    /// directory, since other file systems may be mounted below the target.
    pub(super) fn of(dir: &OwnedFd) -> rustix::io::Result<Self> {
        const EXT4: i64 = 0xef53;
        const XFS: i64 = 0x5846_5342;
        let magic = rustix::fs::fstatfs(dir)?.f_type;
        Ok(if matches!(magic, EXT4 | XFS) { Self::Device } else { Self::Cache })
    }
}

/// Small files cost less through the cache, where several are on their way at once.
const DIRECT_MIN: u64 = 64 << 10;

/// What O_DIRECT wants memory, offsets and lengths to be multiples of: the largest sector there is.
pub(super) const SECTOR: usize = 4096;

/// How much of a file is read at once.
pub(super) const WINDOW: usize = 1 << 20;

/// Room to read into, one for each thread.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where the first whole sector begins.
    start: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        let bytes = vec![0; WINDOW + SECTOR];
        let start = bytes.as_ptr().align_offset(SECTOR).min(SECTOR);
        Self { bytes, start }
    }

    /// [`WINDOW`] bytes, where O_DIRECT wants them.
    pub(super) fn aligned(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + WINDOW]
    }
}

/// How much of a file is asked for before it is its turn.
const AHEAD: u64 = 4 << 20;

/// The files of a target while they are read back; a FIFO that took a file's place must not block.
/// Reading leaves no trace: a new access time would have to be written again.
const OLD: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOATIME)
    .union(OFlags::CLOEXEC);

/// What one name turned out to be.
pub(super) type Read = (Stat, Content, Vec<Xattr>);

/// What no call of stat tells.
pub(super) enum Content {
    File(u64, Sha256),
    Symlink(Vec<u8>),
    None,
}

impl Content {
    pub(super) fn kind<'t>(self, stat: &Stat, target: &'t mut Vec<u8>) -> Kind<'t> {
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
pub(super) fn values(
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

/// Opens what should be a file of `size` bytes. `None`: it is something that cannot be opened.
///
/// Buffered, its first bytes are asked for without waiting: while one file is hashed, those behind it are on their way.
pub(super) fn open(dir: &OwnedFd, name: &[u8], size: u64, from: From) -> rustix::io::Result<Option<OwnedFd>> {
    let is_direct = from == From::Device && size >= DIRECT_MIN;
    let file = open_as(dir, name, if is_direct { OFlags::DIRECT } else { OFlags::empty() })?;
    if !is_direct && let Some(file) = &file {
        rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?;
        rustix::fs::fadvise(file, 0, NonZeroU64::new(AHEAD), Advice::WillNeed)?;
    }
    Ok(file)
}

/// Opens what should be a file, for everything but its content.
pub(super) fn handle(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<Option<OwnedFd>> {
    open_as(dir, name, OFlags::empty())
}

fn open_as(dir: &OwnedFd, name: &[u8], more: OFlags) -> rustix::io::Result<Option<OwnedFd>> {
    match rustix::fs::openat(dir, name, OLD | more, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        // A symlink or socket took its place.
        Err(Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What an open file is, without its content.
pub(super) fn about(file: &OwnedFd) -> rustix::io::Result<(Stat, Vec<Xattr>)> {
    let stat = rustix::fs::fstat(file)?;
    let names = attributes::list(|buffer| rustix::fs::flistxattr(file, buffer))?;
    let xattrs = values(names, |name, buffer| rustix::fs::fgetxattr(file, name, buffer))?;
    Ok((stat, xattrs))
}

/// An open file, all of it through one descriptor: nothing can change its place between two looks.
pub(super) fn file(
    file: &OwnedFd,
    buffer: &mut Buffer,
    control: &Control,
    progress: &Progress,
) -> rustix::io::Result<Read> {
    let (stat, xattrs) = about(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok((stat, Content::None, xattrs));
    }
    let mut hasher = sha2::Sha256::new();
    let mut len = 0;
    // Not one read more to see the end: behind a length that is no whole block, a device cannot be read from.
    while len < stat.st_size.cast_unsigned() {
        match rustix::io::read(file, buffer.aligned()) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer.aligned()[..n]);
                progress.add(n as u64);
                len += n as u64;
                if control.check().is_err() {
                    return Err(Errno::CANCELED);
                }
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok((stat, Content::File(len, Sha256(hasher.finalize().into())), xattrs))
}

/// What is no file, by its name.
pub(super) fn other(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<Read> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let path = root::proc_path(dir, name);
    let names = attributes::list(|buffer| rustix::fs::llistxattr(&*path, buffer))?;
    let xattrs = values(names, |name, buffer| rustix::fs::lgetxattr(&*path, name, buffer))?;
    let content = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Content::Symlink(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes()),
        _ => Content::None,
    };
    Ok((stat, content, xattrs))
}
