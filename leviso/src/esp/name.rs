//! FAT names: the 11-byte short form every entry has, and the entries of the long form.

use std::collections::BTreeSet;

use anyhow::ensure;

/// UTF-16 units in one long-name entry.
const UNITS: usize = 13;
/// Where they lie in it.
const UNIT_AT: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// The label as the boot sector and the root directory hold it.
pub(super) fn label(text: &str) -> anyhow::Result<[u8; 11]> {
    let is_plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    ensure!(
        (1..=11).contains(&text.len()) && text.bytes().all(is_plain),
        "label {text:?} must be 1 to 11 of A-Z, 0-9, `_`, `-`"
    );
    Ok(padded(text))
}

/// Fails on a name that FAT cannot hold.
pub(super) fn check(name: &str) -> anyhow::Result<()> {
    let is_bad = |c: char| c.is_control() || "\"*/:<>?\\|".contains(c);
    ensure!(
        !name.is_empty()
            && !name.contains(is_bad)
            && !name.ends_with(['.', ' '])
            && !name.starts_with(' ')
            && name.encode_utf16().count() <= 255,
        "{name:?} is not a name that FAT can hold"
    );
    Ok(())
}

/// How many entries a name takes: its long ones, and one.
pub(super) fn entry_count(name: &str) -> usize {
    if exact(name).is_some() { 1 } else { 1 + name.encode_utf16().count().div_ceil(UNITS) }
}

/// A short name for `name` that is not in `used`.
pub(super) fn short(name: &str, used: &BTreeSet<[u8; 11]>) -> anyhow::Result<[u8; 11]> {
    if let Some(short) = exact(&name.to_ascii_uppercase()).filter(|short| !used.contains(short)) {
        return Ok(short);
    }
    let (stem, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""));
    let clean = |part: &str, max: usize| -> String {
        let kept = part.chars().filter(|c| !matches!(c, ' ' | '.'));
        let upper = kept.map(|c| c.to_ascii_uppercase());
        upper.map(|c| if u8::try_from(c).is_ok_and(is_short) { c } else { '_' }).take(max).collect()
    };
    for number in 1..=999_999_u32 {
        let tail = format!("~{number}");
        let text = format!("{:<8}{}", clean(stem, 8 - tail.len()) + &tail, clean(extension, 3));
        let short = padded(&text);
        if !used.contains(&short) {
            return Ok(short);
        }
    }
    anyhow::bail!("too many names like {name:?} in one directory")
}

/// The long-name entries of `name` in the order of the disk, none if the short name says it all.
pub(super) fn long_entries(name: &str, short: &[u8; 11]) -> Vec<[u8; 32]> {
    if exact(name).is_some() {
        return Vec::new();
    }
    let sum = short.iter().fold(0_u8, |sum, &b| sum.rotate_right(1).wrapping_add(b));
    let units: Vec<u16> = name.encode_utf16().collect();
    let chunks = units.chunks(UNITS).zip(1_u8..=20).rev();
    let count = units.len().div_ceil(UNITS);
    chunks
        .map(|(chunk, number)| {
            let mut entry = [0; 32];
            entry[0] = if usize::from(number) == count { number | 0x40 } else { number };
            entry[11] = 0x0f;
            entry[13] = sum;
            for (i, at) in UNIT_AT.into_iter().enumerate() {
                let unit = chunk.get(i).copied().unwrap_or(if i == chunk.len() { 0 } else { 0xffff });
                entry[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            entry
        })
        .collect()
}

/// The short form, if the name is one as it stands: upper case, 8.3.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&stem.len()) && extension.len() <= 3 && !name.ends_with('.');
    (fits && stem.bytes().chain(extension.bytes()).all(is_short))
        .then(|| padded(&format!("{stem:<8}{extension}")))
}

fn is_short(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&b)
}

/// `text` (ASCII, at most 11 bytes) filled up with spaces.
fn padded(text: &str) -> [u8; 11] {
    let mut out = [b' '; 11];
    for (to, from) in out.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_unique_and_keep_what_they_can() {
        let mut used = BTreeSet::new();
        let mut next = |name: &str| {
            let short = short(name, &used).unwrap();
            used.insert(short);
            String::from_utf8(short.to_vec()).unwrap()
        };
        assert_eq!(next("BOOTX64.EFI"), "BOOTX64 EFI");
        assert_eq!(next("Linux"), "LINUX      ");
        assert_eq!(next("levitateos.efi"), "LEVITA~1EFI");
        assert_eq!(next("levitateos+3.efi"), "LEVITA~2EFI");
        assert_eq!(next("loader.conf"), "LOADER~1CON");
        assert_eq!(next("ä b.c.txt"), "_BC~1   TXT");
        assert_eq!(next(".x"), "X~1        ");
    }

    #[test]
    fn what_fat_cannot_hold_is_refused() {
        for bad in ["", "a/b", "a:b", "trailing.", "trailing ", "nul\0", &"x".repeat(256)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&"x".repeat(255)).is_ok());
        assert!(label("TOO LONG LABEL").is_err() && label("lower").is_err() && label("").is_err());
    }
}
