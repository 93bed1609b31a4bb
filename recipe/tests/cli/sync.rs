//! `recipe sync-state`: recipe files that were carried to another machine, whose prefix has another name and nothing in it.

use common::cmd::Cmd;

use crate::rig::Rig;

/// A machine: `a` needs `b`, which came with it; `c` was asked for.
fn first() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b", "c"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    rig.write("recipes/a.rhai", rig.recipe("a").replace("\"1\" };", "\"1\", deps: [\"b\"] };"));
    rig.run(&["install", "a", "c"]).ok();
    rig
}

/// Another machine, to which the directory of recipes was copied.
pub(crate) fn second(first: &Rig) -> Rig {
    let rig = Rig::new();
    carry(first, &rig);
    rig
}

pub(crate) fn carry(from: &Rig, to: &Rig) {
    std::fs::remove_dir_all(to.path("recipes")).expect("removed");
    Cmd::new("cp").arg("-a").arg(from.path("recipes")).arg(to.path("recipes")).run().expect("copied");
}

/// The first machine must be as it was: nothing on the second may change it.
fn untouched(first: &Rig) {
    first.run(&["check"]).ok();
    assert_eq!(first.run(&["sync-state"]).ok().stdout, "");
}

fn set_version(rig: &Rig, name: &str, version: &str) {
    let text = rig.recipe(name);
    let old =
        text.split("version: \"").nth(1).and_then(|t| t.split('"').next()).expect("a version").to_owned();
    let text = text.replacen(&format!("version: \"{old}\""), &format!("version: \"{version}\""), 1);
    rig.write(&format!("recipes/{name}.rhai"), text);
}

#[test]
fn what_files_say_comes_in_one_transaction_with_its_reasons() {
    let a = first();
    let b = second(&a);
    let before = b.recipe("a");
    let dry = b.run(&["sync-state", "-n"]).ok();
    assert_eq!(dry.stdout, "+ b 1\n+ a 1\n+ c 1\n");
    assert!(dry.stderr.contains("a: 1 should be installed, and is not"), "{}", dry.stderr);
    assert_eq!((b.recipe("a"), b.tree().len(), b.path("cache").exists()), (before, 0, false));
    assert_eq!(b.run(&["sync-state"]).ok().stdout, "+ b 1\n+ a 1\n+ c 1\n");
    assert_eq!(b.run(&["history"]).ok().stdout.lines().count(), 1, "one transaction");
    for (name, as_dep) in [("a", false), ("b", true), ("c", false)] {
        assert_eq!(b.read(&format!("prefix/bin/{name}")), name);
        let text = b.recipe(name);
        assert!(text.contains(&format!("let installed_as_dep = {as_dep};")), "{text}");
        assert!(text.contains(&format!("\"{}\",", b.prefix(&format!("bin/{name}")).display())), "{text}");
        assert!(!text.contains(&a.prefix("").display().to_string()), "{text}");
    }
    b.run(&["check"]).ok();
    let again = b.run(&["sync-state"]).ok();
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    untouched(&a);
    // `install --all` is the same.
    let c = second(&a);
    assert_eq!(c.run(&["install", "--all"]).ok().stdout, "+ b 1\n+ a 1\n+ c 1\n");
    c.run(&["install", "--all", "a"]).fails(2, "cannot be used with");
}

