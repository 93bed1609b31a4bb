//! E16: whatever the live system runs from is not installed to, however the target lies on it.
//!
//! In a mount namespace of its own the medium is what the test says. A disk is a loop device here, with partitions that are
//! told to the kernel one by one (addpart(8): this machine's kernel may read no partition tables).

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

use crate::lab::{self, Image, Target, can_mount, run, text, write};

fn image() -> Image {
    let tree = tempfile::tempdir().expect("a temporary directory");
    write(&tree.path().join("etc/os-release"), b"ID=levitateos\n");
    std::fs::create_dir_all(tree.path().join("var/lib")).expect("made");
    Image::new(tree.path(), &[])
}

/// A disk with two partitions.
struct Disk {
    dir: tempfile::TempDir,
    device: String,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("disk");
        std::fs::File::create(&file).and_then(|f| f.set_len(800 << 20)).expect("made");
        let device = Cmd::new(testkit::oracle("losetup")).args(["--find", "--show"]).arg(file).read();
        let disk = Self { dir, device: device.expect("a loop device").trim().to_owned() };
        for (number, start) in [("1", "2048"), ("2", "819200")] {
            // A device that was just released may have its old partitions for a moment.
            let add = || {
                Cmd::new(testkit::oracle("addpart")).args([&disk.device, number, start, "800000"]).output()
            };
            lab::until("a partition", || {
                let added = add().is_ok_and(|out| out.status.success());
                if !added {
                    let _ = Cmd::new("delpart").args([&disk.device, number]).output();
                }
                added
            });
        }
        disk
    }

    fn partition(&self, number: u8) -> String {
        format!("{}p{number}", self.device)
    }

    /// A file system on a partition (or anything), mounted.
    fn mount(&self, number: u8, mkfs: &[&str]) -> Mounted {
        let device = self.partition(number);
        // The namespace of another test may have a mount that is gone here for a moment longer.
        let make = Cmd::new(testkit::oracle(mkfs[0])).args(mkfs[1..].iter().copied()).arg(&device);
        lab::until("mkfs", || make.output().is_ok_and(|out| out.status.success()));
        Mounted::new(&[&device], &self.dir.path().join(format!("mnt{number}")))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for number in ["1", "2"] {
            for _ in 0..200 {
                let done = Cmd::new("delpart").args([&self.device, number]).output();
                if done.is_ok_and(|out| out.status.success()) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let _ = Cmd::new("losetup").args(["--detach", &self.device]).output();
    }
}

/// Unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(args: &[&str], at: &Path) -> Self {
        std::fs::create_dir_all(at).expect("made");
        run("mount", &[args, &[text(at)]].concat());
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The loop device of a disc in a file is released a moment after its unmount, and holds the file that long.
        for _ in 0..200 {
            let done = Cmd::new("umount").args(["--recursive", text(&self.0)]).output();
            if done.is_ok_and(|out| out.status.success()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = Cmd::new("umount").args(["--recursive", "--lazy", text(&self.0)]).output();
    }
}

/// Refusals where `$1`, a mounted directory, is the medium (`more`: what happens after it was mounted).
fn codes(image: &Image, medium: &Path, more: &str, target: &Path) -> Vec<String> {
    let script = format!(
        "set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/levitate/medium; \
         mount --bind \"$1\" /run/levitate/medium; {more}; shift; exec \"$@\""
    );
    let program = env!("CARGO_BIN_EXE_recstrap");
    let args = ["--mount", "sh", "-c", &script, "sh", text(medium), program, "--check", "--json"];
    let out = Cmd::new(testkit::oracle("unshare")).args(args).arg("--image").arg(image.file());
    lab::Ended::from(out.arg(target).output().expect("it starts")).codes()
}

fn make_pool(a: &str, b: &str) {
    let make = Cmd::new(testkit::oracle("mkfs.btrfs")).args(["-q", "-f", "-K", a, b]);
    lab::until("mkfs.btrfs", || make.output().is_ok_and(|out| out.status.success()));
}

const EXT4: &[&str] = &["mkfs.ext4", "-q", "-F"];
const NONE: [&str; 0] = [];

/// dd of the disc to a stick, and the rest of the stick as a target.
#[test]
fn another_partition_of_the_stick() {
    if !can_mount("recstrap refuses the stick") {
        return;
    }
    let (image, stick, disk) = (image(), Disk::new(), Disk::new());
    let (medium, beside) = (stick.mount(1, EXT4), stick.mount(2, EXT4));
    let elsewhere = disk.mount(1, EXT4);
    let codes = |more: &str, target: &Mounted| codes(&image, &medium.0, more, &target.0);
    assert_eq!(codes(":", &medium), ["E16"], "itself");
    assert_eq!(codes(":", &beside), ["E16"], "the same disk");
    assert_eq!(codes(":", &elsewhere), NONE);
    // Whoever mounts something over the medium's directory still runs from it.
    assert_eq!(codes("mount -t tmpfs tmpfs /run/levitate/medium", &beside), ["E16"]);
    assert_eq!(codes("mount -t tmpfs tmpfs /run/levitate/medium", &elsewhere), NONE);
    // levitate.toram lets go of it.
    assert_eq!(codes("umount /run/levitate/medium", &beside), NONE);
}

/// btrfs over several devices, one of which is on the stick; its mount names any of them.
#[test]
fn a_pool_that_is_partly_on_the_stick() {
    if !can_mount("recstrap refuses a pool on the stick") {
        return;
    }
    let (image, stick, disk) = (image(), Disk::new(), Disk::new());
    let medium = stick.mount(1, EXT4);
    for devices in [[stick.partition(2), disk.partition(1)], [disk.partition(2), stick.partition(2)]] {
        make_pool(&devices[0], &devices[1]);
        for device in &devices {
            let other = devices.iter().find(|d| *d != device).expect("two");
            let option = format!("device={device},device={other}");
            let target = Mounted::new(&["-o", &option, device], &disk.dir.path().join("pool"));
            assert_eq!(codes(&image, &medium.0, ":", &target.0), ["E16"], "mounted by {device}");
            drop(target);
        }
    }
    make_pool(&disk.partition(1), &disk.partition(2));
    let option = format!("device={},device={}", disk.partition(1), disk.partition(2));
    let target = Mounted::new(&["-o", &option, &disk.partition(1)], &disk.dir.path().join("pool"));
    assert_eq!(codes(&image, &medium.0, ":", &target.0), NONE, "a pool elsewhere");
}

/// levitate.iso=: the disc is a file, its file system must stay; other partitions of that disk are free.
#[test]
fn the_file_system_that_holds_the_disc() {
    if !can_mount("recstrap refuses what holds the disc") {
        return;
    }
    let (image, disk) = (image(), Disk::new());
    for mkfs in [EXT4, &["mkfs.btrfs", "-q", "-f", "-K"], &["mkfs.xfs", "-q", "-f"]] {
        let (holder, beside) = (disk.mount(1, mkfs), disk.mount(2, EXT4));
        // A name with everything in it that a path may have.
        let disc = holder.0.join("a dir/the disc\n1.iso");
        write(&disc, b"");
        std::fs::File::options().write(true).open(&disc).and_then(|f| f.set_len(20 << 20)).expect("sized");
        run("mkfs.ext4", &["-q", "-F", text(&disc)]);
        let medium = Mounted::new(&["-o", "loop,ro", text(&disc)], &disk.dir.path().join("medium"));
        let codes = |more: &str, target: &Mounted| codes(&image, &medium.0, more, &target.0);
        let found = codes(":", &holder);
        assert!(found.contains(&"E16".to_owned()), "{mkfs:?}: {found:?}");
        // By another mount of it, too.
        let again = Mounted::new(&[&disk.partition(1)], &disk.dir.path().join("again"));
        let found = codes(":", &again);
        assert!(found.contains(&"E16".to_owned()), "{mkfs:?}: {found:?}");
        assert_eq!(codes(":", &beside), NONE, "another partition of that disk");
        let found = codes("umount /run/levitate/medium", &again);
        assert!(!found.contains(&"E16".to_owned()), "with levitate.toram it may be emptied: {found:?}");
    }
}

/// An optical disc: read-only, a device of its own, nothing else on it.
#[test]
fn an_optical_disc() {
    if !can_mount("recstrap and an optical disc") {
        return;
    }
    let image = image();
    let tree = tempfile::tempdir().expect("a temporary directory");
    write(&tree.path().join("live/rootfs.erofs"), b"");
    std::fs::create_dir(tree.path().join("empty")).expect("made");
    let (dir, target) = (tempfile::tempdir().expect("a temporary directory"), Target::new("ext4", 50, &[]));
    let disc = dir.path().join("disc");
    run("mkfs.erofs", &["--quiet", text(&disc), text(tree.path())]);
    let device = Cmd::new("losetup")
        .args(["--find", "--show", "--read-only"])
        .arg(&disc)
        .read()
        .expect("a loop device");
    let medium = Mounted::new(&["-o", "ro", device.trim()], &dir.path().join("medium"));
    let _ = Cmd::new("losetup").args(["--detach", device.trim()]).output();
    assert_eq!(codes(&image, &medium.0, ":", &target.mount), NONE);
    let found = codes(&image, &medium.0, ":", &medium.0.join("empty"));
    assert!(["E05", "E07", "E16"].iter().all(|code| found.contains(&(*code).to_owned())), "{found:?}");
}
