//! The bytes on disk: constants and records, little endian, as fs/erofs/erofs_fs.h names them.
//!
//! Pure: values in, bytes out.

/// Block size. 4 KiB is what every kernel can mount, whatever its page size settings.
pub(super) const BLOCK: usize = 4096;
/// log2 of [`BLOCK`].
const BLOCK_BITS: u8 = 12;
/// Inodes are addressed in slots of so many bytes: nid = offset in the metadata area / 32.
pub(super) const SLOT: usize = 32;
/// Where the superblock starts; what is before it belongs to boot loaders.
const SUPER_OFFSET: usize = 1024;
/// Size of the superblock without extension slots.
const SUPER_SIZE: usize = 128;
const MAGIC: u32 = 0xE0F5_E1E2;

/// feature_compat: the superblock has a checksum.
const COMPAT_CHECKSUM: u32 = 0x1;
/// feature_compat: times are modification times (not change times).
const COMPAT_MTIME: u32 = 0x2;
/// feature_incompat: compressed data ends at the end of its blocks and is padded with zeros in front (LZ4_0PADDING).
const INCOMPAT_ZERO_PADDING: u32 = 0x1;
/// feature_incompat: compression parameters follow the superblock, and clusters may be larger than a block.
const INCOMPAT_COMPR_CFGS: u32 = 0x2;
/// feature_incompat: the last cluster of a file may lie behind its inode (Linux 5.17).
const INCOMPAT_TAIL_PACKING: u32 = 0x10;

/// The window of LZ4's format; readers may keep less history if it is lowered.
const LZ4_MAX_DISTANCE: u16 = 65535;

/// i_format, bit 0: the inode has 64 bytes.
const INODE_EXTENDED: u16 = 1;

/// Size of a compact inode.
pub(super) const COMPACT_SIZE: usize = 32;
/// Size of an extended inode.
pub(super) const EXTENDED_SIZE: usize = 64;
/// Size of a directory entry without its name.
pub(super) const DIRENT_SIZE: usize = 12;
/// Size of the record before the entries of an index, with the 8 reserved bytes that follow it.
pub(super) const MAP_HEADER_SIZE: usize = 16;
/// Size of an index entry.
pub(super) const INDEX_SIZE: usize = 8;
/// Longest name in a directory.
pub(super) const NAME_MAX: usize = 255;

/// h_advise: clusters may span several blocks.
const ADVISE_BIG_PCLUSTER: u16 = 0x2;
/// h_advise: the last cluster lies behind the index.
const ADVISE_INLINE_PCLUSTER: u16 = 0x8;
/// Marks the block count of a cluster in its first non-head entry.
const D0_CBLKCNT: u16 = 1 << 11;

/// How the content of an inode is stored (i_format, bits 1 to 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Whole blocks as they are.
    FlatPlain = 0,
    /// Compressed, with 8 bytes of index for every 4 KiB.
    CompressedFull = 1,
    /// Blocks as they are, the last partial one behind the inode.
    FlatInline = 2,
}

/// An inode, before it is known which of the two sizes it takes.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Storage of the content.
    pub(super) layout: Layout,
    /// Size of the attributes behind it, in the format's count ([`super::xattr`]).
    pub(super) xattr_count: u16,
    /// st_mode with type bits.
    pub(super) mode: u16,
    /// Content size in bytes.
    pub(super) size: u64,
    /// First block (flat), number of blocks (compressed) or device number.
    pub(super) union: u32,
    /// Running number, for 32-bit stat.
    pub(super) ino: u32,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Seconds since 1970; negative times are stored as two's complement, as the kernel reads them.
    pub(super) mtime: i64,
    /// Nanoseconds.
    pub(super) mtime_nsec: u32,
    /// Number of names.
    pub(super) nlink: u32,
}

impl Inode {
    /// Whether the 32-byte form holds it: it has no time of its own but takes the volume's build time.
    pub(super) fn is_compact(&self, build_time: i64) -> bool {
        self.mtime == build_time
            && self.mtime_nsec == 0
            && u16::try_from(self.uid).is_ok()
            && u16::try_from(self.gid).is_ok()
            && u32::try_from(self.size).is_ok()
            && u16::try_from(self.nlink).is_ok()
    }

