//! What one ELF file needs and provides: a file's bytes in, [`Elf`] out. Nothing is run, nothing is loaded.
//!
//! Only program headers and what they lead to are read, as the dynamic loader and ldconfig do; section headers may be
//! missing or wrong. Bytes are hostile: every offset is checked, every loop has a bound, a damaged file is an
//! [`ElfError`]. Sources: System V gABI chapters 4 and 5, LSB "Symbol Versioning", x86-64 psABI 5.1.

mod bytes;
mod notes;

use goblin::container::Ctx;
use goblin::elf::dynamic::{
    DF_1_NODEFLIB, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRTAB, DT_VERDEF,
    DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM,
};
use goblin::elf::header::{ET_DYN, ET_EXEC, ET_REL};
use goblin::elf::program_header::{PT_DYNAMIC, PT_GNU_PROPERTY, PT_INTERP, PT_LOAD, PT_NOTE};
use goblin::elf::{Header, ProgramHeader};

use bytes::Bytes;

pub use goblin::elf::header::{EM_386, EM_X86_64};

/// A dynamic section of more entries than this is refused; real ones have some dozens.
const MAX_DYNAMIC: usize = 65_536;

/// More symbol versions than this are refused; libc.so.6 defines about 40, a large program needs some hundreds.
const MAX_VERSIONS: usize = 65_536;

/// Why an ELF file cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ElfError {
    /// The header is not one.
    #[error("the ELF header is damaged: {0}")]
    Header(String),
    /// Something lies outside the file.
    #[error("{what} lies outside the file")]
    Outside {
        /// What was looked for.
        what: &'static str,
    },
    /// There is more of something than any real file has.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

type Result<T> = std::result::Result<T, ElfError>;

/// What kind of object it is (e_type).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program at fixed addresses, ET_EXEC.
    Program,
    /// A shared library or position-independent program, ET_DYN.
    Shared,
    /// An object file or kernel module, ET_REL.
    Object,
    /// Anything else.
    Other(u16),
}

/// One ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf<'a> {
    /// Whether addresses have 64 bits (ELFCLASS64).
    pub wide: bool,
    /// e_machine, [`EM_X86_64`] for the images we make.
    pub machine: u16,
    /// e_type.
    pub kind: Kind,
    /// EI_OSABI: 0 (System V) or 3 (GNU/Linux) on Linux.
    pub osabi: u8,
    /// PT_INTERP: the dynamic loader's path, for programs.
    pub interpreter: Option<&'a [u8]>,
    /// What the dynamic section says; `None` for static programs and objects.
    pub dynamic: Option<Dynamic<'a>>,
    /// NT_GNU_ABI_TAG: operating system (0 is Linux) and the oldest kernel version it runs on.
    pub abi_tag: Option<[u32; 4]>,
    /// GNU_PROPERTY_X86_ISA_1_NEEDED: bit 0 x86-64 baseline, bit 1 v2, bit 2 v3, bit 3 v4; 0 when it says nothing.
    pub isa_needed: u32,
}

/// A dynamic section, names resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic<'a> {
    /// DT_NEEDED, in order.
    pub needed: Vec<&'a [u8]>,
    /// DT_SONAME.
    pub soname: Option<&'a [u8]>,
    /// DT_RPATH, colon-separated, `$ORIGIN` not expanded.
    pub rpath: Option<&'a [u8]>,
    /// DT_RUNPATH, colon-separated, `$ORIGIN` not expanded.
    pub runpath: Option<&'a [u8]>,
    /// DF_1_NODEFLIB: the cache and the default directories are not searched.
    pub no_default_dirs: bool,
    /// Symbol versions it needs (DT_VERNEED).
    pub needs: Vec<Need<'a>>,
    /// Symbol versions it defines (DT_VERDEF), its own name among them.
    pub defines: Vec<&'a [u8]>,
}

/// A symbol version that some library must define.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need<'a> {
    /// The library by its DT_NEEDED name.
    pub library: &'a [u8],
    /// The version, `GLIBC_2.34`.
    pub version: &'a [u8],
    /// Only weak references: the loader does not fail without it (VER_FLG_WEAK).
    pub weak: bool,
}

