//! What the kernel shows of an image.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

use super::listing;

/// The listing of an image as the kernel mounts it.
pub(crate) fn listing_of(image: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    Cmd::new("mount").args(["-t", "erofs", "-o", "ro,loop"]).args([image, dir.path()]).run().unwrap();
    let mounted = Mounted(dir.path().to_owned());
    listing::of_dir(&mounted.0)
}

/// Unmounts when dropped, also when the test fails.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(e) = Cmd::new("umount").arg("-d").arg(&self.0).run() {
            panic!("{e}");
        }
    }
}
