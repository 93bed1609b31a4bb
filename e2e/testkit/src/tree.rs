//! A tree as the kernel shows it, as a listing (`common/src/listing.rs`): what tests compare images and targets with.
//!
//! In: a directory, and which names do not count. Out: its [`Tree`]. It knows nothing of the readers and writers it judges.
//! Mount points below are crossed: /boot of a target may be one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use common::hash::Sha256;
use common::listing::{self, Entry, Kind, Listing, Xattr};
use rustix::fs::{lgetxattr, llistxattr, major, minor};

/// What was found.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Path -> its line.
    pub lines: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The whole listing.
    pub text: Vec<u8>,
    /// Its digest.
    pub digest: Sha256,
    /// Names, with the root.
    pub names: u64,
    /// Bytes of the files, each inode once.
    pub bytes: u64,
}

/// Reads all names below `root`; those that `skip` (by their path from the root) are as if they were not there.
///
/// # Errors
/// Something cannot be read: a tree on a damaged disk is judged too.
pub fn read(root: &Path, skip: impl Fn(&[u8]) -> bool) -> io::Result<Tree> {
    let mut walk = Walk {
        skip,
        listing: Listing::new(Vec::new())?,
        lines: BTreeMap::new(),
        first: HashMap::new(),
        bytes: 0,
    };
    walk.name(root, &[])?;
    let (digest, text) = walk.listing.finish();
    Ok(Tree { names: walk.lines.len() as u64, lines: walk.lines, text, digest, bytes: walk.bytes })
}

struct Walk<F> {
    skip: F,
    listing: Listing<Vec<u8>>,
    lines: BTreeMap<Vec<u8>, Vec<u8>>,
    /// (device, inode) -> first name.
    first: HashMap<(u64, u64), Vec<u8>>,
    bytes: u64,
}

impl<F: Fn(&[u8]) -> bool> Walk<F> {
    fn name(&mut self, at: &Path, path: &[u8]) -> io::Result<()> {
        let meta = at.symlink_metadata()?;
        let is_dir = meta.is_dir();
        let hardlink = if is_dir || meta.nlink() == 1 {
            None
        } else {
            let first = self.first.entry((meta.dev(), meta.ino())).or_insert_with(|| path.to_owned());
            (first != path).then(|| first.clone())
        };
        let target = if meta.is_symlink() { at.read_link()? } else { "".into() };
        let kind = self.kind(at, &meta, target.as_os_str().as_bytes(), hardlink.is_none())?;
        let entry = Entry {
            path,
            kind,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: meta.mtime(),
            mtime_nsec: meta.mtime_nsec() as u32,
            xattrs: &xattrs(at)?,
            hardlink: hardlink.as_deref(),
        };
        let line = listing::line(&entry);
        self.listing.push_line(&line)?;
        self.lines.insert(path.to_owned(), line);
        if !is_dir {
            return Ok(());
        }
        let mut names = at.read_dir()?.map(|e| e.map(|e| e.file_name())).collect::<Result<Vec<_>, _>>()?;
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let below = [path, slash, name.as_bytes()].concat();
            if !(self.skip)(&below) {
                self.name(&at.join(&name), &below)?;
            }
        }
        Ok(())
    }

    fn kind<'t>(
        &mut self,
        at: &Path,
        meta: &std::fs::Metadata,
        target: &'t [u8],
        counts: bool,
    ) -> io::Result<Kind<'t>> {
        let kind = meta.file_type();
        let device = (major(meta.rdev()), minor(meta.rdev()));
        Ok(if kind.is_dir() {
            Kind::Dir
        } else if kind.is_file() {
            let content = std::fs::read(at)?;
            self.bytes += if counts { content.len() as u64 } else { 0 };
            Kind::File { size: content.len() as u64, sha256: Sha256::of(&content) }
        } else if kind.is_symlink() {
            Kind::Symlink(target)
        } else if kind.is_char_device() {
            Kind::Char(device.0, device.1)
        } else if kind.is_block_device() {
            Kind::Block(device.0, device.1)
        } else if kind.is_fifo() {
            Kind::Fifo
        } else {
            Kind::Socket
        })
    }
}

fn xattrs(path: &Path) -> io::Result<Vec<Xattr>> {
    // XATTR_LIST_MAX, XATTR_SIZE_MAX
    let mut names = vec![0; 64 << 10];
    let len = llistxattr(path, &mut names[..])?;
    let names = names[..len].split(|&b| b == 0).filter(|name| !name.is_empty());
    // XFS shows ACLs a second time, under these names.
    let names = names.filter(|name| !name.starts_with(b"trusted.SGI_ACL_"));
    let read = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let len = lgetxattr(path, name, &mut value[..])?;
        Ok((name.into(), value[..len].into()))
    };
    let mut all: Vec<Xattr> = names.map(read).collect::<io::Result<_>>()?;
    all.sort();
    Ok(all)
}
