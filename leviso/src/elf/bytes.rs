//! Checked reads of numbers and strings at file offsets, in the file's own byte order and word size.

use super::{ElfError, Result};

/// The longest string read, bytes: PATH_MAX; C++ version names and long RUNPATHs stay far below.
const MAX_STRING: usize = 4096;

/// A file and how to read its numbers.
pub(super) struct Bytes<'a> {
    pub(super) file: &'a [u8],
    pub(super) big_endian: bool,
    /// 64-bit words.
    pub(super) wide: bool,
}

impl<'a> Bytes<'a> {
    pub(super) fn u16(&self, at: u64, what: &'static str) -> Result<u16> {
        let bytes = self.array(at, what)?;
        Ok(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(&self, at: u64, what: &'static str) -> Result<u32> {
        let bytes = self.array(at, what)?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// A word of the file's class, widened.
    pub(super) fn word(&self, at: u64, what: &'static str) -> Result<u64> {
        if !self.wide {
            return self.u32(at, what).map(u64::from);
        }
        let bytes = self.array(at, what)?;
        Ok(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A NUL-terminated string, without the NUL.
    pub(super) fn string(&self, at: u64, what: &'static str) -> Result<&'a [u8]> {
        let rest = usize::try_from(at).ok().and_then(|at| self.file.get(at..));
        let rest = rest.ok_or(ElfError::Outside { what })?;
        match rest.iter().take(MAX_STRING).position(|&b| b == 0) {
            Some(end) => Ok(&rest[..end]),
            None if rest.len() < MAX_STRING => Err(ElfError::Outside { what }),
            None => Err(ElfError::TooMany { what: "bytes in a string", limit: MAX_STRING }),
        }
    }

    fn array<const N: usize>(&self, at: u64, what: &'static str) -> Result<[u8; N]> {
        let at = usize::try_from(at).ok();
        let bytes = at.and_then(|at| self.file.get(at..at.checked_add(N)?));
        bytes.and_then(|b| b.try_into().ok()).ok_or(ElfError::Outside { what })
    }
}
