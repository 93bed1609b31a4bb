//! Directory blocks: entries in front, names behind them, both in byte order.
//!
//! Readers look a name up by binary search over the blocks, then within one; so no entry or name crosses a block.

use std::ops::Range;

use super::format::{self, BLOCK, DIRENT_SIZE};

/// A directory's names cut into blocks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// The entries of each block.
    pub(super) ranges: Vec<Range<usize>>,
    /// Bytes used of the last block.
    pub(super) last: usize,
}

impl Blocks {
    /// Cuts the names; there are two at least (`.` and `..`).
    pub(super) fn cut<'n>(names: impl Iterator<Item = &'n [u8]>) -> Self {
        let (mut ranges, mut start, mut used, mut count) = (Vec::new(), 0, 0, 0);
        for name in names {
            let size = DIRENT_SIZE + name.len();
            if used + size > BLOCK {
                ranges.push(start..count);
                start = count;
                used = 0;
            }
            used += size;
            count += 1;
        }
        ranges.push(start..count);
        Self { ranges, last: used }
    }

    /// Size of the directory in bytes.
    pub(super) fn size(&self) -> u64 {
        ((self.ranges.len() - 1) * BLOCK + self.last) as u64
    }
}

/// The bytes of one block, without padding: (name, nid, file type) in order.
pub(super) fn encode<'n>(entries: impl Iterator<Item = (&'n [u8], u64, u8)> + Clone) -> Vec<u8> {
    let mut name_at = entries.clone().count() * DIRENT_SIZE;
    let mut out = Vec::with_capacity(BLOCK);
    for (name, nid, file_type) in entries.clone() {
        // Blocks are cut to 4096 bytes.
        out.extend_from_slice(&format::dirent(nid, name_at as u16, file_type));
        name_at += name.len();
    }
    for (name, ..) in entries {
        out.extend_from_slice(name);
    }
    out
}

/// The file type of a directory entry for an st_mode.
pub(super) fn file_type(mode: u16) -> u8 {
    match mode & 0o170_000 {
        0o100_000 => 1,
        0o040_000 => 2,
        0o020_000 => 3,
        0o060_000 => 4,
        0o010_000 => 5,
        0o140_000 => 6,
        0o120_000 => 7,
        _ => 0,
    }
}
