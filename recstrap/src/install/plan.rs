//! The tree of the image in memory, and what is to become of each of its names on the target.
//!
//! In: what [`super::builder::Builder`] has collected and decided. Out: a [`Plan`] that does not change any more: nodes,
//! the children of each directory, and the units that workers take. Contents are not in
//! it, only numbers by which the [`super::source::Source`] finds them.
//!
//! Invariant: the parent of a node stands before it, so there is no loop, whatever the image holds.

use common::hash::Sha256;
use common::listing::{Entry, Kind, Xattr};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Dir,
    /// A regular file of that many bytes.
    File(u64),
    /// A symbolic link to this.
    Symlink(Box<[u8]>),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// What becomes of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is installed as it is in the image.
    Install,
    /// It is installed without its content, for this reason.
    Emptied(&'static str),
    /// It is not installed, for this reason.
    Left(&'static str),
}

/// One name of the image.
#[derive(Debug, Clone)]
pub struct Node {
    /// The directory it is in; the root is its own.
    pub parent: u32,
    /// Its name in there; empty for the root.
    pub name: Box<[u8]>,
    /// The inode's number in the image; by it the content is read, and by it hard links are known.
    pub id: u64,
    /// What it stands for.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: i64,
    /// Its nanoseconds.
    pub nsec: u32,
    /// Extended attributes, sorted by name.
    pub xattrs: Box<[Xattr]>,
    /// The first name of the same inode in the image, where this is a later one.
    pub first: Option<u32>,
    /// What becomes of it.
    pub fate: Fate,
    /// Which file system it lands on: 0 the target's own, else a mount below it (index + 1).
    pub place: u16,
    /// The name that it is made a hard link to; itself is created otherwise.
    pub link_to: Option<u32>,
}

/// A mount below the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where, from the target's root.
    pub path: Vec<u8>,
    /// Whether it cannot hold owners, modes and links (FAT).
    pub plain: bool,
}

/// Files of one directory that one worker takes at a time.
#[derive(Debug)]
pub struct Unit {
    /// The directory.
    pub dir: u32,
    /// Names in it that are no directories.
    pub nodes: Vec<u32>,
}

/// What is to be done, settled.
#[derive(Debug)]
pub struct Plan {
    /// In listing order; the root first.
    pub nodes: Vec<Node>,
    /// For each node: what is in it, in byte order of names.
    pub children: Vec<Vec<u32>>,
    /// In listing order of their directories.
    pub units: Vec<Unit>,
    /// Mounts below the target.
    pub places: Vec<Place>,
}

impl Plan {
    /// One node.
    #[must_use]
    pub fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    /// The path of a node from the root, without a slash in front.
    #[must_use]
    pub fn path(&self, at: u32) -> Vec<u8> {
        let mut names = Vec::new();
        let mut here = at;
        while here != 0 {
            names.push(&*self.node(here).name);
            here = self.node(here).parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// Directories that are installed, in listing order.
    pub fn dirs(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let dirs = self.nodes.iter().enumerate();
        let dirs = dirs.filter(|(_, n)| n.what == What::Dir && !matches!(n.fate, Fate::Left(_)));
        dirs.map(|(at, _)| at as u32)
    }

    /// Whether a name is on a file system that holds no owners, modes and times.
    #[must_use]
    pub fn is_plain(&self, node: &Node) -> bool {
        node.place > 0 && self.places[usize::from(node.place) - 1].plain
    }

    /// Bytes of all files, each inode once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.nodes.iter().map(Node::content_size).sum()
    }

    /// Whether the target will be as the image is, name for name.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_same = |n: &Node| n.fate == Fate::Install && (n.first.is_some() == n.link_to.is_some());
        self.nodes.iter().all(is_same) && !self.places.iter().any(|p| p.plain)
    }

    /// Names that are not, or not as they are, installed: path and reason. What is in a directory that is left out is
    /// not named again.
    #[must_use]
    pub fn differences(&self) -> Vec<(Vec<u8>, &'static str)> {
        let own = |node: &Node| match node.fate {
            Fate::Install => None,
            Fate::Emptied(why) => Some(why),
            Fate::Left(why) => (self.node(node.parent).fate != node.fate).then_some(why),
        };
        let all = self.nodes.iter().enumerate();
        all.filter_map(|(at, node)| Some((self.path(at as u32), own(node)?))).collect()
    }
}

impl Node {
    /// Bytes of a file, 0 for what is none.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let What::File(size) = self.what { size } else { 0 }
    }

    /// Bytes to read for this name: 0 for a later name of the same inode, and for what is no file.
    #[must_use]
    pub fn content_size(&self) -> u64 {
        match (self.first, &self.what) {
            (None, What::File(size)) => *size,
            _ => 0,
        }
    }

    /// Its line in a listing, given what that needs from elsewhere.
    #[must_use]
    pub fn entry<'e>(&'e self, path: &'e [u8], sha256: Sha256, hardlink: Option<&'e [u8]>) -> Entry<'e> {
        let kind = match &self.what {
            What::Dir => Kind::Dir,
            What::File(size) => Kind::File { size: *size, sha256 },
            What::Symlink(target) => Kind::Symlink(target),
            What::Char(major, minor) => Kind::Char(*major, *minor),
            What::Block(major, minor) => Kind::Block(*major, *minor),
            What::Fifo => Kind::Fifo,
            What::Socket => Kind::Socket,
        };
        Entry {
            path,
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            mtime_nsec: self.nsec,
            xattrs: &self.xattrs,
            hardlink,
        }
    }
}

/// Paths of nodes in listing order, without building each from its root.
#[derive(Debug, Default)]
pub struct Paths {
    path: Vec<u8>,
    /// Directories that `path` goes through, and how long it is up to each.
    dirs: Vec<(u32, usize)>,
}

impl Paths {
    /// The path of a node; nodes have to come in listing order.
    pub fn of(&mut self, nodes: &[Node], at: u32) -> &[u8] {
        let node = &nodes[at as usize];
        if at == 0 {
            return &[];
        }
        while self.dirs.last().is_some_and(|(dir, _)| *dir != node.parent) {
            self.dirs.pop();
        }
        self.path.truncate(self.dirs.last().map_or(0, |(_, len)| *len));
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(&node.name);
        if node.what == What::Dir {
            self.dirs.push((at, self.path.len()));
        }
        &self.path
    }
}
