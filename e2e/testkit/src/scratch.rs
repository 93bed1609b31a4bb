//! Where the sweeps work, and mounts that are gone when they end: a directory in RAM, guards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::cmd::Cmd;

/// A temporary directory, in RAM where there is a /dev/shm: thousands of file systems are made and synced.
pub fn dir() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("reliability-").tempdir_in(base).expect("a temporary directory")
}

/// A temporary directory to mount a target in. Not in RAM: recstrap refuses whatever is below /dev.
pub fn mount_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("reliability-").tempdir().expect("a temporary directory")
}

/// Something mounted; unmounted when dropped, with its loop device.
pub struct Mount {
    /// Where.
    pub path: PathBuf,
    device: Option<String>,
}

impl Mount {
    /// Mounts by mount(8). None: mount refused, as it may after an attack.
    pub fn new(args: &[&str], what: &Path, path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a mount point");
        let done = Cmd::new(crate::oracle("mount")).args(args).arg(what).arg(path).output();
        done.expect("mount starts").status.success().then(|| Self { path: path.to_owned(), device: None })
    }

    /// Mounts a file on a loop device of its own. Not by `mount -o loop`: that takes the device of an earlier mount if
    /// it is still being released, and with it what that one had in its cache. States of one disk have its UUID, and the kernel mounts
    /// no second xfs of that unless it is told to: a mount that is over here lives on in the mount namespace of whoever made one
    /// meanwhile (78 states in a row did not mount beside one).
    pub fn of_file(fstype: &str, options: &str, file: &Path, path: &Path) -> Option<Self> {
        let device = Cmd::new(crate::oracle("losetup")).args(["--find", "--show"]).arg(file).read();
        let device = device.expect("a loop device").trim().to_owned();
        let options = if fstype == "xfs" { format!("{options},nouuid") } else { options.to_owned() };
        let mut mount = Self::new(&["-t", fstype, "-o", &options], device.as_ref(), path);
        match &mut mount {
            Some(mount) => mount.device = Some(device),
            None => release(&device),
        }
        mount
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What was mounted below it, by the program or the test, goes first. A program that was just killed may hold a
        // file open for a moment.
        let umount = || Cmd::new("umount").arg("--recursive").arg(&self.path).output();
        let done = (0..200).any(|_| {
            let done = umount().is_ok_and(|out| out.status.success());
            if !done {
                std::thread::sleep(Duration::from_millis(20));
            }
            done
        });
        if !done {
            let _ = Cmd::new("umount").arg("--lazy").arg(&self.path).output();
        }
        self.device.iter().for_each(|device| release(device));
        assert!(done || std::thread::panicking(), "{} can be unmounted", self.path.display());
    }
}

/// Detaches a loop device, and waits until it is.
fn release(device: &str) {
    // The kernel remembers how old a btrfs was that it has seen, and refuses an older state of it as a stale disk.
    let _ = Cmd::new("btrfs").args(["device", "scan", "--forget", device]).output();
    let _ = Cmd::new("losetup").args(["--detach", device]).output();
    let attached = Path::new("/sys/block").join(device.trim_start_matches("/dev/")).join("loop/backing_file");
    for _ in 0..500 {
        if !attached.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