#[test]
fn claims_that_are_not_true_here_are_no_claims() {
    let a = first();
    let b = second(&a);
    // Somebody's own files, where the package's would be.
    b.write("prefix/bin/a", "mine");
    let out = b.run(&["list"]).ok();
    assert_eq!(out.stdout.matches("not here, though its file says so").count(), 3, "{out:#?}");
    assert!(out.stderr.contains("`recipe sync-state`"), "{out:#?}");
    assert_eq!(b.run(&["list", "-i"]).ok().stdout, "");
    for command in ["remove", "files", "upgrade"] {
        b.run(&[command, "a"]).fails(11, "a is not installed");
        b.run(&[command, "a"]).fails(11, "hint: `recipe sync-state`");
    }
    b.run(&["owns", &b.prefix("bin/a").to_string_lossy()]).fails(11, "belongs to no package");
    let out = b.run(&["check"]);
    assert_eq!((out.code, out.stdout.matches("not true here; `recipe sync-state`").count()), (Some(14), 3));
    let out = b.run(&["doctor"]);
    assert_eq!(out.stdout.matches("record: ").count(), 3, "{out:#?}");
    assert!(out.stdout.contains("`recipe sync-state` brings"), "{out:#?}");
    // A file of nobody is not replaced because a recipe says that it is its own.
    b.run(&["install", "--reinstall", "a"]).fails(15, "a file that belongs to no package");
    b.run(&["sync-state"]).fails(15, "a file that belongs to no package");
    assert_eq!((b.read("prefix/bin/a").as_str(), b.tree().len()), ("mine", 2));
    // What is asked for is installed, with what it needs, and keeps its reasons.
    std::fs::remove_file(b.prefix("bin/a")).expect("removed");
    let out = b.run(&["install", "a"]).ok();
    assert_eq!(out.stdout, "+ b 1\n+ a 1\n");
    assert!(out.stderr.contains("there is no record of it") && out.stderr.contains("sync-state"), "{out:#?}");
    assert!(b.recipe("b").contains("let installed_as_dep = true;"));
    untouched(&a);
}

#[test]
fn the_lock_file_comes_along() {
    let a = first();
    a.run(&["lock"]).ok();
    let b = second(&a);
    b.run(&["sync-state", "--locked", "--offline"]).fails(13, "is not in the cache");
    assert!(b.tree().is_empty() && b.recipe("a") == a.recipe("a"), "{:?}", b.tree());
    b.run(&["fetch"]).ok();
    let before = a.server.log().len();
    assert_eq!(b.run(&["sync-state", "--locked", "--offline"]).ok().stdout, "+ b 1\n+ a 1\n+ c 1\n");
    assert_eq!(a.server.log().len(), before, "nothing is asked for");
    // Other bytes than were locked.
    let c = second(&a);
    a.release("c", "1", &[("bin/c", "something else")]);
    c.run(&["sync-state", "--locked"]).fails(14, "is not the file that was wanted");
    assert!(c.tree().is_empty() && c.recipe("c") == a.recipe("c"), "{:?}", c.tree());
}

#[test]
fn other_versions_are_brought_or_left_and_named() {
    let a = first();
    let b = second(&a);
    b.run(&["sync-state"]).ok();
    // The first machine goes on: its files come again, with its state.
    for name in ["a", "c"] {
        a.release(name, "2", &[(&format!("bin/{name}"), &format!("{name}2"))]);
        set_version(&a, name, "2");
    }
    a.run(&["install", "a"]).ok();
    carry(&a, &b);
    let out = b.run(&["sync-state"]).ok();
    assert!(out.stdout.contains("~ a 1 -> 2") && out.stdout.contains("= b 1\n= c 1\n"), "{out:#?}");
    assert!(out.stderr.contains("a: 2 should be installed, and 1 is; the recipe has 2"), "{out:#?}");
    assert_eq!((b.read("prefix/bin/a").as_str(), b.read("prefix/bin/c").as_str()), ("a2", "c"));
    // Claimed and here as 1, though the recipe has 2: that is for upgrade.
    assert_eq!(b.run(&["list", "--outdated"]).ok().stdout, "c  2  installed: 1\n");
    b.run(&["check"]).ok();
    assert_eq!(b.run(&["sync-state"]).ok().stdout, "");
    assert_eq!(b.run(&["undo"]).ok().stdout, "~ a 2 -> 1\n");
    assert_eq!(b.read("prefix/bin/a"), "a");
    // A file out of a backup says what was true once.
    let old = b.recipe("c");
    b.run(&["upgrade"]).ok();
    b.write("recipes/c.rhai", old);
    assert_eq!(b.run(&["list", "-i"]).ok().stdout.lines().last(), Some("c  2  installed"));
    let json: serde_json::Value =
        serde_json::from_str(&b.run(&["sync-state", "--forget", "--json", "c"]).ok().stdout).expect("JSON");
    let finding = &json["findings"][0];
    assert_eq!(
        (&finding["problem"], &finding["claimed"], &finding["here"], &finding["action"]),
        (&"other".into(), &"1".into(), &"2".into(), &"correct".into())
    );
    assert!(b.recipe("c").contains("let installed_version = \"2\";"));
    b.run(&["check"]).ok();
}

