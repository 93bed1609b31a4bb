//! From one version to the next: files that come, stay and go, config files, hand-edited recipes.

use crate::rig::Rig;

fn installed(files: &[(&str, &str)]) -> Rig {
    let rig = Rig::new();
    rig.release("p", "1", files);
    rig.add("p", "1", "install_tree(\".\", \"share/p\");");
    rig
}

fn new_version(rig: &Rig, version: &str, files: &[(&str, &str)]) {
    rig.release("p", version, files);
    let text = rig.recipe("p");
    let old = text.lines().find(|l| l.starts_with("let pkg")).expect("pkg").to_owned();
    let new = format!("let pkg = #{{ name: \"p\", version: \"{version}\" }}; // fixed");
    rig.write("recipes/p.rhai", text.replace(&old, &new));
}

#[test]
fn files_come_stay_and_go() {
    let rig = installed(&[("same", "1"), ("changed", "1"), ("gone/deep", "1"), ("to_dir", "1")]);
    rig.run(&["install", "p"]).ok();
    let files =
        [("same", "1"), ("changed", "2"), ("new/deep", "2"), ("to_dir/file", "2"), ("to_dir/sub/file", "2")];
    new_version(&rig, "2", &files);
    assert_eq!(rig.run(&["list"]).ok().stdout, "p  2  installed: 1\n");
    assert_eq!(rig.run(&["install", "p"]).ok().stdout, "~ p 1 -> 2\n");
    let names: Vec<_> = rig.tree().into_keys().filter(|n| n.starts_with("share/p/")).collect();
    assert_eq!(
        names,
        ["changed", "new", "new/deep", "same", "to_dir", "to_dir/file", "to_dir/sub", "to_dir/sub/file"]
            .map(|n| format!("share/p/{n}"))
    );
    assert_eq!(rig.read("prefix/share/p/changed"), "2");
    let state = rig.recipe("p");
    assert!(!state.contains("gone") && state.contains("share/p/to_dir/file\","), "{state}");
    rig.run(&["check"]).ok();
    // And back again, by hand.
    new_version(&rig, "1", &[]);
    assert_eq!(rig.run(&["install", "p"]).ok().stdout, "~ p 2 -> 1\n");
    assert!(rig.prefix("share/p/gone/deep").exists() && !rig.prefix("share/p/new").exists());
}

#[test]
fn a_running_program_can_be_replaced() {
    let rig = Rig::new();
    let sleep = std::fs::read(testkit::oracle("sleep")).expect("a program");
    let install = "install_bin(\"p\");";
    rig.release("p", "1", &[("x", "")]);
    std::fs::create_dir_all(rig.path("src/p-1/bin")).expect("made");
    std::fs::write(rig.path("src/p-1/bin/p"), sleep).expect("written");
    rig.release("p", "1", &[("x", "")]);
    rig.add("p", "1", install);
    rig.run(&["install", "p"]).ok();
    let mut child = common::cmd::Cmd::new(rig.prefix("bin/p")).arg("60").std().spawn().expect("it runs");
    rig.run(&["install", "--reinstall", "p"]).ok();
    rig.run(&["remove", "p"]).ok();
    assert!(child.try_wait().expect("asked").is_none(), "it still runs");
    child.kill().expect("killed");
    child.wait().expect("waited");
}

/// (as installed, here now, in the new version) -> (what is there, what is beside it).
#[test]
fn config_files_keep_what_users_changed() {
    for (original, here, new, expect, beside) in [
        ("a", Some("a"), "a", "a", None),
        ("a", Some("a"), "b", "b", None),
        ("a", Some("b"), "a", "b", None),
        ("a", Some("b"), "b", "b", None),
        ("a", Some("b"), "c", "b", Some("c")),
        ("a", None, "a", "a", None),
        ("a", None, "c", "c", None),
    ] {
        let rig = Rig::new();
        let what = format!("{original} {here:?} {new}");
        rig.release("p", "1", &[("conf", original), ("x", "x")]);
        rig.add("p", "1", "install_config(\"conf\", \"etc/p.conf\");");
        rig.run(&["install", "p"]).ok();
        let conf = rig.prefix("etc/p.conf");
        match here {
            Some(text) => std::fs::write(&conf, text).expect("written"),
            None => std::fs::remove_file(&conf).expect("removed"),
        }
        new_version(&rig, "2", &[("conf", new), ("x", "x")]);
        let out = rig.run(&["install", "p"]).ok();
        assert_eq!(rig.read("prefix/etc/p.conf"), expect, "{what}");
        let new_file = rig.prefix("etc/p.conf.new");
        assert_eq!(std::fs::read_to_string(&new_file).ok().as_deref(), beside, "{what}");
        assert_eq!(out.stderr.contains("p.conf.new"), beside.is_some(), "{what}: {}", out.stderr);
    }
}

#[test]
fn a_changed_config_file_outlives_its_package() {
    let rig = Rig::new();
    rig.release("p", "1", &[("conf", "a"), ("other", "a")]);
    rig.add(
        "p",
        "1",
        "install_config(\"conf\", \"etc/p.conf\"); install_config(\"other\", \"etc/p.other\");",
    );
    rig.run(&["install", "p"]).ok();
    rig.write("prefix/etc/p.conf", "mine");
    let out = rig.run(&["remove", "p"]).ok();
    assert!(out.stderr.contains("etc/p.conf stays: you changed it"), "{}", out.stderr);
    assert_eq!(rig.read("prefix/etc/p.conf"), "mine");
    assert!(!rig.prefix("etc/p.other").exists());
    // And is taken up again.
    let out = rig.run(&["install", "p"]).ok();
    assert!(out.stderr.contains("p.conf.new"), "{}", out.stderr);
    assert_eq!(
        (rig.read("prefix/etc/p.conf").as_str(), rig.read("prefix/etc/p.conf.new").as_str()),
        ("mine", "a")
    );
}

