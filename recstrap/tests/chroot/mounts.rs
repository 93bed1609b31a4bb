//! What is mounted in there, and that nothing of it is seen outside.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use common::cmd::Cmd;

use crate::target::{Target, text};

/// Our own mounts, at a moment where other tests may mount as well: only those of this target.
fn outside(target: &Target) -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").expect("read");
    all.lines().filter(|l| l.contains(target.path().to_str().expect("UTF-8"))).map(str::to_owned).collect()
}

#[test]
fn everything_a_system_needs_is_there_and_gone_afterwards() {
    let Some(target) = Target::new("recchroot's mounts") else { return };
    let before = outside(&target);
    let mounts = target.sh("cat /proc/self/mountinfo");
    assert_eq!(outside(&target), before);
    let line = |at: &str| {
        let last = mounts.lines().rfind(|l| l.split(' ').nth(4) == Some(at));
        last.unwrap_or_else(|| panic!("nothing is mounted on {at}: {mounts}")).to_owned()
    };
    assert!(line("/").contains("tmpfs"));
    assert!(line("/proc").contains("nosuid,nodev,noexec") && line("/proc").contains("- proc "));
    assert!(line("/sys").contains(" ro,") && line("/sys").contains("- sysfs "));
    assert!(line("/dev/shm").contains("nosuid,nodev"));
    assert!(line("/tmp").contains("- tmpfs "));
    line("/dev");
    line("/run");
    assert_eq!(target.sh("stat -c %a /tmp /dev/shm"), "1777\n1777\n");
    assert_eq!(
        target.sh("ls -di /run").split(' ').find(|w| !w.is_empty()).map(str::to_owned),
        Some(fs::metadata("/run").expect("it is there").ino().to_string(),),
        "/run is the running system's"
    );
    assert!(fs::metadata("/dev/null").expect("it is there").file_type().is_char_device());
    target.sh("echo x > /dev/null && cat /dev/null");
}

#[test]
fn a_directory_that_is_no_mount_point_is_one_inside() {
    if !testkit::is_root() {
        return testkit::skip("recchroot without a mount point", "mounting needs root");
    }
    let target = Target::plain();
    let out = target.run(&[], &["cat", "/proc/self/mountinfo"]);
    assert!(text(&out.stdout).lines().any(|l| l.split(' ').nth(4) == Some("/")), "{out:?}");
}

/// systemd 257 takes a PID namespace for a container; bootctl then leaves the boot entry out and exits 0.
#[test]
fn there_is_no_pid_namespace() {
    let Some(target) = Target::new("recchroot's PID namespace") else { return };
    let ours = fs::read_link("/proc/self/ns/pid").expect("read");
    assert_eq!(target.sh("readlink /proc/self/ns/pid").trim(), ours.to_str().expect("UTF-8"));
    // And systemctl must see that it is in a chroot: / is not process 1's.
    if let Ok(root) = fs::metadata("/proc/1/root/") {
        let inside = target.sh("stat -c '%d %i' /proc/1/root/ /");
        let lines: Vec<_> = inside.lines().collect();
        assert_ne!(lines[0], lines[1]);
        assert!(lines[0].ends_with(&format!(" {}", root.ino())));
    }
}

#[test]
fn mounts_of_the_target_are_visible_and_writable() {
    let Some(target) = Target::new("mounts below recchroot's target") else { return };
    target.submount("boot");
    target.submount("boot/efi");
    target.submount("home");
    fs::write(target.join("home/old"), "old").expect("written");
    assert_eq!(target.sh("cat /home/old; echo new > /boot/efi/new"), "old");
    assert_eq!(fs::read(target.join("boot/efi/new")).expect("read"), b"new\n");
}

#[test]
fn mounts_made_inside_are_gone_outside() {
    let Some(target) = Target::new("mounts made in recchroot") else { return };
    let before = outside(&target);
    target.sh("mount -t tmpfs tmpfs /home && echo x > /home/x && cat /home/x && mount -t tmpfs tmpfs /run");
    assert_eq!(outside(&target), before);
    assert!(!target.join("home/x").exists());
}

#[test]
fn mounts_made_outside_are_seen_inside() {
    let Some(target) = Target::new("mounts made while recchroot runs") else { return };
    Cmd::new("mount").arg("--make-shared").arg(target.path()).run().expect("made shared");
    let session = target.start(&[], "echo up; until cat /home/late 2>/dev/null; do sleep 0.05; done");
    target.submount("home");
    fs::write(target.join("home/late"), "late").expect("written");
    assert_eq!(session.end().0, Some(0));
    let inside = outside(&target).iter().filter(|l| l.contains("/proc ")).count();
    assert_eq!(inside, 0, "and ours were never seen outside");
}

#[test]
fn a_tmp_of_the_targets_own_is_kept() {
    let Some(target) = Target::new("recchroot's /tmp") else { return };
    fs::write(target.join("tmp/hidden"), "").expect("written");
    assert_eq!(target.sh("ls /tmp"), "");
    target.submount("tmp");
    fs::write(target.join("tmp/kept"), "").expect("written");
    assert_eq!(target.sh("ls /tmp"), "kept\n");
}

#[test]
fn a_read_only_target_can_be_entered() {
    let Some(target) = Target::new("recchroot into a read-only target") else { return };
    fs::write(target.join("etc/resolv.conf"), "theirs\n").expect("written");
    Cmd::new("mount").args(["-o", "remount,ro"]).arg(target.path()).run().expect("remounted");
    assert_eq!(target.sh("touch /x 2>/dev/null || echo read-only; touch /tmp/x /dev/shm/x"), "read-only\n");
}

#[test]
fn name_resolution_is_the_running_systems() {
    let Some(target) = Target::new("recchroot's resolv.conf") else { return };
    let Ok(ours) = fs::read_to_string("/etc/resolv.conf") else {
        return testkit::skip("recchroot's resolv.conf", "this machine has no /etc/resolv.conf");
    };
    let file = target.join("etc/resolv.conf");
    let seen = |options: &[&str]| {
        let out = target.run(options, &["sh", "-c", "cat /etc/resolv.conf 2>/dev/null; exit 0"]);
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
        text(&out.stdout)
    };
    // Missing: the target does not care, and nothing is made.
    assert_eq!(seen(&[]), "");
    assert!(file.symlink_metadata().is_err());
    // A file: covered, and as it was afterwards; cannot be written by mistake.
    fs::write(&file, "theirs\n").expect("written");
    assert_eq!(seen(&[]), ours);
    assert_eq!(target.sh("echo x 2>/dev/null > /etc/resolv.conf || echo refused"), "refused\n");
    assert_eq!(fs::read_to_string("/etc/resolv.conf").expect("read"), ours);
    assert_eq!(fs::read_to_string(&file).expect("read"), "theirs\n");
    // -r leaves it alone.
    assert_eq!(seen(&["-r"]), "theirs\n");
    // Links, dangling, relative and absolute: the link itself is covered.
    for to in ["../run/no-such-thing/stub.conf", "/no-such-thing", "/etc/shadow", "passwd"] {
        fs::remove_file(&file).expect("removed");
        symlink(to, &file).expect("linked");
        assert_eq!(seen(&[]), ours, "{to}");
        assert_eq!(fs::read_link(&file).expect("still a link"), std::path::Path::new(to));
    }
    assert!(target.sh("cat /etc/passwd").starts_with("root:"), "what it pointed at is not covered");
}
