//! A target that wants us to mount over files of the running system.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use crate::target::{Target, text};

/// Mount points as a process sees them.
fn mount_points(pid: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("read");
    text.lines().filter_map(|l| l.split(' ').nth(4).map(str::to_owned)).collect()
}

/// Enters the target and returns where the guard mounted, as the running system's paths.
fn mounted(target: &Target) -> Vec<String> {
    let before = mount_points("self");
    let session = target.start(&[], "echo up; sleep 60");
    assert_eq!(session.line, "up");
    let during = mount_points(&session.guard().to_string());
    session.kill("TERM", session.pid());
    session.end();
    target.wait_until_clean();
    during.difference(&before).cloned().collect()
}

/// A target like ours: `/tmp/.tmpXXXXXX/target`, and what is mounted in there.
fn is_of_another_test(path: &str) -> bool {
    path.split('/').any(|part| part == "target")
}

#[test]
fn nothing_is_mounted_outside_of_the_target() {
    let Some(target) = Target::new("recchroot and hostile symlinks") else { return };
    fs::write(target.join("etc/resolv.conf"), "").expect("written");
    let inside = |paths: Vec<String>| {
        assert!(paths.len() >= 5, "{paths:?}");
        let prefix = format!("{}/", target.path().display());
        // Other tests make targets of their own meanwhile; what they mount is in a directory like ours.
        let strangers = paths.iter().filter(|p| !p.starts_with(&prefix)).filter(|p| !is_of_another_test(p));
        assert_eq!(strangers.count(), 0, "{paths:?}");
        paths.into_iter().filter(|p| p.starts_with(&prefix)).collect::<Vec<_>>()
    };
    inside(mounted(&target));
    // The directory itself leads out, absolutely and by dots, to one that has what we would mount on.
    let victim = tempfile::tempdir().expect("a temporary directory");
    fs::write(victim.path().join("resolv.conf"), "").expect("written");
    let absolute = victim.path().display().to_string();
    let relative = format!("../../../../../..{absolute}");
    fs::rename(target.join("etc"), target.join("real")).expect("moved");
    for to in [absolute, relative] {
        symlink(to, target.join("etc")).expect("linked");
        assert!(target.join("etc/resolv.conf").is_file(), "the link leads out");
        let at = inside(mounted(&target));
        assert!(!at.iter().any(|p| p.ends_with("resolv.conf")), "{at:?}");
        fs::remove_file(target.join("etc")).expect("removed");
    }
    fs::rename(target.join("real"), target.join("etc")).expect("moved back");
    // A link to another directory of the target is followed there.
    fs::rename(target.join("etc"), target.join("var/etc")).expect("moved");
    symlink("/var/etc", target.join("etc")).expect("linked");
    let at = inside(mounted(&target));
    assert!(at.contains(&target.join("var/etc/resolv.conf").display().to_string()), "{at:?}");
}

#[test]
fn a_mount_point_that_is_a_link_is_refused() {
    let Some(target) = Target::new("recchroot and links as mount points") else { return };
    for dir in ["proc", "sys", "dev", "run", "tmp"] {
        for to in ["/etc", "var", "../../etc"] {
            fs::rename(target.join(dir), target.join("kept")).expect("moved");
            symlink(to, target.join(dir)).expect("linked");
            let out = target.run(&[], &["true"]);
            assert_eq!(out.status.code(), Some(125), "{dir} -> {to}: {out:?}");
            let said = text(&out.stderr);
            let expected = format!("{} is reached by a symbolic link", target.join(dir).display());
            assert!(said.contains(&expected), "{dir} -> {to}: {said}");
            fs::remove_file(target.join(dir)).expect("removed");
            fs::rename(target.join("kept"), target.join(dir)).expect("moved back");
        }
    }
}

#[test]
fn a_missing_mount_point_is_named() {
    let Some(target) = Target::new("recchroot without mount points") else { return };
    fs::remove_dir(target.join("sys")).expect("removed");
    let out = target.run(&[], &["true"]);
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains(&target.join("sys").display().to_string()), "{out:?}");
}

#[test]
fn accounts_that_are_no_files_do_not_hang_us() {
    let Some(target) = Target::new("recchroot and a FIFO as passwd") else { return };
    fs::remove_file(target.join("etc/passwd")).expect("removed");
    common::cmd::Cmd::new("mkfifo").arg(target.join("etc/passwd")).run().expect("made");
    let out = target.run(&[], &["true"]);
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("not a regular file"), "{out:?}");
    // A link to the running system's accounts finds none: it is resolved in there.
    fs::remove_file(target.join("etc/passwd")).expect("removed");
    symlink("/../../../../etc/passwd", target.join("etc/passwd")).expect("linked");
    let out = target.run(&["-u", "daemon"], &["id"]);
    assert_eq!(out.status.code(), Some(125), "{out:?}");
}
