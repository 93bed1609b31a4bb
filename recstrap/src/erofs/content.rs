//! The bytes of one piece of a file.

use super::error::{Error, corrupt};
use super::extents::LZ4_MAX;
use super::format::BLOCK;
use super::{Encoding, Extent, Image};

/// Larger clusters than 1 MiB are in no image (fs/erofs: Z_EROFS_PCLUSTER_MAX_SIZE).
pub(super) const CLUSTER_MAX: u64 = 1 << 20;

/// Room to read and decompress in, one for each thread. Grows to what the largest piece needs, 13 MiB at most.
#[derive(Debug, Default)]
pub struct Scratch {
    stored: Vec<u8>,
    content: Vec<u8>,
}

impl Scratch {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Reads a piece into `scratch`.
pub(super) fn read<'s>(image: &Image, extent: &Extent, scratch: &'s mut Scratch) -> Result<&'s [u8], Error> {
    check(extent)?;
    let mut content = std::mem::take(&mut scratch.content);
    let result = fill(image, extent, scratch, room(&mut content, extent.len as usize));
    scratch.content = content;
    result.map(|()| &scratch.content[..extent.len as usize])
}

/// Reads a piece into `out`, which has its length; on an error, anything may be in it.
pub(super) fn fill(
    image: &Image,
    extent: &Extent,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Result<(), Error> {
    check(extent)?;
    let Extent { offset, len, at, stored, encoding } = *extent;
    if out.len() as u64 != len {
        return Err(corrupt(format!("a piece of {len} bytes for room of {}", out.len()), at));
    }
    match encoding {
        Encoding::Hole => out.fill(0),
        Encoding::Plain => image.source.read(at, out, "file content")?,
        Encoding::Interlaced => {
            if stored != BLOCK as u64 || len > stored {
                return Err(corrupt(format!("an interlaced piece of {len} bytes in {stored}"), at));
            }
            let block = room(&mut scratch.stored, BLOCK);
            image.source.read(at, block, "file content")?;
            block.rotate_left((offset % BLOCK as u64) as usize);
            out.copy_from_slice(&block[..out.len()]);
        }
        Encoding::Lz4 => {
            let packed = room(&mut scratch.stored, stored as usize);
            image.source.read(at, packed, "compressed file content")?;
            // Zeros may fill the first block but for its last byte; no LZ4 block starts with one.
            let first = packed.len().min(BLOCK - at as usize % BLOCK);
            let start = packed[..first].iter().position(|&b| b != 0);
            let start = start.ok_or_else(|| corrupt("a compressed cluster of zeros", at))?;
            let got = lz4_flex::block::decompress_into(&packed[start..], out)
                .map_err(|e| corrupt(format!("a cluster does not decompress: {e}"), at))?;
            if got as u64 != len {
                return Err(corrupt(format!("a cluster decompresses to {got} bytes, not {len}"), at));
            }
        }
    }
    Ok(())
}

/// Extents come from this reader, but their fields are public.
fn check(extent: &Extent) -> Result<(), Error> {
    let Extent { len, at, stored, encoding, .. } = *extent;
    if len > LZ4_MAX || stored > CLUSTER_MAX.max(len) || len > stored && encoding == Encoding::Plain {
        return Err(corrupt(format!("a piece of {len} bytes in {stored}"), at));
    }
    Ok(())
}

/// The first `len` bytes of a buffer that only grows, so that it is zeroed once.
fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}
