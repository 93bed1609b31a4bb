//! Where a file's content is: pieces in the order of the file, without gaps, together as long as the file.
//!
//! Invariants: every piece that is stored lies within the image; decompressing one never needs more than
//! [`LZ4_MAX`] bytes; a file has at most [`RUNS_MAX`] runs (neighbouring pieces that are stored as they are count as
//! one), so that its map stays below 32 MiB.

use super::error::{Error, corrupt, unsupported};
use super::format::{BLOCK, u16_at, u32_at};
use super::inode::{Kind, Layout};
use super::{Image, Inode, index};

/// Content that is not compressed is handed out in pieces of so much.
const PIECE: u64 = 1 << 20;

/// What a compressed piece may stand for: the limit of the kernel's reader.
pub(super) const LZ4_MAX: u64 = 12 << 20;

/// See the module.
const RUNS_MAX: usize = 1 << 20;

/// Longest target of a symlink: Linux's PATH_MAX without the NUL byte.
const TARGET_MAX: u64 = 4095;

/// A chunk that is not stored.
const HOLE: u32 = u32::MAX;

/// One piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes of the file: at most 1 MiB, compressed ones 12 MiB.
    pub len: u64,
    /// Offset in the image.
    pub at: u64,
    /// Bytes in the image; 0 for a hole.
    pub stored: u64,
    /// How.
    pub encoding: Encoding,
}

/// How a piece is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is; what of `stored` is beyond `len` means nothing.
    Plain,
    /// As it is, in one block, rotated so that each byte has the place in the block that it has in the file's block.
    Interlaced,
    /// As one LZ4 block, behind zeros.
    Lz4,
    /// Not at all: zeros.
    Hole,
}

/// The pieces of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extents {
    /// As extents, but those that are not compressed may have any length.
    runs: Vec<Extent>,
}

impl Extents {
    /// The pieces in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + '_ {
        self.runs.iter().flat_map(|run| {
            let step = match run.encoding {
                Encoding::Plain | Encoding::Hole => PIECE,
                Encoding::Interlaced | Encoding::Lz4 => run.len.max(1),
            };
            (0..run.len.div_ceil(step)).map(move |number| {
                let skip = number * step;
                let len = step.min(run.len - skip);
                match run.encoding {
                    Encoding::Plain => {
                        Extent { offset: run.offset + skip, len, at: run.at + skip, stored: len, ..*run }
                    }
                    Encoding::Hole => Extent { offset: run.offset + skip, len, ..*run },
                    Encoding::Interlaced | Encoding::Lz4 => *run,
                }
            })
        })
    }

    /// Whether the file is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes of the file that are not holes.
    #[must_use]
    pub fn data(&self) -> u64 {
        self.runs.iter().filter(|run| run.encoding != Encoding::Hole).map(|run| run.len).sum()
    }

    /// Bytes that the content takes in the image.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.runs.iter().map(|run| run.stored).sum()
    }

    /// Adds a piece behind the others; it may be empty.
    pub(super) fn push(&mut self, next: Extent) -> Result<(), Error> {
        if next.len == 0 {
            return Ok(());
        }
        if let Some(run) = self.runs.last_mut()
            && run.encoding == next.encoding
            && match run.encoding {
                Encoding::Plain => run.at + run.len == next.at,
                Encoding::Hole => true,
                Encoding::Interlaced | Encoding::Lz4 => false,
            }
        {
            run.len += next.len;
            run.stored += next.len.min(next.stored);
            return Ok(());
        }
        if self.runs.len() == RUNS_MAX {
            return Err(unsupported(format!("a file in more than {RUNS_MAX} pieces")));
        }
        let stored = if next.encoding == Encoding::Plain { next.len } else { next.stored };
        self.runs.push(Extent { stored, ..next });
        Ok(())
    }
}

