//! Where the pieces of a compressed file are: an entry for every 4 KiB of the file.
//!
//! An entry says that a cluster starts in these 4 KiB, at which byte, in which block and whether it is compressed, or
//! that the one before goes on. It takes 8 bytes in a *full* index. A *compact* index has packs of 2 entries in 8 bytes
//! or of 16 in 32, which share one block number: that of the first cluster to start in the pack, less one if clusters
//! have one block each; the others follow it block after block.

use super::content::CLUSTER_MAX;
use super::error::{Error, corrupt, unsupported};
use super::extents::LZ4_MAX;
use super::format::{self, BLOCK, u16_at, u32_at};
use super::inode::Layout;
use super::{Encoding, Extent, Extents, Image, Inode};

/// h_advise: a compact index has packs of 16 too.
const ADVISE_PACKS_OF_16: u16 = 0x1;
/// h_advise: clusters may have several blocks.
const ADVISE_BIG_CLUSTERS: u16 = 0x2;
/// h_advise: the last cluster lies behind the index.
const ADVISE_INLINE: u16 = 0x8;
/// h_advise: clusters stored as they are are rotated.
const ADVISE_INTERLACED: u16 = 0x10;
const ADVISE_KNOWN: u16 = ADVISE_PACKS_OF_16 | ADVISE_BIG_CLUSTERS | ADVISE_INLINE | ADVISE_INTERLACED | 0x4;
/// h_advise: the last cluster is in another file.
const ADVISE_FRAGMENT: u16 = 0x20;
/// h_clusterbits: all of the file is in another one.
const FRAGMENT: u8 = 0x80;

/// Marks the number of blocks where the distance to the start would be.
const BLOCK_COUNT: u16 = 1 << 11;
/// di_advise: the cluster stands for more than this file uses of it.
const PARTIAL: u16 = 1 << 15;

/// LZ4 cannot say more with a byte.
const LZ4_RATIO: u64 = 255;

const BLOCK_U64: u64 = BLOCK as u64;

/// Entries in the largest pack.
const PACK_MAX: usize = 16;

/// What an index says of 4 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// A cluster starts here.
    Head { plain: bool, offset: u16, block: u64 },
    /// The cluster goes on; this is its second entry, and it has so many blocks.
    Count(u16),
    /// The cluster goes on; it started so many entries before, or more.
    Inside { back: u16 },
}

/// The index of one file.
struct Index<'i> {
    image: &'i Image,
    /// Offset of the first entry.
    start: u64,
    /// Number of entries.
    total: u64,
    big: bool,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Full,
    /// So many entries in packs of 2, then so many in packs of 16, then the rest in packs of 2.
    Compact {
        before: u64,
        in_16: u64,
    },
}

/// A cluster whose end is not known yet.
struct Open {
    /// Offset in the file.
    offset: u64,
    /// Its first entry.
    number: u64,
    plain: bool,
    block: u64,
    blocks: u16,
}

