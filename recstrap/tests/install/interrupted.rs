//! Killed, interrupted, or out of space: the target never claims to be whole, and the same command starts over.

use crate::lab::{self, Image, Target, can_mount, everything, listing, recstrap, traced, wait};

/// Runs it again, and looks whether everything is as if nothing had happened.
fn starts_over(image: &Image, target: &Target) {
    assert!(target.path(".recstrap-incomplete").exists(), "there is no marker");
    assert!(!target.claims_to_be_done());
    let again = recstrap(image, &target.mount, &[]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("starts over"), "{again:?}");
    assert!(target.claims_to_be_done());
    assert_eq!(listing(&target.mount).digest, image.digest);
}

#[test]
fn killed_at_many_points() {
    if !can_mount("kill -9 and start over") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    for point in [
        "fsync:when=1",
        "mkdirat:when=3",
        "fchmod:when=4",
        "pwrite64:when=100",
        "linkat:when=2",
        "utimensat:when=100",
        "syncfs:when=1",
        "flistxattr:when=100",
        "syncfs:when=2",
        "fsync:when=4",
        "renameat:when=1",
        "unlinkat:when=1",
    ] {
        let mut child = traced(&format!("{point}:signal=SIGKILL"), &image, &target.mount, &["--force"]);
        let status = child.wait().expect("it ends");
        assert_eq!(common_signal(status), Some(9), "{point}: nothing was killed: {status}");
        assert!(!target.claims_to_be_done(), "{point}");
    }
    starts_over(&image, &target);
}

fn common_signal(status: std::process::ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    status.signal().or_else(|| status.code().filter(|code| *code > 128).map(|code| code - 128))
}

#[test]
fn interrupted_by_signals() {
    if !can_mount("signals") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    for signal in ["SIGINT", "SIGTERM", "SIGHUP"] {
        let inject = format!("utimensat:signal={signal}:when=30");
        let ended = wait(traced(&inject, &image, &target.mount, &["--json"]));
        assert_eq!(ended.code, Some(130), "{signal}: {ended:?}");
        assert!(ended.stderr.contains("run the same command again; it starts over"), "{ended:?}");
        assert_eq!((&ended.json()["result"], &ended.json()["exit"]), (&"failed".into(), &130.into()));
    }
    starts_over(&image, &target);
}

#[test]
fn a_full_disk_is_said_and_a_larger_one_works() {
    if !can_mount("a full disk") {
        return;
    }
    let tree = tempfile::tempdir().expect("a temporary directory");
    lab::write(&tree.path().join("etc/file"), b"words");
    std::fs::create_dir_all(tree.path().join("var/lib")).expect("made");
    // Directories take blocks that no lower bound counts: preflight lets it pass.
    for number in 0..3000 {
        std::fs::create_dir_all(tree.path().join(format!("d/{number}"))).expect("made");
    }
    let image = Image::new(tree.path(), &[]);
    let target = Target::new("ext4", 8, &["-N", "4000"]);
    let full = recstrap(&image, &target.mount, &[]);
    assert_eq!(full.code, Some(3), "{full:?}");
    assert!(full.stderr.contains("No space left") && full.stderr.contains("larger partition"), "{full:?}");
    assert!(!target.claims_to_be_done());
    target.unmount();
    let file = std::fs::OpenOptions::new().write(true).open(target.file()).expect("opened");
    file.set_len(100 << 20).expect("sized");
    lab::run("e2fsck", &["-f", "-p", lab::text(&target.file())]);
    lab::run("resize2fs", &[lab::text(&target.file())]);
    target.mount();
    starts_over(&image, &target);
}

#[test]
fn errors_of_the_target_are_failures() {
    if !can_mount("EIO and ENOSPC") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let target = Target::new("ext4", 100, &[]);
    for call in [
        "fsync:1",
        "fsync:2",
        "mkdirat:2",
        "openat2:5",
        "pwrite64:50",
        "fchown:1",
        "fchmod:2",
        "utimensat:20",
        "ftruncate:1",
        "symlinkat:1",
        "mknodat:2",
        "linkat:1",
        "fsetxattr:1",
        "lsetxattr:1",
        "syncfs:1",
        "syncfs:2",
        "fsync:3",
        "fsync:4",
        "renameat:1",
        "unlinkat:1",
    ] {
        let (call, when) = call.split_once(':').expect("a number");
        for (error, code) in [("EIO", 13), ("ENOSPC", 3)] {
            let inject = format!("{call}:error={error}:when={when}");
            let ended = wait(traced(&inject, &image, &target.mount, &["--force"]));
            assert_eq!(ended.code, Some(code), "{inject}: {ended:?}");
            assert!(!target.claims_to_be_done(), "{inject}");
        }
    }
    let again = recstrap(&image, &target.mount, &["--force"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(listing(&target.mount).digest, image.digest);
}

#[test]
fn a_disk_that_fails_behind_the_writers_is_noticed() {
    if !can_mount("an error while files are still written") {
        return;
    }
    // Enough that the first files are on their way to the disk before the last one is written.
    let tree = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir_all(tree.path().join("var/lib")).expect("made");
    for number in 0..6 {
        lab::write(&tree.path().join(number.to_string()), &vec![number; 12 << 20]);
    }
    let image = Image::new(tree.path(), &[]);
    let target = Target::new("ext4", 100, &[]);
    let ended = wait(traced("syncfs:error=EIO:when=1", &image, &target.mount, &["--json"]));
    assert_eq!(ended.code, Some(13), "{ended:?}");
    let seconds = &ended.json()["seconds"];
    assert!(seconds.get("extract").is_some() && seconds.get("sync").is_none(), "too late: {ended:?}");
    assert!(!target.claims_to_be_done());
    starts_over(&image, &target);
}
