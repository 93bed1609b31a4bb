//! The disc: an ISO 9660 volume that is a GPT disk at the same time, bootable by UEFI.
//!
//! In: [`Spec`], names and contents. Out: one file, written from front to back in one pass, and its digest. Files are
//! streamed; nothing but directories and tables is held in memory. Layout, in blocks of 2048 bytes:
//!
//! ```text
//!  0       protective MBR, primary GPT                        16  volume descriptors, El Torito boot record
//!  32      volume descriptors of partition 1                  34  path tables, directories (twice), boot catalog
//!  ..      files                                              ..  ESP (partition 2), backup GPT
//! ```
//!
//! - Optical media: the El Torito catalog names the ESP (platform 0xEF, no emulation).
//! - The same bytes on a stick or as a virtual disk: the GPT names the ESP (partition 2).
//! - Linux finds the volume by its label on the whole device, and also on partition 1, which begins at block 16 and has
//!   its own descriptors and directories, with addresses relative to it. So the stick's other partitions stay usable
//!   while the volume is mounted. File contents are there once.
//!
//! Invariants: the same spec gives the same bytes; all times are the epoch; files over 4 GiB have several extents (level
//! 3); Rock Ridge gives names, modes (0444, 0555) and owners (root).
//!
//! Sources: ECMA-119 (ISO 9660), SUSP 1.12 and RRIP 1.12, "El Torito" 1.0, UEFI 2.10 chapters 5 and 13.3.2.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use sha2::Digest;
use uuid::Uuid;

use crate::epoch::Epoch;
use crate::exit;
use crate::progress::{Progress, Unit};

mod gpt;
mod record;
mod tree;
mod volume;

use tree::Tree;

/// Bytes of a block (logical sector of the volume).
const BLOCK: u64 = 2048;
/// Block at which partition 1 begins: behind the primary GPT.
const PARTITION_AT: u32 = 16;
/// Alignment of the ESP, bytes: what partitioning tools expect.
const ESP_ALIGN: u64 = 1 << 20;
/// Largest extent: the largest whole number of blocks below 4 GiB.
const EXTENT_MAX: u64 = (1 << 32) - BLOCK;

/// What the disc is to be.
#[derive(Debug, Clone)]
pub struct Spec<'a> {
    /// Volume label: at most 32 of A-Z, 0-9 and `_`.
    pub label: &'a str,
    /// Every time on the disc; its second is the volume's UUID as blkid shows it.
    pub epoch: Epoch,
    /// Publisher, for people: at most 128 of A-Z, 0-9, space and `!"%&'()*+,-./:;<=>?_`.
    pub publisher: &'a str,
    /// What the disc is, for people; as `publisher`.
    pub application: &'a str,
    /// GPT disk GUID.
    pub disk_id: Uuid,
    /// GUID of partition 1, the volume.
    pub iso_partition_id: Uuid,
    /// GUID of partition 2, the ESP.
    pub esp_partition_id: Uuid,
    /// Files by their path on the disc (relative, `/`), in any order.
    pub files: Vec<(String, Source)>,
    /// The EFI system partition.
    pub esp: &'a [u8],
}

/// Where a file's content comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Memory.
    Bytes(Vec<u8>),
    /// A file, read while the disc is written. Its times and modes are not used.
    File(PathBuf),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Bytes.
    pub size: u64,
    /// Digest of the whole disc.
    pub digest: Sha256,
    /// The volume's UUID as blkid and /dev/disk/by-uuid show it (`2026-01-31-12-00-00-00`).
    pub uuid: String,
}

/// Writes the disc to `out`, from its current position on, and does not sync it.
///
/// # Errors
/// A label, name or path cannot be represented, a source cannot be read or changes its size while it is read, the disc
/// passes 8 TiB, or `out` cannot be written (the io error is in the chain); exit code [`exit::IMAGE`].
pub fn write(out: &mut impl Write, spec: &Spec, progress: &dyn Progress) -> anyhow::Result<Report> {
    write_with(out, spec, EXTENT_MAX, progress).context("failed to write the disc image").exit(exit::IMAGE)
}

fn write_with(
    out: &mut impl Write,
    spec: &Spec,
    extent_max: u64,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let plan = Plan::new(spec, extent_max)?;
    progress.begin("write disc", plan.size(), Unit::Bytes);
    let mut out = Writer { out, hash: sha2::Sha256::new(), at: 0, progress };
    out.put(&plan.front(spec)?)?;
    for file in plan.tree.files() {
        out.pad_to(u64::from(file.block) * BLOCK)?;
        match &spec.files[file.index].1 {
            Source::Bytes(bytes) => out.put(bytes)?,
            Source::File(path) => out.copy(path, file.size)?,
        }
    }
    out.pad_to(plan.esp_at)?;
    out.put(spec.esp)?;
    let backup = plan.disk(spec).backup();
    out.pad_to(plan.size() - backup.len() as u64)?;
    out.put(&backup)?;
    progress.end();
    Ok(Report { size: out.at, digest: Sha256(out.hash.finalize().into()), uuid: volume::uuid(spec.epoch)? })
}

/// Where everything lies.
struct Plan {
    tree: Tree,
    /// Boot catalog.
    catalog_block: u32,
    /// Bytes.
    esp_at: u64,
    /// Bytes; the ESP with its padding.
    esp_size: u64,
    blocks: u32,
}

