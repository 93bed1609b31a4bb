//! `-u`: accounts of the target. `-N`: as an ordinary user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Output;

use common::cmd::Cmd;

use crate::target::{Target, text};

/// An id that no account of this machine has.
const STRANGER: u32 = 54_321;

#[test]
fn the_user_is_the_targets() {
    let Some(target) = Target::new("recchroot -u") else { return };
    let id = |user: &str| {
        let out = target.run(&["-u", user], &["sh", "-c", "id; echo $HOME"]);
        assert!(out.status.success(), "{out:?}");
        text(&out.stdout)
    };
    assert_eq!(id("ann"), "uid=1000(ann) gid=1000(ann) groups=10(wheel),39(video),1000(ann)\n/home/ann\n");
    assert_eq!(id("1000"), id("ann"));
    assert_eq!(id("ann:video"), "uid=1000(ann) gid=39(video) groups=10(wheel),39(video)\n/home/ann\n");
    assert_eq!(id("4000:39"), "uid=4000 gid=39(video) groups=39(video)\n/\n");
    assert!(id("root").starts_with("uid=0(root) gid=0(root) groups=0(root)\n"));
    // No way back.
    let caps = target.run(&["-u", "ann"], &["cat", "/proc/self/status"]);
    assert!(text(&caps.stdout).contains("CapEff:\t0000000000000000"), "{caps:?}");
}

#[test]
fn an_unknown_user_is_named() {
    let Some(target) = Target::new("recchroot -u with strangers") else { return };
    for (user, expected) in
        [("bob", "no user `bob`"), ("ann:bobs", "no group `bobs`"), ("4000", "4000:GROUP")]
    {
        let out = target.run(&["-u", user], &["id"]);
        assert_eq!(out.status.code(), Some(125));
        assert!(text(&out.stderr).contains(expected), "{out:?}");
    }
}

/// Runs `recchroot -N` on the target as an ordinary user who has been given it, with accounts of our choosing.
fn as_user(target: &Target, subid: &str, options: &[&str], command: &[&str]) -> Output {
    for path in walk(target.path().to_owned()) {
        std::os::unix::fs::lchown(&path, Some(STRANGER), Some(STRANGER)).expect("given");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let file = |name: &str| dir.path().join(name).display().to_string();
    testkit::copy_program(env!("CARGO_BIN_EXE_recchroot"), file("recchroot"));
    fs::write(
        file("passwd"),
        format!("root:x:0:0::/root:/bin/sh\nuser:x:{STRANGER}:{STRANGER}::/:/bin/sh\n"),
    )
    .expect("written");
    fs::write(file("subid"), subid).expect("written");
    let script = format!(
        "mount --bind {} /etc/passwd && touch /etc/subuid /etc/subgid && mount --bind {subid} /etc/subuid && \
         mount --bind {subid} /etc/subgid && \
         exec setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups --inh-caps=-all -- {} -N \"$@\"",
        file("passwd"),
        file("recchroot"),
        subid = file("subid"),
    );
    let cmd = Cmd::new("unshare").args(["--mount", "sh", "-c", &script, "sh"]);
    let cmd = cmd.args(options.iter().copied()).arg(target.path());
    let out = cmd.args(command.iter().copied()).output().expect("it starts");
    assert_eq!(target.left_behind(), [""; 0]);
    out
}

fn walk(dir: PathBuf) -> Vec<PathBuf> {
    let mut all = vec![dir.clone()];
    for entry in fs::read_dir(dir).expect("read") {
        let path = entry.expect("read").path();
        if path.symlink_metadata().expect("read").is_dir() {
            all.extend(walk(path));
        } else {
            all.push(path);
        }
    }
    all
}

#[test]
fn an_ordinary_user_is_root_in_there() {
    if !testkit::is_root() {
        return testkit::skip("recchroot -N", "becoming an ordinary user needs root");
    }
    let target = Target::plain();
    let out = as_user(&target, "", &[], &["sh", "-c", "id -u; touch /made; ps -o comm; exit 3"]);
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    let stdout = text(&out.stdout);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[0], "0");
    assert_eq!(lines.len(), 5, "only the guard, the shell and ps are seen: {stdout}");
    assert!(text(&out.stderr).contains("only root is mapped"), "{out:?}");
    let made = fs::metadata(target.join("made")).expect("made");
    assert_eq!((made.uid(), made.gid()), (STRANGER, STRANGER));
    let devices = as_user(
        &target,
        "",
        &[],
        &["sh", "-c", "echo x >/dev/null && ls /dev && cat /proc/sys/kernel/ostype"],
    );
    assert!(devices.status.success(), "{devices:?}");
    assert!(text(&devices.stdout).ends_with("Linux\n"));
    assert!(fs::read_dir(target.join("dev")).expect("read").next().is_none(), "nothing was made on the disk");
}

#[test]
fn an_ordinary_user_gets_the_ranges_he_was_given() {
    if !testkit::is_root() {
        return testkit::skip("recchroot -N with subuid", "becoming an ordinary user needs root");
    }
    let _ = testkit::oracle("newuidmap");
    let target = Target::plain();
    fs::set_permissions(target.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("set");
    let range = "user:700000:65536\n";
    let out = as_user(&target, range, &[], &["cat", "/proc/self/uid_map"]);
    let map = text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(map, format!("0 {STRANGER} 1 1 700000 65536"), "{out:?}");
    let made = target.join("var/made");
    let out =
        as_user(&target, range, &[], &["sh", "-c", "touch /var/made && busybox chown 1000:10 /var/made"]);
    assert!(out.status.success(), "{out:?}");
    let meta = fs::metadata(&made).expect("made");
    assert_eq!((meta.uid(), meta.gid()), (700_999, 700_009));
    chown(&made, Some(0), Some(0)).expect("given back");
}

#[test]
fn an_ordinary_user_becomes_another_only_with_a_range() {
    if !testkit::is_root() {
        return testkit::skip("recchroot -N -u", "becoming an ordinary user needs root");
    }
    let target = Target::plain();
    let out = as_user(&target, "", &["-u", "ann"], &["id"]);
    assert_eq!(out.status.code(), Some(125), "{out:?}");
    assert!(text(&out.stderr).contains("/etc/subuid"), "the hint says why: {out:?}");
    let out = as_user(&target, "user:700000:65536\n", &["-u", "ann"], &["id", "-G"]);
    let mut groups: Vec<_> = text(&out.stdout).split_whitespace().map(str::to_owned).collect();
    groups.sort();
    assert_eq!(groups, ["10", "1000", "39"], "{out:?}");
}
