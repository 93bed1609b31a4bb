//! The journal's message catalogue, as `journalctl --update-catalog` writes it: what `journalctl -x` explains.
//!
//! systemd/catalog/*.catalog in, `/var/lib/systemd/catalog/database` out. Nothing in it depends on time or place.
//! Source: <https://systemd.io/CATALOG>, systemd's libsystemd/sd-journal/catalog.c for the format:
//!
//! ```text
//! "RHHHKSLP" compatible_flags(0) incompatible_flags(0) header_size items item_size     40 bytes
//! message id (16)  language (32, NUL-padded)  offset of the text in the strings        56 bytes an item
//! strings
//! ```

mod parse;

use std::collections::BTreeMap;

use anyhow::Context;
use common::cli::Mark;

use super::conf;
use super::string_pool::StringPool;
use crate::exit;
use crate::tree::{Origin, Tree};

/// Where the database goes.
const DATABASE: &str = "/var/lib/systemd/catalog/database";

/// Where sources are looked for, highest priority first.
const DIRS: [&str; 2] = ["/usr/local/lib/systemd/catalog", "/usr/lib/systemd/catalog"];

const HEADER_SIZE: u64 = 40;
const ITEM_SIZE: u64 = 56;

/// The size of the language field; the last byte stays NUL.
const LANGUAGE_SIZE: usize = 32;

/// What one text is found by; the order is that of the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    id: [u8; 16],
    /// Empty for the language of the C locale.
    language: Vec<u8>,
}

/// The texts by key, and the keys in the order in which they were first met: that is the order of the strings.
#[derive(Debug, Default)]
struct Catalog {
    texts: BTreeMap<Key, Vec<u8>>,
    order: Vec<Key>,
}

/// Compiles the tree's catalogues; does nothing in a tree that has none.
///
/// # Errors
/// A catalogue makes no sense (file and line are named), or the database cannot be put in its place; exit code
/// [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    let mut catalog = Catalog::default();
    for path in conf::paths(tree, &DIRS, b".catalog") {
        let name = String::from_utf8_lossy(&path);
        let content = tree.read(&path).unwrap_or_default();
        parse::import(&mut catalog, &path, content)
            .with_context(|| format!("failed to parse {name}"))
            .exit(exit::SYSTEM)?;
    }
    if catalog.order.is_empty() {
        return Ok(());
    }
    tree.write(DATABASE, catalog.encode(), 0o644, Origin::Generated("catalog"))
        .context("failed to write the journal catalogue")
        .exit(exit::SYSTEM)?;
    Ok(())
}

impl Catalog {
    /// Adds a text; one that is there already is combined with it: the later file's header fields come first, and its
    /// body is taken unless it has none.
    fn add(&mut self, key: Key, text: Vec<u8>) {
        match self.texts.get_mut(&key) {
            Some(old) => *old = combine(&text, old),
            None => {
                self.order.push(key.clone());
                self.texts.insert(key, text);
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut strings = StringPool::new();
        let offsets: BTreeMap<&Key, usize> =
            self.order.iter().map(|key| (key, strings.add(&self.texts[key]))).collect();
        let mut out = b"RHHHKSLP\0\0\0\0\0\0\0\0".to_vec();
        for value in [HEADER_SIZE, offsets.len() as u64, ITEM_SIZE] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        for (key, offset) in offsets {
            let mut language = [0; LANGUAGE_SIZE];
            language[..key.language.len()].copy_from_slice(&key.language);
            out.extend_from_slice(&key.id);
            out.extend_from_slice(&language);
            out.extend_from_slice(&(offset as u64).to_le_bytes());
        }
        out.extend_from_slice(strings.bytes());
        out
    }
}

fn combine(new: &[u8], old: &[u8]) -> Vec<u8> {
    let ((new_header, new_body), (old_header, old_body)) = (split_header(new), split_header(old));
    [new_header, old_header, if new_body.is_empty() { old_body } else { new_body }].concat()
}

/// The header fields, one a line, and what follows: the empty line and the body.
fn split_header(text: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(len) = text[at..].iter().position(|&b| b == b'\n').filter(|&len| len > 0) {
        at += len + 1;
    }
    text.split_at(at)
}
