//! The partition table: protective MBR, primary and backup GPT (UEFI 2.10, chapter 5), for sectors of 512 bytes.

use uuid::{Uuid, uuid};

/// Bytes of a sector.
pub(super) const SECTOR: u64 = 512;
/// Bytes of the backup: entries and header.
pub(super) const BACKUP_SIZE: u64 = (1 + ENTRY_SECTORS) * SECTOR;
/// Type of the EFI system partition.
pub(super) const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Type "Linux filesystem data".
pub(super) const LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Attributes "read-only" and "do not mount by itself" (UAPI.2 Discoverable Partitions Specification).
pub(super) const READ_ONLY: u64 = 1 << 60 | 1 << 63;

const ENTRIES: usize = 128;
const ENTRY: usize = 128;
const ENTRY_SECTORS: u64 = 32;
/// First sector behind the primary table.
const FIRST_USABLE: u64 = 2 + ENTRY_SECTORS;

/// A partition.
pub(super) struct Partition {
    pub(super) kind: Uuid,
    pub(super) id: Uuid,
    pub(super) name: &'static str,
    pub(super) attributes: u64,
    /// First and last sector.
    pub(super) first: u64,
    pub(super) last: u64,
}

/// A partitioned disk.
pub(super) struct Disk {
    pub(super) id: Uuid,
    pub(super) sectors: u64,
    pub(super) partitions: [Partition; 2],
}

impl Disk {
    /// Protective MBR, header, entries: what lies at the front.
    pub(super) fn primary(&self) -> Vec<u8> {
        let mut out = self.protective_mbr().to_vec();
        out.extend_from_slice(&self.header(1, self.sectors - 1, 2));
        out.extend_from_slice(&self.entries());
        out
    }

    /// Entries, header: what ends with the disk's last sector.
    pub(super) fn backup(&self) -> Vec<u8> {
        let mut out = self.entries();
        out.extend_from_slice(&self.header(self.sectors - 1, 1, self.sectors - 1 - ENTRY_SECTORS));
        out
    }

    fn protective_mbr(&self) -> [u8; SECTOR as usize] {
        let mut mbr = [0; SECTOR as usize];
        // What a BIOS runs: hlt, and again. There is nothing for it to start.
        mbr[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
        let sectors = u32::try_from(self.sectors - 1).unwrap_or(u32::MAX);
        let entry = &mut mbr[446..462];
        entry[1..4].copy_from_slice(&[0, 2, 0]); // CHS of sector 1
        entry[4] = 0xee;
        entry[5..8].copy_from_slice(&[0xff; 3]); // CHS: beyond what it can say
        entry[8..12].copy_from_slice(&1_u32.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        mbr
    }

    fn header(&self, own: u64, other: u64, entries_at: u64) -> [u8; SECTOR as usize] {
        let mut header = [0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"EFI PART");
        put(8, &0x0001_0000_u32.to_le_bytes());
        put(12, &92_u32.to_le_bytes());
        put(24, &own.to_le_bytes());
        put(32, &other.to_le_bytes());
        put(40, &FIRST_USABLE.to_le_bytes());
        put(48, &(self.sectors - 2 - ENTRY_SECTORS).to_le_bytes());
        put(56, &self.id.to_bytes_le());
        put(72, &entries_at.to_le_bytes());
        put(80, &(ENTRIES as u32).to_le_bytes());
        put(84, &(ENTRY as u32).to_le_bytes());
        put(88, &crc32fast::hash(&self.entries()).to_le_bytes());
        let crc = crc32fast::hash(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    }

    fn entries(&self) -> Vec<u8> {
        let mut out = vec![0; ENTRIES * ENTRY];
        for (entry, partition) in out.chunks_exact_mut(ENTRY).zip(&self.partitions) {
            entry[..16].copy_from_slice(&partition.kind.to_bytes_le());
            entry[16..32].copy_from_slice(&partition.id.to_bytes_le());
            entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
            entry[40..48].copy_from_slice(&partition.last.to_le_bytes());
            entry[48..56].copy_from_slice(&partition.attributes.to_le_bytes());
            for (to, unit) in entry[56..].chunks_exact_mut(2).zip(partition.name.encode_utf16()) {
                to.copy_from_slice(&unit.to_le_bytes());
            }
        }
        out
    }
}
