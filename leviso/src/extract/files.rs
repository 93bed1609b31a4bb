//! The file list of a package, from its signed header: absolute paths, types, owners, digests, hard link sets.
//!
//! Everything about a file but its content comes from here; the payload only says where the content is. Names are
//! bytes. A list that contradicts itself (lengths, indexes, `..`, a path twice) is refused as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use crate::verify::{Header, tags};

/// `%ghost`: owned, not shipped.
const FLAG_GHOST: u32 = 1 << 6;
/// S_IFMT and its values.
const TYPE_MASK: u16 = 0o170_000;

/// One file of a package.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Absolute path, no `.`, `..` or empty component in it; `/` for the root directory itself.
    pub path: Vec<u8>,
    /// Permission bits.
    pub mode: u16,
    /// Owner by name.
    pub user: Arc<str>,
    /// Group by name.
    pub group: Arc<str>,
    /// Seconds since 1970 UTC.
    pub mtime: i64,
    /// Bytes of content as the header says.
    pub size: u64,
    /// Type and what belongs to it.
    pub kind: Kind,
    /// Capabilities as text, if any.
    pub caps: Option<String>,
    /// Owned by the package, but not in its payload.
    pub ghost: bool,
}

/// The type of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    Regular {
        /// Digest of the content; none for files of 0 bytes in some packages, and for ghosts.
        digest: Option<Digest>,
        /// Names with the same number share one inode.
        links: Option<usize>,
    },
    /// A symlink and its target.
    Symlink(Vec<u8>),
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// A digest of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Digest {
    /// SHA-256, hex.
    Sha256(String),
    /// SHA-512, hex.
    Sha512(String),
}

/// Reads the file list; empty for a package without files.
///
/// # Errors
/// The list contradicts itself or names what cannot be a file.
pub(crate) fn list(header: &Header) -> anyhow::Result<Vec<File>> {
    let Some(bases) = header.strings(tags::BASENAMES)? else { return Ok(Vec::new()) };
    let count = bases.len();
    let paths = paths(header, &bases)?;
    let modes = column(header.u16s(tags::FILEMODES)?, count, "FILEMODES")?;
    let users = column(header.strings(tags::FILEUSERNAME)?, count, "FILEUSERNAME")?;
    let groups = column(header.strings(tags::FILEGROUPNAME)?, count, "FILEGROUPNAME")?;
    let mtimes = column(header.u32s(tags::FILEMTIMES)?, count, "FILEMTIMES")?;
    let targets = column(header.strings(tags::FILELINKTOS)?, count, "FILELINKTOS")?;
    let flags = column(header.u32s(tags::FILEFLAGS)?, count, "FILEFLAGS")?;
    let rdevs = column(header.u16s(tags::FILERDEVS)?, count, "FILERDEVS")?;
    let digests = column(header.strings(tags::FILEDIGESTS)?, count, "FILEDIGESTS")?;
    let sizes = match header.u64s(tags::LONGFILESIZES)? {
        Some(sizes) => sizes,
        None => header.u32s(tags::FILESIZES)?.unwrap_or_default().into_iter().map(u64::from).collect(),
    };
    let sizes = column(Some(sizes), count, "FILESIZES")?;
    let caps = header.strings(tags::FILECAPS)?.map(|c| column(Some(c), count, "FILECAPS")).transpose()?;
    let algo = header.u32(tags::FILEDIGESTALGO)?.unwrap_or(1);
    let links = link_sets(header, count, &modes, &flags)?;

    let mut names = Names::default();
    let mut files = Vec::with_capacity(count);
    for (i, path) in paths.into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&path).into_owned();
        let ghost = flags[i] & FLAG_GHOST != 0;
        let device = || (u32::from(rdevs[i] >> 8), u32::from(rdevs[i] & 0xff));
        let kind = match modes[i] & TYPE_MASK {
            0o040_000 => Kind::Dir,
            0o100_000 => {
                let digest = digest(digests[i], algo, sizes[i], ghost).with_context(|| shown.clone())?;
                Kind::Regular { digest, links: links[i] }
            }
            0o120_000 => {
                ensure!(ghost || (!targets[i].is_empty() && targets[i].len() < 4096), "{shown}: bad target");
                Kind::Symlink(targets[i].to_vec())
            }
            0o020_000 => Kind::Char(device().0, device().1),
            0o060_000 => Kind::Block(device().0, device().1),
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            // Ghosts that did not exist when the package was built have no type.
            0 if ghost => Kind::Fifo,
            other => bail!("{shown} has the unknown file type {other:o}"),
        };
        let caps = caps.as_ref().map(|c| c[i]).filter(|c| !c.is_empty());
        let caps = caps.map(|c| String::from_utf8(c.to_vec())).transpose();
        files.push(File {
            mode: modes[i] & 0o7777,
            user: names.get(users[i]).with_context(|| format!("the owner of {shown}"))?,
            group: names.get(groups[i]).with_context(|| format!("the group of {shown}"))?,
            mtime: i64::from(mtimes[i]),
            size: sizes[i],
            kind,
            caps: caps.with_context(|| format!("the capabilities of {shown} are not UTF-8"))?,
            ghost,
            path,
        });
    }
    Ok(files)
}

