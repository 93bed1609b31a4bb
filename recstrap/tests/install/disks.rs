//! Reading back from the disk itself where that gives the files' bytes, and through the file system everywhere else.

use common::cmd::Cmd;

use crate::lab::{Ended, Image, Target, can_mount, command, everything, listing, recstrap, run, text};

/// An installation with a record of the devices that were opened, and of what was read from them.
fn watched(image: &Image, target: &Target, before: &[&str]) -> (Ended, String) {
    let log = target.dir.path().join("log");
    let strace = testkit::oracle("strace");
    let trace = ["-f", "-y", "-qq", "-o", text(&log), "-e", "trace=pread64,openat"];
    let mut command = command(image, &target.mount, &["--json"]).under(text(&strace), &trace);
    if let [program, args @ ..] = before {
        command = command.under(program, args);
    }
    let done = command.output().expect("it starts").into();
    (done, std::fs::read_to_string(log).expect("a log"))
}

/// How often a block device was read from.
fn reads(log: &str) -> usize {
    log.lines().filter(|line| line.contains("pread64(") && line.contains("</dev/loop")).count()
}

#[test]
fn where_the_disk_has_the_files_bytes_it_is_read() {
    if !can_mount("reading back from the disk") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    for (fstype, mib, options) in [
        ("ext4", 100, &[][..]),
        // Files that begin within a sector of a large disk, and ones within their inodes.
        ("ext4", 100, &["-b", "1024"]),
        ("ext4", 100, &["-I", "1024", "-O", "inline_data"]),
        ("xfs", 400, &[]),
    ] {
        let target = Target::new(fstype, mib, options);
        let (done, log) = watched(&image, &target, &[]);
        assert_eq!(done.code, Some(0), "{fstype} {options:?}: {done:?}");
        assert_eq!(done.json()["record"]["tree"]["target"], image.digest.to_string(), "{fstype} {options:?}");
        let (files, count) = (400, reads(&log));
        assert!(count > 0, "{fstype} {options:?}: the disk was not read");
        assert!(
            count < files / 4,
            "{fstype} {options:?}: {count} reads for {files} files that are neighbours"
        );
        assert_eq!(listing(&target.mount).digest, image.digest);
    }
}

#[test]
fn elsewhere_files_are_read() {
    if !can_mount("reading back without the disk") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    let is_through_files = |what: &str, target: &Target, before: &[&str]| {
        let (done, log) = watched(&image, target, before);
        assert_eq!(done.code, Some(0), "{what}: {done:?}");
        assert_eq!(done.json()["record"]["tree"]["target"], image.digest.to_string(), "{what}");
        assert_eq!(reads(&log), 0, "{what}: the disk was read");
        assert_eq!(listing(&target.mount).digest, image.digest);
    };
    // Contents are in the journal first, and long after a sync they are not where the files are.
    let target = Target::new("ext4", 200, &[]);
    target.unmount();
    run("tune2fs", &["-o", "journal_data", text(&target.file())]);
    target.mount();
    is_through_files("data=journal", &target, &[]);

    let target = Target::new("ext4", 200, &[]);
    target.unmount();
    // As `chattr +j` does, which needs a capability that containers lack.
    run("debugfs", &["-w", "-R", "set_inode_field <2> flags 0x84000", text(&target.file())]);
    target.mount();
    let flags = Cmd::new(testkit::oracle("lsattr")).args(["-d", text(&target.mount)]).read();
    assert!(
        flags.as_deref().is_ok_and(|f| f.split(' ').next().is_some_and(|f| f.contains('j'))),
        "{flags:?}"
    );
    is_through_files("chattr +j", &target, &[]);

    // No device of that name to be opened.
    let target = Target::new("ext4", 100, &[]);
    let hide = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec \"$@\"";
    is_through_files("a bare /dev", &target, &["unshare", "--mount", "sh", "-euc", hide, "sh"]);

    let target = Target::new("btrfs", 200, &[]);
    is_through_files("btrfs", &target, &[]);
}

/// The device fails where a file lies; what is said is the file, not a place.
#[test]
fn a_place_that_cannot_be_read_is_said_by_name() {
    if !can_mount("a disk with bad places") {
        return;
    }
    let tree = everything();
    let image = Image::new(tree.path(), &["-zlz4hc"]);
    // Every read of the disk fails; files can be read still.
    let target = Target::new("ext4", 100, &[]);
    let device = Cmd::new("findmnt").args(["-no", "SOURCE", text(&target.mount)]).read().expect("mounted");
    let strace = testkit::oracle("strace");
    let fail = ["-f", "-qq", "-o", "/dev/null", "-P", device.trim(), "-e", "inject=pread64:error=EIO"];
    let done: Ended = command(&image, &target.mount, &["--json"])
        .under(text(&strace), &fail)
        .output()
        .expect("it starts")
        .into();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json()["record"]["tree"]["target"], image.digest.to_string());

    // Files cannot be read either.
    let again = Target::new("ext4", 100, &[]);
    let device = Cmd::new("findmnt").args(["-no", "SOURCE", text(&again.mount)]).read().expect("mounted");
    let file = again.path("usr/share/doc/a/text");
    let fail = [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        device.trim(),
        "-P",
        text(&file),
        "-e",
        "inject=pread64,read:error=EIO",
    ];
    let ended: Ended =
        command(&image, &again.mount, &[]).under(text(&strace), &fail).output().expect("it starts").into();
    assert_eq!(ended.code, Some(13), "{ended:?}");
    assert!(ended.stderr.contains("failed to read back"), "{ended:?}");
    assert!(ended.stderr.contains("usr/share/doc/a/text"), "{ended:?}");
    assert!(!again.claims_to_be_done());
    assert_eq!(recstrap(&image, &again.mount, &[]).code, Some(0));
}
