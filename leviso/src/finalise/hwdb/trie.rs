//! The trie and its bytes:
//!
//! ```text
//! "KSLPHHRH" version file_size header_size node_size child_size value_size root nodes_len strings_len      80 bytes
//! node: prefix, children count (u8 + 7), values count                                                      24
//!   child: byte (+ 7), offset of its node                                                                  16 each
//!   value: key, value, file name, line (u32), priority (u16 + 2)                                           32 each
//! ... children before their parents, the root last, then the strings
//! ```
//!
//! All numbers little-endian, offsets from the start of the file. Where nodes split and in which order strings are
//! added is systemd's, because the string buffer's offsets show it.

use crate::finalise::string_pool::StringPool;

const SIGNATURE: &[u8; 8] = b"KSLPHHRH";
const HEADER_SIZE: u64 = 80;
const NODE_SIZE: u64 = 24;
const CHILD_SIZE: u64 = 16;
const VALUE_SIZE: u64 = 32;

/// Where a property stands.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a [u8],
    pub(super) line: u32,
    /// 1 for the first file; the highest wins.
    pub(super) priority: u16,
}

/// Match strings -> properties. String fields are offsets into `strings`.
pub(super) struct Trie {
    strings: StringPool,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// What all matches below have in common here.
    prefix: usize,
    /// Sorted by the byte that follows the prefix.
    children: Vec<(u8, usize)>,
    /// Sorted by key.
    values: Vec<Value>,
}

struct Value {
    key: usize,
    value: usize,
    path: usize,
    line: u32,
    priority: u16,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self { strings: StringPool::new(), nodes: vec![Node::default()] }
    }

    /// Gives the match a property; a later one with the same key replaces it.
    pub(super) fn insert(&mut self, text: &[u8], key: &[u8], value: &[u8], source: Source<'_>) {
        let mut at = 0;
        let mut rest = text;
        loop {
            let prefix = self.strings.get(self.nodes[at].prefix);
            let common = prefix.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < prefix.len() {
                self.split(at, common);
            }
            rest = &rest[common..];
            let Some((&byte, below)) = rest.split_first() else {
                return self.set(at, key, value, source);
            };
            match self.nodes[at].children.binary_search_by_key(&byte, |c| c.0) {
                Ok(i) => (at, rest) = (self.nodes[at].children[i].1, below),
                Err(i) => {
                    let prefix = self.strings.add(below);
                    let child = self.nodes.len();
                    self.nodes.push(Node { prefix, ..Node::default() });
                    self.nodes[at].children.insert(i, (byte, child));
                    return self.set(child, key, value, source);
                }
            }
        }
    }

    /// Moves what is beyond the first `common` bytes of a node's prefix into a child.
    fn split(&mut self, at: usize, common: usize) {
        let old = std::mem::take(&mut self.nodes[at]);
        let prefix = self.strings.get(old.prefix);
        let (byte, head) = (prefix[common], prefix[..common].to_vec());
        let child = self.nodes.len();
        self.nodes.push(Node { prefix: old.prefix + common + 1, ..old });
        self.nodes[at] =
            Node { prefix: self.strings.add(&head), children: vec![(byte, child)], values: Vec::new() };
    }

    fn set(&mut self, at: usize, key: &[u8], value: &[u8], source: Source<'_>) {
        let new = Value {
            key: self.strings.add(key),
            value: self.strings.add(value),
            path: self.strings.add(source.path),
            line: source.line,
            priority: source.priority,
        };
        let strings = &self.strings;
        let values = &mut self.nodes[at].values;
        match values.binary_search_by(|v| strings.get(v.key).cmp(key)) {
            Ok(i) => values[i] = new,
            Err(i) => values.insert(i, new),
        }
    }

    /// The whole file.
    pub(super) fn encode(&self, version: u64) -> Vec<u8> {
        let size =
            |n: &Node| NODE_SIZE + n.children.len() as u64 * CHILD_SIZE + n.values.len() as u64 * VALUE_SIZE;
        let nodes_len: u64 = self.nodes.iter().map(size).sum();
        let strings_at = HEADER_SIZE + nodes_len;
        let strings_len = self.strings.bytes().len() as u64;
        let file_size = strings_at + strings_len;

        let mut out = Vec::with_capacity(usize::try_from(file_size).unwrap_or(0));
        out.extend_from_slice(SIGNATURE);
        u64s(&mut out, &[version, file_size, HEADER_SIZE, NODE_SIZE, CHILD_SIZE, VALUE_SIZE]);
        // The root is written last.
        let root = strings_at - size(&self.nodes[0]);
        u64s(&mut out, &[root, nodes_len, strings_len]);
        self.encode_nodes(&mut out, strings_at);
        out.extend_from_slice(self.strings.bytes());
        out
    }

    /// Children before their parents, in the order of their bytes. No recursion: hostile matches nest deeply.
    fn encode_nodes(&self, out: &mut Vec<u8>, strings_at: u64) {
        let mut offsets = vec![0; self.nodes.len()];
        // Node and the number of its children that are written.
        let mut path = vec![(0, 0)];
        while let Some((at, done)) = path.pop() {
            let node = &self.nodes[at];
            if let Some(&(_, child)) = node.children.get(done) {
                path.extend([(at, done + 1), (child, 0)]);
                continue;
            }
            offsets[at] = out.len() as u64;
            let string = |offset: usize| strings_at + offset as u64;
            u64s(out, &[string(node.prefix), node.children.len() as u64, node.values.len() as u64]);
            for &(byte, child) in &node.children {
                u64s(out, &[byte.into(), offsets[child]]);
            }
            for value in &node.values {
                u64s(out, &[string(value.key), string(value.value), string(value.path)]);
                out.extend_from_slice(&value.line.to_le_bytes());
                out.extend_from_slice(&u32::from(value.priority).to_le_bytes());
            }
        }
    }
}

fn u64s(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}
