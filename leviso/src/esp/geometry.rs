//! How large a FAT volume is, where its parts lie, and its boot sectors.
//!
//! Microsoft's specification tells FAT16 and FAT32 apart by nothing but the number of clusters: from 4085 it is FAT16,
//! from 65525 FAT32.

use anyhow::ensure;

/// Bytes of a sector.
pub(super) const SECTOR: usize = 512;
/// Copies of the allocation table.
pub(super) const FATS: usize = 2;
/// Entries of a FAT16 root directory.
pub(super) const ROOT_ENTRIES: u16 = 512;
/// Sectors of a MiB: the volume's size is a multiple, which also suits the heads and sectors of the boot sector.
const MIB: usize = 2048;
/// Free room beyond the contents, sectors: enough for systemd-boot's random seed and a renamed entry.
const SLACK: usize = MIB;
/// From here on FAT32.
const FAT32_FROM: usize = 36 * MIB;
const FAT16_CLUSTERS: std::ops::Range<usize> = 4085..65525;
const FAT32_CLUSTERS: std::ops::Range<usize> = 65525..0x0fff_fff5;

/// The layout of a volume. Sizes in sectors where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) is_fat32: bool,
    pub(super) sectors: usize,
    pub(super) per_cluster: usize,
    pub(super) reserved: usize,
    pub(super) fat_sectors: usize,
    pub(super) clusters: usize,
}

impl Geometry {
    /// The smallest volume whose contents, given in clusters for a cluster size in bytes, fit with the slack.
    pub(super) fn choose(need: impl Fn(usize) -> usize) -> anyhow::Result<Self> {
        let mut sectors = (need(SECTOR) + SLACK).next_multiple_of(MIB).max(4 * MIB);
        loop {
            ensure!(sectors * SECTOR < 4 << 30, "the files are too large for one volume");
            let layout = Self::of(sectors);
            let slack = SLACK / layout.per_cluster;
            let valid = if layout.is_fat32 { FAT32_CLUSTERS } else { FAT16_CLUSTERS };
            if layout.clusters >= need(layout.cluster_bytes()) + slack && valid.contains(&layout.clusters) {
                return Ok(layout);
            }
            sectors += MIB;
        }
    }

    fn of(sectors: usize) -> Self {
        let is_fat32 = sectors >= FAT32_FROM;
        // As large as the bounds on the number of clusters allow, up to a page.
        let per_cluster = match sectors / MIB {
            0..10 => 1,
            10..36 => 4,
            36..80 => 1,
            80..160 => 2,
            160..300 => 4,
            _ => 8,
        };
        let reserved = if is_fat32 { 32 } else { 4 };
        let root = if is_fat32 { 0 } else { usize::from(ROOT_ENTRIES) * 32 / SECTOR };
        // Enough for every cluster there could be if the tables took no room; a multiple of 4 sectors, so that data
        // is aligned to 2048 bytes.
        let entry = if is_fat32 { 4 } else { 2 };
        let fat_sectors = ((sectors / per_cluster + 2) * entry).div_ceil(SECTOR).next_multiple_of(4);
        let clusters = (sectors - reserved - root - FATS * fat_sectors) / per_cluster;
        Self { is_fat32, sectors, per_cluster, reserved, fat_sectors, clusters }
    }

    /// Bytes of a cluster.
    pub(super) fn cluster_bytes(&self) -> usize {
        self.per_cluster * SECTOR
    }

    /// First sector behind the tables: the FAT16 root directory.
    pub(super) fn root_at(&self) -> usize {
        self.reserved + FATS * self.fat_sectors
    }

    /// First sector of cluster 2.
    pub(super) fn data_at(&self) -> usize {
        self.root_at() + if self.is_fat32 { 0 } else { usize::from(ROOT_ENTRIES) * 32 / SECTOR }
    }

