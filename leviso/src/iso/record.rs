//! Directory records (ECMA-119, 9.1) with their Rock Ridge fields, and ISO 9660's ways to write numbers and times.

use anyhow::{Context, ensure};
use jiff::civil::DateTime;

use crate::epoch::Epoch;

/// Longest Rock Ridge name, bytes: what a record holds without continuation areas.
pub(super) const NAME_MAX: usize = 110;
/// Mode of a directory: drwxr-xr-x without the write bits.
const MODE_DIR: u32 = 0o040_555;
/// Mode of a file: -r--r--r--.
const MODE_FILE: u32 = 0o100_444;
const FLAG_DIRECTORY: u8 = 2;
const FLAG_MORE: u8 = 0x80;

/// What the System Use area of a record says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names<'a> {
    /// The root's own record: also announces SUSP and Rock Ridge.
    Root,
    /// `.` and `..`.
    Dots,
    /// A child with that POSIX name.
    Name(&'a str),
    /// The copy in the volume descriptor: no System Use area.
    Bare,
}

/// One directory record: an extent of a file or directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// ISO 9660 identifier.
    pub(super) id: &'a [u8],
    /// Rock Ridge.
    pub(super) names: Names<'a>,
    /// First block, from the start of the volume.
    pub(super) block: u32,
    /// Bytes of this extent.
    pub(super) size: u32,
    pub(super) is_dir: bool,
    /// Whether another extent of the same file follows.
    pub(super) more: bool,
    /// Hard links: 1 for files, 2 and more for directories.
    pub(super) links: u32,
    pub(super) epoch: Epoch,
}

impl Record<'_> {
    /// The record's bytes, an even number below 256.
    pub(super) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let time = short_time(self.epoch)?;
        let mut out = vec![0; 33];
        out[2..10].copy_from_slice(&both32(self.block));
        out[10..18].copy_from_slice(&both32(self.size));
        out[18..25].copy_from_slice(&time);
        out[25] = if self.is_dir { FLAG_DIRECTORY } else { 0 } | if self.more { FLAG_MORE } else { 0 };
        out[28..32].copy_from_slice(&both16(1));
        out[32] = u8::try_from(self.id.len()).context("the identifier is too long")?;
        out.extend_from_slice(self.id);
        if out.len() % 2 == 1 {
            out.push(0);
        }
        if !matches!(self.names, Names::Bare) {
            if matches!(self.names, Names::Root) {
                out.extend_from_slice(&[b'S', b'P', 7, 1, 0xbe, 0xef, 0]);
            }
            out.extend_from_slice(&[b'P', b'X', 36, 1]);
            out.extend_from_slice(&both32(if self.is_dir { MODE_DIR } else { MODE_FILE }));
            out.extend_from_slice(&both32(self.links));
            out.extend_from_slice(&[0; 16]); // root, root
            out.extend_from_slice(&[b'T', b'F', 26, 1, 0x0e]); // modified, accessed, changed
            for _ in 0..3 {
                out.extend_from_slice(&time);
            }
        }
        match self.names {
            Names::Name(name) => {
                ensure!(name.len() <= NAME_MAX, "{name:?} has more than {NAME_MAX} bytes");
                out.extend_from_slice(&[b'N', b'M', 5 + u8::try_from(name.len())?, 1, 0]);
                out.extend_from_slice(name.as_bytes());
            }
            Names::Root => {
                // ER: the extension's name alone; its description and source may be empty.
                out.extend_from_slice(&[b'E', b'R', 18, 1, 10, 0, 0, 1]);
                out.extend_from_slice(b"RRIP_1991A");
            }
            Names::Dots | Names::Bare => {}
        }
        if out.len() % 2 == 1 {
            out.push(0);
        }
        out[0] = u8::try_from(out.len()).context("the directory record is too long")?;
        Ok(out)
    }
}

/// Little-endian, then big-endian.
pub(super) fn both16(value: u16) -> [u8; 4] {
    let (l, b) = (value.to_le_bytes(), value.to_be_bytes());
    [l[0], l[1], b[0], b[1]]
}

/// Little-endian, then big-endian.
pub(super) fn both32(value: u32) -> [u8; 8] {
    let (l, b) = (value.to_le_bytes(), value.to_be_bytes());
    [l[0], l[1], l[2], l[3], b[0], b[1], b[2], b[3]]
}

/// The epoch as date and time, UTC.
pub(super) fn civil(epoch: Epoch) -> anyhow::Result<DateTime> {
    let wrong = || format!("epoch {} is not a time that ISO 9660 can hold", epoch.0);
    let time = jiff::Timestamp::from_second(epoch.0).with_context(wrong)?;
    let t = jiff::tz::Offset::UTC.to_datetime(time);
    ensure!((1900..=2155).contains(&t.year()), wrong());
    Ok(t)
}

/// Years since 1900, month, day, hour, minute, second, quarters of an hour from UTC.
fn short_time(epoch: Epoch) -> anyhow::Result<[u8; 7]> {
    let t = civil(epoch)?;
    let part = i8::unsigned_abs;
    let year = u8::try_from(t.year() - 1900).context("the epoch's year is out of range")?;
    Ok([year, part(t.month()), part(t.day()), part(t.hour()), part(t.minute()), part(t.second()), 0])
}
