//! The superblock: which images can be read at all; and how numbers are read from bytes.

use super::error::{Error, corrupt, unsupported};
use super::source::Source;

/// Block size. Images made on x86-64 have no other, for no kernel there mounts larger ones.
pub(super) const BLOCK: usize = 4096;
/// log2 of [`BLOCK`].
const BLOCK_BITS: u8 = 12;
/// Inodes are addressed in slots of so many bytes.
const SLOT: u64 = 32;
/// Where the superblock starts.
const SUPER_OFFSET: usize = 1024;
const MAGIC: u32 = 0xE0F5_E1E2;

/// feature_compat: the superblock has a checksum.
const COMPAT_CHECKSUM: u32 = 0x1;

/// feature_incompat: compressed data ends at the end of its blocks, zeros are in front.
const ZERO_PADDING: u32 = 0x1;
/// feature_incompat: the compression algorithms are declared.
const COMPR_CFGS: u32 = 0x2;
/// feature_incompat: files may be stored in chunks.
const CHUNKED_FILE: u32 = 0x4;
/// feature_incompat: the end of a compressed file may lie behind its inode.
const TAIL_PACKING: u32 = 0x10;
/// What is read here.
const KNOWN: u32 = ZERO_PADDING | COMPR_CFGS | CHUNKED_FILE | TAIL_PACKING;
/// What is not, by name.
const FOREIGN: [(u32, &str); 5] = [
    (0x8, "several devices or two compression algorithms"),
    (0x20, "fragments or deduplication"),
    (0x40, "long prefixes of attribute names"),
    (0x80, "48-bit block numbers"),
    (0x100, "a metadata compartment"),
];

/// Compression algorithms by their bit (and by their number in an index).
const ALGORITHMS: [&str; 4] = ["LZ4", "LZMA", "DEFLATE", "Zstandard"];

/// What of the superblock reading needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct SuperBlock {
    /// nid of the root directory.
    pub(super) root_nid: u64,
    /// Number of inodes.
    pub(super) inodes: u64,
    /// Modification time of compact inodes: seconds, nanoseconds.
    pub(super) build_time: (i64, u32),
    /// Where the metadata area starts, in bytes.
    meta: u64,
    /// Where shared attributes start, in bytes.
    xattrs: u64,
    /// Blocks of the image.
    blocks: u32,
    /// Whether compressed clusters are padded in front, as all since Linux 5.3 are.
    pub(super) zero_padding: bool,
}

impl SuperBlock {
    /// Reads and checks it.
    pub(super) fn read(source: &Source) -> Result<Self, Error> {
        if source.len() < BLOCK as u64 {
            return Err(corrupt(format!("{} bytes are too few for an EROFS image", source.len()), 0));
        }
        let mut block = [0; BLOCK];
        source.fill(0, &mut block, "the first block")?;
        let sb = &block[SUPER_OFFSET..];
        let at = |field: usize| (SUPER_OFFSET + field) as u64;
        if u32_at(sb, 0) != MAGIC {
            return Err(corrupt("this is no EROFS image (no magic number)", at(0)));
        }
        if sb[12] != BLOCK_BITS {
            return Err(unsupported(format!("blocks of 2^{} bytes", sb[12])));
        }
        if u32_at(sb, 8) & COMPAT_CHECKSUM != 0 {
            let mut bytes = sb.to_vec();
            bytes[4..8].fill(0);
            // The kernel's crc32c() starts with all ones and does not invert at the end; the crate does.
            let (said, is) = (u32_at(sb, 4), !crc32c::crc32c(&bytes));
            if said != is {
                return Err(corrupt(
                    format!("the superblock's checksum is {is:08x}, it should be {said:08x}"),
                    at(4),
                ));
            }
        }
        let features = u32_at(sb, 80);
        check_features(features)?;
        if sb[90] != 0 {
            return Err(unsupported("directory blocks of another size"));
        }
        let algorithms = u16_at(sb, 84);
        // Without COMPR_CFGS this is LZ4's window.
        if features & COMPR_CFGS != 0 && algorithms & !1 != 0 {
            let first = (algorithms & !1).trailing_zeros();
            return Err(unsupported(format!("{} compression", algorithm(first))));
        }
        let this = Self {
            root_nid: u16_at(sb, 14).into(),
            inodes: u64_at(sb, 16),
            build_time: (u64_at(sb, 24).cast_signed(), u32_at(sb, 32)),
            meta: u64::from(u32_at(sb, 40)) * BLOCK as u64,
            xattrs: u64::from(u32_at(sb, 44)) * BLOCK as u64,
            blocks: u32_at(sb, 36),
            zero_padding: features & ZERO_PADDING != 0,
        };
        if this.build_time.1 >= 1_000_000_000 {
            return Err(corrupt("the build time's nanoseconds exceed a second", at(32)));
        }
        source.check(0, this.len(), "an image")?;
        if this.inodes == 0 || this.inodes > this.len() / SLOT {
            return Err(corrupt(format!("{} inodes in {} bytes", this.inodes, this.len()), at(16)));
        }
        Ok(this)
    }

    /// Size of the image in bytes.
    pub(super) fn len(&self) -> u64 {
        u64::from(self.blocks) * BLOCK as u64
    }

    /// Where an inode is, in bytes.
    pub(super) fn inode_at(&self, nid: u64) -> Option<u64> {
        nid.checked_mul(SLOT)?.checked_add(self.meta)
    }

    /// Where a shared attribute is, in bytes.
    pub(super) fn shared_xattr_at(&self, id: u32) -> u64 {
        // 2^32 blocks and 2^32 words are far from the end of u64.
        self.xattrs + u64::from(id) * 4
    }
}

/// An algorithm's name by its number.
pub(super) fn algorithm(number: u32) -> String {
    let name = ALGORITHMS.get(number as usize);
    name.map_or_else(|| format!("unknown (number {number})"), |name| (*name).to_owned())
}

fn check_features(features: u32) -> Result<(), Error> {
    let foreign = features & !KNOWN;
    if foreign == 0 {
        return Ok(());
    }
    let name = FOREIGN.iter().find(|(bit, _)| foreign & bit != 0);
    Err(unsupported(
        name.map_or_else(|| format!("unknown features ({foreign:#x})"), |(_, n)| (*n).to_owned()),
    ))
}

/// Two bytes of `bytes` at `at`, which the caller knows are there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// Eight bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
