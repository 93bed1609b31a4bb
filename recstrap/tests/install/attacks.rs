//! The medium lies, the disk rots, somebody meddles: it is noticed, or it would be worth nothing.

use std::os::unix::fs::FileExt;

use cheat_test::cheat_aware;
use common::cmd::Cmd;

use crate::lab::{self, Image, Target, can_mount, everything, noise, recstrap, traced, wait, write};

/// Holds recstrap between the first sync and reading back.
const PAUSE: &str = "syncfs:delay_exit=3000000:when=1";

#[test]
fn a_flipped_bit_of_the_image_is_refused() {
    if !can_mount("flipped bits") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    let good = std::fs::read(image.file()).expect("read");
    for number in 0..24_usize {
        let at = number * 7_919_999 % good.len();
        let mut bad = good.clone();
        bad[at] ^= 1 << (number % 8);
        std::fs::write(image.file(), &bad).expect("written");
        let ended = recstrap(&image, &target.mount, &[]);
        assert!(matches!(ended.code, Some(10 | 11)), "byte {at}: {ended:?}");
        assert!(!target.claims_to_be_done(), "byte {at}");
    }
    std::fs::write(image.file(), &good).expect("written");
    assert_eq!(recstrap(&image, &target.mount, &[]).code, Some(0));
}

#[test]
fn another_tree_than_the_manifests_is_refused() {
    if !can_mount("another tree") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let mut other = lab::listing(tree.path());
    other.digest = common::hash::Sha256::of(b"another tree");
    image.write_manifest(&other);
    let target = Target::new("ext4", 100, &[]);
    let ended = recstrap(&image, &target.mount, &[]);
    assert_eq!(ended.code, Some(11), "{ended:?}");
    assert!(ended.stderr.contains("tree digest"), "{ended:?}");
    assert!(!target.claims_to_be_done());
}

/// The disk gives back other bytes than it was given. The kernel still has the right ones in memory: only who drops
/// those, and reads from the disk, can notice.
#[cheat_aware(
    protects = "an installation is called whole only when the disk gives back every byte that was written",
    severity = "CRITICAL",
    cheats = [
        "read back what the kernel remembers of what was written",
        "compare only the digests that were computed while writing"
    ],
    consequence = "a failing disk gives a system that breaks later, and nobody was told",
    sabotage = ["read-back-from-memory"]
)]
#[test]
fn a_disk_that_rots_is_noticed() {
    if !can_mount("a rotting disk") {
        return;
    }
    let tree = tempfile::tempdir().expect("a temporary directory");
    write(&tree.path().join("etc/file"), b"words");
    write(&tree.path().join("usr/noise"), &noise(300_000));
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 50, &[]);
    let child = traced(PAUSE, &image, &target.mount, &[]);
    let path = target.path("usr/noise");
    let mut block = None;
    lab::until("the file to be on the disk", || {
        block = first_block(&path);
        block.is_some()
    });
    // The sync was what put it there; it is over in no time, and recstrap waits three seconds.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let disk = std::fs::OpenOptions::new().read(true).write(true).open(target.file()).expect("opened");
    let at = block.expect("found") * 4096 + 77;
    let mut byte = [0];
    disk.read_exact_at(&mut byte, at).expect("read");
    assert_eq!(byte[0], noise(78)[77], "that is another block");
    disk.write_all_at(&[byte[0] ^ 1], at).expect("written");
    let ended = wait(child);
    assert_eq!(ended.code, Some(12), "{ended:?}");
    assert!(ended.stderr.contains("/usr/noise: expected sha256digest="), "{ended:?}");
    assert!(!target.claims_to_be_done());
}

/// Number of the first block of a file, once it has one for certain.
fn first_block(path: &std::path::Path) -> Option<u64> {
    let out = Cmd::new(testkit::oracle("filefrag")).args(["-v", "-b4096"]).arg(path).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let line = text.lines().find(|l| l.trim_start().starts_with("0:"))?;
    if line.contains("delalloc") || line.contains("unknown") || line.contains("unwritten") {
        return None;
    }
    line.split(':').nth(2)?.split("..").next()?.trim().parse().ok()
}

#[test]
fn whoever_meddles_is_noticed() {
    if !can_mount("meddling") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    let child = traced(PAUSE, &image, &target.mount, &[]);
    let last = target.path("var/lib");
    // Modes of directories are set last, the root's after all others.
    lab::until("the extraction's end", || {
        use std::os::unix::fs::MetadataExt;
        last.metadata().is_ok_and(|m| m.mode() & 0o7777 == 0o2770 || m.mode() & 0o7777 == 0o2750)
            && target.mount.metadata().is_ok_and(|m| m.mtime() == 1_600_000_000)
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    let times = target.path("usr/bin/plain").metadata().expect("there");
    std::fs::write(target.path("usr/bin/plain"), b"PLAIN").expect("written");
    {
        use std::os::unix::fs::MetadataExt;
        lab::touch(&target.path("usr/bin/plain"), times.mtime(), times.mtime_nsec());
    }
    lab::chmod(&target.path("usr/bin/suid"), 0o755);
    std::fs::remove_file(target.path("usr/share/man/page.7")).expect("removed");
    std::fs::write(target.path("usr/bin/extra"), b"").expect("written");
    std::fs::remove_file(target.path("etc/hostname")).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", target.path("etc/hostname")).expect("linked");
    lab::run("setfattr", &["-n", "user.more", "-v", "x", lab::text(&target.path("usr/share/sparse"))]);
    std::fs::remove_file(target.path("usr/share/noise")).expect("removed");
    std::fs::copy(target.path("etc/aa-noise"), target.path("usr/share/noise")).expect("copied");
    let ended = wait(child);
    assert_eq!(ended.code, Some(12), "{ended:?}");
    for name in [
        "/usr/bin/plain: expected sha256digest=",
        "/usr/bin/suid: expected mode=4755, found mode=0755",
        "/usr/share/man/page.7: expected it",
        "/usr/bin/extra: expected nothing",
        "/etc/hostname: expected type=file",
        "/usr/share/sparse: expected nothing more, found xattr.user.more",
        "/usr/share/noise: expected",
    ] {
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
    assert!(!target.claims_to_be_done());
}
