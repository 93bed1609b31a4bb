//! RPM headers as bounded views: bytes in, typed tag values out.
//!
//! Format: <https://rpm.org/docs/4.19.x/manual/format_v4.html>. A header is a 16-byte intro, an index of 16-byte entries
//! and a data store. Every limit is rpm's own (lib/header.c): tag and data counts are checked before anything is
//! allocated, every entry lies inside the store, behind the one before it, aligned for its type, and the first entry is
//! a region that covers the whole header, so that no tag can hide outside what the signature covers. After
//! [`Header::parse`] no accessor can fail for lack of bytes; it fails only when a tag has another type than asked for.

use anyhow::{Context, bail, ensure};

use super::tags;

/// What an entry's data looks like on disk.
const INT8: u32 = 2;
const INT16: u32 = 3;
const INT32: u32 = 4;
const INT64: u32 = 5;
const STRING: u32 = 6;
const BIN: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// Magic and version of an intro; four reserved zero bytes follow.
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
const INTRO: usize = 16;
const ENTRY: usize = 16;

/// Which of the two headers of a package: they have different limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Signatures and digests; not itself signed.
    Signature,
    /// Everything else; this is what a signature covers.
    Main,
}

impl Part {
    fn limits(self) -> (u32, u32) {
        match self {
            Self::Signature => (32, 64 << 20),
            Self::Main => (0xffff, 0x0fff_ffff),
        }
    }

    fn region(self) -> u32 {
        match self {
            Self::Signature => tags::HEADER_SIGNATURES,
            Self::Main => tags::HEADER_IMMUTABLE,
        }
    }
}

/// A parsed header. Keeps a copy of its bytes, so that the file may go away.
#[derive(Debug, Clone)]
pub struct Header {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    count: usize,
    /// Where the data is in `bytes`.
    start: usize,
    end: usize,
}

impl Header {
    /// Parses the header at the start of `input`, which may go on behind it.
    ///
    /// # Errors
    /// It breaks a limit or a rule of the format.
    pub fn parse(input: &[u8], part: Part) -> anyhow::Result<Self> {
        let intro = input.get(..INTRO).context("the file ends inside a header")?;
        ensure!(intro[..8] == MAGIC, "expected the header magic 8eade801, found {}", hex(&intro[..8]));
        let (count, data) = (be32(&intro[8..]), be32(&intro[12..]));
        let (max_count, max_data) = part.limits();
        ensure!(count >= 1 && count <= max_count, "a header has {count} tags, the limit is {max_count}");
        ensure!(data <= max_data, "a header has {data} bytes of data, the limit is {max_data}");
        let store = INTRO + count as usize * ENTRY;
        let bytes = input.get(..store + data as usize).context("the file ends inside a header")?.to_vec();
        let mut entries = Vec::with_capacity(count as usize);
        let mut end = store;
        for raw in bytes[INTRO..store].chunks_exact(ENTRY).skip(1) {
            let entry = Entry::parse(raw, &bytes, store)?;
            ensure!(entry.start >= end, "the data of header tag {} overlaps another tag's", entry.tag);
            end = entry.end;
            entries.push(entry);
        }
        check_region(&bytes, store, part, end)?;
        let mut seen: Vec<u32> = entries.iter().map(|e| e.tag).collect();
        seen.sort_unstable();
        if let Some(twice) = seen.windows(2).find(|w| w[0] == w[1]) {
            bail!("header tag {} is there twice", twice[0]);
        }
        Ok(Self { bytes, entries })
    }

    /// The whole header as it is in the file: what header digests and signatures cover.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is such a tag.
    #[must_use]
    pub fn has(&self, tag: u32) -> bool {
        self.find(tag).is_some()
    }

    /// A string, or the only or first one of an array.
    ///
    /// # Errors
    /// The tag is not of a string type.
    pub fn string(&self, tag: u32) -> anyhow::Result<Option<&[u8]>> {
        Ok(self.strings(tag)?.and_then(|all| all.first().copied()))
    }

