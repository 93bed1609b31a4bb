//! Encrypted devices: what a person needs to know beside fstab, as comments with a line ready for crypttab(5).

use super::devices::{Device, Devices, Tag};
use super::escape::mangle;

/// Comment lines (without `#`) about each encrypted mapping that `device` is or lies on.
pub(super) fn comments(device: &Device, devices: &Devices) -> Vec<String> {
    let mappings = devices.stack(device).into_iter().filter(|d| d.kind == "crypt");
    mappings.flat_map(|mapping| comment(mapping, devices)).collect()
}

fn comment(mapping: &Device, devices: &Devices) -> Vec<String> {
    let path = mangle(&mapping.path);
    let Some(backing) = devices.parents(mapping).next() else {
        return vec![format!("{path} is encrypted; on what, lsblk does not say")];
    };
    let options = match backing.fstype.as_deref() {
        Some("crypto_LUKS") => "luks",
        Some("BitLocker") => "bitlk",
        // No header: the key, the cipher and the offset are known to its maker alone.
        _ => return vec![format!("{path} is encrypted without a header, on {}", mangle(&backing.path))],
    };
    let tag = [Tag::Uuid, Tag::Partuuid].into_iter().find_map(|t| Some((t, backing.tag(t)?)));
    let on =
        tag.map_or_else(|| mangle(&backing.path), |(t, value)| format!("{}={}", t.name(), mangle(value)));
    vec![
        format!("{path} is opened from {}; the line for /etc/crypttab:", mangle(&backing.path)),
        format!("    {} {on} none {options}", mangle(&mapping.name)),
    ]
}
