//! Why a target is refused: one stable code each, with a message and a hint.
//!
//! [`TABLE`] is the documented list; docs/reference/recstrap.md has the same lines (a test compares them).

use std::fmt;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use serde::{Serialize, Serializer};

/// Why a target cannot be installed to. [`TABLE`] says it at length; never renumbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// E01
    NotRoot,
    /// E02
    Missing(PathBuf),
    /// E03
    NotADirectory(PathBuf),
    /// E04
    SystemPath(PathBuf),
    /// E05
    NotAMountPoint(PathBuf),
    /// E06: the first file
    NotEmpty(PathBuf),
    /// E07
    ReadOnly(PathBuf),
    /// E08: and why
    Unreadable(PathBuf, String),
    /// E09: and why
    NoImage(PathBuf, String),
    /// E10: and why
    BadImage(PathBuf, String),
    /// E11
    ImageInTarget(PathBuf),
    /// E12: the image, what differs, expected, found
    OtherImage(PathBuf, &'static str, u64, u64),
    /// E13: and why
    NoManifest(PathBuf, String),
    /// E14: bytes needed, free
    TooSmall(PathBuf, u64, u64),
    /// E15: inodes needed, free
    TooFewInodes(PathBuf, u64, u64),
    /// E16
    BootMedium(PathBuf),
    /// E17: and its type
    UnfitFileSystem(PathBuf, String),
    /// E18
    Busy(PathBuf),
    /// E19: its record
    Installed(PathBuf),
    /// E20: the mount, its type, the name in the image
    UnfitMount(PathBuf, String, PathBuf),
}

/// Code, whether `--force` overrides it, and what it means.
pub const TABLE: &[(&str, bool, &str)] = &[
    ("E01", false, "not run as root: only root can give files their owners"),
    ("E02", false, "there is nothing at this path"),
    ("E03", false, "it is not a directory"),
    ("E04", false, "it belongs to the running system"),
    ("E05", true, "nothing is mounted there: the files would land in the live system's RAM"),
    ("E06", true, "there are files already; the first one is named"),
    ("E07", false, "it is mounted read-only"),
    ("E08", false, "it cannot be examined"),
    ("E09", false, "the image is not there or cannot be read"),
    ("E10", false, "the image is no EROFS image, is damaged, or uses what recstrap does not read"),
    ("E11", false, "the image lies inside the target"),
    ("E12", false, "the image is not the one its manifest describes"),
    ("E13", false, "there is no valid manifest, and --no-manifest was not given"),
    ("E14", false, "a file system is too small: bytes"),
    ("E15", false, "a file system is too small: inodes"),
    ("E16", false, "it is on the medium the live system runs from"),
    ("E17", false, "its file system cannot hold owners, modes and attributes (FAT, exFAT, NTFS)"),
    ("E18", false, "another recstrap is at work there"),
    ("E19", true, "a complete installation by recstrap is there already"),
    ("E20", false, "a file system mounted below it cannot hold what the image has there (FAT)"),
];