    /// A string that must be UTF-8.
    ///
    /// # Errors
    /// The tag is not of a string type, or not UTF-8.
    pub fn text(&self, tag: u32) -> anyhow::Result<Option<&str>> {
        let Some(bytes) = self.string(tag)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).with_context(|| format!("header tag {tag} is not UTF-8"))
    }

    /// All strings of a string array.
    ///
    /// # Errors
    /// The tag is not of a string type.
    pub fn strings(&self, tag: u32) -> anyhow::Result<Option<Vec<&[u8]>>> {
        let Some(entry) = self.find(tag) else { return Ok(None) };
        ensure!(matches!(entry.kind, STRING | STRING_ARRAY | I18N_STRING), "header tag {tag} is not text");
        // The last NUL ends the last string; it does not begin another.
        let data = &self.bytes[entry.start..entry.end - 1];
        Ok(Some(data.split(|&b| b == 0).collect()))
    }

    /// 16-bit numbers.
    ///
    /// # Errors
    /// The tag has another type.
    pub fn u16s(&self, tag: u32) -> anyhow::Result<Option<Vec<u16>>> {
        self.numbers(tag, INT16, |b| u16::from_be_bytes([b[0], b[1]]))
    }

    /// 32-bit numbers.
    ///
    /// # Errors
    /// The tag has another type.
    pub fn u32s(&self, tag: u32) -> anyhow::Result<Option<Vec<u32>>> {
        self.numbers(tag, INT32, be32)
    }

    /// 64-bit numbers.
    ///
    /// # Errors
    /// The tag has another type.
    pub fn u64s(&self, tag: u32) -> anyhow::Result<Option<Vec<u64>>> {
        self.numbers(tag, INT64, |b| u64::from(be32(b)) << 32 | u64::from(be32(&b[4..])))
    }

    /// The first of some 32-bit numbers.
    ///
    /// # Errors
    /// The tag has another type.
    pub fn u32(&self, tag: u32) -> anyhow::Result<Option<u32>> {
        Ok(self.u32s(tag)?.and_then(|all| all.first().copied()))
    }

    /// Binary data.
    ///
    /// # Errors
    /// The tag has another type.
    pub fn binary(&self, tag: u32) -> anyhow::Result<Option<&[u8]>> {
        let Some(entry) = self.find(tag) else { return Ok(None) };
        ensure!(entry.kind == BIN, "header tag {tag} is not binary");
        Ok(Some(&self.bytes[entry.start..entry.end]))
    }

    fn numbers<T>(&self, tag: u32, kind: u32, one: impl Fn(&[u8]) -> T) -> anyhow::Result<Option<Vec<T>>> {
        let Some(entry) = self.find(tag) else { return Ok(None) };
        ensure!(entry.kind == kind, "header tag {tag} has type {}, expected {kind}", entry.kind);
        let width = (entry.end - entry.start) / entry.count;
        Ok(Some(self.bytes[entry.start..entry.end].chunks_exact(width).map(one).collect()))
    }

    fn find(&self, tag: u32) -> Option<&Entry> {
        self.entries.iter().find(|e| e.tag == tag)
    }
}

impl Entry {
    fn parse(raw: &[u8], bytes: &[u8], store: usize) -> anyhow::Result<Self> {
        let (tag, kind) = (be32(raw), be32(&raw[4..]));
        let (offset, count) = (be32(&raw[8..]) as usize, be32(&raw[12..]) as usize);
        let outside = || format!("the data of header tag {tag} is not inside the header");
        let start = store + offset;
        let data = bytes.get(start..).with_context(outside)?;
        ensure!(count >= 1, "header tag {tag} is empty");
        let width = match kind {
            1 | INT8 | BIN => 1,
            INT16 => 2,
            INT32 => 4,
            INT64 => 8,
            STRING | STRING_ARRAY | I18N_STRING => 0,
            _ => bail!("header tag {tag} has the unknown type {kind}"),
        };
        let len = if width > 0 {
            ensure!(offset.is_multiple_of(width), "the data of header tag {tag} is not aligned");
            count.checked_mul(width).filter(|len| *len <= data.len()).with_context(outside)?
        } else {
            ensure!(kind != STRING || count == 1, "header tag {tag} is one string but counts {count}");
            let nuls = data.iter().enumerate().filter(|(_, b)| **b == 0);
            nuls.map(|(at, _)| at + 1).nth(count - 1).with_context(outside)?
        };
        Ok(Self { tag, kind, count, start, end: start + len })
    }
}

/// The first index entry must be a region whose trailer, at the very end, spans every entry: rpm accepts nothing else
/// in a package, because tags behind the region would not be signed.
fn check_region(bytes: &[u8], store: usize, part: Part, end: usize) -> anyhow::Result<()> {
    let entry = &bytes[INTRO..INTRO + ENTRY];
    let data = bytes.len() - store;
    let at = be32(&entry[8..]) as usize;
    ensure!(be32(entry) == part.region(), "expected the region tag {}, found {}", part.region(), be32(entry));
    ensure!(be32(&entry[4..]) == BIN && be32(&entry[12..]) == 16, "the header's region tag is malformed");
    ensure!(data >= 16 && at == data - 16, "the header's region does not cover all of it");
    ensure!(end <= store + at, "the data of a header tag is not inside the header");
    let trailer = &bytes[store + at..];
    let span = u32::try_from(store - INTRO).unwrap_or_else(|_| unreachable!("at most 0xffff entries"));
    ensure!(
        be32(trailer) == part.region() && be32(&trailer[4..]) == BIN && be32(&trailer[12..]) == 16,
        "the header's region trailer is malformed"
    );
    ensure!(be32(&trailer[8..]) == span.wrapping_neg(), "the header's region does not cover all of it");
    Ok(())
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
