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
        format(&self.disk, bytes);
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
        self.mount = Mount::of_file("ext4", "rw", &self.disk, &self.path());
        self.mount.is_some()
    }
}

/// An empty ext4 in a file of so many bytes.
pub(crate) fn format(disk: &Path, bytes: u64) {
    let file = std::fs::File::create(disk).expect("a file for a disk");
    file.set_len(bytes).expect("its size");
    // Whoever reads one by accident finds no old content.
    file.write_at(&[0; 4096], 0).expect("written");
    let mkfs = Cmd::new(testkit::oracle("mkfs.ext4")).args(["-q", "-F", "-b", "4096", "-E", "nodiscard"]);
    mkfs.arg(disk).read().expect("mkfs.ext4 makes a file system");
}