    /// Its bytes: 32 or 64.
    pub(super) fn encode(&self, compact: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(EXTENDED_SIZE);
        let format = (self.layout as u16) << 1 | if compact { 0 } else { INODE_EXTENDED };
        put(&mut out, &[&format.to_le_bytes(), &self.xattr_count.to_le_bytes(), &self.mode.to_le_bytes()]);
        if compact {
            // The narrowing is exact: is_compact() looked.
            put(&mut out, &[&(self.nlink as u16).to_le_bytes(), &(self.size as u32).to_le_bytes(), &[0; 4]]);
            put(&mut out, &[&self.union.to_le_bytes(), &self.ino.to_le_bytes()]);
            put(&mut out, &[&(self.uid as u16).to_le_bytes(), &(self.gid as u16).to_le_bytes(), &[0; 4]]);
        } else {
            put(&mut out, &[&[0; 2], &self.size.to_le_bytes()]);
            put(&mut out, &[&self.union.to_le_bytes(), &self.ino.to_le_bytes()]);
            put(&mut out, &[&self.uid.to_le_bytes(), &self.gid.to_le_bytes()]);
            put(&mut out, &[&self.mtime.to_le_bytes(), &self.mtime_nsec.to_le_bytes()]);
            put(&mut out, &[&self.nlink.to_le_bytes(), &[0; 16]]);
        }
        out
    }
}

/// The head of a compressed file's index (z_erofs_map_header and the 8 bytes reserved behind it).
pub(super) fn map_header(tail: Option<u16>) -> [u8; MAP_HEADER_SIZE] {
    // Also where clusters have one block at most: the index then counts blocks always.
    let mut advise = ADVISE_BIG_PCLUSTER;
    if tail.is_some() {
        advise |= ADVISE_INLINE_PCLUSTER;
    }
    let mut out = [0; MAP_HEADER_SIZE];
    out[2..4].copy_from_slice(&tail.unwrap_or(0).to_le_bytes());
    out[4..6].copy_from_slice(&advise.to_le_bytes());
    // h_algorithmtype 0: LZ4; h_clusterbits 0: an index entry for every block.
    out
}

/// What an index says of one 4 KiB of a file (z_erofs_lcluster_index).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    /// A cluster starts here, at `offset` of these 4 KiB, stored as it is in block `block`.
    Plain {
        /// Offset in these 4 KiB.
        offset: u16,
        /// Its block.
        block: u32,
    },
    /// A cluster starts here, compressed.
    Head {
        /// Offset in these 4 KiB.
        offset: u16,
        /// Its first block.
        block: u32,
    },
    /// The cluster that started in the 4 KiB before goes on; it has so many blocks.
    Second {
        /// Blocks of the cluster.
        blocks: u16,
        /// Steps to the start of the next cluster.
        ahead: u16,
    },
    /// A cluster goes on.
    Inside {
        /// Steps back to its start.
        back: u16,
        /// Steps to the start of the next cluster.
        ahead: u16,
    },
}

impl Index {
    /// Its 8 bytes.
    pub(super) fn encode(self) -> [u8; INDEX_SIZE] {
        let (kind, offset, low, high) = match self {
            Self::Plain { offset, block } => (0_u16, offset, block as u16, (block >> 16) as u16),
            Self::Head { offset, block } => (1, offset, block as u16, (block >> 16) as u16),
            Self::Second { blocks, ahead } => (2, 0, blocks | D0_CBLKCNT, ahead),
            Self::Inside { back, ahead } => (2, 0, back, ahead),
        };
        let mut out = [0; INDEX_SIZE];
        for (bytes, field) in out.chunks_exact_mut(2).zip([kind, offset, low, high]) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        out
    }
}

/// A directory entry; `name_at` is the offset of its name in the block.
pub(super) fn dirent(nid: u64, name_at: u16, file_type: u8) -> [u8; DIRENT_SIZE] {
    let mut out = [0; DIRENT_SIZE];
    out[..8].copy_from_slice(&nid.to_le_bytes());
    out[8..10].copy_from_slice(&name_at.to_le_bytes());
    out[10] = file_type;
    out
}

/// A device number as Linux packs it into 32 bits; `None` when it has more than 12 + 20 bits.
pub(super) fn device(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some((minor & 0xff) | major << 8 | (minor & !0xff) << 12)
}

