//! A target to install to: an ext4 in a file on a loop device, made anew for each attack.

use std::path::PathBuf;

pub(crate) use testkit::disk::{BTRFS, EXT4, FileSystem, XFS, format};

use crate::scratch::{self, Mount};

/// A file system of its own.
pub(crate) struct Target {
    mount: Option<Mount>,
    dir: tempfile::TempDir,
    _disks: tempfile::TempDir,
    /// The file behind it.
    pub(crate) disk: PathBuf,
}

/// Large enough for [`crate::image::Image::new`] with room to spare.
pub(crate) const ROOMY: u64 = EXT4.bytes;

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