/// Adds the pieces of a compressed file to `out`.
pub(super) fn read(image: &Image, inode: &Inode, out: &mut Extents) -> Result<(), Error> {
    if inode.size == 0 {
        return Ok(());
    }
    if !image.sb.zero_padding {
        return Err(unsupported("LZ4 without zero padding (Linux 5.2 and older)"));
    }
    let at = inode.body_at().next_multiple_of(8);
    let header: [u8; 8] = image.source.array(at, "the head of an index")?;
    let (tail_len, advise) = (u16_at(&header, 2), u16_at(&header, 4));
    check_header(advise, header[6], header[7])?;

    let index = Index::new(image, inode, at, advise)?;
    let mut pieces =
        Pieces { index: &index, interlaced: advise & ADVISE_INTERLACED != 0, end: 0, tail: None };
    if advise & ADVISE_INLINE != 0 {
        pieces.tail = Some(index.tail(tail_len)?);
    }
    let mut open: Option<Open> = None;
    // The piece before is held back until it is known whether it is the last.
    let mut held: Option<(Open, u64)> = None;
    let mut pack = ([Entry::Inside { back: 0 }; PACK_MAX], 0..0);
    for number in 0..index.total {
        if !pack.1.contains(&number) {
            pack = index.pack(number)?;
        }
        let at = index.entry_at(number);
        match pack.0[(number - pack.1.start) as usize] {
            Entry::Head { plain, offset, block } => {
                let next =
                    Open { offset: number * BLOCK_U64 + u64::from(offset), number, plain, block, blocks: 1 };
                match open.take() {
                    None if next.offset > 0 => return Err(corrupt("the file's start is in no cluster", at)),
                    None => {}
                    Some(before) => {
                        if let Some((cluster, end)) = held.replace((before, next.offset)) {
                            pieces.push(out, &cluster, end)?;
                        }
                    }
                }
                open = Some(next);
            }
            inside => {
                let cluster =
                    open.as_mut().ok_or_else(|| corrupt("the file's start is in no cluster", at))?;
                cluster.goes_on(inside, number, index.big).map_err(|what| corrupt(what, at))?;
            }
        }
    }
    // An empty last cluster marks the file's end within 4 KiB.
    let last = open.ok_or_else(|| corrupt("an index without clusters", at))?;
    if last.offset > inode.size {
        return Err(corrupt("a cluster starts beyond the file's end", index.entry_at(last.number)));
    }
    if last.offset < inode.size {
        if let Some((cluster, end)) = held.replace((last, inode.size)) {
            pieces.push(out, &cluster, end)?;
        }
    }
    match held {
        Some((cluster, end)) => pieces.push_last(out, &cluster, end),
        None => Err(corrupt("an index without clusters", at)),
    }
}

fn check_header(advise: u16, algorithms: u8, bits: u8) -> Result<(), Error> {
    if advise & ADVISE_FRAGMENT != 0 || bits & FRAGMENT != 0 {
        return Err(unsupported("fragments"));
    }
    if advise & !ADVISE_KNOWN != 0 {
        return Err(unsupported(format!("an index of unknown kind ({advise:#x})")));
    }
    if algorithms & 0xf != 0 {
        return Err(unsupported(format!("{} compression", format::algorithm(u32::from(algorithms & 0xf)))));
    }
    if bits != 0 {
        return Err(unsupported("an index with larger steps than blocks"));
    }
    Ok(())
}

impl Open {
    /// Takes in what an entry after the first says.
    fn goes_on(&mut self, entry: Entry, number: u64, big: bool) -> Result<(), &'static str> {
        let distance = number - self.number;
        match entry {
            Entry::Count(blocks) if distance == 1 && big => {
                if blocks == 0 || u64::from(blocks) * BLOCK_U64 > CLUSTER_MAX {
                    return Err("a cluster without blocks, or with too many");
                }
                self.blocks = blocks;
                Ok(())
            }
            Entry::Count(_) => Err("a number of blocks where none belongs"),
            Entry::Inside { .. } if distance == 1 && big => Err("a cluster's number of blocks is missing"),
            // The distance is cut off at 2047: then it leads to an entry that leads on.
            Entry::Inside { back } if back > 0 && u64::from(back) <= distance => Ok(()),
            _ => Err("an entry points to the wrong cluster"),
        }
    }
}

impl<'i> Index<'i> {
    fn new(image: &'i Image, inode: &Inode, header_at: u64, advise: u16) -> Result<Self, Error> {
        let total = inode.size.div_ceil(BLOCK_U64);
        let (start, form) = if inode.layout == Layout::Full {
            // 8 bytes behind the head are reserved.
            (header_at + 16, Form::Full)
        } else {
            let start = header_at + 8;
            // Packs of 16 begin at a multiple of their 32 bytes.
            let before = ((32 - start % 32) / 4) & 7;
            let in_16 = if advise & ADVISE_PACKS_OF_16 != 0 && before < total {
                (total - before) / 16 * 16
            } else {
                0
            };
            (start, Form::Compact { before, in_16 })
        };
        let index = Self { image, start, total, big: advise & ADVISE_BIG_CLUSTERS != 0, form };
        image.source.check(start, index.end() - start, "an index")?;
        Ok(index)
    }

