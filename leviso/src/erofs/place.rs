//! A place in the metadata area for every inode.
//!
//! An inode with all that lies behind it (attributes, index, tail) goes into one block if it fits one. What is larger
//! may cross blocks, but neither its first 64 bytes nor its tail do: readers map them in one go. What is left over at
//! the end of blocks is filled with later, smaller ones.

use std::collections::BTreeMap;

use super::format::{BLOCK, EXTENDED_SIZE, SLOT};

/// Hands out places; offsets are multiples of [`SLOT`].
pub(super) struct Places {
    end: usize,
    /// Free room by size: offsets.
    gaps: BTreeMap<usize, Vec<usize>>,
}

impl Places {
    /// The first slot stays free: an inode number 0 is taken for "no inode" by readdir(3).
    pub(super) fn new() -> Self {
        Self { end: SLOT, gaps: BTreeMap::new() }
    }

    /// Size of the area in bytes.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// A place for `head` bytes followed by a tail of `tail` bytes.
    pub(super) fn take(&mut self, head: usize, tail: usize) -> usize {
        let size = (head + tail).next_multiple_of(SLOT);
        if head + tail > BLOCK {
            let start = (self.end..).step_by(SLOT).find(|start| {
                let within = |at: usize, len: usize| at % BLOCK + len <= BLOCK;
                within(*start, EXTENDED_SIZE) && (tail == 0 || within(start + head, tail))
            });
            // A tail of at most 4064 bytes fits at one of the 128 offsets of a block.
            let start = start.unwrap_or_else(|| unreachable!("some offset fits"));
            self.skip_to(start);
            self.end = start + size;
            return start;
        }
        if let Some((&room, offsets)) = self.gaps.range_mut(size..).next() {
            let start = offsets.pop().unwrap_or_else(|| unreachable!("empty lists are removed"));
            if offsets.is_empty() {
                self.gaps.remove(&room);
            }
            self.free(start + size, room - size);
            return start;
        }
        if self.end % BLOCK + head + tail > BLOCK {
            self.skip_to(self.end.next_multiple_of(BLOCK));
        }
        let start = self.end;
        self.end += size;
        start
    }

    /// Leaves everything up to `start` as gaps, cut at block ends.
    fn skip_to(&mut self, start: usize) {
        while self.end < start {
            let next = (self.end + 1).next_multiple_of(BLOCK).min(start);
            self.free(self.end, next - self.end);
            self.end = next;
        }
    }

    fn free(&mut self, offset: usize, size: usize) {
        if size >= SLOT {
            self.gaps.entry(size).or_default().push(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps_and_nothing_that_fits_a_block_crosses_one() {
        let mut places = Places::new();
        let mut taken = Vec::new();
        for i in 0..5000_usize {
            let (head, tail) = (64 + i * 7919 % 300 + if i % 50 == 0 { 9000 } else { 0 }, i * 104_729 % 4065);
            let at = places.take(head, tail);
            assert_eq!(at % SLOT, 0);
            assert!(at % BLOCK + 64 <= BLOCK);
            assert!(tail == 0 || (at + head) % BLOCK + tail <= BLOCK, "tail of {i}");
            assert!(head + tail > BLOCK || at % BLOCK + head + tail <= BLOCK, "all of {i}");
            taken.push((at, at + head + tail));
        }
        taken.sort_unstable();
        assert!(taken.windows(2).all(|w| w[0].1 <= w[1].0));
        let used: usize = taken.iter().map(|(from, to)| to - from).sum();
        assert!(used * 100 / places.end() > 80, "{used} of {}", places.end());
    }
}
