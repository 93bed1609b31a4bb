//! Block devices: tags, types, and what lies below what. lsblk's tree (and blkid's findings) -> [`Devices`].
//!
//! A device that lies on several others (LVM, MD) is in lsblk's tree several times; here it is once.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use serde::Deserialize;

use super::escape::decode;

/// How a source is named in fstab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub(super) enum Tag {
    /// Label of the file system.
    Label,
    /// UUID of the file system.
    Uuid,
    /// Name of the partition.
    Partlabel,
    /// UUID of the partition.
    Partuuid,
}

impl Tag {
    /// As it stands before the `=`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Label => "LABEL",
            Self::Uuid => "UUID",
            Self::Partlabel => "PARTLABEL",
            Self::Partuuid => "PARTUUID",
        }
    }
}

/// One block device, as lsblk shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Device {
    /// `vda2`, or the name of a mapping.
    pub(super) name: String,
    /// The kernel's name: `vda2`, `dm-0`.
    pub(super) kname: String,
    /// `/dev/vda2`, `/dev/mapper/NAME`.
    pub(super) path: String,
    #[serde(rename = "maj:min")]
    pub(super) number: String,
    /// `disk`, `part`, `crypt`, `lvm`, `loop`, ...
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) fstype: Option<String>,
    pub(super) label: Option<String>,
    pub(super) uuid: Option<String>,
    pub(super) partlabel: Option<String>,
    pub(super) partuuid: Option<String>,
    pub(super) parttype: Option<String>,
    #[serde(default)]
    children: Vec<Device>,
}

impl Device {
    /// The value of a tag, if the device has one.
    pub(super) fn tag(&self, tag: Tag) -> Option<&str> {
        let value = match tag {
            Tag::Label => &self.label,
            Tag::Uuid => &self.uuid,
            Tag::Partlabel => &self.partlabel,
            Tag::Partuuid => &self.partuuid,
        };
        value.as_deref().filter(|v| !v.is_empty())
    }

    /// Whether lsblk could say nothing about the content: udev has not looked yet, or does not run.
    pub(super) fn is_unknown(&self) -> bool {
        self.fstype.is_none() && self.uuid.is_none()
    }
}

/// All block devices, and what each lies on.
#[derive(Debug)]
pub(super) struct Devices {
    all: Vec<Device>,
    /// Kernel name -> kernel names of what it lies on.
    below: HashMap<String, Vec<String>>,
}

/// What the columns of [`Device`] are called on lsblk's command line.
pub(super) const COLUMNS: &str = "NAME,KNAME,PATH,MAJ:MIN,TYPE,FSTYPE,LABEL,UUID,PARTLABEL,PARTUUID,PARTTYPE";

/// lsblk's JSON.
#[derive(Debug, Deserialize)]
struct Listing {
    blockdevices: Vec<Device>,
}

impl Devices {
    /// Parses `lsblk --json` with [`COLUMNS`].
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let listing: Listing = serde_json::from_str(text).context("failed to parse what lsblk printed")?;
        let mut devices = Self { all: Vec::new(), below: HashMap::new() };
        listing.blockdevices.into_iter().for_each(|device| devices.add(device, None));
        Ok(devices)
    }

    fn add(&mut self, mut device: Device, below: Option<&str>) {
        let (kname, children) = (device.kname.clone(), std::mem::take(&mut device.children));
        if self.all.iter().all(|d| d.kname != kname) {
            self.all.push(device);
        }
        let parents = self.below.entry(kname.clone()).or_default();
        if let Some(parent) = below.filter(|p| parents.iter().all(|known| known != p)) {
            parents.push(parent.to_owned());
        }
        children.into_iter().for_each(|child| self.add(child, Some(&kname)));
    }

    /// Fills in what lsblk did not know from `blkid --probe --output udev`, each device's part headed by a line
    /// `DEVNAME=PATH`.
    pub(super) fn learn(&mut self, text: &str) -> anyhow::Result<()> {
        let mut current = None;
        for line in text.lines().filter(|l| !l.is_empty()) {
            let (key, value) = line
                .split_once('=')
                .with_context(|| format!("failed to parse what blkid printed: `{line}` is not KEY=VALUE"))?;
            if key == "DEVNAME" {
                current = self.all.iter_mut().find(|d| d.path == value);
                continue;
            }
            let Some(device) = &mut current else { continue };
            let field = match key {
                "ID_FS_TYPE" => &mut device.fstype,
                "ID_FS_LABEL_ENC" => &mut device.label,
                "ID_FS_UUID_ENC" => &mut device.uuid,
                "ID_PART_ENTRY_NAME" => &mut device.partlabel,
                "ID_PART_ENTRY_UUID" => &mut device.partuuid,
                "ID_PART_ENTRY_TYPE" => &mut device.parttype,
                _ => continue,
            };
            field.get_or_insert_with(|| decode(value));
        }
        Ok(())
    }

    /// The device that a mount names as its source: by path, or by number where the path is the kernel's invention
    /// (`/dev/root`).
    pub(super) fn of_mount(&self, source: &str, number: &str) -> Option<&Device> {
        self.of_path(source)
            .or_else(|| self.all.iter().find(|d| d.number == number && !number.starts_with("0:")))
    }

    /// The device with this path; `/dev/dm-0` is understood too.
    pub(super) fn of_path(&self, path: &str) -> Option<&Device> {
        let kname = path.strip_prefix("/dev/");
        self.all.iter().find(|d| d.path == path || kname == Some(&d.kname))
    }

    /// The first device with this tag.
    pub(super) fn of_tag(&self, tag: Tag, value: &str) -> Option<&Device> {
        self.all.iter().find(|d| d.tag(tag) == Some(value))
    }

    /// The device itself and all that it lies on, nearest first.
    pub(super) fn stack<'a>(&'a self, device: &'a Device) -> Vec<&'a Device> {
        let (mut found, mut seen) = (vec![device], HashSet::from([device.kname.as_str()]));
        let mut at = 0;
        while at < found.len() {
            found.extend(self.parents(found[at]).filter(|d| seen.insert(d.kname.as_str())));
            at += 1;
        }
        found
    }

    /// Another device with the same value of `tag`, where that is no part of the same thing: what lies on or below it,
    /// or another disk of a file system on several.
    pub(super) fn twin(&self, device: &Device, tag: Tag) -> Option<&Device> {
        let value = device.tag(tag)?;
        let lies_on = |a: &Device, b: &Device| self.stack(a).iter().any(|s| s.kname == b.kname);
        let is_pool = matches!(device.fstype.as_deref(), Some("btrfs" | "bcachefs"));
        let pooled = |d: &Device| is_pool && d.fstype == device.fstype && d.uuid == device.uuid;
        self.all
            .iter()
            .find(|d| d.tag(tag) == Some(value) && !lies_on(d, device) && !lies_on(device, d) && !pooled(d))
    }

    /// What the device lies on directly.
    pub(super) fn parents<'a>(&'a self, device: &Device) -> impl Iterator<Item = &'a Device> + use<'a> {
        let knames = self.below.get(&device.kname).map_or(&[][..], Vec::as_slice);
        knames.iter().filter_map(|k| self.all.iter().find(|d| d.kname == *k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udev_escapes_are_undone() {
        assert_eq!(decode(r"a\x20b\x2fc\xZZ\x"), r"a b/c\xZZ\x");
        assert_eq!(decode(r"\xc3\xa9"), "é");
    }
}
