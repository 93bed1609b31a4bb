//! PE32+ images: read the section table of hostile input, and write an image anew with more sections.
//!
//! In: the bytes of a stub, kernel or UKI. Out: [`Image`], borrowing them; [`Image::write`] gives a new file.
//! Invariants of what is written: sections ascend in memory without overlap, raw data is aligned to FileAlignment and
//! lies in the order of the headers, SizeOfImage, SizeOfHeaders, SizeOfInitializedData and CheckSum are right, nothing
//! follows the last section (so a signer can append its certificate table).
//!
//! Source: "PE Format", <https://learn.microsoft.com/windows/win32/debug/pe-format>.

use std::borrow::Cow;

use anyhow::{Context, bail, ensure};

/// Bytes of one section header.
const SECTION_HEADER: usize = 40;
/// The stub looks at no more than these (systemd's src/boot/pe.c does the same).
const MAX_SECTIONS: usize = 96;
/// Offsets into the optional header (PE32+).
const SIZE_OF_INITIALIZED_DATA: usize = 8;
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const SIZE_OF_IMAGE: usize = 56;
const SIZE_OF_HEADERS: usize = 60;
const CHECKSUM: usize = 64;
const DIRECTORIES: usize = 112;
const SECURITY_DIRECTORY: usize = 4;
const DEBUG_DIRECTORY: usize = 6;
/// IMAGE_SCN_CNT_INITIALIZED_DATA.
const INITIALIZED_DATA: u32 = 0x40;
/// IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ.
const READ_ONLY_DATA: u32 = 0x4000_0040;
/// Sections begin on pages, so that firmware can protect each on its own.
const PAGE: u64 = 4096;
/// IMAGE_FILE_MACHINE_AMD64.
const AMD64: u16 = 0x8664;

/// One section.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    name: [u8; 8],
    address: u32,
    size: u32,
    characteristics: u32,
    /// Raw data as it is in the file, padding included.
    raw: Cow<'a, [u8]>,
}

impl Section<'_> {
    /// The name, without its padding.
    pub(super) fn name(&self) -> String {
        let end = self.name.iter().position(|&b| b == 0).unwrap_or(8);
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }

    /// Size in memory, bytes.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// Its content without the padding to FileAlignment.
    pub(super) fn content(&self) -> &[u8] {
        &self.raw[..self.raw.len().min(self.size as usize)]
    }
}

/// A parsed image.
#[derive(Debug, Clone)]
pub(super) struct Image<'a> {
    /// Everything before the section table.
    head: &'a [u8],
    coff: usize,
    optional: usize,
    section_alignment: u64,
    file_alignment: u64,
    /// The sections, in the order of the table.
    pub(super) sections: Vec<Section<'a>>,
}

