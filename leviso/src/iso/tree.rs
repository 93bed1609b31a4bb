//! The directory tree of the disc: from paths to placed extents, directory records and path tables.
//!
//! Directories are held in the order of the path table (by level, then parent, then name), which is also their order on
//! the disc. A [`View`] renders them for a volume that begins at a given block.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use super::record::{NAME_MAX, Names, Record};
use super::{BLOCK, Source};
use crate::epoch::Epoch;

/// Levels of directories, the root being the first (ECMA-119, 6.8.2.1).
const DEPTH_MAX: usize = 8;
/// Longest identifier (ECMA-119, 7.5.1), with its `.` but without `;1`.
const ID_MAX: usize = 30;

/// A directory.
#[derive(Debug)]
struct Dir {
    /// Index of its parent; the root's is itself.
    parent: usize,
    /// POSIX name and identifier; unused for the root.
    name: String,
    id: Vec<u8>,
    level: usize,
    /// Children in the order of their identifiers.
    children: BTreeMap<Vec<u8>, Child>,
    /// Bytes of its records, a multiple of the block size.
    size: u32,
}

/// What a directory's identifier stands for: index of a directory or of a file.
#[derive(Debug, Clone, Copy)]
enum Child {
    Dir(usize),
    File(usize),
}

/// A file.
#[derive(Debug)]
pub(super) struct FileNode {
    /// Index in the spec's list.
    pub(super) index: usize,
    /// POSIX name.
    name: String,
    /// Bytes.
    pub(super) size: u64,
    /// First block on the disc.
    pub(super) block: u32,
}

/// All directories and files, and where they lie.
#[derive(Debug)]
pub(super) struct Tree {
    dirs: Vec<Dir>,
    files: Vec<FileNode>,
    extent_max: u64,
    /// First block of the path tables and directories of the two views, by number.
    tables_at: [u32; 2],
}

impl Tree {
    /// Builds the tree; sizes come from the sources.
    pub(super) fn new(sources: &[(String, Source)], extent_max: u64) -> anyhow::Result<Self> {
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by(|&a, &b| sources[a].0.cmp(&sources[b].0));
        let root = Posix::default();
        let mut root = root;
        let mut files = Vec::new();
        for index in order {
            let (path, source) = &sources[index];
            let name =
                root.insert(path, files.len()).with_context(|| format!("path {path:?} on the disc"))?;
            let size = match source {
                Source::Bytes(bytes) => bytes.len() as u64,
                Source::File(path) => {
                    let context = || format!("failed to read {}", path.display());
                    let meta = std::fs::metadata(path).with_context(context)?;
                    ensure!(meta.is_file(), "{} is not a regular file", path.display());
                    meta.len()
                }
            };
            files.push(FileNode { index, name, size, block: 0 });
        }
        let mut tree = Self { dirs: Vec::new(), files, extent_max, tables_at: [0; 2] };
        tree.collect(root)?;
        for i in 0..tree.dirs.len() {
            let size = View { tree: &tree, base: 0, epoch: Epoch(0) }.records(i)?.len();
            tree.dirs[i].size = u32::try_from(size).context("a directory is too large")?;
        }
        Ok(tree)
    }

    /// Files in the order of the disc.
    pub(super) fn files(&self) -> &[FileNode] {
        &self.files
    }

    /// Lays path tables and directories of both views from `block` on; returns the block behind them.
    pub(super) fn place_directories(&mut self, block: u32) -> anyhow::Result<u32> {
        let too_large = "the directories are too large";
        let blocks = 2 * u64::from(self.path_table_blocks()?)
            + self.dirs.iter().map(|d| u64::from(d.size) / BLOCK).sum::<u64>();
        let blocks = u32::try_from(blocks).context(too_large)?;
        self.tables_at = [block, block.checked_add(blocks).context(too_large)?];
        self.tables_at[1].checked_add(blocks).context(too_large)
    }

    /// Lays the files from `block` on; returns the block behind them.
    pub(super) fn place_files(&mut self, mut block: u32) -> anyhow::Result<u32> {
        for file in &mut self.files {
            file.block = block;
            block = u32::try_from(file.size.div_ceil(BLOCK))
                .ok()
                .and_then(|blocks| block.checked_add(blocks))
                .context("the disc would pass 8 TiB")?;
        }
        Ok(block)
    }

