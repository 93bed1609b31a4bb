//! Exit codes, streams, environment, the shell that is started without a command, warnings.

use std::io::Write;
use std::process::Stdio;

use common::cmd::Cmd;

use crate::target::{Target, text};

#[test]
fn the_exit_code_passes_through() {
    let Some(target) = Target::new("recchroot's exit codes") else { return };
    let code = |script: &str| target.run(&[], &["sh", "-c", script]).status.code();
    assert_eq!(code("exit 0"), Some(0));
    assert_eq!(code("exit 7"), Some(7));
    assert_eq!(code("exit 255"), Some(255));
    assert_eq!(code("kill -TERM $$"), Some(128 + 15));
    assert_eq!(code("kill -KILL $$"), Some(128 + 9));
}

#[test]
fn failures_of_our_own_cannot_be_taken_for_the_commands() {
    let Some(target) = Target::new("recchroot's own exit codes") else { return };
    let missing = target.run(&[], &["nosuch"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("the target has no command `nosuch`"), "{missing:?}");
    assert_eq!(target.run(&[], &["/etc/passwd"]).status.code(), Some(126));
    assert_eq!(target.run(&["--nonsense"], &[]).status.code(), Some(125));
    assert_eq!(target.run(&["-u", "nobody-here"], &["id"]).status.code(), Some(125));
    let nowhere =
        Cmd::new(env!("CARGO_BIN_EXE_recchroot")).arg(target.join("nowhere")).output().expect("it starts");
    assert_eq!(nowhere.status.code(), Some(125));
    assert!(text(&nowhere.stderr).contains("nowhere"), "{nowhere:?}");
    let help = Cmd::new(env!("CARGO_BIN_EXE_recchroot")).arg("--help").output().expect("it starts");
    assert_eq!(help.status.code(), Some(0));
    for code in ["125", "126", "127"] {
        assert!(text(&help.stdout).contains(code), "--help lists {code}");
    }
}

#[test]
fn an_ordinary_user_is_told_about_n() {
    let target = Target::plain();
    let mut cmd = target.cmd(&[], &["id"]);
    if testkit::is_root() {
        // Nobody may look into the build directory: the program is opened by root.
        let copy = target.join("recchroot");
        testkit::copy_program(env!("CARGO_BIN_EXE_recchroot"), &copy);
        cmd = Cmd::new("setpriv").args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
        cmd = cmd.arg(copy).arg(target.path()).arg("id");
    }
    let out = cmd.output().expect("it starts");
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).contains("with -N"), "{out:?}");
}

#[test]
fn streams_are_the_users() {
    let Some(target) = Target::new("recchroot's streams") else { return };
    let mut command = target.cmd(&[], &["sh", "-c", "cat; echo err >&2"]).std();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(b"in\0\xff").expect("written");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!((out.stdout.as_slice(), out.stderr.as_slice()), (b"in\0\xff".as_slice(), b"err\n".as_slice()));
}

#[test]
fn without_a_command_the_users_shell_is_started() {
    let Some(target) = Target::new("recchroot's default command") else { return };
    let shell = |options: &[&str]| {
        let mut command = target.cmd(options, &[]).std();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(b"echo $0 $SHELL\nexit 5\n").expect("written");
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(out.status.code(), Some(5), "{out:?}");
        text(&out.stdout).trim().to_owned()
    };
    assert_eq!(shell(&[]), "/bin/sh /bin/sh");
    // A shell that is not there, or is none.
    std::fs::write(
        target.join("etc/passwd"),
        "root:x:0:0::/root:/bin/zsh\nhttp:x:33:33::/srv:/sbin/nologin\n",
    )
    .expect("written");
    assert!(shell(&[]).starts_with("/bin/sh "));
    assert!(shell(&["-u", "http"]).starts_with("/bin/sh "));
    std::os::unix::fs::symlink("busybox", target.join("usr/bin/ash")).expect("linked");
    std::fs::write(target.join("etc/passwd"), "root:x:0:0::/root:/bin/ash\n").expect("written");
    assert_eq!(shell(&[]), "/bin/ash /bin/ash");
}

#[test]
fn the_environment_fits_the_target() {
    let Some(target) = Target::new("recchroot's environment") else { return };
    let cmd = target.cmd(&["-u", "ann"], &["env"]).keep_locale();
    let mut command = cmd.std();
    command.env_remove("LC_ALL").env("LANG", "de_DE.UTF-8").env("TMPDIR", "/nowhere").env("EDITOR", "vi");
    command.env("PATH", "/run/current-system/sw/bin").env("HOME", "/root").env("LD_PRELOAD", "");
    let out = command.output().expect("it starts");
    let env = text(&out.stdout);
    let has = |line: &str| env.lines().any(|l| l == line);
    for line in
        ["HOME=/home/ann", "USER=ann", "LOGNAME=ann", "SHELL=/bin/sh", "LANG=de_DE.UTF-8", "EDITOR=vi"]
    {
        assert!(has(line), "{line} in {env}");
    }
    // /bin is a link to /usr/bin there, /sbin is missing.
    assert!(has("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"), "{env}");
    for gone in ["LC_ALL=", "TMPDIR=", "LD_PRELOAD="] {
        assert!(!env.lines().any(|l| l.starts_with(gone)), "{gone} in {env}");
    }
}

#[test]
fn what_looks_wrong_is_said() {
    let Some(target) = Target::new("recchroot's warnings") else { return };
    let said = |target: &Target| text(&target.run(&[], &["/bin/sh", "-c", "exit 0"]).stderr);
    assert_eq!(said(&target), "");
    std::fs::write(target.join(common::layout::INCOMPLETE_MARKER), "").expect("written");
    assert!(said(&target).contains("is not whole"));
    let plain = Target::plain();
    assert!(said(&plain).contains("nothing is mounted on"));
    let empty = Target::plain();
    std::fs::rename(empty.join("usr/bin"), empty.join("programs")).expect("moved");
    std::fs::remove_dir_all(empty.join("usr")).expect("removed");
    let out = empty.run(&[], &["id"]);
    assert!(text(&out.stderr).contains("has no /usr"), "{out:?}");
}
