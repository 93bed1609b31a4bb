//! A mounted tree as a listing (common/src/listing.rs), read through the kernel: the oracle knows nothing of recstrap.
//!
//! A directory -> one line a name, in the order of the walk. Crosses mount points: /boot of a target may be one.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use common::hash::Sha256;
use common::listing::{self, Entry, Kind, Listing, Xattr};
use rustix::fs::{lgetxattr, llistxattr, major, minor};

/// Path -> its line.
pub(crate) type Lines = BTreeMap<Vec<u8>, Vec<u8>>;

/// All names below `root`, and the digest of the listing.
///
/// An I/O error is an error, not a panic: a tree on a damaged disk is judged too.
pub(crate) fn read(root: &Path) -> std::io::Result<(Lines, Sha256)> {
    let walk = Walk::of(root)?;
    Ok((walk.lines, walk.listing.finish().0))
}

/// Names, and bytes of the files, each inode once: what a manifest says of a tree.
pub(crate) fn totals(root: &Path) -> std::io::Result<(u64, u64)> {
    let walk = Walk::of(root)?;
    Ok((walk.files, walk.bytes))
}

struct Walk {
    lines: Lines,
    listing: Listing<std::io::Sink>,
    /// (device, inode) -> first name.
    first: HashMap<(u64, u64), Vec<u8>>,
    files: u64,
    bytes: u64,
}

impl Walk {
    fn of(root: &Path) -> std::io::Result<Self> {
        let mut walk = Self {
            lines: Lines::new(),
            listing: Listing::new(std::io::sink())?,
            first: HashMap::new(),
            files: 0,
            bytes: 0,
        };
        walk.name(root, &[])?;
        Ok(walk)
    }

    fn name(&mut self, at: &Path, path: &[u8]) -> std::io::Result<()> {
        let meta = at.symlink_metadata()?;
        let kind = meta.file_type();
        let hardlink = if kind.is_dir() || meta.nlink() == 1 {
            None
        } else {
            let first = self.first.entry((meta.dev(), meta.ino())).or_insert_with(|| path.to_owned());
            (first != path).then(|| first.clone())
        };
        let target = if kind.is_symlink() { at.read_link()? } else { "".into() };
        let kind = if kind.is_dir() {
            Kind::Dir
        } else if kind.is_file() {
            let bytes = std::fs::read(at)?;
            self.bytes += if hardlink.is_none() { meta.len() } else { 0 };
            Kind::File { size: meta.len(), sha256: Sha256::of(&bytes) }
        } else if kind.is_symlink() {
            Kind::Symlink(target.as_os_str().as_bytes())
        } else if kind.is_char_device() {
            Kind::Char(major(meta.rdev()), minor(meta.rdev()))
        } else if kind.is_block_device() {
            Kind::Block(major(meta.rdev()), minor(meta.rdev()))
        } else if kind.is_fifo() {
            Kind::Fifo
        } else {
            Kind::Socket
        };
        let is_dir = matches!(kind, Kind::Dir);
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
        self.files += 1;
        self.listing.push(&entry)?;
        self.lines.insert(path.to_owned(), listing::line(&entry));
        if !is_dir {
            return Ok(());
        }
        let mut names = at.read_dir()?.map(|e| e.map(|e| e.file_name())).collect::<Result<Vec<_>, _>>()?;
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            self.name(&at.join(&name), &[path, slash, name.as_bytes()].concat())?;
        }
        Ok(())
    }
}

fn xattrs(path: &Path) -> std::io::Result<Vec<Xattr>> {
    let mut names = vec![0_u8; 64 << 10];
    let len = llistxattr(path, &mut names[..])?;
    let names = names[..len].split(|&b| b == 0).filter(|name| !name.is_empty());
    // XFS shows ACLs a second time.
    let names = names.filter(|name| !name.starts_with(b"trusted.SGI_ACL_"));
    let read = |name: &[u8]| {
        let mut value = vec![0_u8; 64 << 10];
        let len = lgetxattr(path, name, &mut value[..])?;
        Ok((name.into(), value[..len].into()))
    };
    let mut all: Vec<Xattr> = names.map(read).collect::<std::io::Result<_>>()?;
    all.sort();
    Ok(all)
}
