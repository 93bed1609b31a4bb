//! Directories of a FAT volume: the tree of what goes in, and the 32-byte entries that come out.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};

use super::name;
use crate::epoch::Epoch;

/// Bytes of a directory entry.
pub(super) const ENTRY: usize = 32;
const ATTR_LABEL: u8 = 0x08;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_ARCHIVE: u8 = 0x20;

/// A directory: children by name.
#[derive(Debug, Default)]
pub(super) struct Dir<'a> {
    children: BTreeMap<String, Node<'a>>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// A file's content.
    File(&'a [u8]),
    /// A directory.
    Dir(Dir<'a>),
}

impl<'a> Dir<'a> {
    /// Adds a file and the directories it lies in.
    pub(super) fn insert(&mut self, path: &str, bytes: &'a [u8]) -> anyhow::Result<()> {
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        name::check(first)?;
        ensure!(u32::try_from(bytes.len()).is_ok(), "{} bytes are too large for a file on FAT", bytes.len());
        // FAT takes names that differ in case for the same.
        let same = |other: &&String| other.to_lowercase() == first.to_lowercase();
        let known = self.children.keys().find(same).cloned();
        if let Some(other) = known.as_ref().filter(|other| *other != first) {
            bail!("{first:?} differs from {other:?} only in case");
        }
        match (rest, known) {
            (None, None) => {
                self.children.insert(first.to_owned(), Node::File(bytes));
                Ok(())
            }
            (None, Some(_)) => bail!("{first:?} is there twice"),
            (Some(rest), _) => {
                let child =
                    self.children.entry(first.to_owned()).or_insert_with(|| Node::Dir(Dir::default()));
                match child {
                    Node::Dir(dir) => dir.insert(rest, bytes),
                    Node::File(_) => bail!("{first:?} is both a file and a directory"),
                }
            }
        }
    }

    /// Name and node, sorted by name.
    pub(super) fn children(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.children.iter().map(|(name, node)| (name.as_str(), node))
    }

    /// Entries its children take.
    pub(super) fn entry_count(&self) -> usize {
        self.children.keys().map(|name| name::entry_count(name)).sum()
    }

    /// Clusters it and all below it take.
    pub(super) fn clusters(&self, cluster: usize, is_root: bool) -> usize {
        let extra = if is_root { 1 } else { 2 };
        let own = ((self.entry_count() + extra) * ENTRY).div_ceil(cluster);
        let below = self.children.values().map(|node| match node {
            Node::File(bytes) => bytes.len().div_ceil(cluster),
            Node::Dir(dir) => dir.clusters(cluster, false),
        });
        own + below.sum::<usize>()
    }
}

/// The epoch as FAT writes it: local time without a zone, here UTC, in steps of 2 s (10 ms for creation).
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    tenths: u8,
    time: [u8; 2],
    date: [u8; 2],
}

impl Stamp {
    /// Times before 1980 become 1980-01-01, which is the first that FAT knows.
    pub(super) fn new(epoch: Epoch) -> anyhow::Result<Self> {
        let wrong = || format!("epoch {} is not a time that FAT can hold", epoch.0);
        let time = jiff::Timestamp::from_second(epoch.0.max(315_532_800)).with_context(wrong)?;
        let t = jiff::tz::Offset::UTC.to_datetime(time);
        let year = u16::try_from(t.year()).with_context(wrong)? - 1980;
        ensure!(year < 128, wrong());
        let part = |value: i8| u16::from(value.unsigned_abs());
        Ok(Self {
            tenths: if t.second() % 2 == 0 { 0 } else { 100 },
            time: ((part(t.hour()) << 11) | (part(t.minute()) << 5) | (part(t.second()) / 2)).to_le_bytes(),
            date: ((year << 9) | (part(t.month()) << 5) | part(t.day())).to_le_bytes(),
        })
    }
}

/// The entries of one directory, being written.
pub(super) struct Entries {
    stamp: Stamp,
    used: BTreeSet<[u8; 11]>,
    bytes: Vec<u8>,
}

impl Entries {
    pub(super) fn new(stamp: Stamp) -> Self {
        Self { stamp, used: BTreeSet::new(), bytes: Vec::new() }
    }

    /// The volume's label.
    pub(super) fn label(&mut self, label: [u8; 11]) {
        self.push(label, ATTR_LABEL, 0, 0);
    }

    /// A directory under a name that needs no long form: `.` and `..`.
    pub(super) fn directory(&mut self, short: [u8; 11], cluster: u32) {
        self.push(short, ATTR_DIRECTORY, cluster, 0);
    }

    /// A file of that size, or a directory, with its long name.
    pub(super) fn named(&mut self, name: &str, cluster: u32, size: Option<usize>) -> anyhow::Result<()> {
        let short = name::short(name, &self.used)?;
        self.used.insert(short);
        for entry in name::long_entries(name, &short) {
            self.bytes.extend_from_slice(&entry);
        }
        let attribute = if size.is_some() { ATTR_ARCHIVE } else { ATTR_DIRECTORY };
        let size = u32::try_from(size.unwrap_or(0)).context("the file is too large for FAT")?;
        self.push(short, attribute, cluster, size);
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn push(&mut self, short: [u8; 11], attribute: u8, cluster: u32, size: u32) {
        let cluster = cluster.to_le_bytes();
        let mut entry = [0; ENTRY];
        entry[..11].copy_from_slice(&short);
        entry[11] = attribute;
        entry[13] = self.stamp.tenths;
        entry[14..16].copy_from_slice(&self.stamp.time);
        entry[16..18].copy_from_slice(&self.stamp.date);
        entry[18..20].copy_from_slice(&self.stamp.date);
        entry[20..22].copy_from_slice(&cluster[2..]);
        entry[22..24].copy_from_slice(&self.stamp.time);
        entry[24..26].copy_from_slice(&self.stamp.date);
        entry[26..28].copy_from_slice(&cluster[..2]);
        entry[28..].copy_from_slice(&size.to_le_bytes());
        self.bytes.extend_from_slice(&entry);
    }
}
