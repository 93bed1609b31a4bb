//! What a module's ELF file says: `.modinfo`, exported and needed symbols. ELF64, little-endian (System V ABI; the
//! module parts: the kernel's include/linux/{module,export}.h and scripts/mod/modpost.c).

use std::collections::HashSet;

use anyhow::{Context, bail, ensure};

/// Bytes of a section header, of a symbol and of an entry of `__versions`.
const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;
const VERSION: usize = 64;

/// The longest name that can matter; the kernel's own limit is 512 (KSYM_NAME_LEN).
const MAX_NAME: usize = 4096;

/// What modprobe and depmod want to know about a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// `alias=`: device and other patterns, in the file's order.
    pub aliases: Vec<String>,
    /// `softdep=`: `pre: a b post: c`, in the file's order.
    pub softdeps: Vec<String>,
    /// `weakdep=`: names, in the file's order.
    pub weakdeps: Vec<String>,
    /// `firmware=`: paths below /lib/firmware.
    pub firmware: Vec<String>,
    /// Symbols it exports, in the file's order.
    pub exports: Vec<String>,
    /// Symbols it needs from the kernel or other modules, in the file's order.
    pub needs: Vec<String>,
}

/// Reads the ELF file of a module.
pub(super) fn parse(elf: &[u8]) -> anyhow::Result<Info> {
    let sections = Sections::new(elf)?;
    let mut info = Info::default();
    for entry in sections.find(".modinfo")?.unwrap_or_default().split(|&b| b == 0) {
        let Some(equals) = entry.iter().position(|&b| b == b'=') else { continue };
        let (key, value) = (&entry[..equals], &entry[equals + 1..]);
        let list = match key {
            b"alias" => &mut info.aliases,
            b"softdep" => &mut info.softdeps,
            b"weakdep" => &mut info.weakdeps,
            b"firmware" => &mut info.firmware,
            _ => continue,
        };
        list.push(ascii(value, ".modinfo")?);
    }
    symbols(&sections, &mut info)?;
    Ok(info)
}

/// Exports are the `__crc_` symbols (kernels with symbol versions), else the names in `__ksymtab_strings`; needs are
/// the undefined symbols, then what only `__versions` lists. This is the order in which depmod meets them.
fn symbols(sections: &Sections<'_>, info: &mut Info) -> anyhow::Result<()> {
    let symtab = sections.find(".symtab")?.unwrap_or_default();
    let strtab = sections.find(".strtab")?.unwrap_or_default();
    ensure!(symtab.len() % SYMBOL == 0, "expected a .symtab of whole symbols, found {} bytes", symtab.len());
    for symbol in symtab.chunks_exact(SYMBOL).skip(1) {
        let name = string_at(strtab, u32_at(symbol, 0)? as usize)?;
        let section = u16::from_le_bytes([symbol[6], symbol[7]]);
        if let Some(exported) = name.strip_prefix(b"__crc_") {
            info.exports.push(ascii(exported, ".symtab")?);
        }
        if section == 0 && !name.is_empty() {
            info.needs.push(ascii(name, ".symtab")?);
        }
    }
    if info.exports.is_empty() {
        let strings = sections.find("__ksymtab_strings")?.unwrap_or_default();
        for name in strings.split(|&b| b == 0).filter(|s| !s.is_empty()) {
            info.exports.push(ascii(name, "__ksymtab_strings")?);
        }
    }
    let mut seen: HashSet<String> = info.needs.iter().cloned().collect();
    for version in sections.find("__versions")?.unwrap_or_default().chunks_exact(VERSION) {
        let name = ascii(string_at(version, 8)?, "__versions")?;
        if seen.insert(name.clone()) {
            info.needs.push(name);
        }
    }
    Ok(())
}

/// The section headers of a file.
struct Sections<'e> {
    elf: &'e [u8],
    headers: &'e [u8],
    names: &'e [u8],
}

impl<'e> Sections<'e> {
    fn new(elf: &'e [u8]) -> anyhow::Result<Self> {
        ensure!(
            elf.get(..6) == Some(b"\x7fELF\x02\x01"),
            "expected a 64-bit little-endian ELF file, found something else"
        );
        ensure!(elf.len() >= 64, "the ELF header is cut short at {} bytes", elf.len());
        let table = usize::try_from(u64_at(elf, 0x28)?).context("the section headers are out of reach")?;
        let entry = usize::from(u16_at(elf, 0x3a)?);
        ensure!(entry == SECTION_HEADER, "expected section headers of 64 bytes, found {entry}");
        let count = usize::from(u16_at(elf, 0x3c)?);
        let end = table.checked_add(count * SECTION_HEADER);
        let headers = end.and_then(|end| elf.get(table..end)).with_context(|| {
            format!("{count} section headers at {table} end behind the file's {} bytes", elf.len())
        })?;
        let mut sections = Self { elf, headers, names: &[] };
        let names = usize::from(u16_at(elf, 0x3e)?);
        sections.names = match headers.chunks_exact(SECTION_HEADER).nth(names) {
            Some(header) => sections.content(header)?,
            None => bail!("the section names are in section {names} of {count}"),
        };
        Ok(sections)
    }

    /// The content of the first section of that name.
    fn find(&self, name: &str) -> anyhow::Result<Option<&'e [u8]>> {
        for header in self.headers.chunks_exact(SECTION_HEADER) {
            if string_at(self.names, u32_at(header, 0)? as usize)? == name.as_bytes() {
                return self
                    .content(header)
                    .map(Some)
                    .with_context(|| format!("section {name} is not sound"));
            }
        }
        Ok(None)
    }

    fn content(&self, header: &[u8]) -> anyhow::Result<&'e [u8]> {
        const NOBITS: u32 = 8;
        if u32_at(header, 4)? == NOBITS {
            return Ok(&[]);
        }
        let (offset, size) = (u64_at(header, 24)?, u64_at(header, 32)?);
        let range =
            usize::try_from(offset).ok().zip(offset.checked_add(size).and_then(|e| usize::try_from(e).ok()));
        range
            .and_then(|(start, end)| self.elf.get(start..end))
            .with_context(|| format!("{size} bytes at {offset} end behind the file's {}", self.elf.len()))
    }
}

/// The NUL-terminated string at an offset; one that ends with the section is taken too.
fn string_at(strings: &[u8], offset: usize) -> anyhow::Result<&[u8]> {
    let rest = strings
        .get(offset..)
        .with_context(|| format!("a name at {offset} is behind the {} bytes of names", strings.len()))?;
    let end = rest.iter().take(MAX_NAME).position(|&b| b == 0).unwrap_or(rest.len().min(MAX_NAME));
    Ok(&rest[..end])
}

/// The index files hold 7-bit text only.
fn ascii(bytes: &[u8], section: &str) -> anyhow::Result<String> {
    let text = String::from_utf8_lossy(bytes);
    ensure!(
        bytes.iter().all(|b| b.is_ascii() && *b != b'\n'),
        "expected one line of 7-bit text in {section}, found {text:?}"
    );
    Ok(text.into_owned())
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> anyhow::Result<[u8; N]> {
    let end = offset.checked_add(N);
    let slice = end.and_then(|end| bytes.get(offset..end)).and_then(|s| s.try_into().ok());
    slice.with_context(|| format!("{N} bytes at {offset} end behind {} bytes", bytes.len()))
}

fn u16_at(bytes: &[u8], offset: usize) -> anyhow::Result<u16> {
    array_at(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> anyhow::Result<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> anyhow::Result<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}
