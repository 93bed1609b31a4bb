//! What is in the way: files of others, files of nobody, links where directories should be.

use std::os::unix::fs::symlink;

use common::cmd::Cmd;

use crate::rig::Rig;

fn two() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.release(name, "1", &[("bin/tool", name), ("bin/other", name)]);
        rig.add(name, "1", "install_bin(\"tool\");");
    }
    rig
}

#[test]
fn a_file_of_another_package_is_never_replaced() {
    let rig = two();
    rig.run(&["install", "a"]).ok();
    let (tree, recipe) = (rig.tree(), rig.recipe("b"));
    rig.run(&["install", "b"]).fails(15, "prefix/bin/tool: belongs to a");
    rig.run(&["install", "b", "--overwrite", "*"]).fails(15, "prefix/bin/tool: belongs to a");
    assert_eq!((rig.tree(), rig.recipe("b")), (tree, recipe));
    rig.run(&["remove", "a"]).ok();
    rig.run(&["install", "b"]).ok();
    assert_eq!(rig.read("prefix/bin/tool"), "b");
}

/// Nothing but its record says that it is here: its recipe was deleted, or a version of `recipe` installed it from a file elsewhere.
#[test]
fn a_package_without_a_recipe_keeps_its_files() {
    let rig = two();
    rig.run(&["install", "a"]).ok();
    std::fs::rename(rig.path("recipes/a.rhai"), rig.path("a.rhai")).expect("moved");
    let tree = rig.tree();
    rig.run(&["install", "b", "--overwrite", "*"]).fails(15, "prefix/bin/tool: belongs to a");
    assert_eq!(rig.tree(), tree);
    let tool = rig.prefix("bin/tool").display().to_string();
    assert_eq!(rig.run(&["owns", &tool]).ok().stdout, format!("{tool}: a 1\n"));
    for args in [["remove", "a"], ["files", "a"], ["install", "a"]] {
        let out = rig.run(&args).fails(11, "there is no recipe \"a\" in ");
        assert!(
            out.stderr.contains("a 1 is here, ") && out.stderr.contains("`recipe sync-state --adopt a`"),
            "{out:#?}"
        );
    }
    let out = rig.run(&["doctor"]).fails(14, "");
    assert!(out.stdout.contains("no recipe file says that it is installed"), "{out:#?}");
    // However long ago that was: a record of what is here is nothing to remove.
    rig.release("c", "1", &[("bin/c", "c")]);
    rig.add("c", "1", "install_bin(\"c\");");
    for _ in 0..21 {
        rig.run(&["install", "--reinstall", "c"]).ok();
    }
    let out = rig.run(&["doctor"]).fails(14, "");
    assert!(
        out.stdout.contains("`recipe sync-state --adopt a`") && !out.stdout.contains("remove /"),
        "{out:#?}"
    );
    rig.run(&["sync-state", "--adopt", "a"]).ok();
    rig.run(&["remove", "a"]).ok();
    rig.run(&["install", "b"]).ok();
}

/// What is installed from there would be seen by no other command.
#[test]
fn a_recipe_elsewhere_is_not_installed() {
    let rig = two();
    let elsewhere = rig.path("elsewhere/a.rhai");
    std::fs::create_dir(rig.path("elsewhere")).expect("made");
    std::fs::rename(rig.path("recipes/a.rhai"), &elsewhere).expect("moved");
    let says = format!("elsewhere/a.rhai is not in {}", rig.path("recipes").display());
    let hint = format!("`cp elsewhere/a.rhai {}/`", rig.path("recipes").display());
    for args in [&["install", "elsewhere/a.rhai"][..], &["install", "-n=plan", "elsewhere/a.rhai"]] {
        let out = rig.run(args).fails(11, &says);
        assert!(out.stderr.contains(&hint), "{out:#?}");
    }
    assert!(!rig.prefix(".recipe").exists() && rig.server.log().is_empty());
    // What installs nothing takes it as it is.
    rig.run(&["lint", "elsewhere/a.rhai"]).ok();
    rig.run(&["review", "elsewhere/a.rhai"]).ok();
    assert_eq!(rig.run(&["run", "-n", "elsewhere/a.rhai"]).ok().stdout, "+ a 1\n");

    // A copy's state is the copy's: what is installed is what the recipes' directory says.
    std::fs::copy(&elsewhere, rig.path("recipes/a.rhai")).expect("copied");
    let out = rig.run(&["install", "elsewhere/a.rhai"]).fails(11, &says);
    assert!(
        out.stderr.contains(&format!("{} is another file", rig.path("recipes/a.rhai").display())),
        "{out:#?}"
    );
    rig.run(&["install", "a"]).ok();
    std::fs::copy(rig.path("recipes/a.rhai"), &elsewhere).expect("copied");
    for command in ["upgrade", "remove", "rollback", "files"] {
        rig.run(&[command, "elsewhere/a.rhai"]).fails(11, &says);
    }
    // A link is no copy.
    std::fs::rename(rig.path("recipes/a.rhai"), &elsewhere).expect("moved");
    symlink(&elsewhere, rig.path("recipes/a.rhai")).expect("linked");
    rig.run(&["install", "--reinstall", "elsewhere/a.rhai"]).ok();
}