/// The pieces of a regular file.
pub(super) fn read(image: &Image, inode: &Inode) -> Result<Extents, Error> {
    if inode.kind != Kind::File {
        return Ok(Extents::default());
    }
    let mut out = Extents::default();
    match inode.layout {
        Layout::Plain | Layout::Inline => {
            for piece in flat(image, inode, "a file")? {
                out.push(piece)?;
            }
        }
        Layout::Chunks => chunks(image, inode, &mut out)?,
        Layout::Full | Layout::Compact => index::read(image, inode, &mut out)?,
    }
    debug_assert_eq!(out.runs.iter().map(|run| run.len).sum::<u64>(), inode.size);
    Ok(out)
}

/// The target of a symlink.
pub(super) fn target(image: &Image, inode: &Inode) -> Result<Vec<u8>, Error> {
    if inode.kind != Kind::Symlink {
        return Ok(Vec::new());
    }
    if inode.size == 0 || inode.size > TARGET_MAX {
        return Err(corrupt(format!("a symlink whose target has {} bytes", inode.size), inode.xattrs_at));
    }
    let mut out = vec![0; inode.size as usize];
    for piece in flat(image, inode, "a symlink")? {
        let (from, to) = (piece.offset as usize, (piece.offset + piece.len) as usize);
        image.source.fill(piece.at, &mut out[from..to], "a symlink")?;
    }
    if out.contains(&0) {
        return Err(corrupt("a symlink whose target has a NUL byte", inode.xattrs_at));
    }
    Ok(out)
}

/// The one or two pieces of what is stored as it is: blocks, and a tail behind the inode. `what` it is, for errors.
pub(super) fn flat(image: &Image, inode: &Inode, what: &str) -> Result<Vec<Extent>, Error> {
    let block = BLOCK as u64;
    let in_blocks = match inode.layout {
        Layout::Plain => inode.size,
        // The last block, whole or not, is the tail.
        Layout::Inline => inode.size.saturating_sub(1) / block * block,
        _ => return Err(unsupported(format!("{what} that is compressed or in chunks"))),
    };
    let plain = |offset, at, len| Extent { offset, len, at, stored: len, encoding: Encoding::Plain };
    let mut out = Vec::with_capacity(2);
    if in_blocks > 0 {
        let at = u64::from(inode.union) * block;
        image.source.check(at, in_blocks, what)?;
        out.push(plain(0, at, in_blocks));
    }
    let tail = inode.size - in_blocks;
    if tail > 0 {
        let at = inode.body_at();
        if at % block + tail > block {
            return Err(corrupt(format!("the last {tail} bytes of {what} cross a block"), at));
        }
        image.source.check(at, tail, what)?;
        out.push(plain(in_blocks, at, tail));
    }
    Ok(out)
}

/// A file in chunks: a block number, or 8 bytes with one, for each.
fn chunks(image: &Image, inode: &Inode, out: &mut Extents) -> Result<(), Error> {
    const BITS: u32 = 0x1f;
    const INDEXES: u32 = 0x20;
    let format = inode.union & 0xffff;
    if format & !(BITS | INDEXES) != 0 {
        return Err(unsupported(format!("files in chunks of the unknown format {format:#x}")));
    }
    let unit: u64 = if format & INDEXES == 0 { 4 } else { 8 };
    let chunk = (BLOCK as u64) << (format & BITS);
    let start = inode.body_at().next_multiple_of(unit);
    let count = inode.size.div_ceil(chunk);
    image.source.check(start, count.saturating_mul(unit), "a list of chunks")?;
    for number in 0..count {
        let at = start + number * unit;
        let mut entry = [0; 8];
        image.source.fill(at, &mut entry[..unit as usize], "a list of chunks")?;
        let block = u32_at(&entry, if unit == 4 { 0 } else { 4 });
        if unit == 8 && u16_at(&entry, 2) != 0 {
            return Err(unsupported("a second device"));
        }
        let offset = number * chunk;
        let len = chunk.min(inode.size - offset);
        if block == HOLE {
            out.push(Extent { offset, len, at: 0, stored: 0, encoding: Encoding::Hole })?;
            continue;
        }
        let from = u64::from(block) * BLOCK as u64;
        image.source.check(from, len, "a chunk")?;
        out.push(Extent { offset, len, at: from, stored: len, encoding: Encoding::Plain })?;
    }
    Ok(())
}
