//! Two recipes at once: one works, the other waits or says who does.

use std::time::Duration;

use crate::rig::{Rig, tree};
use testkit::server::Answer;
use testkit::strace::{Injection, attack};

const RECIPE: &str = env!("CARGO_BIN_EXE_recipe");

#[test]
fn a_second_recipe_is_told_who_works() {
    let rig = Rig::new();
    rig.release("a", "1", &[("bin/a", "a")]);
    rig.add("a", "1", "install_bin(\"a\");");
    rig.run(&["install", "a"]).ok();
    rig.add("slow", "1", "");
    rig.server.answer("/slow-1.tar.gz", Answer::Drip(Duration::from_millis(100)));
    let mut slow = rig.cmd(&["-q", "--wait", "1", "install", "slow"]).std().spawn().expect("it starts");
    while rig.server.log().len() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let holder =
        format!("is in use by process {} ({} -q --wait 1 install slow --recipes ", slow.id(), RECIPE);
    rig.run(&["install", "--reinstall", "a"]).fails(16, &holder);
    rig.run(&["remove", "a"]).fails(16, &holder);
    // With another prefix, but the same recipes.
    let other = rig.path("other").to_string_lossy().into_owned();
    let cmd = common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args([
        "install",
        "--reinstall",
        "a",
        "-p",
        &other,
        "-r",
    ]);
    assert_eq!(cmd.arg(rig.path("recipes")).output().expect("it starts").status.code(), Some(16));
    // Reading needs no lock, and leaves what the other is making.
    rig.run(&["list"]).ok();
    // Who waits can be told to go.
    rig.interrupted(&["remove", "a", "--wait", "30"], || true);
    assert!(rig.prefix("bin/a").exists());
    assert_eq!(rig.run(&["install", "-n=plan", "--reinstall", "a"]).ok().stdout, "~ a 1 -> 1\n");
    rig.run(&["remove", "-n", "a"]).ok();
    assert!(rig.prefix(".recipe/build").exists() && rig.prefix(".recipe/stage").exists());
    let waiting = rig.cmd(&["install", "--reinstall", "a", "--wait", "30"]).std().spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(300));
    // A dead holder holds nothing.
    slow.kill().expect("killed");
    slow.wait().expect("waited");
    assert_eq!(waiting.wait_with_output().expect("waited").status.code(), Some(0));
    assert!(rig.prefix("bin/a").exists());
    assert!(!rig.prefix(".recipe/build").exists(), "what the dead one left is gone");
}

/// Killed at each rename of an installation: the next command says what it found, and which way it went.
#[test]
fn the_next_command_says_how_an_interrupted_one_was_ended() {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    let (mut back, mut forward) = (0, 0);
    let all = ["renameat", "renameat2"].into_iter().flat_map(|call| (1..=6).map(move |when| (call, when)));
    for (call, when) in all {
        rig.attacked(&["install", "a"], call, "signal=KILL", when);
        if when % 2 == 0 {
            // What is not there was not moved.
            let _ = std::fs::remove_dir_all(rig.prefix(".recipe/stage"));
        }
        let out = rig.run(&["install", "--reinstall", "b"]);
        let undone = out.stderr.contains("undid the interrupted transaction ");
        let finished = out.stderr.contains("finished the interrupted transaction ");
        back += i32::from(undone);
        forward += i32::from(finished);
        assert_eq!((out.code, undone && finished), (Some(0), false), "{call} {when}: {out:#?}");
        let is_there = rig.prefix("bin/a").exists();
        assert!(is_there || !rig.recipe("a").contains("installed = true"), "{call} {when}: {out:#?}");
        // Without a stage what came already cannot go back there.
        assert!(!undone || !is_there || when % 2 == 0, "{call} {when}: {out:#?}");
        let beside = rig.path("recipes").read_dir().expect("read").map(|e| e.expect("read").file_name());
        let mut beside: Vec<_> = beside.collect();
        beside.sort();
        assert_eq!(beside, ["a.rhai", "b.rhai"], "{call} {when}");
        let _ = rig.run(&["remove", "a"]);
        let _ = std::fs::remove_file(rig.prefix("bin/a"));
    }
    assert!(back > 0 && forward > 0, "{back} undone, {forward} finished");
}