    /// Fills `dirs`, level by level, and gives everything its identifier.
    fn collect(&mut self, root: Posix) -> anyhow::Result<()> {
        self.dirs.push(Dir {
            parent: 0,
            name: String::new(),
            id: vec![0],
            level: 1,
            children: BTreeMap::new(),
            size: 0,
        });
        let mut queue = vec![(0, root)];
        while !queue.is_empty() {
            let mut next = Vec::new();
            for (index, posix) in queue {
                let mut children = BTreeMap::new();
                let mut below = BTreeMap::new();
                for (name, node) in posix.0 {
                    let id = identifier(&name, matches!(node, Node::Dir(_)), |id| children.contains_key(id));
                    match node {
                        Node::File(file) => {
                            children.insert(id, Child::File(file));
                        }
                        Node::Dir(posix) => {
                            children.insert(id.clone(), Child::Dir(0));
                            below.insert(id, (name, posix));
                        }
                    }
                }
                let level = self.dirs[index].level + 1;
                ensure!(
                    below.is_empty() || level <= DEPTH_MAX,
                    "more than {DEPTH_MAX} levels of directories"
                );
                for (id, (name, posix)) in below {
                    let number = self.dirs.len();
                    children.insert(id.clone(), Child::Dir(number));
                    let children = BTreeMap::new();
                    self.dirs.push(Dir { parent: index, name, id, level, children, size: 0 });
                    next.push((number, posix));
                }
                self.dirs[index].children = children;
            }
            queue = next;
        }
        ensure!(self.dirs.len() < usize::from(u16::MAX), "too many directories");
        Ok(())
    }

    fn path_table_blocks(&self) -> anyhow::Result<u32> {
        let size: usize = self.dirs.iter().map(|d| 8 + d.id.len().next_multiple_of(2)).sum();
        u32::try_from(size.div_ceil(BLOCK as usize)).context("the path table is too large")
    }
}

/// The tree as a volume that begins at block `base` of the disc shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) tree: &'a Tree,
    /// 0 for the whole disc.
    pub(super) base: u32,
    pub(super) epoch: Epoch,
}

impl View<'_> {
    /// Path tables and directories with the block of the disc at which each lies.
    pub(super) fn tables(&self) -> anyhow::Result<Vec<(u32, Vec<u8>)>> {
        let first = self.first();
        let mut out = vec![
            (first, self.path_table(false)?),
            (first + self.tree.path_table_blocks()?, self.path_table(true)?),
        ];
        for i in 0..self.tree.dirs.len() {
            out.push((self.dir_block(i)? + self.base, self.records(i)?));
        }
        Ok(out)
    }

    /// Bytes of one path table.
    pub(super) fn path_table_size(&self) -> anyhow::Result<u32> {
        u32::try_from(self.path_table(false)?.len()).context("the path table is too large")
    }

    /// Blocks of the little-endian and the big-endian path table, from the start of the volume.
    pub(super) fn path_tables_at(&self) -> (u32, u32) {
        let first = self.first() - self.base;
        (first, first + self.tree.path_table_blocks().unwrap_or(0))
    }

    /// The root's record for the volume descriptor.
    pub(super) fn root_record(&self) -> anyhow::Result<Vec<u8>> {
        self.dir_record(0, &[0], Names::Bare)
    }

    fn first(&self) -> u32 {
        self.tree.tables_at[usize::from(self.base != 0)]
    }

    /// First block of a directory, from the start of the volume.
    fn dir_block(&self, index: usize) -> anyhow::Result<u32> {
        let before: u64 = self.tree.dirs[..index].iter().map(|d| u64::from(d.size) / BLOCK).sum();
        let before = u32::try_from(before).context("the directories are too large")?;
        Ok((self.first() + 2 * self.tree.path_table_blocks()? + before).saturating_sub(self.base))
    }

    fn path_table(&self, big: bool) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        for (i, dir) in self.tree.dirs.iter().enumerate() {
            let block = self.dir_block(i)?;
            let parent = u16::try_from(dir.parent + 1).context("too many directories")?;
            out.extend_from_slice(&[u8::try_from(dir.id.len()).context("the identifier is too long")?, 0]);
            out.extend_from_slice(&if big { block.to_be_bytes() } else { block.to_le_bytes() });
            out.extend_from_slice(&if big { parent.to_be_bytes() } else { parent.to_le_bytes() });
            out.extend_from_slice(&dir.id);
            if dir.id.len() % 2 == 1 {
                out.push(0);
            }
        }
        Ok(out)
    }

    /// The records of one directory, filled up to whole blocks; none crosses a block's end.
    fn records(&self, index: usize) -> anyhow::Result<Vec<u8>> {
        let dir = &self.tree.dirs[index];
        let own = if index == 0 { Names::Root } else { Names::Dots };
        let mut out = self.dir_record(index, &[0], own)?;
        out.extend(self.dir_record(dir.parent, &[1], Names::Dots)?);
        let mut push = |record: Vec<u8>| {
            let block = BLOCK as usize;
            if out.len() % block + record.len() > block {
                out.resize(out.len().next_multiple_of(block), 0);
            }
            out.extend(record);
        };
        for (id, child) in &dir.children {
            match *child {
                Child::Dir(i) => push(self.dir_record(i, id, Names::Name(&self.tree.dirs[i].name))?),
                Child::File(i) => {
                    for record in self.file_records(&self.tree.files[i], id) {
                        push(record.bytes()?);
                    }
                }
            }
        }
        out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        Ok(out)
    }

    fn dir_record(&self, index: usize, id: &[u8], names: Names) -> anyhow::Result<Vec<u8>> {
        let dir = &self.tree.dirs[index];
        let subdirs = dir.children.values().filter(|c| matches!(c, Child::Dir(_))).count();
        let links = u32::try_from(2 + subdirs).context("too many directories")?;
        let block = self.dir_block(index)?;
        let record =
            Record { id, names, block, size: dir.size, is_dir: true, more: false, links, epoch: self.epoch };
        record.bytes()
    }

    /// One record for each extent.
    fn file_records<'a>(&self, file: &'a FileNode, id: &'a [u8]) -> Vec<Record<'a>> {
        let max = self.tree.extent_max;
        let count = file.size.div_ceil(max).max(1);
        let first = file.block.saturating_sub(self.base);
        (0..count)
            .map(|n| Record {
                id,
                names: Names::Name(&file.name),
                // Placing has seen that the whole file lies below block 2^32, and an extent has below 2^32 bytes.
                block: first + u32::try_from(n * max / BLOCK).unwrap_or(u32::MAX),
                size: u32::try_from((file.size - n * max).min(max)).unwrap_or(u32::MAX),
                is_dir: false,
                more: n + 1 < count,
                links: 1,
                epoch: self.epoch,
            })
            .collect()
    }
}