impl<'a> Image<'a> {
    /// Reads the headers of an x86-64 PE image.
    ///
    /// # Errors
    /// It is none, or its tables point outside of it.
    pub(super) fn parse(bytes: &'a [u8]) -> anyhow::Result<Self> {
        ensure!(bytes.get(..2) == Some(b"MZ"), "expected a PE image, found no MZ magic");
        let pe = u32_at(bytes, 0x3c)? as usize;
        ensure!(
            bytes.get(pe..).and_then(|b| b.get(..4)) == Some(b"PE\0\0"),
            "expected a PE header at {pe:#x}, found none"
        );
        let coff = pe + 4;
        let machine = u16_at(bytes, coff)?;
        ensure!(machine == AMD64, "expected an x86-64 image (machine {AMD64:#x}), found {machine:#x}");
        let count = usize::from(u16_at(bytes, coff + 2)?);
        ensure!((1..=MAX_SECTIONS).contains(&count), "expected 1 to {MAX_SECTIONS} sections, found {count}");
        let optional = coff + 20;
        let magic = u16_at(bytes, optional)?;
        ensure!(magic == 0x20b, "expected a PE32+ image (magic 0x20b), found {magic:#x}");
        let table = optional + usize::from(u16_at(bytes, coff + 16)?);
        ensure!(table >= optional + DIRECTORIES, "the optional header is too short");
        let head = bytes.get(..table).context("the optional header reaches past the end of the file")?;
        let headers = bytes
            .get(table..table + count * SECTION_HEADER)
            .context("the section table reaches past the end of the file")?;
        let sections = headers
            .chunks_exact(SECTION_HEADER)
            .map(|header| Section::parse(header, bytes))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            head,
            coff,
            optional,
            section_alignment: u64::from(u32_at(bytes, optional + SECTION_ALIGNMENT)?),
            file_alignment: u64::from(u32_at(bytes, optional + FILE_ALIGNMENT)?),
            sections,
        })
    }

    /// The first section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name() == name)
    }

    /// Whether a certificate table (Authenticode signature) is attached.
    pub(super) fn is_signed(&self) -> bool {
        self.directory(SECURITY_DIRECTORY)
            .and_then(|at| self.head.get(at..at + 8))
            .is_some_and(|entry| entry.iter().any(|&b| b != 0))
    }

    /// Replaces the content of the section of that name where it lies, if the next section leaves the room; else the
    /// section is dropped and added at the end.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub(super) fn replace(&mut self, name: &str, content: Vec<u8>) -> anyhow::Result<()> {
        if let Some(i) = self.sections.iter().position(|s| s.name() == name) {
            let room = match self.sections.get(i + 1) {
                Some(next) => u64::from(next.address.saturating_sub(self.sections[i].address)),
                None => u64::from(u32::MAX),
            };
            if content.len() as u64 <= room {
                self.sections[i].size = u32::try_from(content.len()).context("the section is too large")?;
                self.sections[i].raw = Cow::Owned(content);
                return Ok(());
            }
            self.sections.remove(i);
        }
        self.add(name, content)
    }

    /// Appends a read-only data section behind the last one.
    ///
    /// # Errors
    /// Its name has more than 8 bytes, or the image would pass 4 GiB.
    pub(super) fn add(&mut self, name: &str, content: impl Into<Cow<'a, [u8]>>) -> anyhow::Result<()> {
        let raw = content.into();
        let too_large = || format!("section {name} ({} bytes) brings the image over 4 GiB", raw.len());
        let mut padded = [0; 8];
        padded
            .get_mut(..name.len())
            .with_context(|| format!("section name {name} is too long"))?
            .copy_from_slice(name.as_bytes());
        let address = u32::try_from(align(self.end_in_memory(), self.section_alignment.max(PAGE)))
            .with_context(too_large)?;
        let size = u32::try_from(raw.len()).with_context(too_large)?;
        address.checked_add(size).with_context(too_large)?;
        self.sections.push(Section { name: padded, address, size, characteristics: READ_ONLY_DATA, raw });
        Ok(())
    }

    /// The image as a file.
    ///
    /// # Errors
    /// Its alignments are not powers of two, its sections overlap, it carries a signature, there is no room for the
    /// headers in front of the first section, or it would pass 4 GiB.
    pub(super) fn write(&self) -> anyhow::Result<Vec<u8>> {
        ensure!(!self.is_signed(), "the image is signed; sections can only be added to an unsigned one");
        self.check_layout()?;
        let headers =
            align((self.head.len() + self.sections.len() * SECTION_HEADER) as u64, self.file_alignment);
        let first = self.sections.first().map_or(0, |s| u64::from(s.address));
        ensure!(
            headers <= first,
            "{} section headers need {headers:#x} bytes, but the first section begins at {first:#x}",
            self.sections.len()
        );

        let mut out = self.head.to_vec();
        let mut pointer = headers;
        let mut initialized = 0;
        for section in &self.sections {
            let raw_size = align(section.raw.len() as u64, self.file_alignment);
            out.extend_from_slice(&section.header(raw_size, pointer)?);
            pointer += raw_size;
            if section.characteristics & INITIALIZED_DATA != 0 {
                initialized += raw_size;
            }
        }
        out.resize(to_usize(headers)?, 0);
        for section in &self.sections {
            out.extend_from_slice(&section.raw);
            out.resize(to_usize(align(out.len() as u64, self.file_alignment))?, 0);
        }

        let count = u16::try_from(self.sections.len()).context("too many sections")?;
        out[self.coff + 2..self.coff + 4].copy_from_slice(&count.to_le_bytes());
        // COFF symbols lie behind the sections, whose end has moved; a linked image needs none.
        out[self.coff + 8..self.coff + 16].fill(0);
        let image = align(self.end_in_memory(), self.section_alignment);
        for (field, value) in
            [(SIZE_OF_INITIALIZED_DATA, initialized), (SIZE_OF_IMAGE, image), (SIZE_OF_HEADERS, headers)]
        {
            put_u32(&mut out, self.optional + field, u32::try_from(value).context("the image passes 4 GiB")?);
        }
        // The debug directory holds file offsets, which have moved.
        if let Some(at) = self.directory(DEBUG_DIRECTORY) {
            out[at..at + 8].fill(0);
        }
        let sum = checksum(&out, self.optional + CHECKSUM);
        put_u32(&mut out, self.optional + CHECKSUM, sum);
        Ok(out)
    }

    /// Offset of a data directory's entry, if the image has it.
    fn directory(&self, index: usize) -> Option<usize> {
        let at = self.optional + DIRECTORIES + 8 * index;
        let count = u32_at(self.head, self.optional + DIRECTORIES - 4).ok()?;
        (index < count as usize && at + 8 <= self.head.len()).then_some(at)
    }

    fn end_in_memory(&self) -> u64 {
        self.sections.iter().map(|s| u64::from(s.address) + u64::from(s.size)).max().unwrap_or(0)
    }

    fn check_layout(&self) -> anyhow::Result<()> {
        let (section, file) = (self.section_alignment, self.file_alignment);
        ensure!(
            file.is_power_of_two() && (512..=65536).contains(&file),
            "FileAlignment must be a power of two from 512 to 65536, found {file}"
        );
        ensure!(
            section.is_power_of_two() && section >= file && section <= 1 << 21,
            "SectionAlignment must be a power of two from FileAlignment to 2 MiB, found {section}"
        );
        let mut end = 0;
        for s in &self.sections {
            if u64::from(s.address) < end {
                bail!(
                    "section {} at {:#x} overlaps the one before it, which ends at {end:#x}",
                    s.name(),
                    s.address
                );
            }
            end = u64::from(s.address) + u64::from(s.size);
        }
        Ok(())
    }
}

