//! A directory of the host as a [`Tree`], and back: what a directory holds, as far as EROFS stores it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::Context;
use leviso::tree::{Content, Entries, Inode, InodeId, Kind, Mapped, Meta, Origin, Owner, Tree, Xattrs};
use rustix::fs::{lgetxattr, llistxattr, major, minor};

/// Files of at least so many bytes are mapped rather than read.
const MAP_FROM: u64 = 64 << 10;

/// Reads everything below `dir`, which becomes the root. Does not leave the file system; files must not change.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Tree> {
    let mut tree = Tree::new(0);
    let meta = dir.symlink_metadata()?;
    tree.inode_mut(Tree::ROOT).meta = meta_of(dir, &meta)?;
    let mut reader = Reader { tree, seen: HashMap::new(), dev: meta.dev() };
    reader.dir(dir, &mut Vec::new())?;
    Ok(reader.tree)
}

struct Reader {
    tree: Tree,
    /// Inode number -> id, for files with several names.
    seen: HashMap<u64, InodeId>,
    dev: u64,
}

impl Reader {
    fn dir(&mut self, dir: &Path, at: &mut Vec<u8>) -> anyhow::Result<()> {
        for entry in dir.read_dir().with_context(|| dir.display().to_string())? {
            let entry = entry?;
            let path = entry.path();
            let meta = path.symlink_metadata()?;
            if meta.dev() != self.dev {
                continue;
            }
            let len = at.len();
            at.push(b'/');
            at.extend_from_slice(entry.file_name().as_bytes());
            if let Some(&id) = self.seen.get(&meta.ino()) {
                self.tree.link(&*at, id)?;
            } else {
                let kind = kind_of(&path, &meta).with_context(|| path.display().to_string())?;
                let id = self.tree.insert(&*at, Inode { meta: meta_of(&path, &meta)?, kind })?;
                if meta.nlink() > 1 && !meta.is_dir() {
                    self.seen.insert(meta.ino(), id);
                }
                if meta.is_dir() {
                    self.dir(&path, at)?;
                }
            }
            at.truncate(len);
        }
        Ok(())
    }
}

fn kind_of(path: &Path, meta: &std::fs::Metadata) -> anyhow::Result<Kind> {
    let kind = meta.file_type();
    Ok(if kind.is_dir() {
        Kind::Dir(Entries::new())
    } else if kind.is_symlink() {
        Kind::Symlink(path.read_link()?.as_os_str().as_bytes().into())
    } else if kind.is_file() && meta.len() >= MAP_FROM {
        let map = Mapped::new(&File::open(path)?)?;
        let len = map.as_slice().len();
        Kind::File(Content::mapped(&map, 0..len).context("mapped less than the file")?)
    } else if kind.is_file() {
        Kind::File(Content::from(std::fs::read(path)?))
    } else if kind.is_char_device() {
        Kind::Char { major: major(meta.rdev()), minor: minor(meta.rdev()) }
    } else if kind.is_block_device() {
        Kind::Block { major: major(meta.rdev()), minor: minor(meta.rdev()) }
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        Kind::Socket
    })
}

fn meta_of(path: &Path, meta: &std::fs::Metadata) -> anyhow::Result<Meta> {
    Ok(Meta {
        mode: (meta.mode() & 0o7777) as u16,
        user: Owner::Id(meta.uid()),
        group: Owner::Id(meta.gid()),
        mtime: meta.mtime(),
        mtime_nsec: meta.mtime_nsec() as u32,
        xattrs: xattrs(path)?,
        origin: Origin::Generated("host"),
    })
}

/// All extended attributes of a file, a symlink's own too.
pub(crate) fn xattrs(path: &Path) -> anyhow::Result<Xattrs> {
    let mut names = vec![0_u8; 64 << 10];
    let len = llistxattr(path, &mut names[..]).with_context(|| format!("llistxattr {}", path.display()))?;
    let mut out = Xattrs::new();
    for name in names[..len].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 64 << 10];
        let len = lgetxattr(path, name, &mut value[..])?;
        out.insert(name.into(), value[..len].into());
    }
    Ok(out)
}
