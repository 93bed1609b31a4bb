//! A directory of the host, and an image, as a listing: the two texts are equal when nothing was lost.

use std::fs::File;
use std::path::Path;

use common::hash::Sha256;
use common::listing::{self, Entry, Listing};
use recstrap::erofs::{Error, Image, Kind, Scratch};

/// What the kernel shows below `dir`. The times of directories count, so nothing may touch it meanwhile.
pub(crate) fn of_dir(dir: &Path) -> String {
    let tree = testkit::tree::read(dir, |_| false).expect("it can be read");
    String::from_utf8(tree.text).expect("listings are ASCII")
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
