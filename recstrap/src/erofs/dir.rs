//! The names in a directory: blocks with entries in front and the names behind them, all in byte order.

use super::error::{Error, corrupt};
use super::format::{BLOCK, u16_at, u64_at};
use super::inode::Kind;
use super::{Image, Inode, Nid, extents};

/// Size of an entry without its name.
const ENTRY: usize = 12;
const NAME_MAX: usize = 255;

/// Directories beyond this are refused: it holds a million names.
const SIZE_MAX: u64 = 16 << 20;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name: 1 to 255 bytes without slash or NUL, neither `.` nor `..`.
    pub name: Box<[u8]>,
    /// What it names.
    pub nid: Nid,
    /// What it says its inode is; 0 when it does not say.
    file_type: u8,
}

impl DirEntry {
    /// Whether what the entry says of its inode's kind is so.
    pub(super) fn agrees(&self, kind: Kind) -> bool {
        let expected = match kind {
            Kind::File => 1,
            Kind::Dir => 2,
            Kind::Char(..) => 3,
            Kind::Block(..) => 4,
            Kind::Fifo => 5,
            Kind::Socket => 6,
            Kind::Symlink => 7,
        };
        self.file_type == 0 || self.file_type == expected
    }
}

/// Reads a directory.
pub(super) fn read(image: &Image, inode: &Inode) -> Result<Vec<DirEntry>, Error> {
    if inode.kind != Kind::Dir {
        return Ok(Vec::new());
    }
    if inode.size > SIZE_MAX {
        return Err(corrupt(format!("a directory of {} bytes", inode.size), inode.xattrs_at));
    }
    // Where each block is, for errors; the tail is in another place than the rest.
    let pieces = extents::flat(image, inode, "a directory")?;
    let mut dir = Reader { own: inode.nid, entries: Vec::new(), last: Vec::new() };
    for piece in pieces {
        let mut bytes = vec![0; piece.len as usize];
        image.source.fill(piece.at, &mut bytes, "a directory")?;
        for (number, block) in bytes.chunks(BLOCK).enumerate() {
            dir.block(block, piece.at + (number * BLOCK) as u64)?;
        }
    }
    Ok(dir.entries)
}

struct Reader {
    own: Nid,
    entries: Vec<DirEntry>,
    /// The name before, `.` and `..` included; empty before the first.
    last: Vec<u8>,
}

impl Reader {
    fn block(&mut self, block: &[u8], at: u64) -> Result<(), Error> {
        if block.len() < ENTRY {
            return Err(corrupt(format!("a directory block of {} bytes", block.len()), at));
        }
        // Names start where entries end, so the first one's place says how many there are.
        let names_at = usize::from(u16_at(block, 8));
        if names_at < ENTRY || !names_at.is_multiple_of(ENTRY) || names_at >= block.len() {
            return Err(corrupt(format!("a directory block whose names start at {names_at}"), at));
        }
        for entry_at in (0..names_at).step_by(ENTRY) {
            let from = usize::from(u16_at(block, entry_at + 8));
            let next = entry_at + ENTRY;
            // The last name ends with the block, or before if zeros follow it.
            let to = if next < names_at { usize::from(u16_at(block, next + 8)) } else { block.len() };
            let entry_offset = at + entry_at as u64;
            let name = block.get(from..to).filter(|_| from >= names_at).ok_or_else(|| {
                corrupt(format!("a name from {from} to {to} of a directory block"), entry_offset)
            })?;
            let name = if next < names_at { name } else { up_to_nul(name) };
            self.entry(name, Nid(u64_at(block, entry_at)), block[entry_at + 10], entry_offset)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &[u8], nid: Nid, file_type: u8, at: u64) -> Result<(), Error> {
        let shown = || String::from_utf8_lossy(name).into_owned();
        if name.is_empty() || name.len() > NAME_MAX || name.iter().any(|b| matches!(b, 0 | b'/')) {
            return Err(corrupt(format!("{:?} is no file name", shown()), at));
        }
        if name <= &*self.last {
            return Err(corrupt(format!("the name {:?} is out of order or there twice", shown()), at));
        }
        self.last.clear();
        self.last.extend_from_slice(name);
        match name {
            b"." if nid != self.own => Err(corrupt("the directory's `.` is another directory", at)),
            b"." | b".." => Ok(()),
            _ => {
                self.entries.push(DirEntry { name: name.into(), nid, file_type });
                Ok(())
            }
        }
    }
}

fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}