#[test]
fn the_recipe_stays_as_the_user_wrote_it() {
    let rig = installed(&[("a", "1")]);
    let text =
        rig.recipe("p").replace("\n", "\r\n").replace("// fixed", "// \u{fc}ber: let installed = true;");
    rig.write("recipes/p.rhai", format!("{text}// the end, without a line break"));
    // Through a link, with a mode of its own.
    std::fs::rename(rig.path("recipes/p.rhai"), rig.path("real.rhai")).expect("renamed");
    std::os::unix::fs::symlink("../real.rhai", rig.path("recipes/p.rhai")).expect("linked");
    let mode = |m| std::os::unix::fs::PermissionsExt::from_mode(m);
    std::fs::set_permissions(rig.path("real.rhai"), mode(0o640)).expect("set");
    rig.run(&["install", "p"]).ok();
    let state = rig.read("real.rhai");
    assert!(rig.path("recipes/p.rhai").is_symlink());
    assert!(state.starts_with(&text[..text.find("fn install").expect("there")]), "{state}");
    assert!(state.ends_with("}\r\n// the end, without a line break"), "{state}");
    assert!(!state.replace("\r\n", "").contains('\n'), "line ends are as they were");
    let meta = rig.path("real.rhai").metadata().expect("there");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&meta) & 0o777, 0o640);
    rig.run(&["remove", "p"]).ok();
    rig.run(&["install", "p"]).ok();
    let again = rig.read("real.rhai");
    let plain = |t: &str| {
        t.lines().filter(|l| !l.contains("_tx") && !l.contains("_at")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(plain(&again), plain(&state), "nothing grows");
}

#[test]
fn directories_of_the_old_version_make_room_for_a_file_unless_somebody_else_uses_them() {
    let rig = installed(&[("to_file/a/one", "1"), ("to_file/b/c/two", "1"), ("to_file/three", "1")]);
    rig.run(&["install", "p"]).ok();
    let before = rig.tree();
    new_version(&rig, "2", &[("to_file", "2")]);
    for theirs in ["share/p/to_file/theirs", "share/p/to_file/b/c/theirs"] {
        rig.write(&format!("prefix/{theirs}"), "theirs");
        rig.run(&["upgrade"]).fails(15, "a directory stands there");
        assert_eq!(rig.read(&format!("prefix/{theirs}")), "theirs");
        std::fs::remove_file(rig.prefix(theirs)).expect("removed");
        assert_eq!(rig.tree(), before);
    }
    // What fails afterwards brings them all back, with the rights that they had.
    let inner = rig.prefix("share/p/to_file/b/c");
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::MetadataExt::mode(&path.metadata().expect("there")) & 0o7777
    };
    for dir in [&inner, &rig.prefix("share/p/to_file")] {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o750)).expect("set");
    }
    let text = rig.recipe("p");
    rig.write("recipes/p.rhai", format!("{text}fn post_install() {{ fail(\"no\"); }}\n"));
    rig.run(&["upgrade"]).fails(17, "no");
    assert_eq!(
        (rig.tree(), mode(&inner), mode(&rig.prefix("share/p/to_file"))),
        (before.clone(), 0o750, 0o750)
    );
    rig.write("recipes/p.rhai", text);
    // And so does whoever comes after one that was killed half way.
    for when in 1.. {
        let killed = rig.attacked(&["upgrade"], "unlinkat", "signal=KILL", when);
        rig.run(&["repair"]).ok();
        if rig.read("recipes/p.rhai").contains("installed_version = \"2\"") {
            assert_eq!(rig.read("prefix/share/p/to_file"), "2", "{when}");
            rig.run(&["undo"]).ok();
        }
        assert_eq!(rig.tree(), before, "{when}: {killed:#?}");
        if killed.is_none() {
            assert!(when > 5, "nothing was killed");
            break;
        }
    }
    // An empty directory is no reason.
    std::fs::create_dir_all(rig.prefix("share/p/to_file/b/empty")).expect("made");
    rig.run(&["upgrade"]).ok();
    assert_eq!(rig.read("prefix/share/p/to_file"), "2");
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), before);
    // A link instead, which leads where there are such directories: they are not the package's.
    std::fs::create_dir_all(rig.prefix("elsewhere/b/c")).expect("made");
    let text =
        rig.recipe("p").replace("install_tree(", "symlink(\"../../elsewhere\", \"share/p/to_file\"); //");
    rig.write("recipes/p.rhai", text.replace("version: \"2\"", "version: \"3\""));
    rig.release("p", "3", &[("x", "")]);
    rig.run(&["upgrade"]).ok();
    assert!(rig.prefix("share/p/to_file").is_symlink() && rig.prefix("elsewhere/b/c").is_dir());
    rig.run(&["repair"]).ok();
}

#[test]
fn all_is_what_no_name_means_and_nothing_to_do_is_said() {
    let rig = installed(&[("f", "1")]);
    rig.run(&["install", "p"]).ok();
    for args in [&["upgrade"][..], &["upgrade", "--all"], &["upgrade", "p"]] {
        let out = rig.run(args).ok();
        assert!(out.stdout.is_empty() && out.stderr.contains("nothing to upgrade"), "{args:?}: {out:?}");
    }
    new_version(&rig, "2", &[("f", "2")]);
    rig.run(&["upgrade", "--all", "p"]).fails(2, "cannot be used with");
    assert_eq!(rig.run(&["upgrade", "--all"]).ok().stdout, "~ p 1 -> 2\n");
}