    /// The pack an entry is in: the first entry of it, their number, bytes for each, offset.
    fn place(&self, number: u64) -> (u64, u64, u64, u64) {
        match self.form {
            Form::Full => (number, 1, 8, self.start + number * 8),
            Form::Compact { before, in_16 } => {
                let (mut first, mut at) = (0, self.start);
                if number >= before {
                    (first, at) = (before, at + before * 4);
                    if number - before < in_16 {
                        let pack = (number - first) / 16;
                        return (first + pack * 16, 16, 2, at + pack * 32);
                    }
                    (first, at) = (first + in_16, at + in_16 * 2);
                }
                let pack = (number - first) / 2;
                (first + pack * 2, 2, 4, at + pack * 8)
            }
        }
    }

    /// Offset of an entry, for errors.
    fn entry_at(&self, number: u64) -> u64 {
        let (first, _, size, at) = self.place(number);
        at + (number - first) * size
    }

    /// Where the last pack ends.
    fn end(&self) -> u64 {
        let (_, count, size, at) = self.place(self.total - 1);
        at + count * size
    }

    /// The place of a cluster that lies behind the index.
    fn tail(&self, len: u16) -> Result<(u64, u64), Error> {
        let (at, len) = (self.end(), u64::from(len));
        if len == 0 || at % BLOCK_U64 + len > BLOCK_U64 {
            return Err(corrupt(format!("a tail of {len} bytes that is empty or crosses a block"), at));
        }
        self.image.source.check(at, len, "a tail")?;
        Ok((at, len))
    }

    /// The pack an entry is in, and the numbers of its entries.
    fn pack(&self, number: u64) -> Result<([Entry; PACK_MAX], std::ops::Range<u64>), Error> {
        let (first, count, size, at) = self.place(number);
        let mut bytes = [0; 32];
        let bytes = &mut bytes[..(count * size) as usize];
        self.image.source.fill(at, bytes, "an index")?;
        let mut out = [Entry::Inside { back: 0 }; PACK_MAX];
        if matches!(self.form, Form::Full) {
            out[0] = full(bytes, at)?;
        } else {
            compact(bytes, count as usize, self.big, at, &mut out)?;
        }
        Ok((out, first..first + count))
    }
}

/// An entry of 8 bytes.
fn full(bytes: &[u8], at: u64) -> Result<Entry, Error> {
    let (advise, offset, low) = (u16_at(bytes, 0), u16_at(bytes, 2), u16_at(bytes, 4));
    if advise & PARTIAL != 0 {
        return Err(unsupported("deduplication"));
    }
    if advise & !3 != 0 {
        return Err(corrupt(format!("an index entry of the unknown kind {advise:#x}"), at));
    }
    entry(advise, offset, low, u32_at(bytes, 4).into(), at)
}

/// An entry from its parts: `low` is what a cluster that goes on says of itself.
fn entry(kind: u16, offset: u16, low: u16, block: u64, at: u64) -> Result<Entry, Error> {
    match kind {
        0 | 1 if usize::from(offset) >= BLOCK => Err(corrupt(format!("a cluster at {offset} of 4096"), at)),
        0 | 1 => Ok(Entry::Head { plain: kind == 0, offset, block }),
        2 if low & BLOCK_COUNT != 0 => Ok(Entry::Count(low & !BLOCK_COUNT)),
        2 => Ok(Entry::Inside { back: low }),
        _ => Err(unsupported("a second compression algorithm")),
    }
}

