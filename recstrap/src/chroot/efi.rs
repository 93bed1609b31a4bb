//! Boot entries of the firmware: files of efivarfs -> which loaders they point at.
//!
//! Read only; formats: UEFI 2.10, 3.1.3 (load options), 10.3 (device paths), and the kernel's efivarfs (four bytes of
//! attributes before the value). The firmware is not trusted: every length is checked, what makes no sense is no entry.

use std::collections::BTreeMap;
use std::path::Path;

/// EFI_GLOBAL_VARIABLE, the vendor of BootOrder and Boot####.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// LOAD_OPTION_ACTIVE.
const ACTIVE: u32 = 1;

/// A boot entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOption {
    /// Whether the firmware tries it.
    pub active: bool,
    /// What its menu shows.
    pub description: String,
    /// GUID of the GPT partition it names, as udev writes them.
    pub partition: Option<String>,
    /// The file it names, with backslashes.
    pub file: Option<String>,
}

/// The boot entries and their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// BootOrder.
    pub order: Vec<u16>,
    /// Boot####.
    pub options: BTreeMap<u16, LoadOption>,
}

impl Entries {
    /// Reads an efivarfs directory. Variables that cannot be read or make no sense are left out.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let value = |name: &str| {
            let mut bytes = std::fs::read(dir.join(format!("{name}-{GLOBAL}"))).ok()?;
            (bytes.len() >= 4).then(|| bytes.split_off(4))
        };
        let order = value("BootOrder").map(|v| parse_order(&v)).unwrap_or_default();
        let names = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .filter_map(|e| e.ok()?.file_name().into_string().ok());
        let numbers = names.filter_map(|name| entry_number(&name));
        let options = numbers.filter_map(|n| Some((n, parse_load_option(&value(&format!("Boot{n:04X}"))?)?)));
        Self { order, options: options.collect() }
    }

    /// Whether the firmware would try an entry for this file (slashes) on this partition. A partition that is not known,
    /// here or there, is not compared.
    #[must_use]
    pub fn point_at(&self, file: &str, partition: Option<&str>) -> bool {
        let wanted = file.replace('/', "\\");
        self.order.iter().filter_map(|n| self.options.get(n)).any(|option| {
            let here = match (partition, &option.partition) {
                (Some(wanted), Some(named)) => wanted.eq_ignore_ascii_case(named),
                _ => true,
            };
            // FAT knows no case.
            option.active && here && option.file.as_ref().is_some_and(|f| f.eq_ignore_ascii_case(&wanted))
        })
    }
}

/// `Boot0007-8be4df61-...` -> 7.
fn entry_number(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?;
    let upper = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    upper.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The value of BootOrder.
#[must_use]
pub fn parse_order(value: &[u8]) -> Vec<u16> {
    value.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
}

/// The value of a Boot#### variable.
#[must_use]
pub fn parse_load_option(value: &[u8]) -> Option<LoadOption> {
    let (attributes, rest) = value.split_first_chunk::<4>()?;
    let (path_len, rest) = rest.split_first_chunk::<2>()?;
    let units = rest.as_chunks::<2>().0;
    let end = units.iter().position(|u| *u == [0, 0])?;
    let path = rest.get((end + 1) * 2..)?.get(..usize::from(u16::from_le_bytes(*path_len)))?;
    let mut option = LoadOption {
        active: u32::from_le_bytes(*attributes) & ACTIVE != 0,
        description: utf16(&units[..end]),
        partition: None,
        file: None,
    };
    read_device_path(path, &mut option)?;
    Some(option)
}

/// Type, subtype, length with these four bytes, data; ended by 0x7f.
fn read_device_path(mut path: &[u8], option: &mut LoadOption) -> Option<()> {
    while let Some(([kind, subtype, low, high], _)) = path.split_first_chunk::<4>() {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let data = path.get(..len)?.get(4..)?;
        match (kind, subtype) {
            (0x7f, _) => break,
            // Hard drive: number, start, size, signature, GPT, GUID.
            (4, 1) => {
                let signature = data.get(20..36)?;
                if data.get(36..38)? == [2, 2] {
                    option.partition = Some(guid(signature.try_into().ok()?));
                }
            }
            // File; some firmware splits it into several.
            (4, 4) => {
                let part = utf16(data.as_chunks::<2>().0);
                let file = option.file.get_or_insert_default();
                if !file.is_empty() && !file.ends_with('\\') && !part.starts_with('\\') {
                    file.push('\\');
                }
                file.push_str(&part);
            }
            _ => {}
        }
        path = path.get(len..)?;
    }
    Some(())
}

fn utf16(units: &[[u8; 2]]) -> String {
    let units: Vec<_> = units.iter().map(|u| u16::from_le_bytes(*u)).take_while(|u| *u != 0).collect();
    String::from_utf16_lossy(&units)
}

/// The first three fields are little-endian.
fn guid(b: [u8; 16]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let a = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let (c, d) = (u16::from_le_bytes([b[4], b[5]]), u16::from_le_bytes([b[6], b[7]]));
    format!("{a:08x}-{c:04x}-{d:04x}-{}-{}", hex(&b[8..10]), hex(&b[10..]))
}
