//! Unified kernel images: systemd's stub with the kernel, the initramfs and the command lines as PE sections.
//!
//! In: [`UkiParts`], bytes and text. Out: one PE file that firmware or systemd-boot starts, unsigned; a signer appends
//! its certificate table to it as it is. Several boot entries become profiles of the one file: systemd 257 and newer
//! shows each as a line of the menu. Everything before the first `.profile` section is shared; the sections that
//! follow a `.profile` override the shared ones for that entry.
//!
//! Source: UAPI.5 Unified Kernel Image, <https://uapi-group.org/specifications/specs/unified_kernel_image/>, and
//! systemd-stub(7).

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use serde::Serialize;

use crate::exit;
use crate::profile::BootEntry;

mod pe;

use pe::Image;

/// First line of every `.sbat` section (<https://github.com/rhboot/shim/blob/main/SBAT.md>).
const SBAT_HEADER: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md";
/// Sections that hold text worth showing.
const TEXT_SECTIONS: [&str; 6] = [".osrel", ".cmdline", ".uname", ".sbat", ".profile", ".sdmagic"];
/// Longest text that [`inspect`] shows, bytes.
const TEXT_MAX: usize = 64 << 10;

/// What a UKI is made of.
#[derive(Debug, Clone, Copy)]
pub struct UkiParts<'a> {
    /// systemd's `linuxx64.efi.stub`.
    pub stub: &'a [u8],
    /// The kernel image (bzImage with the EFI stub).
    pub linux: &'a [u8],
    /// The initramfs archive.
    pub initrd: &'a [u8],
    /// os-release(5) of the image; the boot menu takes its PRETTY_NAME.
    pub osrel: &'a [u8],
    /// `uname -r` of the kernel.
    pub uname: &'a str,
    /// Kernel command line that all entries have.
    pub cmdline: &'a str,
    /// Boot entries, the first is the default; none: one entry with `cmdline` alone.
    pub profiles: &'a [BootEntry],
    /// SBAT lines (CSV) on top of the stub's and the kernel's own.
    pub sbat: Option<&'a [u8]>,
}

/// Assembles a UKI. The same parts give the same bytes.
///
/// # Errors
/// The stub is not an unsigned x86-64 PE image with room for more section headers, the kernel is no PE image, a text
/// has control characters, or the file would pass 4 GiB; exit code [`exit::SYSTEM`].
pub fn build(parts: &UkiParts) -> anyhow::Result<Vec<u8>> {
    assemble(parts).context("failed to assemble the UKI").exit(exit::SYSTEM)
}

/// What a PE file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sections {
    /// Whether a signature is attached (not whether it is valid).
    pub signed: bool,
    /// The sections in the order of the file.
    pub sections: Vec<SectionInfo>,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionInfo {
    /// Name with its dot.
    pub name: String,
    /// Size in memory, bytes.
    pub size: u32,
    /// Digest of the content, without the padding of the file.
    pub sha256: Sha256,
    /// The content, where it is text.
    pub text: Option<String>,
}

/// Lists the sections of a UKI or of any other x86-64 PE image.
///
/// # Errors
/// It is not one, or its tables point outside of it.
pub fn inspect(file: &[u8]) -> anyhow::Result<Sections> {
    let image = Image::parse(file).context("failed to read the PE image")?;
    let sections = image
        .sections
        .iter()
        .map(|section| {
            let (name, content) = (section.name(), section.content());
            let is_text = TEXT_SECTIONS.contains(&name.as_str()) && content.len() <= TEXT_MAX;
            let text = is_text.then(|| std::str::from_utf8(content).ok()).flatten();
            SectionInfo {
                name,
                size: section.size(),
                sha256: Sha256::of(content),
                text: text.map(|t| t.trim_end_matches('\0').to_owned()),
            }
        })
        .collect();
    Ok(Sections { signed: image.is_signed(), sections })
}

/// The content of a section, if there is one of that name.
///
/// # Errors
/// It is no x86-64 PE image.
pub fn section(file: &[u8], name: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let image = Image::parse(file).context("failed to read the PE image")?;
    Ok(image.section(name).map(|s| s.content().to_vec()))
}

fn assemble(parts: &UkiParts) -> anyhow::Result<Vec<u8>> {
    let mut image = Image::parse(parts.stub).context("this is not a usable stub")?;
    let kernel = Image::parse(parts.linux).context("this is not a kernel with an EFI stub")?;
    check_line("uname", parts.uname)?;
    check_line("cmdline", parts.cmdline)?;

    let sbat = merge_sbat(&[
        image.section(".sbat").map(pe::Section::content),
        kernel.section(".sbat").map(pe::Section::content),
        parts.sbat,
    ])?;
    image.replace(".sbat", sbat.into_bytes())?;
    image.add(".osrel", parts.osrel)?;
    image.add(".cmdline", cmdline(parts.cmdline, parts.profiles.first()).into_bytes())?;
    image.add(".uname", parts.uname.as_bytes())?;
    image.add(".initrd", parts.initrd)?;
    image.add(".linux", parts.linux)?;
    for entry in parts.profiles {
        check_entry(entry)?;
        image.add(".profile", format!("ID={}\nTITLE={}\n", entry.id, entry.title).into_bytes())?;
        image.add(".cmdline", cmdline(parts.cmdline, Some(entry)).into_bytes())?;
    }
    image.write()
}

/// The common command line, then the entry's own.
fn cmdline(common: &str, entry: Option<&BootEntry>) -> String {
    let words = [common.trim(), entry.map_or("", |e| e.cmdline.trim())];
    words.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

fn check_entry(entry: &BootEntry) -> anyhow::Result<()> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    ensure!(
        !entry.id.is_empty() && entry.id.chars().all(is_id),
        "boot entry id {:?} must be letters, digits, `-`, `_` or `.`",
        entry.id
    );
    check_line("boot entry title", &entry.title)?;
    check_line("boot entry cmdline", &entry.cmdline)
}

fn check_line(what: &str, text: &str) -> anyhow::Result<()> {
    ensure!(
        !text.chars().any(char::is_control),
        "{what} must be one line without control characters, found {text:?}"
    );
    Ok(())
}

/// One SBAT table of several: one header line, then each component's line once, in order.
fn merge_sbat(tables: &[Option<&[u8]>]) -> anyhow::Result<String> {
    let mut lines = vec![SBAT_HEADER];
    for table in tables.iter().flatten() {
        let text = std::str::from_utf8(table).context("a .sbat section is not UTF-8")?;
        let mut rows = text.trim_end_matches('\0').lines().map(str::trim_end).filter(|l| !l.is_empty());
        let first = rows.next().unwrap_or_default();
        ensure!(
            first.starts_with("sbat,"),
            "a .sbat section must begin with its `sbat,` line, found {first:?}"
        );
        for row in rows {
            if !lines.contains(&row) {
                lines.push(row);
            }
        }
    }
    Ok(lines.join("\n") + "\n")
}
