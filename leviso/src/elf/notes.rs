//! The two GNU notes that matter here: the ABI tag and the x86 instruction set a file needs.
//!
//! A note that does not parse is a note that is not there: the loader ignores it too.

use goblin::elf::ProgramHeader;

use super::bytes::Bytes;

/// NT_GNU_ABI_TAG of the owner "GNU".
const ABI_TAG: u32 = 1;

/// NT_GNU_PROPERTY_TYPE_0 of the owner "GNU".
const PROPERTIES: u32 = 5;

/// GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI).
const ISA_1_NEEDED: u32 = 0xc000_8002;

/// What a note is called in errors, which nobody sees: they end the search.
const WHAT: &str = "a note";

/// Operating system and kernel version of the first ABI tag of a PT_NOTE segment.
pub(super) fn abi_tag(bytes: &Bytes<'_>, segment: &ProgramHeader) -> Option<[u32; 4]> {
    let at = find(bytes, segment, ABI_TAG, 16)?.0;
    let mut tag = [0; 4];
    for (i, word) in (0..).zip(&mut tag) {
        *word = bytes.u32(at + 4 * i, WHAT).ok()?;
    }
    Some(tag)
}

/// The instruction set bits of a PT_GNU_PROPERTY segment.
pub(super) fn isa_needed(bytes: &Bytes<'_>, segment: &ProgramHeader) -> u32 {
    search_isa(bytes, segment).unwrap_or(0)
}

fn search_isa(bytes: &Bytes<'_>, segment: &ProgramHeader) -> Option<u32> {
    let (mut at, len) = find(bytes, segment, PROPERTIES, 0)?;
    let end = at.checked_add(len)?;
    let align = if bytes.wide { 8 } else { 4 };
    while at.checked_add(8)? <= end {
        let kind = bytes.u32(at, WHAT).ok()?;
        let size = u64::from(bytes.u32(at + 4, WHAT).ok()?);
        if kind == ISA_1_NEEDED {
            return if size == 4 { bytes.u32(at + 8, WHAT).ok() } else { None };
        }
        at = at.checked_add(8)?.checked_add(size.next_multiple_of(align))?;
    }
    None
}

/// File offset and length of the description of the first "GNU" note of a type, at least `min` bytes long.
fn find(bytes: &Bytes<'_>, segment: &ProgramHeader, wanted: u32, min: u64) -> Option<(u64, u64)> {
    // gABI says 8 for 64-bit files; Linux toolchains write 4 nearly everywhere, 8 for properties.
    let align = if segment.p_align == 8 { 8 } else { 4 };
    let mut at = segment.p_offset;
    let end = at.checked_add(segment.p_filesz)?;
    while at.checked_add(12)? <= end {
        let name_len = u64::from(bytes.u32(at, WHAT).ok()?);
        let len = u64::from(bytes.u32(at + 4, WHAT).ok()?);
        let kind = bytes.u32(at + 8, WHAT).ok()?;
        let name = at.checked_add(12)?;
        let description = name.checked_add(name_len)?.next_multiple_of(align);
        if kind == wanted && name_len == 4 && len >= min && bytes.string(name, WHAT).ok()? == b"GNU" {
            return Some((description, len));
        }
        at = description.checked_add(len)?.next_multiple_of(align);
    }
    None
}