/// A directory by POSIX names.
#[derive(Debug, Default)]
struct Posix(BTreeMap<String, Node>);

#[derive(Debug)]
enum Node {
    Dir(Posix),
    /// Index of the file.
    File(usize),
}

impl Posix {
    /// Adds a file and the directories it lies in; returns its last component.
    fn insert(&mut self, path: &str, file: usize) -> anyhow::Result<String> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        ensure!(
            !matches!(first, "" | "." | "..") && first.len() <= NAME_MAX && !first.contains(char::is_control),
            "{first:?} is not a name of 1 to {NAME_MAX} bytes without control characters"
        );
        let Some(rest) = rest else {
            ensure!(!self.0.contains_key(first), "{first:?} is there twice");
            self.0.insert(first.to_owned(), Node::File(file));
            return Ok(first.to_owned());
        };
        match self.0.entry(first.to_owned()).or_insert_with(|| Node::Dir(Self::default())) {
            Node::Dir(dir) => dir.insert(rest, file),
            Node::File(_) => bail!("{first:?} is both a file and a directory"),
        }
    }
}

/// An identifier for `name` of d-characters that is not taken: `NAME.EXT;1` for files.
fn identifier(name: &str, is_dir: bool, taken: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let clean = |part: &str| -> String {
        let upper = part.chars().map(|c| c.to_ascii_uppercase());
        upper.map(|c| if c.is_ascii_uppercase() || c.is_ascii_digit() { c } else { '_' }).collect()
    };
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !is_dir && !stem.is_empty() => (clean(stem), clean(extension)),
        _ => (clean(name), String::new()),
    };
    let extension: String = extension.chars().take(8).collect();
    let mut tail = String::new();
    let mut number = 0_u32;
    loop {
        let room = ID_MAX - 1 - extension.len() - tail.len();
        let stem: String = stem.chars().take(room).collect();
        let id = if is_dir { format!("{stem}{tail}") } else { format!("{stem}{tail}.{extension};1") };
        if !taken(id.as_bytes()) {
            return id.into_bytes();
        }
        number += 1;
        tail = format!("_{number}");
    }
}
