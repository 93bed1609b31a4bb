//! Where the sweeps work, and mounts that are gone when they end: a directory in RAM, guards.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

/// A temporary directory, in RAM where there is a /dev/shm: thousands of file systems are made and synced.
pub(crate) fn dir() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("reliability-").tempdir_in(base).expect("a temporary directory")
}

/// Something mounted; unmounted when dropped.
pub(crate) struct Mount {
    /// Where.
    pub(crate) path: PathBuf,
}

impl Mount {
    /// Mounts by mount(8). None: mount refused, as it may after an attack.
    pub(crate) fn new(args: &[&str], what: &Path, path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a mount point");
        let done = Cmd::new(testkit::oracle("mount")).args(args).arg(what).arg(path).output();
        done.expect("mount starts").status.success().then(|| Self { path: path.to_owned() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let umount = |how: &str| Cmd::new("umount").arg(how).arg(&self.path).output();
        // A program that was just killed may hold a file open for a moment.
        for _ in 0..50 {
            if umount("--recursive").is_ok_and(|out| out.status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = umount("--lazy");
    }
}
