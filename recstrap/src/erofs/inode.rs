//! One inode: 32 bytes (compact) or 64 (extended), followed by attributes, then by an index or a tail.

use super::error::{Error, corrupt, unsupported};
use super::format::{u16_at, u32_at, u64_at};
use super::{Image, Nid};

const COMPACT_SIZE: u64 = 32;
const EXTENDED_SIZE: u64 = 64;

/// Larger files than 16 TiB are on no disk this reader will meet; a size beyond is damage, or an attack.
const SIZE_MAX: u64 = 16 << 40;

/// i_format, bit 0.
const EXTENDED: u16 = 1;
/// i_format, bits 1 to 3: how the content is stored.
const LAYOUT_SHIFT: u16 = 1;
const LAYOUT_MASK: u16 = 7;

/// An inode's attributes, and where its content is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub nid: Nid,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0..=0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Its nanoseconds, below 1,000,000,000.
    pub mtime_nsec: u32,
    /// How many names it has, as it says itself.
    pub nlink: u32,
    /// Bytes of content: of a file, a directory, a symlink's target.
    pub size: u64,
    pub(super) layout: Layout,
    /// First block, number of blocks, device or chunk format, as the layout and kind say.
    pub(super) union: u32,
    /// Offset of the attributes, just behind the inode.
    pub(super) xattrs_at: u64,
    /// Bytes of attributes; 0: none.
    pub(super) xattrs_len: u64,
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// How content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Blocks as they are.
    Plain,
    /// Blocks as they are, the last one behind the inode.
    Inline,
    /// Compressed, 8 bytes of index for every 4 KiB.
    Full,
    /// Compressed, 2 or 4 bytes of index for every 4 KiB.
    Compact,
    /// Chunks of equal size, each anywhere.
    Chunks,
}

impl Inode {
    /// Where an index or a tail starts: behind the attributes.
    pub(super) fn body_at(&self) -> u64 {
        // Both were checked against the image's size.
        self.xattrs_at + self.xattrs_len
    }
}

/// Reads an inode.
pub(super) fn read(image: &Image, nid: Nid) -> Result<Inode, Error> {
    let source = &image.source;
    let at = image.sb.inode_at(nid.0).ok_or_else(|| corrupt(format!("no inode has number {}", nid.0), 0))?;
    let head: [u8; COMPACT_SIZE as usize] = source.array(at, "an inode")?;
    let format = u16_at(&head, 0);
    if format >> LAYOUT_SHIFT > LAYOUT_MASK {
        return Err(unsupported(format!("inodes of unknown format {format:#x}")));
    }
    let layout = match format >> LAYOUT_SHIFT & LAYOUT_MASK {
        0 => Layout::Plain,
        1 => Layout::Full,
        2 => Layout::Inline,
        3 => Layout::Compact,
        4 => Layout::Chunks,
        other => return Err(unsupported(format!("the unknown data layout {other}"))),
    };
    let mode = u16_at(&head, 4);
    let union = u32_at(&head, 16);
    let (size_of, size, uid, gid, mtime, nlink);
    if format & EXTENDED == 0 {
        size_of = COMPACT_SIZE;
        size = u32_at(&head, 8).into();
        (uid, gid) = (u16_at(&head, 24).into(), u16_at(&head, 26).into());
        mtime = image.sb.build_time;
        nlink = u16_at(&head, 6).into();
    } else {
        let rest: [u8; 32] = source.array(at + COMPACT_SIZE, "an inode")?;
        size_of = EXTENDED_SIZE;
        size = u64_at(&head, 8);
        (uid, gid) = (u32_at(&head, 24), u32_at(&head, 28));
        mtime = (u64_at(&rest, 0).cast_signed(), u32_at(&rest, 8));
        nlink = u32_at(&rest, 12);
    }
    let xattrs_len = match u64::from(u16_at(&head, 2)) {
        0 => 0,
        count => super::xattr::HEADER + (count - 1) * 4,
    };
    source.check(at, size_of + xattrs_len, "an inode with attributes")?;
    if size > SIZE_MAX {
        return Err(corrupt(format!("inode {} has {size} bytes of content", nid.0), at));
    }
    if mtime.1 >= 1_000_000_000 {
        return Err(corrupt(format!("inode {} has nanoseconds beyond a second", nid.0), at));
    }
    Ok(Inode {
        nid,
        kind: kind(mode, union).ok_or_else(|| corrupt(format!("inode {} has mode {mode:o}", nid.0), at))?,
        mode: u32::from(mode) & 0o7777,
        uid,
        gid,
        mtime: mtime.0,
        mtime_nsec: mtime.1,
        nlink,
        size,
        layout,
        union,
        xattrs_at: at + size_of,
        xattrs_len,
    })
}

fn kind(mode: u16, union: u32) -> Option<Kind> {
    // Linux's packing of 12 bits of major and 20 of minor number.
    let device = (union >> 8 & 0xfff, union & 0xff | union >> 12 & 0xf_ff00);
    Some(match mode & 0o170_000 {
        0o040_000 => Kind::Dir,
        0o100_000 => Kind::File,
        0o120_000 => Kind::Symlink,
        0o020_000 => Kind::Char(device.0, device.1),
        0o060_000 => Kind::Block(device.0, device.1),
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        _ => return None,
    })
}