impl<'a> Section<'a> {
    fn parse(header: &[u8], file: &'a [u8]) -> anyhow::Result<Self> {
        let mut name = [0; 8];
        name.copy_from_slice(&header[..8]);
        let (raw_size, raw_at) = (u32_at(header, 16)? as usize, u32_at(header, 20)? as usize);
        let raw = if raw_size == 0 {
            &[][..]
        } else {
            file.get(raw_at..).and_then(|rest| rest.get(..raw_size)).with_context(|| {
                format!("a section's data ({raw_size} bytes at {raw_at:#x}) reaches past the end of the file")
            })?
        };
        Ok(Self {
            name,
            address: u32_at(header, 12)?,
            size: u32_at(header, 8)?,
            characteristics: u32_at(header, 36)?,
            raw: Cow::Borrowed(raw),
        })
    }

    fn header(&self, raw_size: u64, pointer: u64) -> anyhow::Result<[u8; SECTION_HEADER]> {
        let too_large = "the image passes 4 GiB";
        let pointer = if raw_size == 0 { 0 } else { pointer };
        let mut header = [0; SECTION_HEADER];
        header[..8].copy_from_slice(&self.name);
        put_u32(&mut header, 8, self.size);
        put_u32(&mut header, 12, self.address);
        put_u32(&mut header, 16, u32::try_from(raw_size).context(too_large)?);
        put_u32(&mut header, 20, u32::try_from(pointer).context(too_large)?);
        put_u32(&mut header, 36, self.characteristics);
        Ok(header)
    }
}

/// The sum of 16-bit words with the carry folded in, the field itself taken as 0, plus the file's size.
fn checksum(file: &[u8], field: usize) -> u32 {
    let mut sum = 0_u32;
    for (i, pair) in file.chunks(2).enumerate() {
        let at = i * 2;
        if at == field || at == field + 2 {
            continue;
        }
        sum += u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum.wrapping_add(u32::try_from(file.len()).unwrap_or(u32::MAX))
}

fn align(value: u64, to: u64) -> u64 {
    value.next_multiple_of(to)
}

fn to_usize(value: u64) -> anyhow::Result<usize> {
    usize::try_from(value).context("the image does not fit into memory")
}

fn u16_at(bytes: &[u8], at: usize) -> anyhow::Result<u16> {
    let field = bytes.get(at..).and_then(|b| b.first_chunk()).context("the PE headers are cut short")?;
    Ok(u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> anyhow::Result<u32> {
    let field = bytes.get(at..).and_then(|b| b.first_chunk()).context("the PE headers are cut short")?;
    Ok(u32::from_le_bytes(*field))
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
