//! Where the root file system lies on a disk, for a host that has nothing but loop devices to look at it.
//!
//! Disk -> first byte and size. What is linear below the root (a mirror's half, a volume in one piece) is only an offset,
//! which the layer's own header says; so neither mdadm nor LVM, nor a kernel with them, is needed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};

use crate::disk::{Disk, Partition};

/// Where the root file system is. The number is that of its partition, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a partition.
    Partition(usize),
    /// In a half of a RAID 1 in a partition (metadata 1.2).
    Mirror(usize),
    /// In the first volume of the LVM in a partition.
    Volume(usize),
    /// Encrypted: nobody sees it from outside.
    Encrypted,
}

/// Bytes of a sector as the kernel's RAID and LVM count, whatever the disk's are.
const SECTOR: u64 = 512;

impl Place {
    /// Whether the host can look at it.
    #[must_use]
    pub fn is_visible(self) -> bool {
        self != Self::Encrypted
    }

    /// The bytes of the file system on a disk.
    ///
    /// # Errors
    /// It is not there, or not to be seen.
    pub fn on(self, disk: &Disk) -> anyhow::Result<Partition> {
        let (number, below): (_, fn(&File, Partition) -> anyhow::Result<u64>) = match self {
            Self::Partition(number) => return disk.partition(number),
            Self::Mirror(number) => (number, mirror),
            Self::Volume(number) => (number, volume),
            Self::Encrypted => anyhow::bail!("the root on {} is encrypted", disk.image.display()),
        };
        let part = disk.partition(number)?;
        let context = || format!("in partition {number} of {}", disk.image.display());
        let file = File::open(&disk.image).with_context(context)?;
        let below = below(&file, part).with_context(context)?;
        ensure!(below < part.size, "{}: the root begins behind the end", context());
        Ok(Partition { offset: part.offset + below, size: part.size - below })
    }
}

/// Where the data of a RAID member begin (md_p.h: `mdp_superblock_1`, 4 KiB behind the start in version 1.2).
fn mirror(disk: &File, part: Partition) -> anyhow::Result<u64> {
    let mut header = [0; 136];
    disk.read_exact_at(&mut header, part.offset + 4096)?;
    let magic = &header[..4];
    ensure!(magic == 0xa92b_4efc_u32.to_le_bytes(), "expected a RAID superblock, found {magic:02x?}");
    let mut sectors = [0; 8];
    sectors.copy_from_slice(&header[128..]);
    u64::from_le_bytes(sectors).checked_mul(SECTOR).context("the RAID superblock is damaged")
}

/// Where the first extent begins: LVM's metadata are text in front of it.
fn volume(disk: &File, part: Partition) -> anyhow::Result<u64> {
    let mut head = vec![0; 1 << 20];
    disk.read_exact_at(&mut head, part.offset)?;
    let text = String::from_utf8_lossy(&head);
    let start = text.split("\npe_start = ").nth(1).and_then(|rest| rest.lines().next());
    let start = start.context("expected LVM's metadata, found no pe_start")?;
    let sectors: u64 = start.trim().parse().with_context(|| format!("{start:?} is no number of sectors"))?;
    sectors.checked_mul(SECTOR).context("LVM's metadata are damaged")
}
