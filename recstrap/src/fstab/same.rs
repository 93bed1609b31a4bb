//! Does a line that is there already mount what an entry says? By the device, not by how it is called; options by what they
//! mean, not by how they are written.

use std::collections::BTreeSet;

use super::devices::{Devices, Tag};
use super::entries::Entry;
use super::options::Options;
use super::table::Fields;

/// Options that are so without being said, and those that are no business of the kernel's: whoever wrote them into the file
/// decides about when and by whom it is mounted, which no mount shows.
const SILENT: &[&str] = &[
    "_netdev", "async", "auto", "comment", "defaults", "dev", "exec", "group", "noauto", "nofail", "nouser",
    "owner", "relatime", "rw", "suid", "sw", "user", "users",
];

/// What the kernel shows of a type of file system though nobody asked for it.
const SHOWN: &[(&str, &[&str])] = &[
    ("xfs", &["attr2", "inode64", "logbufs=8", "logbsize=32k", "noquota"]),
    ("btrfs", &["ssd", "discard=async", "space_cache", "space_cache=v2"]),
    (
        "vfat",
        &["codepage=437", "iocharset=ascii", "iocharset=iso8859-1", "shortname=mixed", "errors=remount-ro"],
    ),
];

/// Whether the line is about the same mount point, or the same swap device: at most one of both can be right.
pub(super) fn is_rival(line: &Fields, entry: &Entry, devices: &Devices) -> bool {
    match (line.fstype == "swap", entry.fstype == "swap") {
        (true, true) => identity(&line.source, devices) == identity(&entry.source, devices),
        (false, false) => line.target == entry.target,
        _ => false,
    }
}

/// Whether the line does what the entry does. (The last two fields are left to whoever wrote it.)
pub(super) fn is_same(line: &Fields, entry: &Entry, devices: &Devices) -> bool {
    let (here, there) = (Options::parse(&line.options), Options::parse(&entry.options));
    let is_bind = |o: &Options| o.get("bind").is_some();
    let types = is_bind(&here) && is_bind(&there)
        || line.fstype == entry.fstype
        || [line.fstype.as_str(), entry.fstype.as_str()].contains(&"auto");
    types
        && identity(&line.source, devices) == identity(&entry.source, devices)
        && meaning(here, &entry.fstype) == meaning(there, &entry.fstype)
}

/// Whether a device of this name is there. Names that are no device's (a share, a pool) count as there.
pub(super) fn is_there(source: &str, devices: &Devices) -> bool {
    let is_device = tag(source).is_some() || source.starts_with("/dev/");
    !is_device || of(source, devices).is_some()
}

/// What a source names: a file system where it can be known, else the source itself.
fn identity(source: &str, devices: &Devices) -> String {
    match of(source, devices) {
        // Devices of one btrfs have one UUID.
        Some(device) => device.tag(Tag::Uuid).unwrap_or(&device.kname).to_owned(),
        None => source.to_owned(),
    }
}

fn of<'d>(source: &str, devices: &'d Devices) -> Option<&'d super::devices::Device> {
    match tag(source) {
        Some((tag, value)) => devices.of_tag(tag, &value),
        None => devices.of_path(source),
    }
}

/// `UUID=...`, or udev's links for it.
fn tag(source: &str) -> Option<(Tag, String)> {
    use super::escape::decode;
    let all = [Tag::Label, Tag::Uuid, Tag::Partlabel, Tag::Partuuid];
    all.into_iter().find_map(|tag| {
        let link = format!("/dev/disk/by-{}/", tag.name().to_ascii_lowercase());
        let value =
            source.strip_prefix(tag.name()).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
        let value = value.or_else(|| source.strip_prefix(&link).map(decode));
        value.map(|value| (tag, value))
    })
}

fn meaning(mut options: Options, fstype: &str) -> BTreeSet<String> {
    options.retain(|name| {
        let is_of_user_space = name.starts_with("x-") || name.starts_with("X-") && name != "X-mount.subdir";
        !is_of_user_space && !SILENT.contains(&name)
    });
    if let Some(subvolume) = options.get("subvol").map(|s| format!("/{}", s.trim_matches('/'))) {
        options.set("subvol", &subvolume);
        options.remove(&["subvolid"]);
    }
    let shown = SHOWN.iter().find(|(of, _)| *of == fstype).map_or(&[][..], |(_, shown)| shown);
    options.into_iter().filter(|o| !shown.contains(&o.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_compared_by_meaning() {
        let same = |a: &str, b: &str, fstype: &str| {
            meaning(Options::parse(a), fstype) == meaning(Options::parse(b), fstype)
        };
        assert!(same("defaults", "rw,relatime", "ext4"));
        assert!(same("noatime,nodev", "rw,nodev,noatime,x-systemd.automount", "ext4"));
        assert!(same("defaults", "rw,relatime,inode64,logbufs=8,logbsize=32k,noquota", "xfs"));
        assert!(same("subvol=@,compress=zstd:1", "compress=zstd:1,subvolid=256,subvol=/@", "btrfs"));
        assert!(!same("defaults", "rw,noatime", "ext4"));
        assert!(!same("ro", "rw", "ext4"));
        assert!(!same("subvol=@", "subvol=/@home", "btrfs"));
        assert!(!same("X-mount.subdir=a", "X-mount.subdir=b", "ext4"));
    }
}