/// A package is the same by its file's path as by its name.
#[test]
fn a_path_of_the_recipes_directory_names_its_package() {
    let rig = two();
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"1\", deps: [\"a\"]"));
    rig.write("recipes/b.rhai", rig.recipe("b").replace("install_bin(\"tool\")", "install_bin(\"other\")"));
    rig.run(&["install", "recipes/a.rhai", "a", "recipes/b.rhai"]).ok();
    rig.run(&["remove", "recipes/a.rhai"]).fails(12, "a is needed by b");
    let out = rig.run(&["remove", "recipes/b.rhai"]).ok();
    assert!(!out.stderr.contains("not needed any more"), "{out:#?}");
    rig.run(&["remove", "./recipes/a.rhai"]).ok();
}

#[test]
fn two_packages_of_one_transaction_cannot_have_the_same_file() {
    let rig = two();
    rig.run(&["install", "a", "b"]).fails(15, "both a and b install it");
    assert!(rig.tree().is_empty());
}

#[test]
fn files_of_nobody_are_kept_unless_the_user_says_so() {
    let rig = two();
    rig.write("prefix/bin/tool", "mine");
    rig.run(&["install", "a"]).fails(15, "prefix/bin/tool: a file that belongs to no package");
    assert_eq!(rig.read("prefix/bin/tool"), "mine");
    rig.run(&["install", "a", "--overwrite", "*/bin/to?l"]).ok();
    assert_eq!(rig.read("prefix/bin/tool"), "a");
}

#[test]
fn every_kind_of_thing_in_the_way_is_named() {
    for (what, says) in [
        ("dir", "bin/tool: a directory stands there"),
        ("link", "bin/tool: a link that belongs to no package"),
        ("fifo", "bin/tool: a special file that belongs to no package"),
        ("file for bin", "prefix/bin: a file stands where a directory is needed"),
        ("link for bin", "prefix/bin: a link stands where a directory is needed"),
    ] {
        let rig = two();
        let at = rig.prefix("bin/tool");
        if !what.ends_with("bin") {
            std::fs::create_dir(rig.prefix("bin")).expect("made");
        }
        match what {
            "dir" => std::fs::create_dir(&at).expect("made"),
            "link" => symlink("nowhere", &at).expect("linked"),
            "fifo" => {
                let mode = rustix::fs::Mode::from_raw_mode(0o644);
                rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, mode, 0).expect("made");
            }
            "file for bin" => std::fs::write(rig.prefix("bin"), "").expect("written"),
            _ => symlink("../outside", rig.prefix("bin")).expect("linked"),
        }
        std::fs::create_dir(rig.path("outside")).expect("made");
        let before = rig.tree();
        rig.run(&["install", "a"]).fails(15, says);
        assert_eq!(rig.tree(), before, "{what}");
        assert_eq!(rig.path("outside").read_dir().expect("read").count(), 0, "{what}");
    }
}

#[test]
fn removal_touches_only_what_is_still_a_file() {
    let rig = two();
    rig.run(&["install", "a"]).ok();
    std::fs::remove_file(rig.prefix("bin/tool")).expect("removed");
    std::fs::create_dir(rig.prefix("bin/tool")).expect("made");
    std::fs::write(rig.prefix("bin/tool/mine"), "mine").expect("written");
    let out = rig.run(&["remove", "a"]).ok();
    assert!(out.stderr.contains("bin/tool is not removed: it is a directory now"), "{}", out.stderr);
    assert_eq!(rig.read("prefix/bin/tool/mine"), "mine");
}

/// A recipe file that somebody made up: paths in it are no licence to delete.
#[test]
fn state_that_names_files_outside_of_the_prefix_is_refused() {
    let rig = two();
    rig.run(&["install", "a"]).ok();
    let victim = rig.write("victim", "mine");
    let own = rig.prefix("bin/tool").to_string_lossy().into_owned();
    for path in [victim.to_string_lossy().into_owned(), format!("{}/../victim", rig.path("prefix").display())]
    {
        let before = rig.recipe("a");
        rig.write("recipes/a.rhai", before.replace(&own, &path));
        rig.run(&["remove", "a"]).fails(15, "is installed outside of");
        rig.write("recipes/a.rhai", before);
    }
    assert_eq!(rig.read("victim"), "mine");
}

