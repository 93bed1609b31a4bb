//! `recfstab --write` and `--check` on real mounts: what is in the file survives, whole or not at all, whatever is in the way.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use common::cmd::Cmd;

use crate::rig::Rig;

/// Root on ext4 with an /etc, and /home.
fn system(check: &str) -> Option<Rig> {
    if !testkit::is_root() {
        testkit::skip(check, "mounting needs root");
        return None;
    }
    let mut rig = Rig::new();
    rig.filesystem(16, &["mkfs.ext4", "-qL", "root fs"], "/", "defaults");
    std::fs::create_dir(rig.path("/etc")).expect("made");
    rig.filesystem(16, &["mkfs.ext4", "-q"], "/home", "noatime");
    Some(rig)
}

/// recfstab on it; without swap, which is the machine's and may be another test's.
fn command(rig: &Rig, options: &[&str]) -> Cmd {
    let root = rig.root();
    let program = Cmd::new(env!("CARGO_BIN_EXE_recfstab")).args(["-U", "-f"]).arg(&root);
    program.args(options.iter().copied()).arg(root)
}

/// Exit code, stdout, stderr.
fn recfstab(rig: &Rig, options: &[&str]) -> (Option<i32>, String, String) {
    let out = command(rig, options).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (out.status.code(), text(out.stdout), text(out.stderr))
}

fn write(rig: &Rig, options: &[&str]) -> (Option<i32>, String) {
    let (code, stdout, stderr) = recfstab(rig, &[&["--write"], options].concat());
    assert_eq!(stdout, "", "{stderr}");
    (code, stderr)
}

fn table(rig: &Rig) -> PathBuf {
    rig.path("/etc/fstab")
}

fn read(rig: &Rig) -> String {
    std::fs::read_to_string(table(rig)).expect("read")
}

/// Names in /etc.
fn names(rig: &Rig) -> Vec<String> {
    let names = std::fs::read_dir(rig.path("/etc")).expect("a directory");
    names.map(|e| e.expect("read").file_name().into_string().expect("UTF-8")).collect()
}

#[test]
fn what_is_printed_is_written_and_once_only() {
    let Some(rig) = system("recfstab --write") else { return };
    assert_eq!(recfstab(&rig, &["--check"]).0, Some(14), "there is no file");
    let (code, said) = write(&rig, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 added, 0 replaced"), "{said}");
    let text = read(&rig);
    assert_eq!(text, recfstab(&rig, &[]).1);
    let before = table(&rig).metadata().expect("there");
    assert_eq!((before.mode() & 0o7777, before.uid()), (0o644, 0));
    let (code, said) = write(&rig, &[]);
    assert!(code == Some(0) && said.contains("has all of it"), "{said}");
    let after = table(&rig).metadata().expect("there");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()), "not even touched");
    assert_eq!(recfstab(&rig, &["--check"]), (Some(0), String::new(), String::new()));
    // By another name it is the same device.
    assert_eq!(recfstab(&rig, &["--check", "-t", "LABEL"]).0, Some(2), "one way of naming");
    let by_path =
        Cmd::new(env!("CARGO_BIN_EXE_recfstab")).args(["--check", "-f"]).arg(rig.root()).arg(rig.root());
    assert_eq!(by_path.output().expect("it starts").status.code(), Some(0));
}

#[test]
fn what_others_wrote_stays_or_is_asked_for() {
    let Some(rig) = system("recfstab --write to a file with lines") else { return };
    let mine = "# mine\ntmpfs /tmp tmpfs size=1G 0 0\nserver:/x /net nfs noauto 0 0\nnonsense\n";
    let home = "UUID=0badc0de-0000-4000-8000-000000000000 /home ext4 defaults 0 2\n";
    std::fs::write(table(&rig), format!("{mine}{home}")).expect("written");
    std::fs::set_permissions(table(&rig), std::fs::Permissions::from_mode(0o640)).expect("set");
    std::os::unix::fs::chown(table(&rig), Some(5), Some(6)).expect("owned");
    Cmd::new(testkit::oracle("setfattr"))
        .args(["-n", "user.note", "-v", "kept"])
        .arg(table(&rig))
        .run()
        .expect("set");
    let (code, said) = write(&rig, &[]);
    assert_eq!(code, Some(15), "{said}");
    assert!(said.contains(&format!("-{home}")) && said.contains("--force"), "{said}");
    assert_eq!(read(&rig), format!("{mine}{home}"), "nothing was written");
    let (code, diff, _) = recfstab(&rig, &["--check"]);
    assert!(code == Some(14) && diff.contains(&format!("-{home}+# /dev/loop")), "{diff}");

    let (code, said) = write(&rig, &["--force"]);
    assert!(code == Some(0) && said.contains("1 added, 1 replaced"), "{said}");
    let text = read(&rig);
    assert!(!text.contains("0badc0de"), "{text}");
    assert!(mine.lines().all(|line| text.lines().any(|l| l == line)), "{text}");
    let meta = table(&rig).metadata().expect("there");
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o640, 5, 6));
    let note = Cmd::new(testkit::oracle("getfattr"))
        .args(["--only-values", "-n", "user.note"])
        .arg(table(&rig))
        .read();
    assert_eq!(note.expect("there"), "kept");
    assert_eq!(recfstab(&rig, &["--check"]).0, Some(0));
    assert_eq!(names(&rig), ["fstab"]);
}

