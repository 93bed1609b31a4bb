//! The comparison of an image with a disk sees every kind of difference: a blind one would call any installation right.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cheat_test::cheat_aware;
use common::cmd::Cmd;
use e2e::compare::{Difference, only, trees, unexpected};

fn make(root: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
    for dir in ["usr/bin", "usr/empty", "etc", "var/log"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for name in ["usr/bin/a", "usr/bin/b", "usr/bin/c", "usr/bin/d", "usr/bin/e", "etc/fstab"] {
        fs::write(root.join(name), name).unwrap();
        fs::File::options().write(true).open(root.join(name)).unwrap().set_modified(long_ago).unwrap();
    }
    fs::hard_link(root.join("usr/bin/a"), root.join("usr/bin/a2")).unwrap();
    symlink("a", root.join("usr/bin/link")).unwrap();
}

#[cheat_aware(
    protects = "the installed files are compared with the image's in every respect",
    severity = "CRITICAL",
    cheats = [
        "compare sizes and times only",
        "compare in one direction, so that a name too many is not seen",
        "list a directory as expected to differ instead of the one file in it"
    ],
    consequence = "an installation with damaged, missing or foreign files passes the test",
    sabotage = ["compare-without-contents", "compare-one-way", "compare-wide-list"]
)]
#[test]
fn every_kind_of_difference_is_seen() {
    for tool in ["rsync", "setfattr", "cp"] {
        let _ = testkit::oracle(tool);
    }
    let dir = tempfile::tempdir().unwrap();
    let (image, disk) = (dir.path().join("image"), dir.path().join("disk"));
    make(&image);
    Cmd::new("cp").arg("-a").arg(&image).arg(&disk).run().unwrap();
    assert_eq!(trees(&image, &disk).unwrap(), []);

    // Same size, same time, other content.
    let changed = disk.join("usr/bin/b");
    let time = changed.metadata().unwrap().modified().unwrap();
    fs::write(&changed, "usr/bin/B").unwrap();
    fs::File::options().write(true).open(&changed).unwrap().set_modified(time).unwrap();
    fs::set_permissions(disk.join("usr/bin/c"), fs::Permissions::from_mode(0o4755)).unwrap();
    let nanosecond = time + Duration::from_nanos(1);
    fs::File::options().write(true).open(disk.join("usr/bin/d")).unwrap().set_modified(nanosecond).unwrap();
    Cmd::new("setfattr").args(["-n", "user.x", "-v", "1"]).arg(disk.join("usr/bin/e")).run().unwrap();
    fs::remove_file(disk.join("usr/bin/a2")).unwrap();
    fs::copy(disk.join("usr/bin/a"), disk.join("usr/bin/a2")).unwrap();
    fs::File::options().write(true).open(disk.join("usr/bin/a2")).unwrap().set_modified(time).unwrap();
    fs::remove_file(disk.join("usr/bin/link")).unwrap();
    symlink("b", disk.join("usr/bin/link")).unwrap();
    fs::remove_dir(disk.join("usr/empty")).unwrap();
    fs::write(disk.join("etc/foreign"), "").unwrap();
    fs::write(disk.join("etc/fstab"), "changed").unwrap();
    fs::write(disk.join("var/log/lastlog"), "").unwrap();

    let found = trees(&image, &disk).unwrap();
    let unexpected: Vec<_> = unexpected(&found, &["etc/fstab", "var/log/**"]).into_iter().cloned().collect();
    let seen = |path: &str| unexpected.iter().any(|d| d.path == path);
    for path in [
        "usr/bin/a2",
        "usr/bin/b",
        "usr/bin/c",
        "usr/bin/d",
        "usr/bin/e",
        "usr/bin/link",
        "usr/empty",
        "etc/foreign",
    ] {
        assert!(seen(path), "{path} is not seen among {unexpected:#?}");
    }
    for path in ["etc/fstab", "var/log/lastlog", "etc", "var/log"] {
        assert!(!seen(path), "{path} is expected, but among {unexpected:#?}");
    }
    // The times of these directories differ, and nothing expected is in them.
    assert!(seen("usr/bin") && seen("usr"), "{unexpected:#?}");
}

#[test]
fn an_expected_place_is_no_prefix_of_a_name() {
    let difference =
        |path: &str, change: &str| Difference { path: path.to_owned(), change: change.to_owned() };
    let found = [
        difference("var-lib", ">f+++++++++"),
        difference("etc", ".d...p....."),
        difference("etc", ".d..t......"),
        difference("var/lib/x", "*deleting"),
    ];
    let left: Vec<_> = unexpected(&found, &["var/**", "etc/fstab"]).iter().map(|d| &*d.change).collect();
    assert_eq!(left, [">f+++++++++", ".d...p....."]);
}

#[test]
fn a_time_or_a_mode_that_may_differ_is_no_content_that_may() {
    let expected = ["etc/ld.so.cache (time)", "etc/credstore (mode)", "var/nm/*.lease"];
    for (path, change, is_expected) in [
        ("etc/ld.so.cache", ".f..t......", true),
        ("etc/ld.so.cache", ">fc.t......", false),
        ("etc/ld.so.cache", ".f..tp.....", false),
        ("etc/ld.so.cache", "*deleting", false),
        ("etc/credstore", ".d...p.....", true),
        ("etc/credstore", ".d...po....", false),
        ("etc/credstore", "cd+++++++++", false),
        ("var/nm/a.lease", "*deleting", true),
        ("var/nm/x/a.lease", "*deleting", false),
        ("var/nm/a.leases", "*deleting", false),
        ("var/nm/key", "*deleting", false),
    ] {
        let found = [Difference { path: path.to_owned(), change: change.to_owned() }];
        assert_eq!(unexpected(&found, &expected).is_empty(), is_expected, "{path} {change}");
    }
}

#[test]
fn a_comparison_of_nothing_is_no_success() {
    let difference = |path: &str| Difference { path: path.to_owned(), change: ">fcst......".to_owned() };
    let err = only(&[], &["etc/fstab"]).unwrap_err().to_string();
    assert!(err.contains("nothing was compared"), "{err}");
    only(&[difference("etc/fstab")], &["etc/fstab"]).unwrap();
    let err = only(&[difference("etc/fstab"), difference("usr/bin/sudo")], &["etc/fstab"]).unwrap_err();
    assert_eq!(
        err.to_string(),
        "1 names differ from the image that should not (as rsync --itemize-changes shows them):\n  \
         >fcst...... usr/bin/sudo"
    );
}