/// What cannot be put in its place is said with its place, and nothing has happened.
#[test]
fn a_rename_that_fails_is_named() {
    let rig = Rig::new();
    let install = "install_tree(\"bin\", \"bin\");";
    rig.release("a", "1", &[("bin/a", "1"), ("bin/old", "1")]);
    rig.release("a", "2", &[("bin/a", "2"), ("bin/new", "2")]);
    rig.add("a", "1", install);
    rig.run(&["install", "a"]).ok();
    let (before, text) = (rig.tree(), rig.recipe("a").replacen("version: \"1\"", "version: \"2\"", 1));
    rig.write("recipes/a.rhai", &text);
    let mut said = std::collections::BTreeSet::new();
    for when in 1.. {
        let Some(out) = rig.attacked(&["upgrade"], "renameat2", "error=EIO", when) else { break };
        let bin = rig.prefix("bin");
        for (verb, name) in [("install", "new"), ("replace", "a"), ("remove", "old")] {
            if out.stderr.contains(&format!("failed to {verb} {}/{name}\n", bin.display())) {
                said.insert(verb);
            }
        }
        rig.run(&["repair"]).ok();
        if !rig.recipe("a").contains("installed_version = \"2\"") {
            assert_eq!(rig.tree(), before, "{when}: {out:#?}");
        }
    }
    assert_eq!(said.into_iter().collect::<Vec<_>>(), ["install", "remove", "replace"]);
}

/// Whoever waits may wait for what he names to be installed.
#[test]
fn what_is_removed_is_looked_for_when_it_is_its_turn() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    let before = rig.recipe("p");
    rig.run(&["install", "p"]).ok();
    let installed = rig.recipe("p");
    rig.write("recipes/p.rhai", before);
    let lock = std::fs::File::open(rig.prefix(".recipe/lock")).expect("it is there");
    lock.lock().expect("locked");
    rig.run(&["remove", "p"]).fails(11, "p is not installed");
    let mut cmd = rig.cmd(&["remove", "--wait", "30", "p"]).std();
    let waiting = cmd.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(300));
    rig.write("recipes/p.rhai", installed);
    lock.unlock().expect("unlocked");
    let out = waiting.wait_with_output().expect("waited");
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stdout).as_ref()), (Some(0), "- p 1\n"));
    rig.run(&["remove", "--wait", "1", "p"]).fails(11, "p is not installed");
}

fn two() -> Rig {
    let rig = Rig::new();
    for (name, fields) in [("a", ""), ("b", ", deps: [\"a\"]"), ("c", "")] {
        rig.release(name, "1", &[("etc/conf", name)]);
        rig.add(name, "1", &format!("install_config(\"etc/conf\", \"{name}.conf\");"));
        rig.write(
            &format!("recipes/{name}.rhai"),
            rig.recipe(name).replace(" }; // fixed", &format!("{fields} }};")),
        );
    }
    rig
}

/// What only says what would happen makes nothing, not even the prefix.
#[test]
fn a_dry_run_of_a_new_prefix_leaves_nothing() {
    let rig = two();
    std::fs::remove_dir(rig.path("prefix")).expect("removed");
    let before = tree(&rig.path(""));
    assert_eq!(rig.run(&["install", "-n=plan", "b"]).ok().stdout, "+ a 1\n+ b 1\n");
    for args in [
        &["upgrade", "-n=plan"][..],
        &["autoremove", "-n"],
        &["sync-state", "-n"],
        &["install", "--all", "-n"],
    ] {
        assert_eq!(rig.run(args).ok().stdout, "", "{args:?}");
    }
    rig.run(&["remove", "-n", "a"]).fails(11, "a is not installed");
    assert_eq!(tree(&rig.path("")), before);
}

/// It does not end what was interrupted, either: that is a change.
#[test]
fn a_dry_run_leaves_what_was_interrupted() {
    let rig = two();
    rig.attacked(&["install", "a"], "renameat2", "signal=KILL", 1);
    let left = tree(&rig.path("prefix"));
    assert!(left.contains_key(".recipe/journal.json"), "{left:?}");
    let out = rig.run(&["install", "-n=plan", "b"]).ok();
    assert!(
        out.stderr.contains("a transaction was interrupted; `recipe repair`, or the next change, ends it"),
        "{out:#?}"
    );
    assert_eq!(tree(&rig.path("prefix")), left);
}