#[test]
fn what_no_file_claims_is_named_kept_or_removed() {
    let a = Rig::new();
    a.release("p", "1", &[("bin/p", "p")]);
    a.add("p", "1", "install_bin(\"p\");\n}\nfn remove() {\n    print(\"the installed copy\");");
    a.run(&["install", "p"]).ok();
    let (text, installed) = (a.recipe("p"), a.tree());
    std::fs::remove_file(a.path("recipes/p.rhai")).expect("removed");
    let out = a.run(&["sync-state"]).ok();
    assert_eq!(out.stdout, "? p 1\n");
    assert!(out.stderr.contains("--remove removes it") && a.tree() == installed, "{out:#?}");
    // Kept: the file comes back as it was.
    assert_eq!(a.run(&["sync-state", "--adopt"]).ok().stdout, "= p 1\n");
    assert_eq!(a.recipe("p"), text);
    a.run(&["check"]).ok();
    // Removed, by the recipe that was installed, not by what stands in the file now.
    let other =
        text.replace("the installed copy", "another one").replace("installed = true", "installed = false");
    a.write("recipes/p.rhai", other);
    let dry = a.run(&["sync-state", "--remove", "-n"]).ok();
    assert_eq!((dry.stdout.as_str(), a.tree()), ("- p 1\n", installed.clone()));
    let out = a.run(&["sync-state", "--remove"]).ok();
    assert_eq!(out.stdout, "- p 1\n");
    assert!(out.stderr.contains("the installed copy") && a.tree().len() < installed.len(), "{out:#?}");
    assert!(!a.prefix("bin/p").exists());
    a.run(&["undo"]).ok();
    a.run(&["check"]).ok();
    std::fs::remove_file(a.path("recipes/p.rhai")).expect("removed");
    assert_eq!(a.run(&["sync-state", "--remove"]).ok().stdout, "- p 1\n");
    assert!(!a.prefix("bin/p").exists() && a.recipe("p").contains("let installed = false;"));
    // A file that cannot be read may say that its package is installed.
    a.run(&["install", "p"]).ok();
    a.write("recipes/p.rhai", "let pkg = ;");
    a.run(&["sync-state", "--remove"]).fails(10, "expected a value for `pkg`");
    assert!(a.prefix("bin/p").exists());
}

#[test]
fn what_others_need_is_not_removed() {
    let a = first();
    std::fs::remove_file(a.path("recipes/b.rhai")).expect("removed");
    a.run(&["sync-state", "--remove"]).fails(12, "b is needed by a");
    assert!(a.prefix("bin/b").exists() && !a.path("recipes/b.rhai").exists());
    assert_eq!(a.run(&["sync-state", "--adopt", "b"]).ok().stdout, "= b 1\n");
    untouched(&a);
}

#[test]
fn half_of_it_is_here() {
    let a = first();
    // The records are lost, the files are not; one of them was changed.
    std::fs::remove_dir_all(a.prefix(".recipe")).expect("removed");
    a.write("prefix/bin/c", "changed");
    a.run(&["sync-state"]).fails(15, "bin/c: a file that belongs to no package");
    assert_eq!(a.read("prefix/bin/c"), "changed");
    let out = a.run(&["sync-state", "--overwrite", "*/bin/c"]).ok();
    assert_eq!(out.stdout, "+ b 1\n+ a 1\n+ c 1\n", "equal files are taken up");
    assert_eq!(a.read("prefix/bin/c"), "c");
    untouched(&a);
    // Files are gone, the records are not.
    std::fs::remove_file(a.prefix("bin/b")).expect("removed");
    let out = a.run(&["sync-state"]).ok();
    assert_eq!(out.stdout, "~ b 1 -> 1\n");
    assert!(out.stderr.contains("b: some files of 1 are missing"), "{out:#?}");
    assert!(a.recipe("b").contains("let installed_as_dep = true;"));
    untouched(&a);
    // It was removed, and the file came out of a backup.
    let old = a.recipe("c");
    a.run(&["remove", "c"]).ok();
    a.write("recipes/c.rhai", old);
    a.run(&["sync-state"]).ok();
    assert_eq!(a.read("prefix/bin/c"), "c");
    untouched(&a);
}