/// A link in the target that leads to the running system's files.
#[test]
fn nothing_outside_of_root_is_written() {
    let Some(rig) = system("recfstab --write through links") else { return };
    let outside = rig.host().join("outside");
    std::fs::create_dir(&outside).expect("made");
    std::fs::write(outside.join("fstab"), "host\n").expect("written");
    std::fs::remove_dir(rig.path("/etc")).expect("removed");
    symlink(&outside, rig.path("/etc")).expect("linked");
    let (code, said) = write(&rig, &[]);
    assert!(code == Some(16) && said.contains("no /etc"), "{said}");
    // The same path within the target is what it means there.
    let inside = rig.path(outside.to_str().expect("UTF-8"));
    std::fs::create_dir_all(&inside).expect("made");
    assert_eq!(write(&rig, &[]).0, Some(0));
    assert!(inside.join("fstab").exists());
    std::fs::remove_file(inside.join("fstab")).expect("removed");
    symlink(outside.join("fstab"), inside.join("fstab")).expect("linked");
    let (code, said) = write(&rig, &["--force"]);
    assert!(code == Some(16) && said.contains("symbolic link"), "{said}");
    assert_eq!(std::fs::read_to_string(outside.join("fstab")).expect("read"), "host\n");
    assert_eq!(std::fs::read_dir(&outside).expect("a directory").count(), 1);
}

#[test]
fn what_is_no_fstab_is_not_touched() {
    let Some(rig) = system("recfstab --write on what is no fstab") else { return };
    std::fs::create_dir(table(&rig)).expect("made");
    assert_eq!(write(&rig, &["--force"]).0, Some(16));
    std::fs::remove_dir(table(&rig)).expect("removed");
    Cmd::new("mkfifo").arg(table(&rig)).run().expect("made");
    assert_eq!(write(&rig, &["--force"]).0, Some(16), "and it does not wait for the pipe");
    std::fs::remove_file(table(&rig)).expect("removed");
    for bytes in [&b"\xff / ext4\n"[..], b"a\0b", &vec![b'#'; 2 << 20]] {
        std::fs::write(table(&rig), bytes).expect("written");
        assert_eq!(write(&rig, &["--force"]).0, Some(16));
        assert_eq!(std::fs::read(table(&rig)).expect("read"), bytes);
    }
}

/// A full disk, an error of the disk, a kill at each call that matters: the old file or the new one.
#[test]
fn the_file_is_the_old_one_or_the_new_one() {
    let Some(rig) = system("recfstab --write that fails") else { return };
    let old = "# old\n";
    std::fs::write(table(&rig), old).expect("written");
    let (_, expected, _) = recfstab(&rig, &[]);
    let new = format!("{old}\n{expected}");
    let mut kinds = [0, 0];
    for call in ["write", "fsync:when=1", "fsync:when=2", "rename,renameat,renameat2", "fchown", "fchmod"] {
        for fault in ["error=EIO", "error=ENOSPC", "signal=KILL"] {
            let (calls, when) = call.split_once(':').unwrap_or((call, "when=1+"));
            let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{fault}:{when}"));
            let args = ["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let strace = testkit::oracle("strace");
            let out = command(&rig, &["--write"]).under(strace.to_str().expect("UTF-8"), &args).output();
            let out = out.expect("it starts");
            let text = read(&rig);
            assert!(text == old || text == new, "{call} {fault}: {text}");
            // Syncing the directory comes last: its failure is told though the new file is there.
            assert!(!out.status.success(), "{call} {fault} did not happen: {out:?}");
            kinds[usize::from(text == new)] += 1;
            std::fs::write(table(&rig), old).expect("written");
        }
    }
    assert!(kinds[0] > 3 && kinds[1] > 2, "both were met: {kinds:?}");
    // Without an interruption nothing else is left in /etc; what a kill leaves is hidden, and in nobody's way.
    let hidden = names(&rig).into_iter().filter(|n| n.starts_with(".tmp-")).collect::<Vec<_>>();
    hidden.iter().for_each(|n| std::fs::remove_file(rig.path("/etc").join(n)).expect("removed"));
    Cmd::new("dd")
        .args(["if=/dev/zero", "bs=64k", "status=none"])
        .arg(format!("of={}", rig.path("/fill").display()))
        .output()
        .expect("filled");
    Cmd::new("dd")
        .args(["if=/dev/zero", "bs=1", "status=none"])
        .arg(format!("of={}", rig.path("/fill2").display()))
        .output()
        .expect("filled");
    let (code, said) = write(&rig, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!((read(&rig).as_str(), names(&rig)), (old, vec!["fstab".to_owned()]));
}