/// The `count` entries of a pack.
fn compact(bytes: &[u8], count: usize, big: bool, at: u64, out: &mut [Entry; PACK_MAX]) -> Result<(), Error> {
    // The block number takes 4 bytes at the end; the entries share the rest: 12 bits each, and 2 for the kind.
    let bits = (bytes.len() - 4) * 8 / count;
    let base = u64::from(u32_at(bytes, bytes.len() - 4));
    let raw = |i: usize| {
        // The last entry's bits end before the block number, so four bytes are always there.
        let value = u32_at(bytes, i * bits / 8) >> (i * bits % 8);
        (value as u16 & 0xfff, (value >> 12) as u16 & 3)
    };
    for (i, slot) in out.iter_mut().enumerate().take(count) {
        let (low, kind) = raw(i);
        *slot = if kind != 2 {
            let block =
                base + blocks_before(raw, i, big).ok_or_else(|| corrupt("a broken index pack", at))?;
            entry(kind, low, 0, block, at)?
        } else if low & BLOCK_COUNT != 0 || i + 1 < count {
            entry(kind, 0, low, 0, at)?
        } else {
            // The last one of a pack says how far the next cluster is, not the last: take it from the one before.
            let back = match raw(i - 1) {
                (low, 2) if low & BLOCK_COUNT == 0 => low + 1,
                (_, 2) => 2,
                _ => 1,
            };
            Entry::Inside { back }
        };
    }
    Ok(())
}

/// How many blocks the pack's block number is before those of the cluster that starts in entry `i`.
fn blocks_before(raw: impl Fn(usize) -> (u16, u16), i: usize, big: bool) -> Option<u64> {
    let mut left = i;
    if !big {
        let mut blocks = 1;
        while left > 0 {
            left -= 1;
            let (low, kind) = raw(left);
            if kind == 2 {
                match left.checked_sub(usize::from(low)) {
                    Some(head) => left = head,
                    // It started in a pack before.
                    None => return Some(blocks),
                }
            }
            blocks += 1;
        }
        return Some(blocks);
    }
    let mut blocks = 0;
    while left > 0 {
        left -= 1;
        let (low, kind) = raw(left);
        if kind != 2 {
            blocks += 1;
        } else if low & BLOCK_COUNT != 0 {
            blocks += u64::from(low & !BLOCK_COUNT);
            // Its head, whose blocks these are.
            left = left.saturating_sub(1);
        } else {
            // On to the second entry of the cluster, which has the count.
            left = left.saturating_sub(usize::from(low.checked_sub(2)?));
        }
    }
    Some(blocks)
}

/// Clusters -> pieces.
struct Pieces<'p, 'i> {
    index: &'p Index<'i>,
    interlaced: bool,
    /// Where in the image the piece before ended.
    end: u64,
    /// The place of the last piece, where it is behind the index.
    tail: Option<(u64, u64)>,
}

impl Pieces<'_, '_> {
    fn push_last(&mut self, out: &mut Extents, cluster: &Open, end: u64) -> Result<(), Error> {
        match self.tail {
            None => self.push(out, cluster, end),
            Some(_) if cluster.plain && self.interlaced => Err(unsupported("interlaced tails")),
            Some((at, stored)) => self.piece(out, cluster, end, at, stored, Encoding::Plain),
        }
    }

    /// Adds the piece from a cluster's start to `end`.
    fn push(&mut self, out: &mut Extents, cluster: &Open, end: u64) -> Result<(), Error> {
        let (at, stored) = (cluster.block * BLOCK_U64, u64::from(cluster.blocks) * BLOCK_U64);
        // Clusters of a file follow each other; one that is used twice would make a small image a large tree.
        if at < self.end {
            return Err(corrupt("two clusters of a file overlap", self.index.entry_at(cluster.number)));
        }
        self.end = at + stored;
        let plain = if self.interlaced { Encoding::Interlaced } else { Encoding::Plain };
        self.piece(out, cluster, end, at, stored, plain)
    }

    fn piece(
        &self,
        out: &mut Extents,
        cluster: &Open,
        end: u64,
        at: u64,
        stored: u64,
        plain: Encoding,
    ) -> Result<(), Error> {
        let entry_at = self.index.entry_at(cluster.number);
        let (encoding, max) =
            if cluster.plain { (plain, stored) } else { (Encoding::Lz4, LZ4_MAX.min(stored * LZ4_RATIO)) };
        // A cluster never ends before it starts: entries' offsets are below 4096 and each is in the next 4 KiB.
        let len = end - cluster.offset;
        if len > max {
            return Err(corrupt(format!("a cluster of {stored} bytes stands for {len}"), entry_at));
        }
        self.index.image.source.check(at, stored, "a cluster")?;
        out.push(Extent { offset: cluster.offset, len, at, stored, encoding })
    }
}
