//! RPM header structures: tags with typed values -> index, data store, immutable region.
//!
//! Layout: rpm's docs/manual/format_header.md. A header is a magic, the number of index entries, the size of the store,
//! the index (16 bytes an entry) and the store. The first entry is the region tag, whose trailer closes the store: it
//! says that every entry in between is covered by digests and signatures.

/// Starts every header: magic, version 1, four reserved bytes.
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];

/// Region tag of the signature header (RPMTAG_HEADERSIGNATURES).
pub(super) const REGION_SIGNATURE: u32 = 62;
/// Region tag of the main header (RPMTAG_HEADERIMMUTABLE).
pub(super) const REGION_IMMUTABLE: u32 = 63;

/// A value of a tag.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// RPM_INT16_TYPE
    Int16(Vec<u16>),
    /// RPM_INT32_TYPE
    Int32(Vec<u32>),
    /// RPM_INT64_TYPE
    Int64(Vec<u64>),
    /// RPM_STRING_TYPE
    Text(String),
    /// RPM_BIN_TYPE
    Bin(Vec<u8>),
    /// RPM_STRING_ARRAY_TYPE; bytes, for file names need not be UTF-8
    List(Vec<Vec<u8>>),
    /// RPM_I18NSTRING_TYPE with the one locale "C"
    I18n(String),
}

/// Tags of a header, in ascending order when written.
#[derive(Debug, Default)]
pub(super) struct Header {
    tags: std::collections::BTreeMap<u32, Value>,
}

impl Header {
    /// Sets a tag.
    pub(super) fn set(&mut self, tag: u32, value: Value) {
        self.tags.insert(tag, value);
    }

    /// Sets a list of strings, unless it is empty: rpm has no empty arrays.
    pub(super) fn list<S: AsRef<[u8]>>(&mut self, tag: u32, values: impl IntoIterator<Item = S>) {
        let values: Vec<Vec<u8>> = values.into_iter().map(|v| v.as_ref().to_vec()).collect();
        if !values.is_empty() {
            self.set(tag, Value::List(values));
        }
    }

    /// Sets a list of numbers, unless it is empty.
    pub(super) fn int32(&mut self, tag: u32, values: impl IntoIterator<Item = u32>) {
        let values: Vec<u32> = values.into_iter().collect();
        if !values.is_empty() {
            self.set(tag, Value::Int32(values));
        }
    }

    /// The bytes of the header, magic included, with `region` around all tags.
    pub(super) fn to_bytes(&self, region: u32) -> Vec<u8> {
        let mut index = Vec::new();
        let mut store = Vec::new();
        for (&tag, value) in &self.tags {
            while store.len() % value.align() != 0 {
                store.push(0);
            }
            entry(&mut index, tag, value.kind(), int(store.len()), value.count());
            value.write(&mut store);
        }
        let entries = int(self.tags.len() + 1);
        // The trailer is itself shaped like an index entry; its offset is minus the size of the index.
        let trailer_at = int(store.len());
        entry(&mut store, region, 7, (entries * 16).wrapping_neg(), 16);
        let mut out = MAGIC.to_vec();
        out.extend(entries.to_be_bytes());
        out.extend(int(store.len()).to_be_bytes());
        entry(&mut out, region, 7, trailer_at, 16);
        out.extend(index);
        out.extend(store);
        out
    }
}

impl Value {
    fn kind(&self) -> u32 {
        match self {
            Self::Int16(_) => 3,
            Self::Int32(_) => 4,
            Self::Int64(_) => 5,
            Self::Text(_) => 6,
            Self::Bin(_) => 7,
            Self::List(_) => 8,
            Self::I18n(_) => 9,
        }
    }

    fn align(&self) -> usize {
        match self {
            Self::Int16(_) => 2,
            Self::Int32(_) => 4,
            Self::Int64(_) => 8,
            _ => 1,
        }
    }

    fn count(&self) -> u32 {
        int(match self {
            Self::Int16(v) => v.len(),
            Self::Int32(v) => v.len(),
            Self::Int64(v) => v.len(),
            Self::Bin(v) => v.len(),
            Self::List(v) => v.len(),
            Self::Text(_) | Self::I18n(_) => 1,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut text = |bytes: &[u8]| {
            out.extend(bytes.iter().filter(|&&b| b != 0));
            out.push(0);
        };
        match self {
            Self::Text(s) | Self::I18n(s) => text(s.as_bytes()),
            Self::List(v) => v.iter().for_each(|s| text(s)),
            Self::Int16(v) => out.extend(v.iter().flat_map(|n| n.to_be_bytes())),
            Self::Int32(v) => out.extend(v.iter().flat_map(|n| n.to_be_bytes())),
            Self::Int64(v) => out.extend(v.iter().flat_map(|n| n.to_be_bytes())),
            Self::Bin(v) => out.extend(v),
        }
    }
}

fn entry(out: &mut Vec<u8>, tag: u32, kind: u32, offset: u32, count: u32) {
    for word in [tag, kind, offset, count] {
        out.extend(word.to_be_bytes());
    }
}

/// Headers are a few megabytes at most.
fn int(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| unreachable!("a header of 4 GiB does not fit in an RPM"))
}
