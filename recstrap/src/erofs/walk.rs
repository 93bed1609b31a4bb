//! Every name of an image once, in the order of a listing: a directory before what is in it, the names of a directory
//! in byte order, each subdirectory's names right after it.
//!
//! A hostile image ends the walk with an error after work that its own size bounds: a directory with two names (also
//! one within itself), more inodes than the image says, more names than it has room for, paths beyond 4095 bytes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::error::{Error, corrupt};
use super::{DirEntry, Image, Inode, Kind, Nid};

/// PATH_MAX without the NUL byte: a longer path cannot be opened, also not once it is installed.
const PATH_MAX: usize = 4095;

/// What a name takes in an image at least.
const NAME_SIZE: u64 = 13;

/// Names of directories that the walk is in, which are kept: bounds its memory.
const PENDING_MAX: usize = 2 << 20;

/// One name.
#[derive(Debug, Clone)]
pub struct Name {
    /// Path from the root, without a slash in front; empty for the root itself.
    pub path: Vec<u8>,
    /// What it names.
    pub inode: Inode,
    /// The first name of the same inode, where this is a later one.
    pub first: Option<Arc<[u8]>>,
}

/// The walk: an iterator over [`Name`]s. After an error it ends.
#[derive(Debug)]
pub struct Walk<'i> {
    image: &'i Image,
    /// Not yet started: the root comes next.
    fresh: bool,
    /// The directories from the root to where the walk is.
    stack: Vec<Level>,
    /// Of the directory on top of the stack.
    path: Vec<u8>,
    /// Inodes met.
    seen: HashSet<Nid>,
    /// Of inodes with several names: the first name, and how many names were met.
    linked: HashMap<Nid, (Arc<[u8]>, u32)>,
    names: u64,
    pending: usize,
}

#[derive(Debug)]
struct Level {
    /// Length of the path of the directory above.
    parent_len: usize,
    entries: std::vec::IntoIter<DirEntry>,
}

impl Iterator for Walk<'_> {
    type Item = Result<Name, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if matches!(next, Some(Err(_))) {
            (self.fresh, self.stack) = (false, Vec::new());
        }
        next
    }
}

impl<'i> Walk<'i> {
    pub(super) fn new(image: &'i Image) -> Self {
        Self {
            image,
            fresh: true,
            stack: Vec::new(),
            path: Vec::new(),
            seen: HashSet::new(),
            linked: HashMap::new(),
            names: 0,
            pending: 0,
        }
    }

    fn step(&mut self) -> Result<Option<Name>, Error> {
        if self.fresh {
            self.fresh = false;
            let root = self.image.inode(self.image.root())?;
            if root.kind != Kind::Dir {
                return Err(corrupt("the root is no directory", root.xattrs_at));
            }
            self.seen.insert(root.nid);
            self.enter(&root, Vec::new())?;
            return Ok(Some(Name { path: Vec::new(), inode: root, first: None }));
        }
        loop {
            let Some(level) = self.stack.last_mut() else { return Ok(None) };
            if let Some(entry) = level.entries.next() {
                self.pending -= 1;
                return self.name(&entry).map(Some);
            }
            self.path.truncate(level.parent_len);
            self.stack.pop();
        }
    }

    fn name(&mut self, entry: &DirEntry) -> Result<Name, Error> {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&entry.name);
        let inode = self.image.inode(entry.nid)?;
        let refuse =
            |what: &str| corrupt(format!("{:?}: {what}", String::from_utf8_lossy(&path)), inode.xattrs_at);
        if path.len() > PATH_MAX {
            return Err(refuse("the path is longer than 4095 bytes"));
        }
        if !entry.agrees(inode.kind) {
            return Err(refuse("the directory and the inode disagree on what it is"));
        }
        self.names += 1;
        if self.names > self.image.len() / NAME_SIZE {
            return Err(refuse("more names than the image has room for"));
        }
        let mut first = None;
        if self.seen.insert(inode.nid) {
            if self.seen.len() as u64 > self.image.inode_count() {
                return Err(refuse("more inodes than the superblock says"));
            }
            if inode.kind != Kind::Dir && inode.nlink > 1 {
                self.linked.insert(inode.nid, (path.as_slice().into(), 1));
            }
        } else {
            if inode.kind == Kind::Dir {
                return Err(refuse("a second name for a directory"));
            }
            match self.linked.get_mut(&inode.nid) {
                Some((name, met)) if *met < inode.nlink => {
                    *met += 1;
                    first = Some(Arc::clone(name));
                }
                _ => return Err(refuse("the inode has more names than it says")),
            }
        }
        if inode.kind == Kind::Dir {
            self.enter(&inode, path.clone())?;
        }
        Ok(Name { path, inode, first })
    }

    fn enter(&mut self, dir: &Inode, path: Vec<u8>) -> Result<(), Error> {
        let entries = self.image.entries(dir)?;
        self.pending += entries.len();
        if self.pending > PENDING_MAX {
            return Err(corrupt(format!("{} names in nested directories", self.pending), dir.xattrs_at));
        }
        self.stack.push(Level { parent_len: self.path.len(), entries: entries.into_iter() });
        self.path = path;
        Ok(())
    }
}