impl Refusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRoot => "E01",
            Self::Missing(_) => "E02",
            Self::NotADirectory(_) => "E03",
            Self::SystemPath(_) => "E04",
            Self::NotAMountPoint(_) => "E05",
            Self::NotEmpty(_) => "E06",
            Self::ReadOnly(_) => "E07",
            Self::Unreadable(..) => "E08",
            Self::NoImage(..) => "E09",
            Self::BadImage(..) => "E10",
            Self::ImageInTarget(_) => "E11",
            Self::OtherImage(..) => "E12",
            Self::NoManifest(..) => "E13",
            Self::TooSmall(..) => "E14",
            Self::TooFewInodes(..) => "E15",
            Self::BootMedium(_) => "E16",
            Self::UnfitFileSystem(..) => "E17",
            Self::Busy(_) => "E18",
            Self::Installed(_) => "E19",
            Self::UnfitMount(..) => "E20",
        }
    }

    /// Whether `--force` overrides it.
    #[must_use]
    pub fn can_be_forced(&self) -> bool {
        TABLE.iter().any(|(code, forced, _)| *code == self.code() && *forced)
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotRoot => "run it as root",
            Self::Missing(_) | Self::NotADirectory(_) => {
                "make the directory and mount the new root file system on it"
            }
            Self::SystemPath(_) => "choose another directory, /mnt for example",
            Self::NotAMountPoint(_) => "mount the new root file system on it, or say --force",
            Self::NotEmpty(_) => {
                "make a new file system on the partition; --force deletes what is there, --keep-home keeps /home"
            }
            Self::Installed(_) => {
                "it is done; to install once more, --force deletes what is there, --keep-home keeps /home"
            }
            Self::ReadOnly(_) => "mount it again with `mount -o remount,rw`",
            Self::Unreadable(..) => "look for errors of the disk in `dmesg`",
            Self::NoImage(..) => "name the image with --image FILE",
            Self::BadImage(..) | Self::OtherImage(..) => super::super::image::HINT,
            Self::ImageInTarget(_) => "move the image elsewhere: everything in the target is replaced",
            Self::NoManifest(..) => {
                "name it with --manifest FILE; --no-manifest installs an image that nothing vouches for"
            }
            Self::TooSmall(..) => "use a larger partition",
            Self::TooFewInodes(..) => "make the file system with more inodes (mkfs.ext4 -N), or larger",
            Self::BootMedium(_) => "start with levitate.toram, then the medium is free",
            Self::UnfitFileSystem(..) => "make an ext4, xfs or btrfs file system for the root",
            Self::Busy(_) => "wait until it ends",
            Self::UnfitMount(..) => "unmount it, install, and mount it then",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = |f: &mut fmt::Formatter<'_>, path: &Path, what: &str| write!(f, "{} {what}", path.display());
        match self {
            Self::NotRoot => f.write_str("installing needs root"),
            Self::Missing(p) => is(f, p, "does not exist"),
            Self::NotADirectory(p) => is(f, p, "is not a directory"),
            Self::SystemPath(p) => is(f, p, "belongs to the running system"),
            Self::NotAMountPoint(p) => write!(f, "nothing is mounted on {}", p.display()),
            Self::NotEmpty(p) => write!(f, "the target is not empty: {} is there", p.display()),
            Self::ReadOnly(p) => is(f, p, "is mounted read-only"),
            Self::Unreadable(p, why) => write!(f, "{} cannot be examined: {why}", p.display()),
            Self::NoImage(p, why) => write!(f, "the image {} cannot be opened: {why}", p.display()),
            Self::BadImage(p, why) => write!(f, "{} is no usable image: {why}", p.display()),
            Self::ImageInTarget(p) => write!(f, "the image {} is inside the target", p.display()),
            Self::OtherImage(p, what, expected, found) => {
                let p = p.display();
                write!(
                    f,
                    "{p} is not what its manifest describes: {what}: expected {expected}, found {found}"
                )
            }
            Self::NoManifest(p, why) => write!(f, "the manifest {} cannot be used: {why}", p.display()),
            Self::TooSmall(p, needed, free) => {
                let (needed, free) = (BinaryBytes(*needed), BinaryBytes(*free));
                write!(f, "{} is too small: {needed} are needed at least, {free} are free", p.display())
            }
            Self::TooFewInodes(p, needed, free) => {
                write!(f, "{} is too small: {needed} inodes are needed, {free} are free", p.display())
            }
            Self::BootMedium(p) => is(f, p, "is on the medium that the live system runs from"),
            Self::UnfitFileSystem(p, fstype) => {
                write!(f, "{} is {fstype}, which cannot hold owners, modes and attributes", p.display())
            }
            Self::Busy(p) => write!(f, "another recstrap is at work in {}", p.display()),
            Self::Installed(p) => write!(f, "a complete installation is there already: {}", p.display()),
            Self::UnfitMount(p, fstype, name) => {
                write!(f, "{} is {fstype}, which cannot hold {} of the image", p.display(), name.display())
            }
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut s = serializer.serialize_struct("Refusal", 3)?;
        s.serialize_field("code", self.code())?;
        s.serialize_field("message", &self.to_string())?;
        s.serialize_field("hint", self.hint())?;
        s.end()
    }
}
