//! systemd's string buffer: strings one after the other, each with a NUL, none twice, none that ends an earlier one.
//!
//! hwdb.bin and the journal catalogue hold offsets into such a buffer. The rules of sharing decide every offset, so
//! they are systemd's to the letter (basic/strbuf): a tree is walked by the string's bytes from its end, each node
//! remembers the string it was made for, and the first one met that ends in the new string is shared.

/// A growing buffer of NUL-terminated strings; offset 0 is the empty string.
pub(super) struct StringPool {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
}

/// A node of the tree of reversed strings.
struct Node {
    /// End of the string it was made for, exclusive of the NUL.
    end: usize,
    len: usize,
    /// Sorted by the byte that leads there.
    children: Vec<(u8, u32)>,
}

impl StringPool {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0], nodes: vec![Node { end: 0, len: 0, children: Vec::new() }] }
    }

    /// The offset of a string without NUL bytes, which is put into the buffer if it is not there.
    pub(super) fn add(&mut self, text: &[u8]) -> usize {
        debug_assert!(!text.contains(&0));
        if text.is_empty() {
            return 0;
        }
        let mut at = 0;
        for depth in 0..=text.len() {
            let node = &self.nodes[at];
            let shared = node.len >= text.len() && self.bytes[..node.end].ends_with(text);
            // At full depth the path itself is the string.
            if shared || depth == text.len() {
                return node.end - text.len();
            }
            let byte = text[text.len() - 1 - depth];
            match node.children.binary_search_by_key(&byte, |c| c.0) {
                Ok(i) => at = node.children[i].1 as usize,
                Err(i) => return self.append(at, i, byte, text),
            }
        }
        unreachable!("the last round of the loop returns")
    }

    /// The string at an offset.
    pub(super) fn get(&self, offset: usize) -> &[u8] {
        let rest = &self.bytes[offset..];
        let end = rest.iter().position(|&b| b == 0);
        &rest[..end.unwrap_or_else(|| unreachable!("every string in the buffer has its NUL"))]
    }

    /// The whole buffer.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn append(&mut self, parent: usize, child: usize, byte: u8, text: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        let end = self.bytes.len();
        self.bytes.push(0);
        let id = u32::try_from(self.nodes.len()).unwrap_or_else(|_| unreachable!("4 G strings"));
        self.nodes.push(Node { end, len: text.len(), children: Vec::new() });
        self.nodes[parent].children.insert(child, (byte, id));
        start
    }
}
