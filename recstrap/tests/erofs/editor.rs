//! A good image in memory whose fields can be changed by name: defects exactly where a test wants them.

use std::fs::File;
use std::io::Write;

use recstrap::erofs::{Error, Image, Inode, Nid};
use rustix::fs::{MemfdFlags, memfd_create};

/// Offset of the superblock.
const SUPER: usize = 1024;
const BLOCK: usize = 4096;

/// Inode fields that have the same place in both sizes.
pub(crate) mod field {
    pub(crate) const FORMAT: usize = 0;
    pub(crate) const XATTRS: usize = 2;
    pub(crate) const MODE: usize = 4;
    pub(crate) const SIZE: usize = 8;
    pub(crate) const UNION: usize = 16;
    /// Extended inodes only.
    pub(crate) const NSEC: usize = 40;
    /// Extended inodes only.
    pub(crate) const NLINK: usize = 44;
}

/// The bytes of an image.
#[derive(Clone)]
pub(crate) struct Editor {
    pub(crate) bytes: Vec<u8>,
    /// As they were at first: names are looked up there.
    good: Vec<u8>,
}

impl Editor {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { good: bytes.clone(), bytes }
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Flips bits of a byte.
    pub(crate) fn flip(&mut self, at: usize, bits: u8) {
        self.bytes[at] ^= bits;
    }

    /// Changes the superblock and makes its checksum right again.
    pub(crate) fn superblock(&mut self, field: usize, bytes: &[u8]) {
        self.put(SUPER + field, bytes);
        self.resum();
    }

    /// Makes the superblock's checksum right.
    pub(crate) fn resum(&mut self) {
        self.put(SUPER + 4, &[0; 4]);
        let sum = !crc32c::crc32c(&self.bytes[SUPER..BLOCK]);
        self.put(SUPER + 4, &sum.to_le_bytes());
    }

    /// Sets bits of a superblock's byte.
    pub(crate) fn set_bits(&mut self, field: usize, bits: u32) {
        let at = SUPER + field;
        let old = u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap());
        self.superblock(field, &(old | bits).to_le_bytes());
    }

    /// The inode that a path had at first.
    pub(crate) fn inode(&self, path: &str) -> Inode {
        let image = Image::open(file(&self.good)).unwrap();
        let name = image.walk().map(Result::unwrap).find(|name| name.path == path.as_bytes());
        name.unwrap_or_else(|| panic!("{path} is in the image")).inode
    }

    /// Where an inode is.
    pub(crate) fn at(&self, path: &str) -> usize {
        self.nid_at(self.inode(path).nid)
    }

    fn nid_at(&self, nid: Nid) -> usize {
        let meta = u32::from_le_bytes(self.good[SUPER + 40..SUPER + 44].try_into().unwrap());
        meta as usize * BLOCK + nid.0 as usize * 32
    }

    /// Where what follows the inode is: its attributes.
    pub(crate) fn xattrs(&self, path: &str) -> usize {
        let at = self.at(path);
        at + if self.good[at] & 1 == 0 { 32 } else { 64 }
    }

    /// Where what follows the attributes is: a tail, a list of chunks.
    pub(crate) fn body(&self, path: &str) -> usize {
        let at = self.at(path);
        let count = usize::from(u16::from_le_bytes([self.good[at + 2], self.good[at + 3]]));
        self.xattrs(path) + if count == 0 { 0 } else { 12 + (count - 1) * 4 }
    }

    /// Where the head of a compressed file's index is.
    pub(crate) fn index(&self, path: &str) -> usize {
        self.body(path).next_multiple_of(8)
    }

    /// Where an entry of a full index is.
    pub(crate) fn entry(&self, path: &str, number: usize) -> usize {
        self.index(path) + 16 + number * 8
    }

    /// Where the entry of a name in a directory is that lies behind its inode, and where the name is.
    pub(crate) fn dirent(&self, dir: &str, name: &str) -> (usize, usize) {
        let at = self.body(dir);
        let u16_at = |at: usize| usize::from(u16::from_le_bytes([self.good[at], self.good[at + 1]]));
        let count = u16_at(at + 8) / 12;
        let size = self.inode(dir).size as usize;
        for i in 0..count {
            let from = u16_at(at + i * 12 + 8);
            let to = if i + 1 < count { u16_at(at + (i + 1) * 12 + 8) } else { size };
            if &self.good[at + from..at + to] == name.as_bytes() {
                return (at + i * 12, at + from);
            }
        }
        panic!("{dir} has no {name}");
    }

    /// Reads all there is.
    pub(crate) fn read(&self) -> Result<u64, Error> {
        super::exercise::read(file(&self.bytes))
    }
}

/// A file that has no name and is in memory.
pub(crate) fn file(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("image", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(bytes).unwrap();
    file
}
