//! The bytes of the cache (glibc's "new" format 1.1, little-endian):
//!
//! ```text
//! "glibc-ld.so.cache1.1"  nlibs  len_strings  flags  extension_offset  unused[3]      48 bytes
//! flags  key  value  osversion(0)  hwcap                                              24 bytes a library
//! strings: names and paths, a string that ends another shares its bytes
//! padding to 4
//! extension magic  count  (tag flags offset size)...  hwcaps name offsets  generator
//! ```

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;

use super::Entry;

/// cache_file_new_flags_endian_little.
const LITTLE_ENDIAN: u32 = 2;

const HEADER_SIZE: usize = 48;
const ENTRY_SIZE: usize = 24;

/// cache_extension_magic, (uint32_t) -358342284.
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const TAG_GENERATOR: u32 = 0;
const TAG_HWCAPS: u32 = 1;

/// DL_CACHE_HWCAP_EXTENSION: the hwcap field holds an index of the hwcaps section and an ISA level.
const HWCAP_EXTENSION: u64 = 1 << 62;

/// The cache of entries that are in order. `all_hwcaps` names every glibc-hwcaps subdirectory that was looked into:
/// glibc keeps the names of empty ones among the strings.
pub(super) fn encode(entries: &[Entry], all_hwcaps: &[&[u8]], generator: &[u8]) -> anyhow::Result<Vec<u8>> {
    let hwcaps: BTreeSet<&[u8]> = entries.iter().filter_map(|e| e.hwcaps.as_deref()).collect();
    let base = HEADER_SIZE + entries.len() * ENTRY_SIZE;
    let names = entries.iter().flat_map(|e| [&e.key[..], &e.path]).chain(all_hwcaps.iter().copied());
    let strings = Strings::new(names.collect());
    let offset = |text: &[u8]| number(base + strings.offsets[text]);
    let extension = (base + strings.bytes.len()).next_multiple_of(4);

    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    u32s(
        &mut out,
        &[number(entries.len())?, number(strings.bytes.len())?, LITTLE_ENDIAN, number(extension)?],
    );
    u32s(&mut out, &[0; 3]);
    for entry in entries {
        u32s(&mut out, &[entry.flags, offset(&entry.key)?, offset(&entry.path)?, 0]);
        let hwcap = entry.hwcaps.as_deref().map_or(0, |name| {
            let index = hwcaps.iter().take_while(|n| **n != name).count();
            HWCAP_EXTENSION | u64::from(entry.isa_level) << 32 | index as u64
        });
        out.extend_from_slice(&hwcap.to_le_bytes());
    }
    out.extend_from_slice(&strings.bytes);
    out.resize(extension, 0);

    let sections = if hwcaps.is_empty() { 1 } else { 2 };
    let hwcaps_at = extension + 8 + sections * 16;
    let hwcaps_len = hwcaps.len() * 4;
    u32s(&mut out, &[EXTENSION_MAGIC, number(sections)?]);
    u32s(&mut out, &[TAG_GENERATOR, 0, number(hwcaps_at + hwcaps_len)?, number(generator.len())?]);
    if !hwcaps.is_empty() {
        u32s(&mut out, &[TAG_HWCAPS, 0, number(hwcaps_at)?, number(hwcaps_len)?]);
    }
    for name in &hwcaps {
        u32s(&mut out, &[offset(name)?]);
    }
    out.extend_from_slice(generator);
    Ok(out)
}

/// Strings, each once, those that end another one inside it.
struct Strings<'a> {
    bytes: Vec<u8>,
    offsets: HashMap<&'a [u8], usize>,
}

impl<'a> Strings<'a> {
    fn new(names: BTreeSet<&'a [u8]>) -> Self {
        // Descending by the reversed string: what ends another string comes right after such a one.
        let mut sorted: Vec<&[u8]> = names.into_iter().collect();
        sorted.sort_by(|a, b| b.iter().rev().cmp(a.iter().rev()));
        let mut bytes = Vec::new();
        let mut offsets = HashMap::with_capacity(sorted.len());
        let mut previous: (&[u8], usize) = (b"", 0);
        for name in sorted {
            let at = if !bytes.is_empty() && previous.0.ends_with(name) {
                previous.1 + previous.0.len() - name.len()
            } else {
                let at = bytes.len();
                bytes.extend_from_slice(name);
                bytes.push(0);
                at
            };
            offsets.insert(name, at);
            previous = (name, at);
        }
        Self { bytes, offsets }
    }
}

fn number(value: usize) -> anyhow::Result<u32> {
    u32::try_from(value).context("the libraries' names do not fit into 4 GiB")
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}