/// Whether these are the first bytes of an ELF file.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

impl<'a> Elf<'a> {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// It is no ELF file, or a damaged one.
    pub fn parse(file: &'a [u8]) -> Result<Self> {
        let header = goblin::elf::Elf::parse_header(file).map_err(|e| ElfError::Header(e.to_string()))?;
        let bad = |e: goblin::error::Error| ElfError::Header(e.to_string());
        let ctx = Ctx::new(header.container().map_err(bad)?, header.endianness().map_err(bad)?);
        let bytes = Bytes { file, big_endian: !ctx.is_little_endian(), wide: ctx.is_big() };
        let segments = segments(file, &header, ctx)?;

        let kind = match header.e_type {
            ET_EXEC => Kind::Program,
            ET_DYN => Kind::Shared,
            ET_REL => Kind::Object,
            other => Kind::Other(other),
        };
        let mut elf = Self {
            wide: bytes.wide,
            machine: header.e_machine,
            kind,
            osabi: header.e_ident[goblin::elf::header::EI_OSABI],
            interpreter: None,
            dynamic: None,
            abi_tag: None,
            isa_needed: 0,
        };
        for segment in &segments {
            match segment.p_type {
                PT_INTERP => {
                    elf.interpreter = Some(bytes.string(segment.p_offset, "the interpreter's path")?);
                }
                PT_DYNAMIC if segment.p_filesz > 0 => {
                    elf.dynamic = dynamic(&bytes, segment, &segments)?;
                }
                PT_NOTE if elf.abi_tag.is_none() => elf.abi_tag = notes::abi_tag(&bytes, segment),
                PT_GNU_PROPERTY => elf.isa_needed = notes::isa_needed(&bytes, segment),
                _ => {}
            }
        }
        Ok(elf)
    }
}

fn segments(file: &[u8], header: &Header, ctx: Ctx) -> Result<Vec<ProgramHeader>> {
    if header.e_phnum == 0 {
        return Ok(Vec::new());
    }
    let outside = ElfError::Outside { what: "the program header table" };
    let offset = usize::try_from(header.e_phoff).ok().filter(|&o| o < file.len()).ok_or(outside)?;
    ProgramHeader::parse(file, offset, usize::from(header.e_phnum), ctx)
        .map_err(|_| ElfError::Outside { what: "the program header table" })
}

/// The dynamic section; `None` when it names no string table, as ldconfig has it.
fn dynamic<'a>(
    bytes: &Bytes<'a>,
    segment: &ProgramHeader,
    segments: &[ProgramHeader],
) -> Result<Option<Dynamic<'a>>> {
    let entries = entries(bytes, segment)?;
    let value = |tag: u64| entries.iter().find(|e| e.0 == tag).map(|e| e.1);
    let Some(strtab) = value(DT_STRTAB) else { return Ok(None) };
    let file_offset = |address, what| file_offset(bytes, segments, address, what);
    let strtab = file_offset(strtab, "the dynamic string table")?;
    let string = |offset: u64| bytes.string(strtab.saturating_add(offset), "a dynamic string");
    let one = |tag: u64| value(tag).map(string).transpose();

    let needed = entries.iter().filter(|e| e.0 == DT_NEEDED).map(|e| string(e.1)).collect::<Result<_>>()?;
    let mut dynamic = Dynamic {
        needed,
        soname: one(DT_SONAME)?,
        rpath: one(DT_RPATH)?,
        runpath: one(DT_RUNPATH)?,
        no_default_dirs: value(DT_FLAGS_1).is_some_and(|flags| flags & DF_1_NODEFLIB != 0),
        needs: Vec::new(),
        defines: Vec::new(),
    };
    if let Some(at) = value(DT_VERNEED) {
        let at = file_offset(at, "the table of needed versions")?;
        dynamic.needs = needs(bytes, at, value(DT_VERNEEDNUM).unwrap_or(0), strtab)?;
    }
    if let Some(at) = value(DT_VERDEF) {
        let at = file_offset(at, "the table of defined versions")?;
        dynamic.defines = defines(bytes, at, value(DT_VERDEFNUM).unwrap_or(0), strtab)?;
    }
    Ok(Some(dynamic))
}

