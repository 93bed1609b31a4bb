//! Reads EROFS images: an open file in, a tree of names, attributes and contents out. Nothing is mounted.
//!
//! ```text
//! error     what can be wrong with an image
//! source    reads of the file: bounded, with the offset in every error, small ones cached
//! format    the superblock: which images can be read at all
//! inode     one inode            xattr    its attributes            dir    the names in a directory
//! extents   where a file's content is, in pieces; `index` the same for compressed files
//! content   the bytes of one piece
//! walk      every name of the image, in the order of a listing
//! ```
//!
//! Read are the images of leviso and of mkfs.erofs that are not compressed or compressed with LZ4: compact and extended
//! inodes, inlined tails, files in chunks, both kinds of index, large clusters, shared attributes. Everything else is
//! refused by name ([`Error::Unsupported`]).
//!
//! Invariants: an image is hostile. No offset or size of it is used before it was checked against the length of the
//! file; arithmetic on them is checked; nothing recurses; no allocation is larger than the constants here say; whatever
//! the bytes are, the result is a value or an [`Error`], never a panic. The file is read with pread(2), not mapped: a
//! medium that fails gives an error with the offset, not a SIGBUS. [`Image`] has no position: use it from many threads.
//!
//! Format: Linux Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h, <https://erofs.docs.kernel.org>.

mod error;
mod source;
mod format;
mod inode;
mod xattr;
mod dir;
mod extents;
mod index;
mod content;
mod walk;

use std::fs::File;

use common::listing::Xattr;

pub use content::Scratch;
pub use dir::DirEntry;
pub use error::Error;
pub use extents::{Encoding, Extent, Extents};
pub use inode::{Inode, Kind};
pub use walk::{Name, Walk};

use format::SuperBlock;
use source::Source;

/// An inode's number: where it is in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(pub u64);

/// An image, open for reading.
#[derive(Debug)]
pub struct Image {
    source: Source,
    sb: SuperBlock,
}

impl Image {
    /// Opens an image: `file` is one, or a block device that holds one.
    ///
    /// Checks the magic number, the checksum of the superblock, that all features are known, and that the file is as
    /// long as the image says. What is in the image is checked as it is read.
    ///
    /// # Errors
    /// It cannot be read, is none, is damaged or cut off, or uses what this reader does not read.
    pub fn open(file: File) -> Result<Self, Error> {
        let mut source = Source::new(file)?;
        let sb = SuperBlock::read(&source)?;
        source.limit(sb.len());
        Ok(Self { source, sb })
    }

    /// Size of the image in bytes; the file may be longer.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no image is empty: it has a superblock")]
    pub fn len(&self) -> u64 {
        self.sb.len()
    }

    /// How many inodes the image says it has; [`Image::walk`] fails when it meets more.
    #[must_use]
    pub fn inode_count(&self) -> u64 {
        self.sb.inodes
    }

    /// Size of a block in bytes.
    #[must_use]
    pub fn block_size(&self) -> u32 {
        format::BLOCK as u32
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Nid {
        Nid(self.sb.root_nid)
    }

    /// Reads one inode.
    ///
    /// # Errors
    /// It cannot be read, lies outside the image, or is no inode.
    pub fn inode(&self, nid: Nid) -> Result<Inode, Error> {
        inode::read(self, nid)
    }

    /// The extended attributes of an inode: full names (`security.capability`), sorted by name.
    ///
    /// # Errors
    /// They cannot be read, exceed the room they have, or one is there twice.
    pub fn xattrs(&self, inode: &Inode) -> Result<Vec<Xattr>, Error> {
        xattr::read(self, inode)
    }

    /// The names in a directory without `.` and `..`, in byte order; empty for what is no directory.
    ///
    /// # Errors
    /// They cannot be read, are not in order or twice there, or one of them is no name: empty, longer than 255 bytes,
    /// with a slash or NUL byte in it.
    pub fn entries(&self, inode: &Inode) -> Result<Vec<DirEntry>, Error> {
        dir::read(self, inode)
    }

    /// The target of a symlink: 1 to 4095 bytes, no NUL byte among them. Empty for what is no symlink.
    ///
    /// # Errors
    /// It cannot be read, or is no target.
    pub fn target(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        extents::target(self, inode)
    }

    /// Where the content of a regular file is: pieces in the order of the file, without gaps, together as long as the
    /// file. Empty for what is no regular file.
    ///
    /// # Errors
    /// The index cannot be read, or contradicts itself, the file's size or the image's size.
    pub fn extents(&self, inode: &Inode) -> Result<Extents, Error> {
        extents::read(self, inode)
    }

    /// The content of one piece: exactly `extent.len` bytes, in `scratch` until that is used again.
    ///
    /// # Errors
    /// It cannot be read, or does not decompress to that many bytes.
    pub fn read_extent<'s>(&self, extent: &Extent, scratch: &'s mut Scratch) -> Result<&'s [u8], Error> {
        content::read(self, extent, scratch)
    }

    /// The content of one piece, into `out`, which has to be `extent.len` bytes long. Decompressing straight to where the
    /// bytes are needed saves a copy of everything.
    ///
    /// # Errors
    /// As [`Image::read_extent`]; anything may be in `out` then.
    pub fn fill_extent(&self, extent: &Extent, scratch: &mut Scratch, out: &mut [u8]) -> Result<(), Error> {
        content::fill(self, extent, scratch, out)
    }

    /// Every name of the image once, in the order of a listing (`common::listing`), beginning with the root.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }
}
