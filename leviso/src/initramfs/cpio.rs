//! The archive the kernel unpacks into its first root file system: cpio "newc" (the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Everything that could differ between two builds is fixed: owner 0:0, one time, inode numbers counted from 1.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Directory.
    Dir,
    /// Regular file with its permission bits.
    File(u32, Vec<u8>),
    /// Symbolic link and its target.
    Link(String),
    /// Character device: permission bits, major, minor.
    Char(u32, u32, u32),
}

/// Path without leading slash -> entry. Byte order puts a directory before what is in it.
pub type Entries = BTreeMap<String, Entry>;

/// Adds an entry and the directories above it that are missing.
pub(super) fn add(entries: &mut Entries, path: &str, entry: Entry) {
    let path = path.trim_matches('/');
    for (slash, _) in path.match_indices('/') {
        entries.entry(path[..slash].to_owned()).or_insert(Entry::Dir);
    }
    entries.insert(path.to_owned(), entry);
}

/// The archive. `mtime` in seconds since 1970.
pub(super) fn write(entries: &Entries, mtime: i64) -> anyhow::Result<Vec<u8>> {
    let mtime = u32::try_from(mtime).context("the initramfs cannot hold a time outside 1970 to 2106")?;
    let mut out = Vec::new();
    for (i, (path, entry)) in entries.iter().enumerate() {
        let (mode, links, data, rdev) = match entry {
            Entry::Dir => (0o040_755, 2, &[][..], (0, 0)),
            Entry::File(mode, data) => (0o100_000 | mode, 1, &data[..], (0, 0)),
            Entry::Link(target) => (0o120_777, 1, target.as_bytes(), (0, 0)),
            Entry::Char(mode, major, minor) => (0o020_000 | mode, 1, &[][..], (*major, *minor)),
        };
        let ino = u32::try_from(i + 1).context("too many files for an initramfs")?;
        header(&mut out, path, ino, mode, links, mtime, data, rdev)?;
    }
    header(&mut out, "TRAILER!!!", 0, 0, 1, 0, &[], (0, 0))?;
    Ok(out)
}

#[expect(clippy::too_many_arguments, reason = "the fields of the header")]
fn header(
    out: &mut Vec<u8>,
    path: &str,
    ino: u32,
    mode: u32,
    links: u32,
    mtime: u32,
    data: &[u8],
    rdev: (u32, u32),
) -> anyhow::Result<()> {
    ensure!(path.len() < 1024, "the path {path} is too long for an initramfs");
    let size = u32::try_from(data.len()).with_context(|| format!("{path} is too large for an initramfs"))?;
    let name_size = u32::try_from(path.len() + 1).unwrap_or_else(|_| unreachable!("checked above"));
    out.extend_from_slice(b"070701");
    for field in [ino, mode, 0, 0, links, mtime, size, 0, 0, rdev.0, rdev.1, name_size, 0] {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}
