//! One piece of a file -> clusters of whole blocks, and for the last piece a tail.
//!
//! A cluster is input compressed to fill at most `pcluster` bytes, or one block of input as it is. Rules the readers
//! rely on (fs/erofs/zmap.c): of every 4 KiB of a file at most one cluster starts in it, so every cluster but the last
//! covers at least 4 KiB; a compressed cluster of n blocks covers more than n blocks of input; a cluster's data ends
//! at the end of its blocks, zeros are in front.

use std::borrow::Cow;

use super::format::BLOCK;
use super::lz4::Encoder;

/// Pieces of so much input are packed independently, thus in parallel. A cluster cannot cover more than a piece: also
/// keeps the distances in an index below 2048, where they would have to be clipped. A multiple of [`BLOCK`].
pub(super) const PIECE: usize = 4 << 20;

/// A tail never exceeds this: with up to 31 bytes of misalignment in front it fits one block.
const TAIL_MAX: usize = BLOCK - 32;

/// What a compressed file needs behind its inode at least, and a little for the trouble.
const OVERHEAD: usize = 64;

/// One cluster, or a run of uncompressed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// So many bytes of input as they are; a block each, the last one maybe shorter.
    Plain(u32),
    /// Compressed.
    Packed {
        /// Bytes of input.
        input: u32,
        /// Blocks on disk.
        blocks: u16,
    },
}

/// The end of a file that lies behind its inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tail {
    /// The last bytes of the file as they are.
    Plain(usize),
    /// Compressed bytes that stand for the last `input` bytes of the file.
    Packed {
        /// Bytes of input.
        input: usize,
        /// What is stored.
        bytes: Vec<u8>,
    },
}

/// A packed piece.
pub(super) struct Packed<'d> {
    /// What goes into blocks; a multiple of [`BLOCK`] unless it ends with a short plain cluster.
    pub(super) blocks: Cow<'d, [u8]>,
    /// The clusters in it.
    pub(super) clusters: Vec<Cluster>,
    /// What is not in blocks.
    pub(super) tail: Option<Tail>,
}

/// How pieces are packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Largest cluster in bytes.
    pub(super) pcluster: usize,
    /// Whether this piece may leave a compressed tail.
    pub(super) tail: bool,
}

/// Packs a piece; as it is when compression gains less than 1/32.
pub(super) fn pack<'d>(data: &'d [u8], rules: Rules, encoder: Option<&mut Encoder>) -> Packed<'d> {
    if let Some(encoder) = encoder {
        let packed = compress(data, rules, encoder);
        let tail = packed.tail.as_ref().map_or(0, |tail| match tail {
            Tail::Plain(len) => *len,
            Tail::Packed { bytes, .. } => bytes.len(),
        });
        if packed.blocks.len() + tail + data.len() / 32 + OVERHEAD < data.len() {
            return packed;
        }
    }
    let clusters = vec![Cluster::Plain(data.len() as u32)];
    Packed { blocks: Cow::Borrowed(data), clusters, tail: None }
}

fn compress(data: &[u8], rules: Rules, encoder: &mut Encoder) -> Packed<'static> {
    let mut done = Builder { blocks: Vec::with_capacity(data.len() / 2), clusters: Vec::new() };
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let rest = &data[at..];
        let input = encoder.fill(rest, rules.pcluster, &mut buffer);
        if input == rest.len() && rules.tail {
            if let Some(tail) = tail_of(&buffer, input) {
                return done.finish(Some(tail));
            }
            // What fills whole blocks goes there, what remains becomes the tail in the next round.
            let whole = buffer.len() / BLOCK * BLOCK;
            let input = if 0 < whole && whole < buffer.len() {
                encoder.fill(rest, whole, &mut buffer)
            } else {
                input
            };
            if done.packed(&buffer, input) {
                at += input;
                continue;
            }
        } else if done.packed(&buffer, input) {
            at += input;
            continue;
        }
        // It does not shrink here: all of what was tried is stored as it is, not just a block, or incompressible
        // data would be tried over and over.
        let tried = input.max(rules.pcluster).min(rest.len());
        if tried < rest.len() {
            let len = tried / BLOCK * BLOCK;
            done.plain(&rest[..len]);
            at += len;
            continue;
        }
        let short = rest.len() % BLOCK;
        if rules.tail && short > 0 && short <= TAIL_MAX {
            done.plain(&rest[..rest.len() - short]);
            return done.finish(Some(Tail::Plain(short)));
        }
        done.plain(rest);
        at = data.len();
    }
    done.finish(None)
}

/// The tail that `packed` (for `input` bytes) makes, if it fits and is smaller than what it stands for.
fn tail_of(packed: &[u8], input: usize) -> Option<Tail> {
    (!packed.is_empty() && packed.len() <= TAIL_MAX && packed.len() < input)
        .then(|| Tail::Packed { input, bytes: packed.to_vec() })
}

struct Builder {
    blocks: Vec<u8>,
    clusters: Vec<Cluster>,
}

impl Builder {
    /// Adds a compressed cluster if that takes fewer blocks than its input.
    fn packed(&mut self, bytes: &[u8], input: usize) -> bool {
        let blocks = bytes.len().div_ceil(BLOCK);
        if blocks == 0 || blocks >= input.div_ceil(BLOCK) {
            return false;
        }
        self.blocks.resize(self.blocks.len() + blocks * BLOCK - bytes.len(), 0);
        self.blocks.extend_from_slice(bytes);
        // At most 4 MiB in, at most 256 blocks out.
        self.clusters.push(Cluster::Packed { input: input as u32, blocks: blocks as u16 });
        true
    }

    fn plain(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.blocks.extend_from_slice(bytes);
        self.clusters.push(Cluster::Plain(bytes.len() as u32));
    }

    fn finish(mut self, tail: Option<Tail>) -> Packed<'static> {
        self.blocks.resize(self.blocks.len().next_multiple_of(BLOCK), 0);
        Packed { blocks: Cow::Owned(self.blocks), clusters: self.clusters, tail }
    }
}
