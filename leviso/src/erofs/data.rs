//! File contents to the image: pieces are packed in parallel, a batch at a time, and written in the order of the tree.

use std::io::Write;

use anyhow::Context;
use common::cli::Mark;
use rayon::prelude::*;
use sha2::Digest;

use super::format::{BLOCK, EXTENDED_SIZE};
use super::inventory::{Inventory, Node};
use super::lz4::Encoder;
use super::options::Options;
use super::pack::{self, Cluster, PIECE, Packed, Rules, Tail};
use crate::exit;
use crate::progress::{Progress, Unit};

/// Input of a batch in bytes: bounds the memory, and is large enough that the threads seldom wait for its end.
const BATCH: usize = 128 << 20;

/// What became of all files.
pub(super) struct Data {
    /// By inode number; `None` for what is no regular file.
    pub(super) files: Vec<Option<Stored>>,
    /// The block after the last one written.
    pub(super) end: u32,
    /// Digests of all that was written, in order.
    pub(super) digest: sha2::Sha256,
    /// Files stored compressed.
    pub(super) compressed: u64,
    /// Files with content stored as they are.
    pub(super) stored: u64,
    /// Bytes of all files.
    pub(super) content: u64,
}

/// Where a file's content is.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Its first block.
    pub(super) first_block: u32,
    /// Its blocks.
    pub(super) blocks: u32,
    /// Its clusters in order; all plain: not compressed at all.
    pub(super) clusters: Vec<Cluster>,
    /// What lies behind the inode.
    pub(super) tail: Option<Tail>,
}

impl Stored {
    /// Whether the blocks are simply the content, so that no index is needed.
    pub(super) fn is_flat(&self) -> bool {
        !matches!(self.tail, Some(Tail::Packed { .. }))
            && self.clusters.iter().all(|c| matches!(c, Cluster::Plain(_)))
    }
}

/// A piece of a file.
struct Piece<'d> {
    /// Inode number.
    file: usize,
    bytes: &'d [u8],
    last: bool,
}

/// Writes all file data from block 1 on.
///
/// # Errors
/// `out` cannot be written, or the image would exceed 16 TiB.
pub(super) fn write(
    inventory: &Inventory<'_>,
    options: &Options,
    out: &mut impl Write,
    progress: &dyn Progress,
) -> anyhow::Result<Data> {
    let (mut files, pieces, content) = pieces(inventory);
    let mut writer = Blocks { out, next: 1, digest: sha2::Sha256::new() };
    progress.begin("compress the image", content, Unit::Bytes);
    let mut rest = &pieces[..];
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_len(rest));
        for (piece, packed) in batch.iter().zip(pack_batch(batch, options, progress)) {
            let room = BLOCK
                - EXTENDED_SIZE
                - inventory.inodes[piece.file].xattrs.0.len().min(BLOCK - EXTENDED_SIZE);
            let file = files[piece.file].get_or_insert_default();
            writer
                .piece(piece, packed, file, room)
                .context("failed to write the EROFS image")
                .exit(exit::IMAGE)?;
        }
        rest = after;
    }
    progress.end();
    let with_content = || files.iter().flatten().filter(|f| f.blocks > 0 || f.tail.is_some());
    let stored = with_content().filter(|f| f.is_flat()).count() as u64;
    let compressed = with_content().count() as u64 - stored;
    Ok(Data { end: writer.next, digest: writer.digest, compressed, stored, content, files })
}

/// All pieces of all files in order, an empty record for every file, and the sum of their sizes.
fn pieces<'t>(inventory: &Inventory<'t>) -> (Vec<Option<Stored>>, Vec<Piece<'t>>, u64) {
    let mut pieces = Vec::new();
    let mut content = 0;
    let files = inventory.inodes.iter().enumerate().map(|(file, entry)| {
        let Node::File(bytes) = entry.node else { return None };
        content += bytes.len();
        let count = bytes.as_slice().len().div_ceil(PIECE);
        let chunks = bytes.as_slice().chunks(PIECE).enumerate();
        pieces.extend(chunks.map(|(i, bytes)| Piece { file, bytes, last: i + 1 == count }));
        Some(Stored::default())
    });
    let files = files.collect();
    (files, pieces, content)
}

/// How many pieces make the next batch: at least one.
fn batch_len(pieces: &[Piece<'_>]) -> usize {
    let mut sum = 0;
    let fits = pieces.iter().take_while(|piece| {
        sum += piece.bytes.len();
        sum <= BATCH
    });
    fits.count().max(1)
}

/// Packs the pieces on all threads; the result is in their order.
fn pack_batch<'d>(batch: &[Piece<'d>], options: &Options, progress: &dyn Progress) -> Vec<Packed<'d>> {
    // Large ones first, so that no thread is left alone with one at the end. The order has no effect on the result.
    let mut order: Vec<usize> = (0..batch.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(batch[i].bytes.len()));
    let encoder = || Encoder::new(options.algorithm);
    let packed = order.into_par_iter().with_max_len(1).map_init(encoder, |encoder, i| {
        let piece = &batch[i];
        let rules = Rules { pcluster: options.pcluster as usize, tail: options.tail_packing && piece.last };
        let packed = pack::pack(piece.bytes, rules, encoder.as_mut());
        progress.advance(piece.bytes.len() as u64);
        (i, packed)
    });
    let mut packed: Vec<(usize, Packed<'d>)> = packed.collect();
    packed.sort_unstable_by_key(|(i, _)| *i);
    packed.into_iter().map(|(_, packed)| packed).collect()
}

/// Writes whole blocks one after the other.
struct Blocks<'w, W> {
    out: &'w mut W,
    next: u32,
    digest: sha2::Sha256,
}

impl<W: Write> Blocks<'_, W> {
    /// Writes a piece and notes it in its file's record. `room`: what of a plain file may lie behind its inode.
    fn piece(
        &mut self,
        piece: &Piece<'_>,
        packed: Packed<'_>,
        file: &mut Stored,
        room: usize,
    ) -> anyhow::Result<()> {
        if file.blocks == 0 {
            file.first_block = self.next;
        }
        file.clusters.extend(packed.clusters);
        file.tail = packed.tail;
        let mut bytes = &*packed.blocks;
        if piece.last && file.is_flat() && file.tail.is_none() {
            // Not compressed: the last partial block goes behind the inode if there is room.
            let short = bytes.len() % BLOCK;
            if short > 0 && short <= room {
                bytes = &bytes[..bytes.len() - short];
                file.tail = Some(Tail::Plain(short));
            }
        }
        let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; BLOCK][..padding])?;
        self.digest.update(bytes);
        let blocks = u32::try_from(bytes.len().div_ceil(BLOCK)).context("a piece is too large")?;
        file.blocks = file.blocks.checked_add(blocks).context("the image exceeds 16 TiB")?;
        self.next = self.next.checked_add(blocks).context("the image exceeds 16 TiB")?;
        Ok(())
    }
}
