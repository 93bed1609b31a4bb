//! A directory of the host, and an image, as a listing: the two texts are equal when nothing was lost.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use common::hash::Sha256;
use common::listing::{self, Entry, Listing, Xattr};
use recstrap::erofs::{Error, Image, Kind, Scratch};
use rustix::fs::{lgetxattr, llistxattr, major, minor};

/// What the kernel shows below `dir`. The times of directories count, so nothing may touch it meanwhile.
pub(crate) fn of_dir(dir: &Path) -> String {
    let mut listing = Listing::new(Vec::new()).unwrap();
    let mut linked = HashMap::new();
    add(&mut listing, &mut linked, dir, b"");
    text(listing)
}

fn add(listing: &mut Listing<Vec<u8>>, linked: &mut HashMap<u64, Vec<u8>>, root: &Path, path: &[u8]) {
    let full = root.join(std::ffi::OsStr::from_bytes(path));
    let meta = full.symlink_metadata().unwrap();
    let target = full.read_link().map(|t| t.into_os_string()).unwrap_or_default();
    let kind = meta.file_type();
    let device = (major(meta.rdev()), minor(meta.rdev()));
    let kind = if kind.is_dir() {
        listing::Kind::Dir
    } else if kind.is_symlink() {
        listing::Kind::Symlink(target.as_bytes())
    } else if kind.is_file() {
        listing::Kind::File { size: meta.len(), sha256: Sha256::of(&std::fs::read(&full).unwrap()) }
    } else if kind.is_char_device() {
        listing::Kind::Char(device.0, device.1)
    } else if kind.is_block_device() {
        listing::Kind::Block(device.0, device.1)
    } else if kind.is_fifo() {
        listing::Kind::Fifo
    } else {
        listing::Kind::Socket
    };
    let first = linked.get(&meta.ino()).cloned();
    if meta.nlink() > 1 && !meta.is_dir() {
        linked.entry(meta.ino()).or_insert_with(|| path.to_vec());
    }
    let entry = Entry {
        path,
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: meta.mtime(),
        mtime_nsec: meta.mtime_nsec() as u32,
        xattrs: &xattrs(&full),
        hardlink: first.as_deref(),
    };
    listing.push(&entry).unwrap();
    if meta.is_dir() {
        let mut names: Vec<_> = full.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            let sep: &[u8] = if path.is_empty() { b"" } else { b"/" };
            add(listing, linked, root, &[path, sep, name.as_bytes()].concat());
        }
    }
}

fn xattrs(path: &Path) -> Vec<Xattr> {
    let mut names = vec![0_u8; 64 << 10];
    let len = llistxattr(path, &mut names[..]).unwrap();
    let names = names[..len].split(|&b| b == 0).filter(|name| !name.is_empty());
    let mut out: Vec<Xattr> = names
        .map(|name| {
            let mut value = vec![0_u8; 64 << 10];
            let len = lgetxattr(path, name, &mut value[..]).unwrap();
            (name.into(), value[..len].into())
        })
        .collect();
    out.sort();
    out
}

/// What the reader finds in an image.
pub(crate) fn of_image(path: &Path) -> Result<String, Error> {
    let image = Image::open(File::open(path).unwrap())?;
    let mut listing = Listing::new(Vec::new()).unwrap();
    let mut scratch = Scratch::new();
    for name in image.walk() {
        let name = name?;
        let inode = &name.inode;
        let target = image.target(inode)?;
        let kind = match inode.kind {
            Kind::Dir => listing::Kind::Dir,
            Kind::File => {
                let mut content = Vec::new();
                for extent in image.extents(inode)?.iter() {
                    assert_eq!(extent.offset, content.len() as u64, "extents have a gap");
                    content.extend_from_slice(image.read_extent(&extent, &mut scratch)?);
                }
                listing::Kind::File { size: inode.size, sha256: Sha256::of(&content) }
            }
            Kind::Symlink => listing::Kind::Symlink(&target),
            Kind::Char(major, minor) => listing::Kind::Char(major, minor),
            Kind::Block(major, minor) => listing::Kind::Block(major, minor),
            Kind::Fifo => listing::Kind::Fifo,
            Kind::Socket => listing::Kind::Socket,
        };
        let entry = Entry {
            path: &name.path,
            kind,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            mtime_nsec: inode.mtime_nsec,
            xattrs: &image.xattrs(inode)?,
            hardlink: name.first.as_deref(),
        };
        listing.push(&entry).unwrap();
    }
    Ok(text(listing))
}

fn text(listing: Listing<Vec<u8>>) -> String {
    String::from_utf8(listing.finish().1).expect("listings are ASCII")
}

/// Fails with the first line that differs, which says more than two listings.
pub(crate) fn assert_same(image: &str, kernel: &str, what: &str) {
    for (ours, theirs) in image.lines().zip(kernel.lines()) {
        assert_eq!(ours, theirs, "{what}: first difference (left: recstrap, right: the kernel)");
    }
    assert_eq!(image.lines().count(), kernel.lines().count(), "{what}: number of names");
}
