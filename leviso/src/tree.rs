//! The root file system as a value: paths -> inodes -> content, no file on the host's disk.
//!
//! Owners, modes, capabilities and device nodes live here, so that no stage needs root. Names and symlink targets are
//! bytes, not UTF-8. Hard links are several names of one [`InodeId`]. Paths are resolved inside the tree, symlinks
//! included (`/lib/x` lands in `usr/lib/x` once `lib` is a link), so nothing can point out of it: `..` at the root
//! stays at the root, as in a chroot. Iteration order is byte order: the same tree gives the same images.

mod content;
pub mod listing;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use content::{Content, Mapped};

/// Follow at most this many symlinks in one lookup (Linux: 40, see path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The entries of a directory, in byte order.
pub type Entries = BTreeMap<Box<[u8]>, InodeId>;

/// Extended attributes by full name (`security.capability`), values as the kernel stores them.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Names one inode of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(u32);

/// A user or group: by name until the accounts are known (`finalise::accounts`), by number afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// As the package says it.
    Name(Arc<str>),
    /// As the image stores it.
    Id(u32),
}

/// Where an inode comes from: the audit and the SBOM account for every file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// NEVRA of the package that ships it.
    Package(Arc<str>),
    /// The finalise step that made it (`accounts`, `ld.so.cache`), or `layout` for directories nobody owns.
    Generated(&'static str),
    /// The profile's overlay directory it was copied from, as the profile writes it.
    Overlay(Arc<str>),
}

/// What every inode has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, 0..=0o7777 (set-id and sticky included, file type not).
    pub mode: u16,
    /// Owning user.
    pub user: Owner,
    /// Owning group.
    pub group: Owner,
    /// Modification time, seconds since 1970 UTC.
    pub mtime: i64,
    /// Nanoseconds of the modification time, 0..1_000_000_000. RPM records none.
    pub mtime_nsec: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Where it comes from.
    pub origin: Origin,
}

/// What an inode is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory.
    Dir(Entries),
    /// A regular file.
    File(Content),
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    /// A character device.
    Char {
        /// Device numbers.
        major: u32,
        /// Device numbers.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Device numbers.
        major: u32,
        /// Device numbers.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One inode.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Owner, mode, times.
    pub meta: Meta,
    /// Type and content.
    pub kind: Kind,
}

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// Nothing is there.
    #[error("{0} does not exist in the tree")]
    NotFound(String),
    /// A component that should be a directory is something else.
    #[error("{0} is not a directory in the tree")]
    NotADirectory(String),
    /// More than 40 symlinks.
    #[error("{0} goes through too many symlinks")]
    Loop(String),
    /// Something is there already that may not be replaced (a directory).
    #[error("{0} is already a directory in the tree")]
    IsADirectory(String),
    /// It is not a regular file.
    #[error("{0} is not a regular file in the tree")]
    NotAFile(String),
    /// Empty, or the name of the last component is `.` or `..`, or it holds a NUL byte.
    #[error("{0:?} cannot name a file in the tree")]
    BadName(String),
}

type Result<T> = std::result::Result<T, PathError>;

/// The root file system.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Indexed by `InodeId`; 0 is the root. Inodes whose last name is gone stay here and are never reached.
    inodes: Vec<Inode>,
    /// Time of everything made by this crate rather than a package.
    epoch: i64,
}

impl InodeId {
    /// Index into arrays of [`Tree::id_count`] elements.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Meta {
    /// root:root, the given mode and time, no attributes.
    #[must_use]
    pub fn root(mode: u16, mtime: i64, origin: Origin) -> Self {
        let owner = Owner::Id(0);
        Self { mode, user: owner.clone(), group: owner, mtime, mtime_nsec: 0, xattrs: Xattrs::new(), origin }
    }
}

impl Kind {
    /// The file type bits of st_mode (S_IFMT).
    #[must_use]
    pub fn type_bits(&self) -> u16 {
        match self {
            Self::Fifo => 0o010_000,
            Self::Char { .. } => 0o020_000,
            Self::Dir(_) => 0o040_000,
            Self::Block { .. } => 0o060_000,
            Self::File(_) => 0o100_000,
            Self::Symlink(_) => 0o120_000,
            Self::Socket => 0o140_000,
        }
    }
}

impl Tree {
    /// An empty root directory, 0755 root:root, made at `epoch` (seconds since 1970 UTC).
    #[must_use]
    pub fn new(epoch: i64) -> Self {
        let meta = Meta::root(0o755, epoch, Origin::Generated("layout"));
        Self { inodes: vec![Inode { meta, kind: Kind::Dir(Entries::new()) }], epoch }
    }

    /// The root directory.
    pub const ROOT: InodeId = InodeId(0);

