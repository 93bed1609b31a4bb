//! A target to install to: an ext4 in a file on a loop device, made anew for each attack.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::cmd::Cmd;

use crate::scratch::{self, Mount};

/// A file system of its own.
pub(crate) struct Target {
    mount: Option<Mount>,
    dir: tempfile::TempDir,
    _disks: tempfile::TempDir,
    /// The file behind it.
    pub(crate) disk: PathBuf,
}

/// A type of file system that is installed to.
#[derive(Debug)]
pub(crate) struct FileSystem {
    /// As mount(8) calls it.
    pub(crate) name: &'static str,
    /// Bytes of a disk for it.
    pub(crate) bytes: u64,
    /// Options that let the kernel write metadata by itself within a second, where there are some.
    pub(crate) busy: &'static str,
    mkfs: &'static [&'static str],
}

/// With blocks as on a large disk.
pub(crate) const EXT4: FileSystem = FileSystem {
    name: "ext4",
    bytes: ROOMY,
    busy: "commit=1",
    mkfs: &["mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard"],
};

/// As small as mkfs.xfs makes one.
pub(crate) const XFS: FileSystem =
    FileSystem { name: "xfs", bytes: 300 << 20, busy: "rw", mkfs: &["mkfs.xfs", "-q", "-f", "-K"] };

/// With two copies of metadata, as on one disk it has.
pub(crate) const BTRFS: FileSystem =
    FileSystem { name: "btrfs", bytes: 256 << 20, busy: "commit=1", mkfs: &["mkfs.btrfs", "-q", "-f", "-K"] };

/// Large enough for [`crate::image::Image::new`] with room to spare.
pub(crate) const ROOMY: u64 = 48 << 20;

impl Target {
    /// A mounted, empty one of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let (dir, disks) = (scratch::mount_dir(), scratch::dir());
        let mut target = Self { mount: None, dir, disk: disks.path().join("disk"), _disks: disks };
        target.fresh(bytes);
        target
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    /// Empties it: a new file system of so many bytes.
    pub(crate) fn fresh(&mut self, bytes: u64) {
        self.unmount();
        format(&EXT4, &self.disk, bytes);
        assert!(self.mount(), "a new file system mounts");
    }

    /// Removes what is in it; quicker than a new file system.
    pub(crate) fn empty(&mut self) {
        for entry in self.path().read_dir().expect("the target can be read") {
            let entry = entry.expect("the target can be read");
            let dir = entry.file_type().expect("the target can be read").is_dir();
            if entry.file_name() != "lost+found" {
                let remove = if dir { std::fs::remove_dir_all } else { std::fs::remove_file };
                remove(entry.path()).expect("the target can be emptied");
            }
        }
    }

    /// Takes it out of the page cache, and looks at what the disk really has. False: it does not mount any more.
    pub(crate) fn remount(&mut self) -> bool {
        self.unmount();
        self.mount()
    }

    /// Unmounts it.
    pub(crate) fn unmount(&mut self) {
        self.mount = None;
    }

    fn mount(&mut self) -> bool {
        self.mount = Mount::of_file(EXT4.name, "rw", &self.disk, &self.path());
        self.mount.is_some()
    }
}

/// An empty file system in a file of so many bytes.
pub(crate) fn format(fs: &FileSystem, disk: &Path, bytes: u64) {
    let file = std::fs::File::create(disk).expect("a file for a disk");
    file.set_len(bytes).expect("its size");
    // Whoever reads one by accident finds no old content.
    file.write_at(&[0; 4096], 0).expect("written");
    let mkfs = Cmd::new(testkit::oracle(fs.mkfs[0])).args(fs.mkfs[1..].iter().copied());
    mkfs.arg(disk).read().expect("mkfs makes a file system");
}
