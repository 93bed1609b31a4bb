//! Writable disks: an image file on the host, and the bus the machine sees it on.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;

use crate::qemu::escaped;

/// What a disk is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// A virtio disk: /dev/vda.
    Virtio,
    /// An NVMe drive: /dev/nvme0n1.
    Nvme,
    /// A SATA disk on an AHCI controller: /dev/sda.
    Sata,
    /// A USB stick or drive: /dev/sda.
    Usb,
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Virtio => "virtio",
            Self::Nvme => "nvme",
            Self::Sata => "sata",
            Self::Usb => "usb",
        })
    }
}

/// A disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The file that holds its bytes.
    pub image: PathBuf,
    /// QEMU's name of the file's format.
    format: &'static str,
    bus: Bus,
    sector: u16,
    /// Whether what the guest flushes has to survive this host too.
    durable: bool,
    read_only: bool,
}

impl Disk {
    /// Makes an empty disk for a test: a sparse file, in place of what was there.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(image: &Path, mib: u64) -> anyhow::Result<Self> {
        let context = || format!("failed to make a disk of {mib} MiB as {}", image.display());
        File::create(image).and_then(|f| f.set_len(mib << 20)).with_context(context)?;
        Ok(Self::virtio(image, "raw"))
    }

    /// A disk that a person made and keeps (qcow2).
    #[must_use]
    pub fn qcow2(image: &Path) -> Self {
        Self { durable: true, ..Self::virtio(image, "qcow2") }
    }

    /// A file that stays as it is.
    #[must_use]
    pub fn read_only(image: &Path) -> Self {
        Self { read_only: true, ..Self::virtio(image, "raw") }
    }

    fn virtio(image: &Path, format: &'static str) -> Self {
        let image = image.to_owned();
        Self { image, format, bus: Bus::Virtio, sector: 512, durable: false, read_only: false }
    }

    /// Plugs it in elsewhere; without this it is a virtio disk.
    #[must_use]
    pub fn bus(mut self, bus: Bus) -> Self {
        self.bus = bus;
        self
    }

    /// Size of a sector, physical and logical: 512 or 4096. SATA has 512 only.
    #[must_use]
    pub fn sector(mut self, bytes: u16) -> Self {
        self.sector = bytes;
        self
    }

    /// What the Linux in the machine calls it, if it is the `number`-th disk of its bus (from 0).
    #[must_use]
    pub fn node(&self, number: u8) -> String {
        let letter = char::from(b'a' + number);
        match self.bus {
            Bus::Virtio => format!("/dev/vd{letter}"),
            Bus::Nvme => format!("/dev/nvme{number}n1"),
            Bus::Sata | Bus::Usb => format!("/dev/sd{letter}"),
        }
    }

    /// Reads partition `number` (from 1) out of the partition table of a raw image.
    ///
    /// # Errors
    /// partx is missing or finds no table, or no such partition in it.
    pub fn partition(&self, number: usize) -> anyhow::Result<Partition> {
        let partx = Cmd::new("partx").args(["--raw", "--noheadings", "--bytes", "--output=NR,START,SIZE"]);
        let table = partx.args(["--sector-size", &self.sector.to_string()]).arg(&self.image).read()?;
        let rows = table.lines().map(|line| {
            let numbers: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
            <[u64; 3]>::try_from(numbers)
        });
        // Whatever the size of a sector is, partx counts the start in units of 512 bytes.
        let part = rows.filter_map(Result::ok).find(|[nr, ..]| *nr == number as u64);
        let part = part.map(|[_, start, size]| Partition { offset: start * 512, size });
        part.with_context(|| {
            format!("expected a partition {number} in {}, found:\n{table}", self.image.display())
        })
    }

    /// QEMU's options; `number` tells the disks of a machine apart.
    pub(crate) fn options(&self, number: usize) -> Vec<String> {
        let Self { format, sector, .. } = self;
        // Without flushes to this host's own disk an installation is several times as fast; the guest cannot tell.
        let cache = if self.durable { "writeback" } else { "unsafe" };
        let file = escaped(&self.image);
        let only = if self.read_only { "readonly=on," } else { "" };
        let drive =
            format!("if=none,id=disk{number},format={format},cache={cache},discard=unmap,{only}file={file}");
        let sizes = format!("logical_block_size={sector},physical_block_size={sector}");
        let id = format!("drive=disk{number},serial=disk{number}");
        let devices = match self.bus {
            Bus::Virtio => vec![format!("virtio-blk-pci,{id},{sizes}")],
            Bus::Nvme => vec![
                format!("nvme,id=nvme{number},serial=disk{number}"),
                format!("nvme-ns,bus=nvme{number},drive=disk{number},{sizes}"),
            ],
            // A port has one device, and ide.0 is the optical drive's.
            Bus::Sata => vec![format!("ide-hd,bus=ide.{},{id}", number + 1)],
            // With nec-usb-xhci the kernel waited forever for its first command in one boot from such a disk.
            Bus::Usb => vec![
                format!("qemu-xhci,id=usb{number}"),
                format!("usb-storage,bus=usb{number}.0,{id},{sizes}"),
            ],
        };
        let devices = devices.into_iter().flat_map(|device| ["-device".to_owned(), device]);
        ["-drive".to_owned(), drive].into_iter().chain(devices).collect()
    }
}

/// Where a partition lies in a raw image of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
}
