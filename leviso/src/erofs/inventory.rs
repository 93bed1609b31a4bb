//! The tree as a list: every inode once, numbered, owners resolved, links counted, everything checked that the format
//! cannot hold. What passes here can be written.

use anyhow::{Context, anyhow, ensure};
use common::cli::Mark;

use super::{format, xattr};
use crate::exit;
use crate::tree::{Content, Entries, InodeId, Kind, Owner, Tree};

/// Longest symlink target Linux follows (PATH_MAX with its NUL).
const TARGET_MAX: usize = 4095;

/// All inodes in the order of the tree, the root first.
pub(super) struct Inventory<'t> {
    /// Every inode once, in the order of its first name.
    pub(super) inodes: Vec<Entry<'t>>,
}

/// One inode, ready to be stored.
pub(super) struct Entry<'t> {
    /// What it is.
    pub(super) node: Node<'t>,
    /// st_mode with type bits.
    pub(super) mode: u16,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    /// Nanoseconds.
    pub(super) mtime_nsec: u32,
    /// Number of names; of a directory, two and one for each subdirectory.
    pub(super) nlink: u32,
    /// Attributes as they lie behind the inode, and their count.
    pub(super) xattrs: (Vec<u8>, u16),
}

/// Kinds of inodes, with numbers into [`Inventory::inodes`] instead of the tree's ids.
pub(super) enum Node<'t> {
    /// Names and numbers in byte order, `.` and `..` among them.
    Dir(Vec<(&'t [u8], usize)>),
    /// A regular file.
    File(&'t Content),
    /// A link's target.
    Symlink(&'t [u8]),
    /// A device's packed number; 0 for fifos and sockets.
    Special(u32),
}

/// Lists the tree.
///
/// # Errors
/// See [`super::write`].
pub(super) fn take(tree: &Tree) -> anyhow::Result<Inventory<'_>> {
    let mut taker = Taker { tree, numbers: vec![None; tree.id_count()], inodes: Vec::new() };
    taker.numbers[Tree::ROOT.index()] = Some(0);
    let root = taker.entry(Tree::ROOT, b"/")?;
    taker.inodes.push(root);
    let mut todo = vec![(Tree::ROOT, 0, 0, Vec::new())];
    while let Some((id, number, parent, path)) = todo.pop() {
        let Some(entries) = tree.entries(id) else { continue };
        let mut below = taker.dir(entries, number, parent, &path)?;
        // A stack takes the last first: depth first, in byte order.
        below.reverse();
        todo.append(&mut below);
    }
    Ok(Inventory { inodes: taker.inodes })
}

struct Taker<'t> {
    tree: &'t Tree,
    /// By id: the number given.
    numbers: Vec<Option<usize>>,
    inodes: Vec<Entry<'t>>,
}

/// A directory still to be listed: id, number, its parent's number, path.
type Pending = (InodeId, usize, usize, Vec<u8>);

impl<'t> Taker<'t> {
    /// Numbers what a directory holds; returns its subdirectories.
    fn dir(
        &mut self,
        entries: &'t Entries,
        number: usize,
        parent: usize,
        path: &[u8],
    ) -> anyhow::Result<Vec<Pending>> {
        let mut list: Vec<(&[u8], usize)> = vec![(b".", number), (b"..", parent)];
        let mut below = Vec::new();
        for (name, &id) in entries {
            let path = [path, b"/", name].concat();
            check_name(name)
                .with_context(|| format!("{} cannot be stored", text(&path)))
                .exit(exit::IMAGE)?;
            let is_dir = self.tree.entries(id).is_some();
            let child = match self.numbers[id.index()] {
                Some(child) => {
                    if is_dir {
                        return Err(anyhow!("the directory {} has more than one name", text(&path)))
                            .exit(exit::IMAGE);
                    }
                    self.inodes[child].nlink += 1;
                    child
                }
                None => {
                    let child = self.inodes.len();
                    self.numbers[id.index()] = Some(child);
                    let entry = self.entry(id, &path)?;
                    self.inodes.push(entry);
                    child
                }
            };
            list.push((name, child));
            if is_dir {
                below.push((id, child, number, path));
            }
        }
        list.sort_unstable_by_key(|(name, _)| *name);
        self.inodes[number].nlink += u32::try_from(below.len()).unwrap_or(u32::MAX - 2);
        self.inodes[number].node = Node::Dir(list);
        Ok(below)
    }

    fn entry(&self, id: InodeId, path: &[u8]) -> anyhow::Result<Entry<'t>> {
        let inode = self.tree.inode(id);
        let owner = |owner: &Owner, what: &str| match owner {
            Owner::Id(id) => Ok(*id),
            Owner::Name(name) => {
                Err(anyhow!("{} belongs to {what} {name}, who has no number yet", text(path)))
                    .hint("no package or sysusers.d file makes that account; add it to the profile")
                    .exit(exit::SYSTEM)
            }
        };
        let (uid, gid) = (owner(&inode.meta.user, "user")?, owner(&inode.meta.group, "group")?);
        let failed = || format!("{} cannot be stored", text(path));
        let node = node(&inode.kind).with_context(failed).exit(exit::IMAGE)?;
        let xattrs = xattr::encode(&inode.meta.xattrs).with_context(failed).exit(exit::IMAGE)?;
        Ok(Entry {
            nlink: if matches!(node, Node::Dir(_)) { 2 } else { 1 },
            node,
            mode: inode.kind.type_bits() | (inode.meta.mode & 0o7777),
            uid,
            gid,
            mtime: inode.meta.mtime,
            mtime_nsec: inode.meta.mtime_nsec,
            xattrs,
        })
    }
}

fn node(kind: &Kind) -> anyhow::Result<Node<'_>> {
    Ok(match kind {
        // Filled when its turn comes.
        Kind::Dir(_) => Node::Dir(Vec::new()),
        Kind::File(content) => Node::File(content),
        Kind::Symlink(target) => {
            ensure!(!target.is_empty(), "the target of the symlink is empty");
            ensure!(
                target.len() <= TARGET_MAX,
                "the target of the symlink is longer than {TARGET_MAX} bytes"
            );
            ensure!(!target.contains(&0), "the target of the symlink holds a NUL byte");
            Node::Symlink(target)
        }
        Kind::Char { major, minor } | Kind::Block { major, minor } => Node::Special(
            format::device(*major, *minor)
                .with_context(|| format!("device number {major}:{minor} is beyond 4095:1048575"))?,
        ),
        Kind::Fifo | Kind::Socket => Node::Special(0),
    })
}

fn check_name(name: &[u8]) -> anyhow::Result<()> {
    ensure!(!name.is_empty() && name != b"." && name != b"..", "it has no name of its own");
    ensure!(name.len() <= format::NAME_MAX, "its name is longer than {} bytes", format::NAME_MAX);
    ensure!(!name.contains(&0) && !name.contains(&b'/'), "its name holds a NUL byte or a slash");
    Ok(())
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
