//! `hwdb.bin`, the compiled hardware database, as `systemd-hwdb update --usr` writes it.
//!
//! hwdb.d/*.hwdb in (match lines, then indented `KEY=value` lines, then an empty line), `/usr/lib/udev/hwdb.bin` out:
//! a trie over the match strings. In /usr, because it is made from what the packages ship; /etc/udev/hwdb.bin stays
//! free for the user's own. Byte for byte what systemd 252 to 257 write; the version in the header is that of the
//! image's systemd. Source: hwdb(7), systemd's libsystemd/sd-hwdb/hwdb-internal.h for the format.

mod trie;

use anyhow::Context;
use common::cli::Mark;

use super::conf;
use super::lines::lines;
use crate::exit;
use crate::tree::{Origin, Tree};

use trie::{Source, Trie};

/// Where the database goes.
const DATABASE: &str = "/usr/lib/udev/hwdb.bin";

/// Where sources are looked for, highest priority first.
const DIRS: [&str; 2] = ["/etc/udev/hwdb.d", "/usr/lib/udev/hwdb.d"];

/// Where systemd keeps its shared library, whose name tells its version; multiarch directories come on top.
const SYSTEMD_DIRS: [&str; 2] = ["/usr/lib/systemd", "/usr/lib64/systemd"];

/// The header's version when the image does not tell its systemd's. Readers only log it.
const UNKNOWN_VERSION: u64 = 0;

/// A source file: the path the database names it by, and its content.
pub type SourceFile<'a> = (&'a [u8], &'a [u8]);

/// Compiles the tree's sources; does nothing in a tree that has none.
///
/// # Errors
/// The database cannot be put in its place; exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    let paths = conf::paths(tree, &DIRS, b".hwdb");
    if paths.is_empty() {
        return Ok(());
    }
    // A link to /dev/null masks a file: nothing to read, but it counts.
    let sources: Vec<SourceFile<'_>> =
        paths.iter().map(|p| (&p[..], tree.read(p).unwrap_or_default())).collect();
    let database = compile(&sources, systemd_version(tree).unwrap_or(UNKNOWN_VERSION));
    // 0444 as systemd-hwdb has it: it is only ever replaced.
    tree.write(DATABASE, database, 0o444, Origin::Generated("hwdb"))
        .context("failed to write hwdb.bin")
        .exit(exit::SYSTEM)?;
    Ok(())
}

/// The database of sources in order of rising priority, as the given version of systemd writes it. Lines that make no
/// sense are left out, as systemd-hwdb leaves them out with a warning.
#[must_use]
pub fn compile(sources: &[SourceFile<'_>], version: u64) -> Vec<u8> {
    let mut trie = Trie::new();
    for (i, (path, content)) in sources.iter().enumerate() {
        // 16 bits in the format; systemd-hwdb wraps too.
        let priority = (i + 1) as u16;
        import(&mut trie, path, priority, content);
    }
    trie.encode(version)
}

/// Adds one file. Records are separated by empty lines; a record is match lines, then property lines.
fn import(trie: &mut Trie, path: &[u8], priority: u16, content: &[u8]) {
    let mut matches: Vec<&[u8]> = Vec::new();
    let mut in_properties = false;
    for (number, line) in (1u32..).zip(lines(content)) {
        // A line without end: systemd-hwdb gives up on the file and keeps what it has.
        let Ok(line) = line else { return };
        if line.first() == Some(&b'#') {
            continue;
        }
        let line = line.split(|&b| b == b'#').next().unwrap_or_default();
        let line = trim_end(line);
        let is_property = line.first() == Some(&b' ');
        if line.is_empty() || (in_properties && !is_property) {
            // The end of the record, or a match line where none may be, which spoils the rest of the record.
            matches.clear();
            in_properties = false;
        } else if !is_property {
            matches.push(line);
        } else if !matches.is_empty() {
            in_properties = true;
            if let Some((key, value)) = property(line) {
                let source = Source { path, line: number, priority };
                matches.iter().for_each(|m| trie.insert(m, key, value, source));
            }
        }
    }
}

/// Key and value of a property line. The key keeps one leading blank: that is how the database has it.
fn property(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|&b| b == b'=')?;
    let (mut key, value) = (&line[..equals], &line[equals + 1..]);
    while key.len() > 1 && is_blank(key[0]) && is_blank(key[1]) {
        key = &key[1..];
    }
    (key.len() > 1).then_some((key, value))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without trailing white space: isspace() in the C locale, vertical tab included.
fn trim_end(line: &[u8]) -> &[u8] {
    let is_space = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let end = line.iter().rposition(|b| !is_space(b)).map_or(0, |i| i + 1);
    &line[..end]
}

/// From the name of systemd's shared library: `libsystemd-shared-257.9-2.el10.so` -> 257.
fn systemd_version(tree: &Tree) -> Option<u64> {
    let multiarch = tree.list("/usr/lib").into_iter().filter(|n| n.ends_with(b"-linux-gnu"));
    let multiarch = multiarch.map(|n| [b"/usr/lib/", n, b"/systemd"].concat());
    let dirs = SYSTEMD_DIRS.map(|d| d.as_bytes().to_vec()).into_iter().chain(multiarch);
    dirs.flat_map(|dir| tree.list(dir)).find_map(|name| {
        let rest = name.strip_prefix(b"libsystemd-shared-")?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    })
}