/// The superblock.
#[derive(Debug, Clone)]
pub(super) struct SuperBlock {
    /// nid of the root directory.
    pub(super) root_nid: u16,
    /// Number of inodes.
    pub(super) inodes: u64,
    /// Time of compact inodes.
    pub(super) build_time: i64,
    /// Blocks of the image.
    pub(super) blocks: u32,
    /// First block of the metadata area.
    pub(super) meta_block: u32,
    /// Volume UUID.
    pub(super) uuid: [u8; 16],
    /// Volume name, padded with zeros.
    pub(super) label: [u8; 16],
    /// Largest cluster in blocks, when there is compression.
    pub(super) max_cluster: Option<u16>,
    /// Whether last clusters may lie behind inodes.
    pub(super) tail_packing: bool,
}

impl SuperBlock {
    /// The whole block 0, checksum included.
    pub(super) fn block(&self) -> [u8; BLOCK] {
        let mut incompat = 0;
        if self.max_cluster.is_some() {
            incompat |= INCOMPAT_ZERO_PADDING | INCOMPAT_COMPR_CFGS;
            if self.tail_packing {
                incompat |= INCOMPAT_TAIL_PACKING;
            }
        }
        let mut sb = Vec::with_capacity(SUPER_SIZE);
        put(&mut sb, &[&MAGIC.to_le_bytes(), &[0; 4], &(COMPAT_CHECKSUM | COMPAT_MTIME).to_le_bytes()]);
        put(&mut sb, &[&[BLOCK_BITS, 0], &self.root_nid.to_le_bytes(), &self.inodes.to_le_bytes()]);
        put(&mut sb, &[&self.build_time.to_le_bytes(), &[0; 4], &self.blocks.to_le_bytes()]);
        // No shared attributes: xattr_blkaddr 0.
        put(&mut sb, &[&self.meta_block.to_le_bytes(), &[0; 4], &self.uuid, &self.label]);
        // Available algorithms: bit 0, LZ4.
        put(&mut sb, &[&u32::to_le_bytes(incompat), &u16::from(self.max_cluster.is_some()).to_le_bytes()]);
        sb.resize(SUPER_SIZE, 0);
        if let Some(max_cluster) = self.max_cluster {
            // z_erofs_lz4_cfgs: 14 bytes, preceded by their length.
            put(
                &mut sb,
                &[&14_u16.to_le_bytes(), &LZ4_MAX_DISTANCE.to_le_bytes(), &max_cluster.to_le_bytes()],
            );
        }
        let mut block = [0; BLOCK];
        block[SUPER_OFFSET..SUPER_OFFSET + sb.len()].copy_from_slice(&sb);
        // The kernel's crc32c() starts with all ones and does not invert at the end; the crate does.
        let checksum = !crc32c::crc32c(&block[SUPER_OFFSET..]);
        block[SUPER_OFFSET + 4..SUPER_OFFSET + 8].copy_from_slice(&checksum.to_le_bytes());
        block
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_packed_as_makedev_does() {
        // gnu_dev_makedev's layout for what fits 32 bits.
        assert_eq!(device(8, 1), Some(0x801));
        assert_eq!(device(0xfff, 0xf_ffff), Some(0xffff_ffff));
        assert_eq!(device(1, 0x100), Some(0x10_0100));
        assert_eq!((device(1 << 12, 0), device(0, 1 << 20)), (None, None));
    }

    #[test]
    fn an_inode_is_compact_only_when_nothing_is_lost() {
        let inode = Inode {
            layout: Layout::FlatPlain,
            xattr_count: 0,
            mode: 0o100_644,
            size: 5,
            union: 0,
            ino: 1,
            uid: 65535,
            gid: 0,
            mtime: 10,
            mtime_nsec: 0,
            nlink: 1,
        };
        assert!(inode.is_compact(10));
        assert!(!inode.is_compact(11));
        assert!(!Inode { uid: 65536, ..inode.clone() }.is_compact(10));
        assert!(!Inode { mtime_nsec: 1, ..inode.clone() }.is_compact(10));
        assert!(!Inode { size: 1 << 32, ..inode.clone() }.is_compact(10));
        assert!(!Inode { nlink: 65536, ..inode.clone() }.is_compact(10));
        assert_eq!((inode.encode(true).len(), inode.encode(false).len()), (COMPACT_SIZE, EXTENDED_SIZE));
    }
}