    /// The time given to what this crate makes.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The inode of an id of this tree.
    #[must_use]
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// The inode of an id of this tree, to change.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.0 as usize]
    }

    /// How many ids were ever given out: ids index arrays of this length.
    #[must_use]
    pub fn id_count(&self) -> usize {
        self.inodes.len()
    }

    /// The entries of a directory; empty for anything else.
    #[must_use]
    pub fn entries(&self, id: InodeId) -> Option<&Entries> {
        match &self.inode(id).kind {
            Kind::Dir(entries) => Some(entries),
            _ => None,
        }
    }

    /// What `path` names; symlinks in the middle are followed, one at the end is not (lstat).
    ///
    /// # Errors
    /// It does not exist, or a middle component is not a directory.
    pub fn lstat(&self, path: impl AsRef<[u8]>) -> Result<InodeId> {
        self.walk_to(path.as_ref(), false)
    }

    /// What `path` names, all symlinks followed (stat).
    ///
    /// # Errors
    /// It does not exist, or a middle component is not a directory.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Result<InodeId> {
        self.walk_to(path.as_ref(), true)
    }

    /// Whether `path` names something, all symlinks followed.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<[u8]>) -> bool {
        self.stat(path).is_ok()
    }

    /// The content of the regular file at `path`, symlinks followed.
    ///
    /// # Errors
    /// It does not exist or is not a regular file.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Result<&[u8]> {
        let path = path.as_ref();
        match &self.inode(self.stat(path)?).kind {
            Kind::File(content) => Ok(content.as_slice()),
            _ => Err(PathError::NotAFile(text(path))),
        }
    }

    /// The names in the directory at `path`, symlinks followed, in byte order; none if there is no such directory.
    #[must_use]
    pub fn list(&self, path: impl AsRef<[u8]>) -> Vec<&[u8]> {
        let entries = self.stat(path).ok().and_then(|id| self.entries(id));
        entries.into_iter().flatten().map(|(name, _)| &**name).collect()
    }

    /// Makes the directory and those above it that are missing (0755 root:root, origin as given); existing ones stay
    /// as they are. Returns the last one.
    ///
    /// # Errors
    /// Something on the way exists and is not a directory.
    pub fn mkdir_p(&mut self, path: impl AsRef<[u8]>, origin: &Origin) -> Result<InodeId> {
        let path = path.as_ref();
        let mut done = Vec::with_capacity(path.len());
        for name in components(path) {
            done.push(b'/');
            done.extend_from_slice(name);
            match self.stat(&done) {
                Ok(id) if self.entries(id).is_some() => {}
                Ok(_) => return Err(PathError::NotADirectory(text(&done))),
                Err(PathError::NotFound(_)) => {
                    let meta = Meta::root(0o755, self.epoch, origin.clone());
                    self.insert(&done, Inode { meta, kind: Kind::Dir(Entries::new()) })?;
                }
                Err(e) => return Err(e),
            }
        }
        self.stat(path)
    }

    /// Puts an inode at `path`. The parent must exist (symlinks in it are followed). What was there is replaced; a
    /// directory put over a directory changes its attributes and keeps its entries.
    ///
    /// # Errors
    /// The parent does not exist, or a non-directory would replace a directory.
    pub fn insert(&mut self, path: impl AsRef<[u8]>, inode: Inode) -> Result<InodeId> {
        let path = path.as_ref();
        let (parent, name) = self.parent_of(path)?;
        if let Some(old) = self.entries(parent).and_then(|e| e.get(name)).copied()
            && let Kind::Dir(_) = self.inode(old).kind
        {
            let Kind::Dir(new) = inode.kind else { return Err(PathError::IsADirectory(text(path))) };
            let old_inode = self.inode_mut(old);
            old_inode.meta = inode.meta;
            if let Kind::Dir(entries) = &mut old_inode.kind {
                entries.extend(new);
            }
            return Ok(old);
        }
        let id = InodeId(u32::try_from(self.inodes.len()).unwrap_or_else(|_| unreachable!("4 G inodes")));
        self.inodes.push(inode);
        self.set_entry(parent, name, id);
        Ok(id)
    }

    /// Gives the inode another name (hard link), replacing a non-directory that was there.
    ///
    /// # Errors
    /// The parent does not exist, or a directory is there.
    pub fn link(&mut self, path: impl AsRef<[u8]>, id: InodeId) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent_of(path)?;
        if let Some(old) = self.entries(parent).and_then(|e| e.get(name)).copied()
            && self.entries(old).is_some()
        {
            return Err(PathError::IsADirectory(text(path)));
        }
        self.set_entry(parent, name, id);
        Ok(())
    }

    /// Takes the name away (a whole subtree for a directory; a symlink itself, not its target). Returns its inode.
    ///
    /// # Errors
    /// It does not exist.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<InodeId> {
        let path = path.as_ref();
        let (parent, name) = self.parent_of(path)?;
        match &mut self.inode_mut(parent).kind {
            Kind::Dir(entries) => entries.remove(name).ok_or_else(|| PathError::NotFound(text(path))),
            _ => Err(PathError::NotADirectory(text(path))),
        }
    }

    /// Writes a regular file, root:root; missing parents are made. An existing file keeps nothing of its old self.
    ///
    /// # Errors
    /// As [`Tree::mkdir_p`] and [`Tree::insert`].
    pub fn write(
        &mut self,
        path: impl AsRef<[u8]>,
        content: impl Into<Vec<u8>>,
        mode: u16,
        origin: Origin,
    ) -> Result<InodeId> {
        let kind = Kind::File(Content::from(content.into()));
        self.insert_with_parents(path.as_ref(), kind, mode, origin)
    }

    /// Makes a symlink, root:root 0777; missing parents are made.
    ///
    /// # Errors
    /// As [`Tree::mkdir_p`] and [`Tree::insert`].
    pub fn symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl Into<Vec<u8>>,
        origin: Origin,
    ) -> Result<InodeId> {
        self.insert_with_parents(path.as_ref(), Kind::Symlink(target.into().into()), 0o777, origin)
    }

    /// Every name in the tree below the root, parents before children, in byte order: absolute path and inode.
    /// An inode with several names comes once for each.
    #[must_use]
    pub fn walk(&self) -> Vec<(Vec<u8>, InodeId)> {
        let mut out = Vec::with_capacity(self.inodes.len());
        self.walk_below(Self::ROOT, &mut Vec::new(), &mut out);
        out
    }

    fn walk_below(&self, dir: InodeId, prefix: &mut Vec<u8>, out: &mut Vec<(Vec<u8>, InodeId)>) {
        for (name, &id) in self.entries(dir).into_iter().flatten() {
            let len = prefix.len();
            prefix.push(b'/');
            prefix.extend_from_slice(name);
            out.push((prefix.clone(), id));
            self.walk_below(id, prefix, out);
            prefix.truncate(len);
        }
    }

    fn insert_with_parents(&mut self, path: &[u8], kind: Kind, mode: u16, origin: Origin) -> Result<InodeId> {
        let (dir, _) = split_last(path)?;
        self.mkdir_p(dir, &origin)?;
        let meta = Meta::root(mode, self.epoch, origin);
        self.insert(path, Inode { meta, kind })
    }

    fn set_entry(&mut self, dir: InodeId, name: &[u8], id: InodeId) {
        if let Kind::Dir(entries) = &mut self.inode_mut(dir).kind {
            entries.insert(name.into(), id);
        }
    }

    /// The directory that holds (or would hold) the last component of `path`, and that component.
    fn parent_of<'p>(&self, path: &'p [u8]) -> Result<(InodeId, &'p [u8])> {
        let (dir, name) = split_last(path)?;
        let parent = self.stat(dir)?;
        if self.entries(parent).is_none() {
            return Err(PathError::NotADirectory(text(dir)));
        }
        Ok((parent, name))
    }

    fn walk_to(&self, path: &[u8], follow_last: bool) -> Result<InodeId> {
        // The directories from the root to here: `..` pops.
        let mut at = vec![Self::ROOT];
        let mut todo: Vec<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
        todo.reverse();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            let here = at[at.len() - 1];
            if name == b".." {
                if at.len() > 1 {
                    at.pop();
                }
                continue;
            }
            let Some(entries) = self.entries(here) else { return Err(PathError::NotADirectory(text(path))) };
            let id = *entries.get(&name[..]).ok_or_else(|| PathError::NotFound(text(path)))?;
            match &self.inode(id).kind {
                Kind::Symlink(target) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(PathError::Loop(text(path)));
                    }
                    if target.first() == Some(&b'/') {
                        at.truncate(1);
                    }
                    let before = todo.len();
                    todo.extend(components(target).map(<[u8]>::to_vec));
                    todo[before..].reverse();
                }
                _ => at.push(id),
            }
        }
        Ok(at[at.len() - 1])
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// `/a/b/c` -> (`/a/b`, `c`).
fn split_last(path: &[u8]) -> Result<(&[u8], &[u8])> {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |i| i + 1);
    let path = &path[..end];
    let start = path.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
    let (dir, name) = path.split_at(start);
    if name.is_empty() || name == b"." || name == b".." || name.contains(&0) {
        return Err(PathError::BadName(text(path)));
    }
    Ok((dir, name))
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests;