/// Others see what is there, what was done and what would be, but not the files that were replaced.
#[test]
fn other_users_can_look() {
    use std::os::unix::fs::PermissionsExt;
    if !testkit::is_root() {
        return;
    }
    let rig = two();
    rig.run(&["install", "b"]).ok();
    rig.write("prefix/etc/a.conf", "secret");
    let set = |path: &str, mode| {
        std::fs::set_permissions(rig.path(path), PermissionsExt::from_mode(mode)).expect("set");
    };
    set("prefix/etc/a.conf", 0o600);
    rig.release("a", "2", &[("etc/conf", "new")]);
    rig.write("recipes/a.rhai", rig.recipe("a").replace("version: \"1\"", "version: \"2\""));
    rig.run(&["upgrade"]).ok();
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"2\""));
    let other = |args: &[&str]| rig.ran(rig.cmd_of_another(4242, args));
    assert_eq!(other(&["history"]).ok().stdout, rig.run(&["history"]).ok().stdout);
    other(&["etc"]).ok();
    assert_eq!(other(&["install", "-n=plan", "c"]).ok().stdout, "+ c 1\n");
    assert_eq!(other(&["upgrade", "-n=plan"]).ok().stdout, "~ b 1 -> 2\n");
    assert_eq!(other(&["remove", "-n", "b"]).ok().stdout, "- b 1\n");
    other(&["autoremove", "-n"]).ok();
    other(&["sync-state", "-n"]).ok();
    for args in [&["install", "c"][..], &["remove", "b"], &["upgrade"], &["undo"], &["install", "-n", "c"]] {
        let out = other(args).fails(1, "Permission denied");
        assert!(out.stderr.contains("is another user's: run recipe as its owner"), "{out:#?}");
    }
    let history = rig.prefix(".recipe/history").read_dir().expect("read");
    for tx in history.map(|entry| entry.expect("read").path()) {
        for kept in tx.read_dir().expect("read").map(|entry| entry.expect("read")) {
            let meta = kept.metadata().expect("there");
            let mode = meta.permissions().mode() & 0o777;
            assert_eq!(mode, if meta.is_dir() { 0o700 } else { 0o644 }, "{kept:?}");
        }
        // As all were once.
        std::fs::set_permissions(tx, PermissionsExt::from_mode(0o700)).expect("set");
    }
    let out = other(&["doctor"]).fails(14, "");
    let finding =
        out.stdout.lines().skip_while(|line| !line.starts_with("record: ")).nth(1).unwrap_or_default();
    assert!(finding.contains("hint: run recipe as the owner of"), "{out:#?}");
    other(&["history"]).fails(1, "run recipe as the owner of");
}

/// Each file of a transaction takes its time to move. Whoever looks meanwhile waits for the last one, be it of a package or of another.
#[test]
fn who_looks_sees_all_of_a_transaction_or_nothing() {
    let rig = Rig::new();
    let names = ["a", "b", "c"];
    for (at, name) in names.iter().enumerate() {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
        if let Some(next) = names.get(at + 1) {
            let with =
                rig.recipe(name).replace("version: \"1\"", &format!("version: \"1\", deps: [\"{next}\"]"));
            rig.write(&format!("recipes/{name}.rhai"), with);
        }
    }
    let looks = |args: &[&str]| {
        let json: serde_json::Value = serde_json::from_str(&rig.run(args).ok().stdout).expect("JSON");
        let of = |json: &serde_json::Value| json["installed"].as_bool().expect("a state");
        json["recipes"].as_array().expect("all").iter().filter(|one| of(one)).count()
    };
    let mut seen = Vec::new();
    for args in [&["install", "a"][..], &["remove", "--cascade", "c"]] {
        let (name, action) = ("renameat2".to_owned(), "delay_enter=25000".to_owned());
        let delays = Injection { name, action, when: String::new(), main: true, path: None };
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| attack(&rig.cmd(args), &delays, &rig.path("strace.log")));
            while !slow.is_finished() {
                seen.push(looks(&["list", "--json"]));
            }
            assert!(slow.join().expect("it ended").status.success());
        });
    }
    assert!(seen.iter().all(|n| [0, 3].contains(n)), "{seen:?}");
    assert!(seen.contains(&3) && seen.contains(&0), "{seen:?}");
}
