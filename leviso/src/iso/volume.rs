//! Volume descriptors and the boot catalog: the fixed blocks of an ISO 9660 volume.

use anyhow::{Context, ensure};

use super::record::{both16, both32, civil};
use super::tree::View;
use super::{BLOCK, Spec};
use crate::epoch::Epoch;

/// Block of the first descriptor, from the start of the volume.
pub(super) const DESCRIPTORS_AT: u32 = 16;
/// First block behind the descriptors of both volumes.
pub(super) const FIRST_FREE: u32 = 34;

type Block = [u8; BLOCK as usize];

/// The primary volume descriptor (ECMA-119, 8.4) of a view with so many blocks.
pub(super) fn primary(spec: &Spec, view: &View, blocks: u32) -> anyhow::Result<Block> {
    let is_d = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    ensure!(
        (1..=32).contains(&spec.label.len()) && spec.label.bytes().all(is_d),
        "volume label {:?} must be 1 to 32 of A-Z, 0-9 and `_`",
        spec.label
    );
    let is_a = |b: u8| is_d(b) || b" !\"%&'()*+,-./:;<=>?".contains(&b);
    for text in [spec.publisher, spec.application] {
        ensure!(
            text.len() <= 128 && text.bytes().all(is_a),
            "{text:?} must be at most 128 of A-Z, 0-9, space and `!\"%&'()*+,-./:;<=>?_`"
        );
    }
    let mut block = descriptor(1);
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(8, &padded::<32>("LINUX"));
    put(40, &padded::<32>(spec.label));
    put(80, &both32(blocks));
    put(120, &both16(1));
    put(124, &both16(1));
    put(128, &both16(BLOCK as u16));
    put(132, &both32(view.path_table_size()?));
    let (little, big) = view.path_tables_at();
    put(140, &little.to_le_bytes());
    put(148, &big.to_be_bytes());
    put(156, &view.root_record()?);
    put(190, &padded::<128>(""));
    put(318, &padded::<128>(spec.publisher));
    put(446, &padded::<128>("LEVISO"));
    put(574, &padded::<128>(spec.application));
    put(702, &padded::<111>(""));
    let time = long_time(spec.epoch)?;
    put(813, &time); // created
    put(830, &time); // modified: the volume's UUID
    put(847, &UNSET); // expires
    put(864, &time); // effective
    put(881, &[1]);
    Ok(block)
}

/// The El Torito boot record.
pub(super) fn boot_record(catalog: u32) -> Block {
    let mut block = descriptor(0);
    block[7..30].copy_from_slice(b"EL TORITO SPECIFICATION");
    // 7..39 is the boot system's name, padded with zeros.
    block[6] = 1;
    block[71..75].copy_from_slice(&catalog.to_le_bytes());
    block
}

/// The last descriptor.
pub(super) fn terminator() -> Block {
    descriptor(255)
}

/// The boot catalog: one entry, for UEFI, without emulation.
pub(super) fn boot_catalog(esp_block: u32, esp_size: u64) -> Block {
    let mut block = [0; BLOCK as usize];
    block[0] = 1;
    block[1] = 0xef;
    block[4..14].copy_from_slice(b"LEVITATEOS");
    block[30..32].copy_from_slice(&[0x55, 0xaa]);
    let sum =
        block[..32].chunks_exact(2).fold(0_u16, |sum, w| sum.wrapping_add(u16::from_le_bytes([w[0], w[1]])));
    block[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    block[32] = 0x88;
    // In sectors of 512 bytes. An ESP over 32 MiB does not fit the field: 0 says that it reaches to the end of the
    // medium (UEFI 2.10, 13.3.2.1), and it is the last thing there.
    let count = u16::try_from(esp_size.div_ceil(512)).unwrap_or(0);
    block[38..40].copy_from_slice(&count.to_le_bytes());
    block[40..44].copy_from_slice(&esp_block.to_le_bytes());
    block
}

/// The modification time as blkid prints it.
pub(super) fn uuid(epoch: Epoch) -> anyhow::Result<String> {
    let t = civil(epoch)?;
    Ok(format!(
        "{:04}-{:02}-{:02}-{:02}-{:02}-{:02}-00",
        t.year(),
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second()
    ))
}

/// No time (ECMA-119, 8.4.26.1).
const UNSET: [u8; 17] = *b"0000000000000000\0";

fn long_time(epoch: Epoch) -> anyhow::Result<[u8; 17]> {
    let digits: String = uuid(epoch)?.chars().filter(|c| *c != '-').collect();
    let mut out = UNSET;
    out.get_mut(..digits.len())
        .context("the epoch's year has more than 4 digits")?
        .copy_from_slice(digits.as_bytes());
    Ok(out)
}

fn descriptor(kind: u8) -> Block {
    let mut block = [0; BLOCK as usize];
    block[0] = kind;
    block[1..6].copy_from_slice(b"CD001");
    block[6] = 1;
    block
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [b' '; N];
    for (to, from) in out.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    out
}