    /// Writes the boot sector, and for FAT32 FSInfo and the copies of both.
    pub(super) fn write_boot(&self, image: &mut [u8], label: &[u8; 11], id: u32, free: usize, next: usize) {
        let mut boot = [0; SECTOR];
        let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, if self.is_fat32 { &[0xeb, 0x58, 0x90] } else { &[0xeb, 0x3c, 0x90] });
        put(3, b"LEVITATE");
        put(11, &le16(SECTOR));
        put(13, &[le16(self.per_cluster)[0]]);
        put(14, &le16(self.reserved));
        put(16, &[le16(FATS)[0]]);
        put(17, &if self.is_fat32 { [0; 2] } else { ROOT_ENTRIES.to_le_bytes() });
        let small = !self.is_fat32 && self.sectors < 0x1_0000;
        put(19, &if small { le16(self.sectors) } else { [0; 2] });
        put(21, &[0xf8]); // media: fixed disk
        put(22, &if self.is_fat32 { [0; 2] } else { le16(self.fat_sectors) });
        put(24, &le16(32)); // sectors of a track and heads: together 1 MiB
        put(26, &le16(64));
        put(32, &if small { [0; 4] } else { le32(self.sectors) });
        let extended = if self.is_fat32 {
            put(36, &le32(self.fat_sectors));
            put(44, &le32(2)); // cluster of the root directory
            put(48, &le16(1)); // sector of FSInfo
            put(50, &le16(6)); // sector of the copies
            64
        } else {
            36
        };
        put(extended, &[0x80, 0, 0x29]);
        put(extended + 3, &id.to_le_bytes());
        put(extended + 7, label);
        put(extended + 18, if self.is_fat32 { b"FAT32   " } else { b"FAT16   " });
        // What a BIOS runs: hlt, and again. There is nothing for it to start.
        put(extended + 26, &[0xf4, 0xeb, 0xfd]);
        put(510, &[0x55, 0xaa]);
        image[..SECTOR].copy_from_slice(&boot);
        if self.is_fat32 {
            let mut info = [0; SECTOR];
            let mut put = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
            put(0, b"RRaA");
            put(484, b"rrAa");
            put(488, &le32(free));
            put(492, &le32(next));
            put(508, &[0, 0, 0x55, 0xaa]);
            for (sector, bytes) in [(1, &info), (6, &boot), (7, &info)] {
                image[sector * SECTOR..][..SECTOR].copy_from_slice(bytes);
            }
        }
    }
}

/// The low 16 bits, little-endian; callers keep the value below 65536.
fn le16(value: usize) -> [u8; 2] {
    [value.to_le_bytes()[0], value.to_le_bytes()[1]]
}

/// The low 32 bits, little-endian; the volume is below 4 GiB.
fn le32(value: usize) -> [u8; 4] {
    let b = value.to_le_bytes();
    [b[0], b[1], b[2], b[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_what_its_cluster_count_says() {
        for mib in 4..1024 {
            let g = Geometry::of(mib * MIB);
            let range = if g.is_fat32 { FAT32_CLUSTERS } else { FAT16_CLUSTERS };
            assert!(range.contains(&g.clusters), "{mib} MiB: {g:?}");
            assert!(
                g.fat_sectors * SECTOR / if g.is_fat32 { 4 } else { 2 } >= g.clusters + 2,
                "{mib} MiB: {g:?}"
            );
            assert_eq!(g.data_at() % 4, 0, "{mib} MiB");
            assert!(g.data_at() + g.clusters * g.per_cluster <= g.sectors, "{mib} MiB: {g:?}");
        }
    }

    #[test]
    fn contents_fit_and_absurd_ones_are_refused() {
        for bytes in [0, 1, 3 << 20, 9 << 20, 34 << 20, 35 << 20, 64 << 20, 300 << 20] {
            let g = Geometry::choose(|cluster| usize::div_ceil(bytes, cluster)).unwrap();
            assert!(g.clusters * g.cluster_bytes() >= bytes + SLACK * SECTOR, "{bytes}: {g:?}");
            assert!(g.sectors * SECTOR <= bytes + (6 << 20), "{bytes}: {g:?}");
        }
        assert!(Geometry::choose(|cluster| (5 << 30) / cluster).is_err());
    }
}
