//! Where each 4 KiB of a compressed file lies: clusters -> the "full" index, 8 bytes for every 4 KiB.
//!
//! The compact form (2 bytes) would save 0.2 % of a whole system; this one has no packing rules to get wrong and is
//! read by every kernel.

use super::format::{BLOCK, INDEX_SIZE, Index};
use super::pack::{Cluster, Tail};

/// Entries that a file of so many bytes has.
pub(super) fn entries(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64)
}

/// The index of a file whose clusters lie one after the other from `first_block` on.
pub(super) fn encode(size: u64, first_block: u32, clusters: &[Cluster], tail: Option<&Tail>) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::with_capacity(entries(size) as usize * INDEX_SIZE), at: 0 };
    let mut block = first_block;
    for cluster in clusters {
        match *cluster {
            Cluster::Plain(mut left) => {
                while left > 0 {
                    let input = left.min(BLOCK as u32);
                    out.cluster(Index::Plain { offset: out.offset(), block }, input.into(), 1);
                    left -= input;
                    block += 1;
                }
            }
            Cluster::Packed { input, blocks } => {
                out.cluster(Index::Head { offset: out.offset(), block }, input.into(), blocks);
                block += u32::from(blocks);
            }
        }
    }
    // A tail's place is behind the index; its block number is not looked at.
    match tail {
        Some(Tail::Plain(input)) => {
            out.cluster(Index::Plain { offset: out.offset(), block: 0 }, *input as u64, 1);
        }
        Some(Tail::Packed { input, .. }) => {
            out.cluster(Index::Head { offset: out.offset(), block: 0 }, *input as u64, 1);
        }
        None => {}
    }
    // The end of the file within 4 KiB in which no cluster starts: an empty plain cluster marks it, or readers would
    // take the cluster before for as long as the 4 KiB.
    if (out.bytes.len() / INDEX_SIZE) < entries(size) as usize {
        out.push(Index::Plain { offset: out.offset(), block: 0 });
    }
    out.bytes
}

struct Writer {
    bytes: Vec<u8>,
    /// Offset in the file.
    at: u64,
}

impl Writer {
    /// Offset in the current 4 KiB.
    fn offset(&self) -> u16 {
        (self.at % BLOCK as u64) as u16
    }

    fn push(&mut self, entry: Index) {
        self.bytes.extend_from_slice(&entry.encode());
    }

    /// Adds a cluster of `input` bytes: its head, and an entry for all following 4 KiB up to the one it ends in, which
    /// belongs to the next cluster.
    fn cluster(&mut self, head: Index, input: u64, blocks: u16) {
        let steps = (u64::from(self.offset()) + input) / BLOCK as u64;
        self.push(head);
        // Pieces are 4 MiB: steps are at most 1024.
        let steps = steps as u16;
        for step in 1..steps {
            let ahead = steps - step;
            self.push(if step == 1 {
                Index::Second { blocks, ahead }
            } else {
                Index::Inside { back: step, ahead }
            });
        }
        self.at += input;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<[u16; 4]> {
        let field = |c: &[u8], i: usize| u16::from_le_bytes([c[2 * i], c[2 * i + 1]]);
        bytes.chunks(8).map(|c| [field(c, 0), field(c, 1), field(c, 2), field(c, 3)]).collect()
    }

    #[test]
    fn a_cluster_counts_its_blocks_and_the_end_is_marked() {
        let bytes = encode(13000, 7, &[Cluster::Packed { input: 13000, blocks: 2 }], None);
        // Head at block 7; 2 blocks, 2 steps to go; 2 back, 1 to go; the end at 13000 - 3 * 4096.
        assert_eq!(decoded(&bytes), [[1, 0, 7, 0], [2, 0, 0x802, 2], [2, 0, 2, 1], [0, 712, 0, 0]]);
    }

    #[test]
    fn clusters_start_where_the_one_before_ends() {
        let clusters = [Cluster::Packed { input: 5000, blocks: 1 }, Cluster::Plain(4096)];
        let tail = Tail::Packed { input: 1000, bytes: vec![] };
        let bytes = encode(10096, 0x1_0000, &clusters, Some(&tail));
        assert_eq!(decoded(&bytes), [[1, 0, 0, 1], [0, 904, 1, 1], [1, 904, 0, 0]]);
    }
}
