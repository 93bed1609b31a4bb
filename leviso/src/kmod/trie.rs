//! The binary index of kmod: a radix tree on disk, read by `modprobe` without parsing text.
//!
//! Format (kmod, libkmod/libkmod-index.c): big-endian u32 magic 0xB007F457, version 0x00020001, offset of the root.
//! A node: [prefix NUL] [first, last, (last-first+1) child offsets] [count, (priority, value NUL)...]; each part is
//! there if the flag for it is set in the offset that points at the node. Children come before their parent.

use std::collections::BTreeMap;

use anyhow::ensure;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;
/// The low bits of an offset; a file may not be larger.
const MAX_OFFSET: usize = 0x0FFF_FFFF;

/// Longest key; the tree is as deep as its keys are long, and is walked recursively.
const MAX_KEY: usize = 4096;

#[derive(Debug, Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    /// Lowest priority first.
    values: Vec<(u32, String)>,
}

/// Keys with values, each with a priority (lower is found first).
#[derive(Debug, Default)]
pub(super) struct Trie(Node);

impl Trie {
    /// Adds a value to a key; among values of one priority the last one added comes first.
    pub(super) fn insert(&mut self, key: &str, value: &str, priority: usize) -> anyhow::Result<()> {
        ensure!(
            key.len() <= MAX_KEY && key.bytes().all(|b| b != 0 && b.is_ascii()) && !value.contains('\0'),
            "expected at most {MAX_KEY} bytes of 7-bit text as index key, found {key:?}"
        );
        let priority = u32::try_from(priority).unwrap_or(u32::MAX);
        let mut node = &mut self.0;
        let mut rest = key.as_bytes();
        loop {
            let common = node.prefix.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < node.prefix.len() {
                node.split(common);
            }
            rest = &rest[common..];
            let Some((&first, tail)) = rest.split_first() else {
                let at = node.values.partition_point(|(p, _)| *p < priority);
                node.values.insert(at, (priority, value.to_owned()));
                return Ok(());
            };
            node = node
                .children
                .entry(first)
                .or_insert_with(|| Node { prefix: tail.to_vec(), ..Node::default() });
            rest = tail;
        }
    }

    /// The file.
    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        let root = self.0.write(&mut out)?;
        out[8..12].copy_from_slice(&root.to_be_bytes());
        Ok(out)
    }
}

impl Node {
    /// Keeps the first `at` bytes of the prefix; the rest, with everything below, becomes the only child.
    fn split(&mut self, at: usize) {
        let tail = self.prefix.split_off(at);
        let Some((&first, rest)) = tail.split_first() else { return };
        let child = Self {
            prefix: rest.to_vec(),
            children: std::mem::take(&mut self.children),
            values: std::mem::take(&mut self.values),
        };
        self.children.insert(first, child);
    }

    /// Appends the node behind its children and returns its offset with the flags.
    fn write(&self, out: &mut Vec<u8>) -> anyhow::Result<u32> {
        let mut offsets = BTreeMap::new();
        for (&byte, child) in &self.children {
            offsets.insert(byte, child.write(out)?);
        }
        ensure!(out.len() <= MAX_OFFSET, "the module index would be larger than {MAX_OFFSET} bytes");
        let mut offset = u32::try_from(out.len()).unwrap_or_else(|_| unreachable!("checked above"));
        if !self.prefix.is_empty() {
            out.extend_from_slice(&self.prefix);
            out.push(0);
            offset |= HAS_PREFIX;
        }
        if let (Some((&first, _)), Some((&last, _))) = (offsets.first_key_value(), offsets.last_key_value()) {
            out.extend_from_slice(&[first, last]);
            for byte in first..=last {
                out.extend_from_slice(&offsets.get(&byte).copied().unwrap_or(0).to_be_bytes());
            }
            offset |= HAS_CHILDREN;
        }
        if !self.values.is_empty() {
            let count = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            for (priority, value) in &self.values {
                out.extend_from_slice(&priority.to_be_bytes());
                out.extend_from_slice(value.as_bytes());
                out.push(0);
            }
            offset |= HAS_VALUES;
        }
        Ok(offset)
    }
}
