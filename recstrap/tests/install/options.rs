//! What can be left out, kept, forced; other file systems below the target; what no installed system may have.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::lab::{self, Image, Target, can_mount, everything, listing, noise, recstrap, run, text, write};

#[test]
fn excludes() {
    if !can_mount("excludes") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    // The first name of a file with three is left out, a whole directory, and some of another.
    let options =
        ["--exclude", "/etc/aa-*", "--exclude", "usr/share/doc", "--exclude", "**/page.?", "--json"];
    let done = recstrap(&image, &target.mount, &options);
    assert_eq!(done.code, Some(0), "{done:?}");
    let record = &done.json()["record"];
    assert_eq!(record["excludes"], serde_json::json!(["/etc/aa-*", "usr/share/doc", "**/page.?"]));
    assert_eq!(record["tree"]["image"], image.digest.to_string());
    let left = record["differences"].as_array().expect("a list");
    assert_eq!(left.len(), 12, "{left:?}");
    for name in ["etc/aa-noise", "usr/share/doc", "usr/share/man/page.7"] {
        assert!(!target.path(name).exists(), "{name}");
    }
    assert_eq!(std::fs::read(target.path("usr/share/noise")).expect("there"), noise(3 << 20));

    // The same as a tree that never had them.
    let other = tempfile::tempdir().expect("a temporary directory");
    run("cp", &["-a", &format!("{}/.", text(&target.mount)), text(other.path())]);
    let expected = listing(tree.path());
    let found = listing(&target.mount);
    assert_eq!(record["tree"]["target"], found.digest.to_string());
    // aa-noise; doc, doc/a and its three names; page.0 to page.9
    assert_eq!(expected.names - found.names, 1 + 5 + 10);

    let wrong = recstrap(&image, &target.mount, &["--exclude", "a[", "--force"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn a_kept_home_and_force() {
    if !can_mount("--keep-home and --force") {
        return;
    }
    let tree = everything();
    write(&tree.path().join("home/live/file"), b"of the image");
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    write(&target.path("home/me/letter"), b"mine");
    write(&target.path("old/deep/file"), b"old");
    write(&target.path("etc/old.conf"), b"old");
    run("setfacl", &["-d", "-m", "u:33:rwx", text(&target.mount)]);
    let outside = tempfile::tempdir().expect("a temporary directory");
    write(&outside.path().join("victim"), b"precious");
    std::os::unix::fs::symlink(outside.path(), target.path("old/link")).expect("linked");

    let refused = recstrap(&image, &target.mount, &["--keep-home"]);
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert!(target.path("old/deep/file").exists());

    for options in [&["--force", "--keep-home", "--json"][..], &["--keep-home", "--json", "--force"]] {
        let done = recstrap(&image, &target.mount, options);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("is deleted"), "{done:?}");
        let differences = done.json()["record"]["differences"].clone();
        assert_eq!(differences, serde_json::json!([{ "path": "home/live", "why": "/home is kept" }]));
        assert_eq!(std::fs::read(target.path("home/me/letter")).expect("kept"), b"mine");
        assert!(!target.path("old").exists() && !target.path("etc/old.conf").exists());
        assert!(!target.path("home/live").exists());
        assert_eq!(target.path("home").metadata().expect("there").uid(), 70000);
        assert!(outside.path().join("victim").exists());
    }
    let done = recstrap(&image, &target.mount, &["--force"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(listing(&target.mount).digest, image.digest, "without --keep-home it goes");
}

#[test]
fn a_directory_is_no_mount_point_unless_forced() {
    if !can_mount("--force on a directory") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    let dir = target.path("sub");
    std::fs::create_dir(&dir).expect("made");
    assert_eq!(recstrap(&image, &dir, &["--check", "--json"]).codes(), ["E05"]);
    let done = recstrap(&image, &dir, &["--force"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(listing(&dir).digest, image.digest);
}

#[test]
fn mounts_below_the_target_belong_to_it() {
    if !can_mount("mounts below the target") {
        return;
    }
    let tree = everything();
    write(&tree.path().join("boot/loader/entry"), b"entry\n");
    write(&tree.path().join("boot/kernel"), &noise(100_000));
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let (target, boot, home) =
        (Target::new("ext4", 100, &[]), Target::new("ntfs-3g", 40, &[]), Target::new("xfs", 400, &[]));
    write(&boot.path("EFI/other/os.efi"), b"another system's");
    write(&boot.path("loader/entry"), b"older");
    write(&home.path("me/letter"), b"mine");
    for (dir, other) in [("boot", &boot), ("home", &home)] {
        std::fs::create_dir(target.path(dir)).expect("made");
        run("mount", &["--bind", text(&other.mount), text(&target.path(dir))]);
    }
    std::fs::create_dir_all(target.path("srv/data")).expect("made");
    run("mount", &["-t", "tmpfs", "tmpfs", text(&target.path("srv/data"))]);
    for again in [false, true] {
        let options = if again { &["--force"][..] } else { &[] };
        let done = recstrap(&image, &target.mount, options);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(std::fs::read(boot.path("loader/entry")).expect("there"), b"entry\n");
        assert_eq!(std::fs::read(boot.path("kernel")).expect("there"), noise(100_000));
        assert!(boot.path("EFI/other/os.efi").exists() && home.path("me/letter").exists());
        assert!(target.path("srv/data").exists());
    }
    for dir in ["boot", "home", "srv/data"] {
        run("umount", &[text(&target.path(dir))]);
    }
    assert!(!target.path("boot/kernel").exists(), "it is on the other file system");
}

/// Without its mounts the target is the image: the directories below them, too.
#[test]
fn directories_below_mounts_are_the_images() {
    if !can_mount("directories below mounts") {
        return;
    }
    let tree = everything();
    covered_directory(tree.path(), "efi", 0o700, 1_000_000);
    covered_directory(tree.path(), "home", 0o751, 1_000_001);
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    for fstype in ["ext4", "xfs", "btrfs"] {
        let target = Target::new(fstype, 400, &[]);
        let places = [("efi", Target::new("ntfs-3g", 40, &[])), ("home", Target::new("ext4", 40, &[]))];
        cover(&target, &places);
        let done = recstrap(&image, &target.mount, &[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!done.stderr.contains("not as in the image"), "{done:?}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
        let mine = mounts.lines().filter(|line| line.contains(text(&target.mount)));
        assert_eq!(mine.count(), 1 + places.len(), "no mount came or went");
        places.iter().for_each(|(dir, _)| run("umount", &[text(&target.path(dir))]));
        assert_eq!(listing(&target.mount).digest, image.digest, "{fstype}");
    }
}

/// /boot on a file system of its own, and /boot/efi in that.
#[test]
fn directories_below_mounts_in_mounts_are_the_images() {
    if !can_mount("directories below mounts in mounts") {
        return;
    }
    let tree = everything();
    covered_directory(tree.path(), "boot/efi", 0o711, 1_000_002);
    covered_directory(tree.path(), "boot", 0o751, 1_000_001);
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    cover(&target, &[("boot", Target::new("xfs", 400, &[])), ("boot/efi", Target::new("ntfs-3g", 40, &[]))]);
    let done = recstrap(&image, &target.mount, &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let found = |path: &str| {
        let meta = target.path(path).metadata().expect("there");
        (meta.mode() & 0o7777, meta.uid(), meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!(found("boot"), (0o751, 3, 1_000_001, 7), "the root of what is mounted");
    run("umount", &[text(&target.path("boot/efi"))]);
    assert_eq!(found("boot/efi"), (0o711, 3, 1_000_002, 7));
    run("umount", &[text(&target.path("boot"))]);
    assert_eq!(found("boot"), (0o751, 3, 1_000_001, 7));
    assert!(!target.path("boot/efi").exists(), "it is on the other file system");
}

#[test]
fn a_directory_below_a_mount_that_cannot_be_reached_is_named() {
    if !can_mount("directories below mounts out of reach") {
        return;
    }
    let tree = everything();
    covered_directory(tree.path(), "efi", 0o700, 1_000_000);
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    cover(&target, &[("efi", Target::new("ntfs-3g", 40, &[]))]);
    let done = lab::wait(lab::traced("open_tree:error=EPERM", &image, &target.mount, &[]));
    let said = format!("not as in the image: {} below what is mounted there", target.path("efi").display());
    assert!(done.code == Some(0) && done.stderr.contains(&said), "{done:?}");
    let done = lab::wait(lab::traced("open_tree:error=EIO", &image, &target.mount, &["--force"]));
    assert!(done.code == Some(13) && !target.claims_to_be_done(), "{done:?}");
}

/// A directory with something of everything.
fn covered_directory(tree: &Path, name: &str, mode: u32, mtime: i64) {
    let dir = tree.join(name);
    std::fs::create_dir_all(&dir).expect("made");
    std::os::unix::fs::chown(&dir, Some(3), Some(4)).expect("owned");
    run("setfattr", &["-n", "user.note", "-v", "covered", text(&dir)]);
    run("setfacl", &["-d", "-m", "u:33:rwx", text(&dir)]);
    lab::chmod(&dir, mode);
    lab::touch(&dir, mtime, 7);
}

/// Mounts file systems on new directories, on which their maker left something.
fn cover(target: &Target, places: &[(&str, Target)]) {
    for (dir, other) in places {
        std::fs::create_dir(target.path(dir)).expect("made");
        run("setfattr", &["-n", "user.old", "-v", "1", text(&target.path(dir))]);
        run("mount", &["--bind", text(&other.mount), text(&target.path(dir))]);
    }
}

#[test]
fn nobodys_identity_is_installed_twice() {
    if !can_mount("the first state") {
        return;
    }
    let tree = everything();
    for name in [
        "etc/ssh/ssh_host_rsa_key",
        "etc/ssh/ssh_host_rsa_key.pub",
        "var/lib/systemd/random-seed",
        "run/live/x",
    ] {
        write(&tree.path().join(name), b"secret");
    }
    write(&tree.path().join("etc/ssh/sshd_config"), b"Port 22\n");
    write(&tree.path().join("var/log/journal/0123/system.journal"), &noise(5000));
    write(&tree.path().join("etc/machine-id"), b"0123456789abcdef0123456789abcdef\n");
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    let done = recstrap(&image, &target.mount, &["--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let json = done.json();
    let differences = json["record"]["differences"].as_array().expect("a list").iter();
    let named: Vec<&str> = differences.map(|d| d["path"].as_str().expect("a path")).collect();
    let expected = [
        "etc/machine-id",
        "etc/ssh/ssh_host_rsa_key",
        "etc/ssh/ssh_host_rsa_key.pub",
        "run/live",
        "var/lib/systemd/random-seed",
        "var/log/journal/0123",
    ];
    assert_eq!(named, expected);
    assert!(done.stderr.contains("/etc/ssh/ssh_host_rsa_key: "), "{done:?}");
    assert_eq!(std::fs::read(target.path("etc/machine-id")).expect("there"), b"");
    assert!(target.path("etc/ssh/sshd_config").exists() && target.path("var/log/journal").exists());
    for name in expected.iter().skip(1) {
        assert!(!target.path(name).exists(), "{name}");
    }
}

#[test]
fn memory_stays_small() {
    if !can_mount("memory") {
        return;
    }
    let tree = tempfile::tempdir().expect("a temporary directory");
    write(&tree.path().join("large"), &noise(40 << 20));
    write(&tree.path().join("zeros"), &vec![0; 100 << 20]);
    for number in 0..5000 {
        write(&tree.path().join(format!("d{}/f{number}", number % 50)), format!("{number}").as_bytes());
    }
    let image = Image::new(tree.path(), &["-zlz4", "-C1048576"]);
    let target = Target::new("ext4", 400, &[]);
    let peak = target.dir.path().join("peak");
    let command = lab::command(&image, &target.mount, &["--jobs", "8"]);
    let time = testkit::oracle("time");
    command.under(text(&time), &["-f", "%M", "-o", text(&peak)]).read().expect("it works");
    let kib: u64 = std::fs::read_to_string(peak).expect("read").trim().parse().expect("a number");
    assert!(kib < 150 << 10, "{kib} KiB");
}
