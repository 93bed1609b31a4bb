//! Images by mkfs.erofs, and what the kernel shows of them.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;
use tempfile::TempDir;

use super::listing;

/// An image in a directory of its own.
pub(crate) struct Made {
    dir: TempDir,
    pub(crate) path: PathBuf,
}

/// Makes an image of `tree`.
pub(crate) fn mkfs(tree: &Path, args: &[&str]) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let cmd = Cmd::new(testkit::oracle("mkfs.erofs")).arg("--quiet").args(args).arg(&path).arg(tree);
    cmd.read().unwrap();
    Made { dir, path }
}

impl Made {
    /// The listing of the image as the kernel mounts it.
    pub(crate) fn mounted(&self) -> String {
        let at = self.dir.path().join("mnt");
        std::fs::create_dir_all(&at).unwrap();
        Cmd::new("mount").args(["-t", "erofs", "-o", "ro,loop"]).args([&self.path, &at]).run().unwrap();
        let unmount = Unmount(at);
        listing::of_dir(&unmount.0)
    }
}

/// Unmounts when dropped, also when the test fails.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        if let Err(e) = Cmd::new("umount").arg("-d").arg(&self.0).run() {
            panic!("{e}");
        }
    }
}
