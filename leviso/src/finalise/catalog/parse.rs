//! The text form: `-- MESSAGE_ID [language]` lines, each followed by header fields, an empty line and a body.

use anyhow::{Context, bail};

use super::{Catalog, Key, LANGUAGE_SIZE};
use crate::finalise::lines::lines;

/// Length of `-- ` and of an id in hex.
const ID_AT: usize = 3;
const ID_END: usize = ID_AT + 32;

/// An entry being read.
struct Entry {
    id: [u8; 16],
    language: Vec<u8>,
    text: Vec<u8>,
}

/// Adds a file's entries. The file's name may give their language: `systemd.de.catalog`.
///
/// # Errors
/// Text before the first id, an id without text, or a language of fewer than 2 or more than 31 bytes.
pub(super) fn import(catalog: &mut Catalog, path: &[u8], content: &[u8]) -> anyhow::Result<()> {
    let default_language = language_of(path).unwrap_or_default();
    if default_language.len() == 1 {
        bail!("the file's name gives a language of one letter");
    }
    let mut entry: Option<Entry> = None;
    // Whether an empty line came before; several count as one.
    let mut after_empty = true;
    for (number, line) in (1..).zip(lines(content)) {
        let mut line = line.with_context(|| format!("line {number}"))?;
        match line.first() {
            None => {
                after_empty = true;
                continue;
            }
            Some(b'#' | b';') => continue,
            Some(_) => {}
        }
        if after_empty && looks_like_id(line) {
            if let Some(id) = hex_id(&line[ID_AT..ID_END]) {
                finish(catalog, entry.take()).with_context(|| format!("line {number}"))?;
                let language = match line.get(ID_END + 1..) {
                    None => default_language,
                    Some(text) => checked(trim(text)).with_context(|| format!("line {number}"))?,
                };
                entry = Some(Entry { id, language: language.to_vec(), text: Vec::new() });
                after_empty = false;
                continue;
            }
            // systemd has cut the line here before it sees that this is no id.
            line = &line[..ID_END];
        }
        let Some(entry) = &mut entry else { bail!("line {number}: expected `-- MESSAGE_ID`, found text") };
        if after_empty {
            entry.text.push(b'\n');
        }
        entry.text.extend_from_slice(line);
        entry.text.push(b'\n');
        after_empty = false;
    }
    finish(catalog, entry).context("at the end of the file")
}

fn finish(catalog: &mut Catalog, entry: Option<Entry>) -> anyhow::Result<()> {
    let Some(Entry { id, language, text }) = entry else { return Ok(()) };
    if text.is_empty() {
        bail!("expected text for the message id before, found none");
    }
    catalog.add(Key { id, language }, text);
    Ok(())
}

fn looks_like_id(line: &[u8]) -> bool {
    line.starts_with(b"-- ") && line.len() >= ID_END && line.get(ID_END).is_none_or(|&b| b == b' ')
}

fn hex_id(text: &[u8]) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(id)
}

fn checked(language: &[u8]) -> anyhow::Result<&[u8]> {
    if !(2..LANGUAGE_SIZE).contains(&language.len()) {
        bail!("expected a language of 2 to 31 bytes, found {}", language.len());
    }
    Ok(language)
}

fn trim(text: &[u8]) -> &[u8] {
    let is_space = |b: &u8| b" \t".contains(b);
    let start = text.iter().position(|b| !is_space(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !is_space(b)).map_or(start, |i| i + 1);
    &text[start..end]
}

/// `systemd.pt_BR.catalog` -> `pt_BR`; at most 30 bytes.
fn language_of(path: &[u8]) -> Option<&[u8]> {
    let stem = path.strip_suffix(b".catalog")?;
    let dot = stem.iter().rposition(|b| b"./".contains(b)).filter(|&at| stem[at] == b'.')?;
    let language = &stem[dot + 1..];
    (!language.is_empty() && language.len() < LANGUAGE_SIZE - 1).then_some(language)
}
