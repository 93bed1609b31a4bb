//! `recipe doctor` on places and the system: PATH, permissions, what interrupted runs left, the cache, the cage.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::cmd::Cmd;

use crate::doctor::{cmd, doctor, finds, healthy, is_healthy, with_account};
use testkit::server::Answer;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
}

#[test]
fn programs_that_are_not_in_path_are_found() {
    let rig = healthy();
    let out = rig.ran(with_account(&rig, rig.cmd(&["doctor"])));
    assert!(out.code == Some(14) && out.stdout.starts_with("path: "), "{out:#?}");
    // By another name it is there.
    std::os::unix::fs::symlink(rig.prefix("bin"), rig.path("link")).expect("linked");
    let path = format!("{}:{}", rig.path("link").display(), std::env::var("PATH").expect("a PATH"));
    rig.ran(with_account(&rig, rig.cmd(&["doctor"]).env("PATH", path))).ok();
}

#[test]
fn what_others_can_change_is_found() {
    let rig = healthy();
    rig.write("recipes/lib/shared.rhai", "fn f() { }\n");
    for (path, mode) in [
        ("prefix", 0o777),
        ("prefix/.recipe", 0o1777),
        ("recipes", 0o777),
        ("recipes/a.rhai", 0o646),
        ("recipes/lib", 0o757),
        ("recipes/lib/shared.rhai", 0o666),
        ("cache", 0o777),
    ] {
        let path = rig.path(path);
        let before = path.metadata().expect("it is there").permissions().mode() & 0o7777;
        set_mode(&path, mode);
        finds(&rig, &[&format!("permissions: {}: everybody can change it", path.display())]);
        set_mode(&path, before);
    }
    is_healthy(&rig);
    if !testkit::is_root() {
        return testkit::skip("files of other users", "changing the owner needs root");
    }
    let path = rig.path("recipes/a.rhai");
    std::os::unix::fs::chown(&path, Some(65534), Some(65534)).expect("given away");
    finds(&rig, &["recipes/a.rhai: it belongs to user 65534, who can change it"]);
    std::os::unix::fs::chown(&path, Some(0), Some(65534)).expect("given away");
    set_mode(&path, 0o664);
    finds(&rig, &["recipes/a.rhai: group 65534 can change it"]);
}

#[test]
fn what_an_interrupted_run_left_is_found_unless_somebody_works() {
    let rig = healthy();
    // Killed when the first file should move: the journal is there, and the stage.
    let strace = testkit::oracle("strace");
    let args = ["-qq", "-o", "/dev/null", "-esignal=none", "-einject=renameat2:signal=KILL:when=1"];
    let cmd = rig.cmd(&["install", "--reinstall", "b"]);
    let _ = rig.ran(cmd.under(strace.to_str().expect("UTF-8"), &args));
    assert!(rig.prefix(".recipe/journal.json").exists(), "it was killed in time");
    finds(
        &rig,
        &[
            ".recipe/build: an interrupted run left it",
            "journal.json: a transaction was interrupted",
            ".recipe/stage: an interrupted run left it",
        ],
    );
    rig.run(&["repair"]).ok();
    is_healthy(&rig);

    // Of somebody who works it is no litter; of him when he is dead, it is.
    rig.add("slow", "1", "");
    rig.server.answer("/slow-1.tar.gz", Answer::Drip(std::time::Duration::from_millis(10)));
    let before = rig.server.log().len();
    let mut slow = rig.cmd(&["install", "slow"]).std().spawn().expect("it starts");
    while rig.server.log().len() == before {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(rig.prefix(".recipe/build").exists());
    is_healthy(&rig);
    slow.kill().expect("killed");
    slow.wait().expect("waited");
    let found = doctor(&rig).stdout;
    assert!(found.contains("interrupted: ") && found.contains(".recipe/build"), "{found}");
    // His number is another's now.
    let holder =
        rig.read("prefix/.recipe/lock").replace(&slow.id().to_string(), &std::process::id().to_string());
    rig.write("prefix/.recipe/lock", holder);
    assert_eq!(doctor(&rig).stdout, found);
    rig.run(&["repair"]).ok();
    is_healthy(&rig);
}

#[test]
fn a_cache_that_cannot_be_written_is_found() {
    let rig = healthy();
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    is_healthy(&rig);
    rig.write("cache", "no directory");
    finds(&rig, &["cache: "]);
    // Nor below a file system that takes nothing; root could do whatever modes say.
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["doctor", "--cache", "/proc/sys/recipe/cache"]);
    let cmd = cmd.arg("-r").arg(rig.path("recipes")).arg("-p").arg(rig.path("prefix"));
    let out = rig.ran(with_account(&rig, cmd));
    assert!(out.stdout.contains("/proc/sys/recipe/cache: /proc/sys cannot be written"), "{out:#?}");
}

#[test]
fn a_cage_that_cannot_be_had_is_found() {
    let rig = healthy();
    // A user namespace whose own limit forbids more of what the cage is made of.
    let script = "echo 0 >/proc/sys/user/max_pid_namespaces && exec \"$@\"";
    let cmd = cmd(&rig, &[]).under("unshare", &["-Ur", "sh", "-c", script, "sh"]);
    let out = rig.ran(cmd);
    assert_eq!(out.code, Some(14), "{out:#?}");
    let says = "confinement: programs of recipes: cannot confine programs: the kernel refuses new namespaces";
    assert!(out.stdout.contains(says), "{out:#?}");
}

#[test]
fn a_missing_account_is_found() {
    if !testkit::is_root() {
        return testkit::skip("the account for programs", "only root needs one");
    }
    let rig = healthy();
    rig.write("passwd", "root:x:0:0::/root:/bin/sh\nrecipe-build:x:0:0::/:/bin/sh\n");
    finds(&rig, &["account: recipe-build: there is no such user"]);
}