fn paths(header: &Header, bases: &[&[u8]]) -> anyhow::Result<Vec<Vec<u8>>> {
    let dirs = header.strings(tags::DIRNAMES)?.context("the header has BASENAMES but no DIRNAMES")?;
    let indexes = column(header.u32s(tags::DIRINDEXES)?, bases.len(), "DIRINDEXES")?;
    let mut seen = BTreeSet::new();
    let mut paths = Vec::with_capacity(bases.len());
    for (base, index) in bases.iter().zip(indexes) {
        let dir = dirs.get(index as usize).with_context(|| format!("there is no directory {index}"))?;
        let path = [dir, *base].concat();
        let shown = || String::from_utf8_lossy(&path).into_owned();
        ensure!(dir.first() == Some(&b'/') && dir.last() == Some(&b'/'), "{} is not absolute", shown());
        ensure!(path.len() < 4096 && base.len() < 256 && !base.contains(&b'/'), "{}: bad name", shown());
        // Only the root directory has no name of its own.
        let inner = path.strip_prefix(b"/").unwrap_or(&path);
        let good = |c: &[u8]| !c.is_empty() && c != b"." && c != b".." && c.len() < 256;
        ensure!(inner.is_empty() || inner.split(|b| *b == b'/').all(good), "{}: bad name", shown());
        ensure!(seen.insert(path.clone()), "{} is listed twice", shown());
        paths.push(path);
    }
    Ok(paths)
}

/// Regular files with the same device and inode are names of one inode. Numbers of sets with one member are left out.
fn link_sets(
    header: &Header,
    count: usize,
    modes: &[u16],
    flags: &[u32],
) -> anyhow::Result<Vec<Option<usize>>> {
    let inodes = column(header.u32s(tags::FILEINODES)?, count, "FILEINODES")?;
    let devices = column(header.u32s(tags::FILEDEVICES)?, count, "FILEDEVICES")?;
    let mut sets: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for i in (0..count).filter(|&i| modes[i] & TYPE_MASK == 0o100_000 && flags[i] & FLAG_GHOST == 0) {
        sets.entry((devices[i], inodes[i])).or_default().push(i);
    }
    let mut out = vec![None; count];
    for (number, members) in sets.into_values().filter(|m| m.len() > 1).enumerate() {
        members.into_iter().for_each(|i| out[i] = Some(number));
    }
    Ok(out)
}

fn digest(hex: &[u8], algo: u32, size: u64, ghost: bool) -> anyhow::Result<Option<Digest>> {
    if hex.is_empty() && (ghost || size == 0) {
        return Ok(None);
    }
    let text = String::from_utf8(hex.to_ascii_lowercase()).context("its digest is not text")?;
    let (digest, len) = match algo {
        tags::ALGO_SHA256 => (Digest::Sha256(text), 64),
        tags::ALGO_SHA512 => (Digest::Sha512(text), 128),
        other => bail!("file digests have algorithm {other}, expected SHA-256 (8) or SHA-512 (10)"),
    };
    ensure!(hex.len() == len, "its digest has {} digits, expected {len}", hex.len());
    Ok(Some(digest))
}

fn column<T>(values: Option<Vec<T>>, count: usize, tag: &str) -> anyhow::Result<Vec<T>> {
    let values = values.with_context(|| format!("the header has files but no {tag}"))?;
    ensure!(values.len() == count, "the header has {count} files but {} values in {tag}", values.len());
    Ok(values)
}

/// One allocation a name, not one a file.
#[derive(Default)]
struct Names(BTreeMap<Vec<u8>, Arc<str>>);

impl Names {
    fn get(&mut self, name: &[u8]) -> anyhow::Result<Arc<str>> {
        if let Some(known) = self.0.get(name) {
            return Ok(known.clone());
        }
        let text = std::str::from_utf8(name).ok().filter(|n| !n.is_empty() && !n.contains([':', '\n', '/']));
        let text: Arc<str> =
            text.with_context(|| format!("bad name {:?}", String::from_utf8_lossy(name)))?.into();
        self.0.insert(name.to_vec(), text.clone());
        Ok(text)
    }
}