impl Plan {
    fn new(spec: &Spec, extent_max: u64) -> anyhow::Result<Self> {
        let mut tree = Tree::new(&spec.files, extent_max)?;
        // Path tables of both volumes, directories of both, the boot catalog, then files.
        let mut next = tree.place_directories(volume::FIRST_FREE)?;
        let catalog_block = next;
        next = next.checked_add(1).context("the disc is too large")?;
        let end = tree.place_files(next)?;
        let esp_at = (u64::from(end) * BLOCK).next_multiple_of(ESP_ALIGN);
        ensure!(!spec.esp.is_empty(), "the EFI system partition is empty");
        let esp_size = (spec.esp.len() as u64).next_multiple_of(BLOCK);
        let size = (esp_at + esp_size + gpt::BACKUP_SIZE).next_multiple_of(BLOCK);
        let blocks = u32::try_from(size / BLOCK).context("the disc would pass 8 TiB")?;
        Ok(Self { tree, catalog_block, esp_at, esp_size, blocks })
    }

    fn size(&self) -> u64 {
        u64::from(self.blocks) * BLOCK
    }

    fn disk(&self, spec: &Spec) -> gpt::Disk {
        let part = |kind, id, name, attributes, from: u64, end: u64| gpt::Partition {
            kind,
            id,
            name,
            attributes,
            first: from / gpt::SECTOR,
            last: end / gpt::SECTOR - 1,
        };
        let volume = u64::from(PARTITION_AT) * BLOCK;
        gpt::Disk {
            id: spec.disk_id,
            sectors: self.size() / gpt::SECTOR,
            partitions: [
                part(gpt::LINUX_DATA, spec.iso_partition_id, "iso9660", gpt::READ_ONLY, volume, self.esp_at),
                part(gpt::ESP, spec.esp_partition_id, "esp", 0, self.esp_at, self.esp_at + self.esp_size),
            ],
        }
    }

    /// Everything in front of the files.
    fn front(&self, spec: &Spec) -> anyhow::Result<Vec<u8>> {
        let mut front = self.disk(spec).primary();
        let esp_block = u32::try_from(self.esp_at / BLOCK).context("the disc would pass 8 TiB")?;
        let mut put = |block: u32, bytes: &[u8]| {
            let at = block as usize * BLOCK as usize;
            if front.len() < at + bytes.len() {
                front.resize(at + bytes.len(), 0);
            }
            front[at..at + bytes.len()].copy_from_slice(bytes);
        };
        // The volume as the whole device shows it, then as partition 1 does.
        for (base, end) in [(0, self.blocks), (PARTITION_AT, esp_block)] {
            let view = tree::View { tree: &self.tree, base, epoch: spec.epoch };
            let mut block = base + volume::DESCRIPTORS_AT;
            put(block, &volume::primary(spec, &view, end - base)?);
            if base == 0 {
                block += 1;
                put(block, &volume::boot_record(self.catalog_block));
            }
            put(block + 1, &volume::terminator());
            for (at, bytes) in view.tables()? {
                put(at, &bytes);
            }
        }
        put(self.catalog_block, &volume::boot_catalog(esp_block, spec.esp.len() as u64));
        Ok(front)
    }
}

/// Writes, counts, hashes and reports.
struct Writer<'a, W> {
    out: &'a mut W,
    hash: sha2::Sha256,
    at: u64,
    progress: &'a dyn Progress,
}

impl<W: Write> Writer<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        // In pieces, so that the bar moves.
        for piece in bytes.chunks(1 << 20) {
            self.out.write_all(piece).with_context(|| format!("failed to write at byte {}", self.at))?;
            self.hash.update(piece);
            self.at += piece.len() as u64;
            self.progress.advance(piece.len() as u64);
        }
        Ok(())
    }

    fn pad_to(&mut self, end: u64) -> anyhow::Result<()> {
        let zeros = [0; BLOCK as usize];
        while self.at < end {
            let len = usize::try_from(end - self.at).map_or(zeros.len(), |left| left.min(zeros.len()));
            self.put(&zeros[..len])?;
        }
        Ok(())
    }

    fn copy(&mut self, path: &std::path::Path, size: u64) -> anyhow::Result<()> {
        let context = || format!("failed to read {}", path.display());
        let mut file = File::open(path).with_context(context)?;
        let mut buffer = vec![0; 1 << 20];
        let mut left = size;
        loop {
            let len = match file.read(&mut buffer) {
                Ok(len) => len,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e).with_context(context),
            };
            let grew = len as u64 > left;
            ensure!(
                !grew && (len > 0 || left == 0),
                "{} changed while it was read: expected {size} bytes",
                path.display()
            );
            if len == 0 {
                return Ok(());
            }
            self.put(&buffer[..len])?;
            left -= len as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Quiet;
    use common::cmd::Cmd;

    /// The same code that splits at 4 GiB, split at 2 blocks: small enough to compare every byte.
    #[test]
    fn files_of_several_extents_come_out_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (disc, out) = (dir.path().join("disc.iso"), dir.path().join("out"));
        let content = |len: usize| (0..len).map(|i| (i / 7) as u8).collect::<Vec<_>>();
        let sizes = [0, 1, 4095, 4096, 4097, 8192, 50_000];
        let files = sizes.map(|len| (format!("dir/f{len}"), Source::Bytes(content(len)))).to_vec();
        let spec = Spec {
            label: "L",
            epoch: Epoch(0),
            publisher: "",
            application: "",
            disk_id: Uuid::nil(),
            iso_partition_id: Uuid::nil(),
            esp_partition_id: Uuid::nil(),
            files,
            esp: b"esp",
        };
        write_with(&mut File::create(&disc).unwrap(), &spec, 2 * BLOCK, &Quiet).unwrap();
        Cmd::new(testkit::oracle("xorriso"))
            .args(["-abort_on", "WARNING", "-osirrox", "on", "-indev"])
            .arg(&disc)
            .args(["-extract", "/"])
            .arg(&out)
            .output()
            .unwrap();
        for len in sizes {
            assert!(std::fs::read(out.join(format!("dir/f{len}"))).unwrap() == content(len), "{len} bytes");
        }
    }
}