#[test]
fn a_file_where_directories_are_needed_is_named_once() {
    let rig = Rig::new();
    rig.release("p", "1", &[("a/b/c/file", "x")]);
    rig.add("p", "1", "install_tree(\"a\", \"share/a\");");
    rig.write("prefix/share/a", "theirs");
    let shown = rig.prefix("share/a").display().to_string();
    let out =
        rig.run(&["install", "p"]).fails(15, &format!("{shown}: a file stands where a directory is needed"));
    assert!(out.stderr.contains("1 file is in the way"), "{out:#?}");
    assert_eq!(rig.read("prefix/share/a"), "theirs");
}

/// A recipe file that was carried here claims a file that is as it says, but another package's.
#[test]
fn what_a_file_claims_is_not_taken_from_its_owner() {
    let rig = Rig::new();
    for name in ["a", "p"] {
        rig.release(name, "1", &[("bin/x", "the same")]);
        rig.add(name, "1", "install_bin(\"bin/x\");");
    }
    rig.run(&["install", "a"]).ok();
    let claim = format!(
        "let installed = true;\nlet installed_version = \"1\";\nlet installed_files = [\"{}\"];\n",
        rig.prefix("bin/x").display()
    );
    rig.write("recipes/p.rhai", rig.recipe("p") + claim.as_str());
    rig.run(&["install", "p"]).fails(15, "bin/x: belongs to a");
    assert_eq!(
        rig.run(&["owns", &rig.prefix("bin/x").to_string_lossy()]).ok().stdout.matches("a 1").count(),
        1
    );
}

/// What stands in a recipe file can be edited by anybody; what was installed is known from the prefix's own records.
#[test]
fn files_that_were_written_into_a_state_by_hand_stay() {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.release(name, "1", &[("one", name), ("two", name)]);
        let one = format!("install_file(\"one\", \"share/{name}/one\");");
        rig.add(name, "1", &format!("{one} install_file(\"two\", \"share/{name}/two\");"));
    }
    rig.run(&["install", "a", "b"]).ok();
    rig.write("prefix/share/precious", "mine");
    let before = rig.tree();
    let quoted = |path: &str| format!("\"{}\",", rig.prefix(path).display());
    let more = ["share/a/one", "share/precious", "share/b/one"].map(quoted).concat();
    // More than was installed, and less.
    for new in [more, String::new()] {
        let text = rig.recipe("a");
        rig.write("recipes/a.rhai", text.replace(&quoted("share/a/one"), &new));
        let out = rig.run(&["remove", "a"]).ok();
        assert!(out.stderr.contains("a: installed_files of its recipe was edited"), "{out:?}");
        let gone = before.iter().filter(|(path, _)| !path.starts_with("share/a"));
        assert_eq!(rig.tree(), gone.map(|(p, w)| (p.clone(), w.clone())).collect());
        rig.run(&["install", "a"]).ok();
        assert_eq!(rig.tree(), before);
    }
}

/// By a helper, by a tree, by a program, as a directory alone; and where recipes are elsewhere.
#[test]
fn nothing_is_installed_where_our_own_things_are() {
    let rig = Rig::new();
    rig.release("p", "1", &[("t/recipes/evil.rhai", "x"), ("x", "x")]);
    for install in [
        "install_file(\"x\", \".recipe/journal.json\");",
        "install_file(\"x\", \"share/recipes/x.rhai\");",
        "install_tree(\"t\", \"share\");",
        "install_file(\"x\", \"share/x\"); shell(\"mkdir -p $STAGE/.recipe && cp x $STAGE/.recipe/lock\");",
        "install_file(\"x\", \"share/x\"); shell(\"mkdir -p $STAGE/.recipe/db/q\");",
    ] {
        rig.add("p", "1", install);
        let out = rig.run(&["install", "p", "--overwrite", "*"]);
        assert_ne!(out.code, Some(0), "{install}: {out:?}");
        assert!(out.stderr.contains("belongs to recipe itself"), "{install}: {out:?}");
        assert!(rig.tree().is_empty(), "{install}: {:?}", rig.tree());
    }
    rig.add("p", "1", "install_file(\"x\", \"my/recipes/x.rhai\");");
    let (from, to) = (rig.path("recipes"), rig.prefix("my/recipes"));
    std::fs::create_dir_all(&to).expect("made");
    std::fs::copy(from.join("p.rhai"), to.join("p.rhai")).expect("copied");
    let own = |args: &[&str]| {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(args.iter().copied()).arg("-r").arg(&to);
        rig.ran(cmd.arg("-p").arg(rig.path("prefix")).arg("--cache").arg(rig.path("cache")))
    };
    own(&["install", "p"]).fails(10, "my/recipes/x.rhai belongs to recipe itself");
}