#[test]
fn a_prefix_that_was_carried_as_a_whole_is_made_again() {
    let a = Rig::new();
    a.release("p", "1", &[("bin/p", "p")]);
    a.add("p", "1", "install_bin(\"p\");");
    a.run(&["install", "p"]).ok();
    let b = second(&a);
    Cmd::new("cp").arg("-aT").arg(a.path("prefix")).arg(b.path("prefix")).run().expect("copied");
    let out = b.run(&["sync-state"]).ok();
    assert_eq!(out.stdout, "~ p 1 -> 1\n");
    assert!(out.stderr.contains("p: 1 was made for another prefix"), "{out:#?}");
    assert!(b.recipe("p").contains(&b.prefix("bin/p").display().to_string()));
    untouched(&b);
    untouched(&a);
}

#[test]
fn files_of_another_prefix_are_not_taken_from_it() {
    let a = first();
    let other = a.path("other");
    let cmd = |args: &[&str]| {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(args.iter().copied());
        let cmd =
            cmd.arg("-r").arg(a.path("recipes")).arg("-p").arg(&other).arg("--cache").arg(a.path("cache"));
        a.ran(cmd.dir(a.path("")))
    };
    let before = a.recipe("a");
    let says = format!("is installed in {}", a.path("prefix").display());
    for args in [&["sync-state"][..], &["sync-state", "--forget"], &["install", "a"], &["install", "--all"]] {
        cmd(args).fails(15, &says);
        assert_eq!(a.recipe("a"), before, "{args:?}");
    }
    untouched(&a);
}

/// At every renaming: the stage, the journal, the records, the files, the recipe files.
#[test]
fn a_sync_that_is_killed_is_done_by_the_next_one() {
    let a = first();
    a.run(&["lock"]).ok();
    let mut killed = 0;
    for call in ["renameat2", "renameat", "rename"] {
        for when in 1.. {
            let b = second(&a);
            let Some(out) = b.attacked(&["sync-state", "--locked"], call, "signal=KILL", when) else { break };
            killed += 1;
            assert!(out.killed(), "{out:#?}");
            b.run(&["sync-state", "--locked"]).ok();
            b.run(&["check"]).ok();
            assert_eq!(b.run(&["list", "-i"]).ok().stdout.lines().count(), 3, "{call} {when}");
            assert!(b.recipe("b").contains("let installed_as_dep = true;"), "{call} {when}");
        }
    }
    assert!(killed > 6, "{killed}");
    untouched(&a);
}

#[test]
fn files_can_be_corrected_instead() {
    let a = first();
    let b = second(&a);
    let out = b.run(&["sync-state", "--forget", "a", "b"]).ok();
    assert_eq!(out.stdout, "= a is not installed\n= b is not installed\n");
    assert!(
        b.recipe("a").contains("let installed = false;") && b.recipe("a").contains("installed_files = []")
    );
    assert_eq!(b.run(&["sync-state", "-n"]).ok().stdout, "+ c 1\n");
    b.run(&["sync-state", "nothing"]).fails(11, "there is no recipe \"nothing\"");
    assert!(b.tree().is_empty(), "{:?}", b.tree());
    untouched(&a);
}

#[test]
fn a_sync_that_fails_has_changed_nothing_and_can_be_done_again() {
    let a = first();
    let b = second(&a);
    let before = (b.recipe("a"), b.recipe("b"));
    let c = b.recipe("c").replace("install_bin", "throw \"no\"; install_bin");
    b.write("recipes/c.rhai", &c);
    b.run(&["sync-state"]).fails(17, "install of c failed");
    assert!(b.tree().is_empty() && (b.recipe("a"), b.recipe("b")) == before && b.recipe("c") == c);
    b.write("recipes/c.rhai", a.recipe("c"));
    assert_eq!(b.run(&["sync-state"]).ok().stdout, "+ b 1\n+ a 1\n+ c 1\n");
    b.run(&["check"]).ok();
}
