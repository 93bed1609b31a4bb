//! What `recfstab` does when it cannot know: a documented exit code, and not one byte on stdout.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::cmd::Cmd;

const RECFSTAB: &str = env!("CARGO_BIN_EXE_recfstab");

/// Exit code and stderr; stdout must be empty.
fn fails(cmd: &Cmd) -> (Option<i32>, String) {
    let out = cmd.output().expect("recfstab starts");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "", "output of a failure");
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// Programs by name, each a script of sh.
type Scripts<'a> = &'a [(&'a str, &'a str)];

/// A directory of programs.
fn programs(scripts: Scripts<'_>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, script) in scripts {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    dir
}

fn with_path(dir: &Path) -> Cmd {
    Cmd::new(RECFSTAB).args(["-U", "/"]).env("PATH", dir)
}

#[test]
fn a_directory_that_is_no_mount_point() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (code, stderr) = fails(&Cmd::new(RECFSTAB).arg(dir.path()));
    assert_eq!(code, Some(11), "{stderr}");
    assert!(stderr.contains("is not a mount point"), "{stderr}");
    let (code, stderr) = fails(&Cmd::new(RECFSTAB).arg(dir.path().join("missing")));
    assert_eq!(code, Some(11), "{stderr}");
    // genfstab's habit of a file with a traceback in it starts here: no arguments.
    assert_eq!(fails(&Cmd::new(RECFSTAB)).0, Some(2));
}

#[test]
fn a_mount_point_with_nothing_for_fstab() {
    let (code, stderr) = fails(&Cmd::new(RECFSTAB).args(["-U", "/proc"]));
    assert_eq!(code, Some(10), "{stderr}");
    assert!(stderr.starts_with("error: nothing at or below /proc belongs into fstab\n"), "{stderr}");
}

#[test]
fn tools_that_are_missing_or_fail_or_talk_nonsense() {
    let whole =
        r#"echo '{"filesystems": [{"id": 1, "parent": 0, "maj:min": "8:1", "target": "/", "fsroot": "/"}]}'"#;
    let cases: [(Scripts<'_>, i32, &str); 6] = [
        (&[], 12, "`findmnt` is not installed"),
        (&[("findmnt", whole)], 12, "`lsblk` is not installed"),
        (&[("findmnt", "echo no >&2; exit 32"), ("lsblk", "exit 0")], 12, "failed (exit status: 32)\nno"),
        (&[("findmnt", whole), ("lsblk", "exit 1")], 12, "failed (exit status: 1)"),
        (&[("findmnt", "exit 0"), ("lsblk", "exit 0")], 13, "failed to parse what lsblk printed"),
        (
            &[("findmnt", "echo '{\"filesystems\": ['"), ("lsblk", "echo '{\"blockdevices\": []}'")],
            13,
            "what findmnt printed",
        ),
    ];
    for (scripts, expected, words) in cases {
        let dir = programs(scripts);
        let (code, stderr) = fails(&with_path(dir.path()));
        assert_eq!(code, Some(expected), "{scripts:?}: {stderr}");
        assert!(stderr.contains(words), "{scripts:?}: {stderr}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mount = r#"{"filesystems": [{"id": 1, "parent": 0, "maj:min": "8:1", "source": "/dev/sda1", "target": "/mnt", "fstype": "ext4", "fsroot": "/"}]}"#;
    for (name, text) in [("findmnt.json", mount), ("lsblk.json", r#"{"blockdevices": []}"#), ("swaps", "")] {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let cmd = Cmd::new(RECFSTAB).arg("--from").arg(dir.path()).arg("/mnt");
    assert_eq!(cmd.read().expect("it succeeds").lines().count(), 2);
    let full = File::options().write(true).open("/dev/full").expect("opened");
    let status = cmd.std().stdout(full).status().expect("it starts");
    assert_eq!(status.code(), Some(3));
}