/// Tag and value of every entry up to DT_NULL.
fn entries(bytes: &Bytes<'_>, segment: &ProgramHeader) -> Result<Vec<(u64, u64)>> {
    let word = if bytes.wide { 8 } else { 4 };
    let mut out = Vec::new();
    for i in 0..segment.p_filesz / (2 * word) {
        let at = segment.p_offset.saturating_add(i * 2 * word);
        let tag = bytes.word(at, "the dynamic section")?;
        if tag == DT_NULL {
            break;
        }
        if out.len() == MAX_DYNAMIC {
            return Err(ElfError::TooMany { what: "dynamic entries", limit: MAX_DYNAMIC });
        }
        out.push((tag, bytes.word(at.saturating_add(word), "the dynamic section")?));
    }
    Ok(out)
}

/// Elfxx_Verneed { u16 version, u16 count, u32 file, u32 aux, u32 next } and its
/// Elfxx_Vernaux { u32 hash, u16 flags, u16 other, u32 name, u32 next }; offsets are relative to the structure.
fn needs<'a>(bytes: &Bytes<'a>, mut at: u64, count: u64, strtab: u64) -> Result<Vec<Need<'a>>> {
    const WHAT: &str = "the table of needed versions";
    const WEAK: u16 = 2;
    let mut out = Vec::new();
    // Each step goes forward, so the file's size bounds this loop whatever `count` says.
    for _ in 0..count {
        let library = bytes.string(strtab.saturating_add(bytes.u32(at + 4, WHAT)?.into()), WHAT)?;
        let mut aux = at + u64::from(bytes.u32(at + 8, WHAT)?);
        for _ in 0..bytes.u16(at + 2, WHAT)? {
            if out.len() == MAX_VERSIONS {
                return Err(ElfError::TooMany { what: "needed versions", limit: MAX_VERSIONS });
            }
            let version = bytes.string(strtab.saturating_add(bytes.u32(aux + 8, WHAT)?.into()), WHAT)?;
            out.push(Need { library, version, weak: bytes.u16(aux + 4, WHAT)? & WEAK != 0 });
            match bytes.u32(aux + 12, WHAT)? {
                0 => break,
                next => aux += u64::from(next),
            }
        }
        match bytes.u32(at + 12, WHAT)? {
            0 => break,
            next => at += u64::from(next),
        }
    }
    Ok(out)
}

/// Elfxx_Verdef { u16 version, u16 flags, u16 index, u16 count, u32 hash, u32 aux, u32 next }; the first
/// Elfxx_Verdaux { u32 name, u32 next } is the version's name, the others are what it inherits.
fn defines<'a>(bytes: &Bytes<'a>, mut at: u64, count: u64, strtab: u64) -> Result<Vec<&'a [u8]>> {
    const WHAT: &str = "the table of defined versions";
    let mut out = Vec::new();
    for _ in 0..count {
        if out.len() == MAX_VERSIONS {
            return Err(ElfError::TooMany { what: "defined versions", limit: MAX_VERSIONS });
        }
        if bytes.u16(at + 6, WHAT)? > 0 {
            let aux = at + u64::from(bytes.u32(at + 12, WHAT)?);
            out.push(bytes.string(strtab.saturating_add(bytes.u32(aux, WHAT)?.into()), WHAT)?);
        }
        match bytes.u32(at + 16, WHAT)? {
            0 => break,
            next => at += u64::from(next),
        }
    }
    Ok(out)
}

/// Where in the file an address of the loaded program comes from.
fn file_offset(
    bytes: &Bytes<'_>,
    segments: &[ProgramHeader],
    address: u64,
    what: &'static str,
) -> Result<u64> {
    // Inside the file, so that what is added to it later (32-bit numbers) cannot overflow.
    let inside = |&offset: &u64| offset < bytes.file.len() as u64;
    segments
        .iter()
        .filter(|s| s.p_type == PT_LOAD)
        .find_map(|s| {
            let within = address.checked_sub(s.p_vaddr).filter(|&o| o < s.p_filesz)?;
            s.p_offset.checked_add(within).filter(inside)
        })
        .ok_or(ElfError::Outside { what })
}

#[cfg(test)]
mod tests;
