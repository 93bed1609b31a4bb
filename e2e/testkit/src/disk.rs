//! Disks of tests: file systems made in a file, as small as their tools make them.

use std::os::unix::fs::FileExt;
use std::path::Path;

use common::cmd::Cmd;

/// A type of file system.
#[derive(Debug)]
pub struct FileSystem {
    /// As mount(8) calls it.
    pub name: &'static str,
    /// Bytes of a disk for it.
    pub bytes: u64,
    /// Options that let the kernel write metadata by itself within a second, where there are some.
    pub busy: &'static str,
    mkfs: &'static [&'static str],
}

/// With blocks as on a large disk.
pub const EXT4: FileSystem = FileSystem {
    name: "ext4",
    bytes: 48 << 20,
    busy: "commit=1",
    mkfs: &["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard"],
};

/// As small as mkfs.xfs makes one.
pub const XFS: FileSystem =
    FileSystem { name: "xfs", bytes: 300 << 20, busy: "rw", mkfs: &["mkfs.xfs", "-q", "-f", "-K"] };

/// With two copies of metadata, as on one disk it has.
pub const BTRFS: FileSystem =
    FileSystem { name: "btrfs", bytes: 256 << 20, busy: "commit=1", mkfs: &["mkfs.btrfs", "-q", "-f", "-K"] };

/// An empty file system in a file of so many bytes.
pub fn format(fs: &FileSystem, disk: &Path, bytes: u64) {
    let file = std::fs::File::create(disk).expect("a file for a disk");
    file.set_len(bytes).expect("its size");
    // Whoever reads one by accident finds no old content.
    file.write_at(&[0; 4096], 0).expect("written");
    let mkfs = Cmd::new(crate::oracle(fs.mkfs[0])).args(fs.mkfs[1..].iter().copied());
    mkfs.arg(disk).read().expect("mkfs makes a file system");
}
