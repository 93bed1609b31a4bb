//! The EFI system partition: a FAT16 or FAT32 volume made in memory, from nothing but its contents.
//!
//! In: paths and bytes, a label, a volume id, the epoch. Out: the volume. Written in one go and never changed, so every
//! file is contiguous. Invariants: a multiple of 1 MiB (and with it of 512 and 2048 bytes); FAT32 from 36 MiB, FAT16
//! below; all times are the epoch, UTC; the same input gives the same bytes.
//!
//! Own code rather than the fatfs crate: that takes its times from a `&'static` provider, which one epoch a build
//! does not fit, and leaves the label's entry without one.
//!
//! Source: Microsoft FAT specification (FAT: General Overview of On-Disk Format, 1.03), UEFI 2.10 section 13.3.

use anyhow::Context;
use common::cli::Mark;

use crate::epoch::Epoch;
use crate::exit;

mod dir;
mod geometry;
mod name;

use dir::{Dir, Stamp};
use geometry::{Geometry, SECTOR};

/// `loader/loader.conf` of the disc (loader.conf(5)): the menu for three seconds, then the UKI's first profile, whose id
/// is the file's name; the others are `levitateos.efi@ID`.
pub const LOADER_CONF: &str = "timeout 3\ndefault levitateos.efi\neditor yes\nconsole-mode keep\n";

/// Makes a volume that holds `files`: paths with `/`, parents are made. `label`: at most 11 of A-Z, 0-9, `_`, `-`.
///
/// # Errors
/// A path or the label cannot be represented, two paths are the same but for case, or the files are too large for one
/// volume; exit code [`exit::IMAGE`].
pub fn build(files: &[(&str, &[u8])], label: &str, volume_id: u32, epoch: Epoch) -> anyhow::Result<Vec<u8>> {
    make(files, label, volume_id, epoch).context("failed to make the EFI system partition").exit(exit::IMAGE)
}

fn make(files: &[(&str, &[u8])], label: &str, volume_id: u32, epoch: Epoch) -> anyhow::Result<Vec<u8>> {
    let label = name::label(label)?;
    let mut root = Dir::default();
    for (path, bytes) in files {
        root.insert(path, bytes).with_context(|| format!("path {path:?} on the ESP"))?;
    }
    let geometry = Geometry::choose(|cluster| root.clusters(cluster, true))?;
    let mut volume = Volume::new(geometry);
    let stamp = Stamp::new(epoch)?;

    let entries = root.entry_count() + 1;
    if volume.geometry.is_fat32 {
        let first = volume.reserve(entries * dir::ENTRY)?;
        let bytes = volume.write_dir(&root, Place::Root(&label), stamp)?;
        volume.fill(first, &bytes);
    } else {
        anyhow::ensure!(
            entries <= geometry::ROOT_ENTRIES as usize,
            "the root directory has {entries} entries; FAT16 has room for {}",
            geometry::ROOT_ENTRIES
        );
        let bytes = volume.write_dir(&root, Place::Root(&label), stamp)?;
        let at = volume.geometry.root_at() * SECTOR;
        volume.image[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    Ok(volume.finish(&label, volume_id))
}

/// Where a directory lies.
enum Place<'a> {
    /// It is the root, which has the label and, to its children, cluster 0.
    Root(&'a [u8; 11]),
    /// Its own first cluster and its parent's.
    Below { own: u32, parent: u32 },
}

/// A volume being written.
struct Volume {
    geometry: Geometry,
    image: Vec<u8>,
    /// The allocation table; its length is the next free cluster.
    table: Vec<u32>,
}

impl Volume {
    fn new(geometry: Geometry) -> Self {
        let (media, end) = if geometry.is_fat32 { (0x0fff_fff8, 0x0fff_ffff) } else { (0xfff8, 0xffff) };
        Self { image: vec![0; geometry.sectors * SECTOR], table: vec![media, end], geometry }
    }

    /// Takes as many clusters as `len` bytes need (none for 0) and returns the first.
    fn reserve(&mut self, len: usize) -> anyhow::Result<u32> {
        let count = len.div_ceil(self.geometry.cluster_bytes());
        if count == 0 {
            return Ok(0);
        }
        let first = u32::try_from(self.table.len()).context("too many clusters")?;
        let last = first + u32::try_from(count).context("too many clusters")? - 1;
        anyhow::ensure!(
            (last as usize) < self.geometry.clusters + 2,
            "the volume is too small for its files"
        );
        self.table.extend(first + 1..=last);
        self.table.push(self.table[1]);
        Ok(first)
    }

    /// Writes `bytes` from cluster `first` on.
    fn fill(&mut self, first: u32, bytes: &[u8]) {
        if let Some(index) = (first as usize).checked_sub(2) {
            let at = self.geometry.data_at() * SECTOR + index * self.geometry.cluster_bytes();
            self.image[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Writes what is in `dir` and returns its own entries.
    fn write_dir(&mut self, dir: &Dir, place: Place, stamp: Stamp) -> anyhow::Result<Vec<u8>> {
        let mut entries = dir::Entries::new(stamp);
        let own = match place {
            Place::Root(label) => {
                entries.label(*label);
                0
            }
            Place::Below { own, parent } => {
                entries.directory(*b".          ", own);
                entries.directory(*b"..         ", parent);
                own
            }
        };
        for (name, child) in dir.children() {
            match child {
                dir::Node::File(bytes) => {
                    let first = self.reserve(bytes.len())?;
                    self.fill(first, bytes);
                    entries.named(name, first, Some(bytes.len()))?;
                }
                dir::Node::Dir(sub) => {
                    let first = self.reserve((sub.entry_count() + 2) * dir::ENTRY)?;
                    let bytes = self.write_dir(sub, Place::Below { own: first, parent: own }, stamp)?;
                    self.fill(first, &bytes);
                    entries.named(name, first, None)?;
                }
            }
        }
        Ok(entries.finish())
    }

    /// Adds boot sectors and allocation tables.
    fn finish(mut self, label: &[u8; 11], volume_id: u32) -> Vec<u8> {
        let geometry = &self.geometry;
        let free = geometry.clusters + 2 - self.table.len();
        geometry.write_boot(&mut self.image, label, volume_id, free, self.table.len());
        for copy in 0..geometry::FATS {
            let at = (geometry.reserved + copy * geometry.fat_sectors) * SECTOR;
            for (i, entry) in self.table.iter().enumerate() {
                if geometry.is_fat32 {
                    self.image[at + 4 * i..][..4].copy_from_slice(&entry.to_le_bytes());
                } else {
                    self.image[at + 2 * i..][..2].copy_from_slice(&entry.to_le_bytes()[..2]);
                }
            }
        }
        self.image
    }
}

#[cfg(test)]
mod tests {
    use common::layout;

    #[test]
    fn the_default_entry_is_the_uki() {
        let name = layout::ESP_UKI_PATH.rsplit('/').next().unwrap();
        assert!(super::LOADER_CONF.lines().any(|l| l == format!("default {name}")));
    }
}
