//! What can be asked: list, info, files, owns, check, lint; and the recipes that we ship.

use common::cmd::Cmd;

use std::os::unix::ffi::OsStrExt;

use crate::rig::Rig;

#[test]
fn shipped_recipes_are_valid_and_listed() {
    let recipes = testkit::workspace().join("recipes");
    let recipe = |args: &[&str]| {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(args.iter().copied()).arg("-r").arg(&recipes);
        cmd.read().expect("it succeeds")
    };
    recipe(&["lint"]);
    let list = recipe(&["list"]);
    assert!(list.lines().any(|l| l.starts_with("ripgrep ")), "{list}");
}

/// Threads share them, in the order of the disk; what is said is in the order of names.
#[test]
fn many_are_listed_as_few_are() {
    const COUNT: usize = 701;
    let rig = Rig::new();
    // 300 and 701 have no common factor: each number once, and neighbours far from each other.
    for i in (0..COUNT).map(|i| i * 300 % COUNT) {
        let text = if i == 350 {
            "let pkg = ;".to_owned()
        } else {
            format!("let pkg = #{{ name: \"p{i:03}\", version: \"{i}\" }};\nfn install() {{}}\n")
        };
        rig.write(&format!("recipes/p{i:03}.rhai"), text);
    }
    let out = rig.run(&["list"]).fails(10, "p350.rhai:1:1: expected a value for `pkg`");
    let expected = (0..COUNT).filter(|i| *i != 350).map(|i| format!("p{i:03}  {i}\n"));
    assert_eq!(out.stdout, expected.collect::<String>());
}

#[test]
fn a_wrong_recipe_hides_no_other() {
    let rig = Rig::new();
    rig.add("good", "1", "");
    rig.write("recipes/bad.rhai", "let pkg = #{ name: \"bad\" };\nlet x = ;\n");
    rig.write("recipes/.hidden.rhai", "not a recipe");
    let out = rig.run(&["list"]).fails(10, "bad.rhai:2:1: expected a value for `x`");
    assert_eq!(out.stdout, "good  1\n");
    rig.run(&["lint"]).fails(10, "2 recipes, 1 with mistakes");
}

#[test]
fn names_that_are_nearly_right_get_a_hint() {
    let rig = Rig::new();
    rig.add("ripgrep", "1", "");
    rig.run(&["info", "rigrep"]).fails(11, "hint: did you mean ripgrep?");
    rig.run(&["info", "zzz"]).fails(11, "`recipe list` shows all recipes");
    rig.run(&["info", "gone/x.rhai"]).fails(11, "failed to open gone/x.rhai");
    rig.run(&["info", "a b"]).fails(11, "expected a name of letters");
}

#[test]
fn check_names_every_difference() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/a", "a"), ("bin/b", "b"), ("bin/c", "c"), ("conf", "c")]);
    rig.add(
        "p",
        "1",
        "install_bin(\"a\"); install_bin(\"b\"); install_bin(\"c\"); symlink(\"bin/a\", \"bin/l\"); install_config(\"conf\", \"etc/c\");",
    );
    rig.run(&["install", "p"]).ok();
    rig.run(&["check"]).ok();
    rig.write("prefix/bin/a", "changed");
    std::fs::remove_file(rig.prefix("bin/b")).expect("removed");
    std::fs::set_permissions(rig.prefix("bin/c"), std::os::unix::fs::PermissionsExt::from_mode(0o4755))
        .expect("set");
    std::fs::remove_file(rig.prefix("bin/l")).expect("removed");
    std::os::unix::fs::symlink("elsewhere", rig.prefix("bin/l")).expect("linked");
    rig.write("prefix/etc/c", "a user may");
    let out = rig.run(&["check", "--json"]);
    assert_eq!(out.code, Some(14));
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    let problems: Vec<_> = json["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| f["problem"].as_str().expect("a text"))
        .collect();
    assert_eq!(
        problems,
        [
            "its content has changed",
            "it is missing",
            "its mode is 4755, not 0755",
            "it leads to elsewhere, not to ../bin/a"
        ]
    );
}

#[test]
fn json_has_a_version_and_what_the_file_says() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    rig.run(&["install", "--as-dep", "p"]).ok();
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&rig.run(args).ok().stdout).expect("JSON")
    };
    let list = json(&["list", "--json"]);
    assert_eq!(list["schema"], 1);
    let p = &list["recipes"][0];
    assert_eq!(
        (&p["name"], &p["installed"], &p["installed_as_dep"]),
        (&"p".into(), &true.into(), &true.into())
    );
    assert_eq!(json(&["list", "--explicit", "--json"])["recipes"].as_array().map(Vec::len), Some(0));
    assert_eq!(json(&["list", "--deps", "--json"])["recipes"].as_array().map(Vec::len), Some(1));
    assert_eq!(json(&["info", "p", "--json"])["recipes"][0]["installed_version"], "1");
    // Asked for by name, it is no longer there only for others.
    rig.run(&["install", "--reinstall", "p"]).ok();
    assert_eq!(json(&["list", "--explicit", "--json"])["recipes"].as_array().map(Vec::len), Some(1));
    let file = rig.prefix("bin/p").to_string_lossy().into_owned();
    assert_eq!(json(&["files", "p", "--json"])["files"]["p"][0], file.as_str());
    assert_eq!(json(&["owns", &file, "--json"])["owners"][&file], "p");
    rig.run(&["owns", "/etc/passwd"]).fails(11, "belongs to no package");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_gone() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    rig.write("recipes/\u{e9}.txt", "no recipe");
    std::fs::write(rig.path("recipes").join(std::ffi::OsStr::from_bytes(b"x\xff.rhai")), "")
        .expect("written");
    rig.run(&["install", "p"]).ok();
    // Each call that the removal reads the recipe by fails once: it must not end as if there were nothing to remove.
    let strace = testkit::oracle("strace");
    for call in ["openat", "read"] {
        for when in 1..=3 {
            let recipe = rig.path("recipes/p.rhai");
            let path = recipe.to_str().expect("UTF-8");
            let inject = format!("inject={call}:error=EIO:when={when}");
            let args = ["-f", "-qq", "-o", "/dev/null", "-P", path, "-e", &inject];
            let out = rig.ran(rig.cmd(&["remove", "p"]).under(strace.to_str().expect("UTF-8"), &args));
            let is_there = rig.prefix("bin/p").exists();
            assert_eq!(out.code == Some(0), !is_there, "{call} {when}: {out:?}");
            if !is_there {
                rig.run(&["install", "p"]).ok();
            }
        }
    }
}

#[test]
fn done_is_done_although_it_cannot_be_printed() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    let full = |args: &[&str]| rig.ran(rig.cmd(args).under("sh", &["-c", "exec \"$@\" >/dev/full", "sh"]));
    full(&["install", "p"]).fails(19, "done, but it could not be printed");
    assert!(rig.prefix("bin/p").exists());
    full(&["remove", "--dry-run", "p"]).fails(3, "No space left");
    assert!(rig.prefix("bin/p").exists());
    // Whoever stopped reading is no error.
    let closed = |args: &[&str]| rig.ran(rig.cmd(args).under("sh", &["-c", "\"$@\" | true", "sh"]));
    closed(&["remove", "p"]).ok();
    assert!(!rig.prefix("bin/p").exists());
}

#[test]
fn search_finds_the_best_first() {
    let rig = Rig::new();
    for (name, description) in [
        ("ripgrep", "Search text recursively"),
        ("grep", "The original"),
        ("grepper", "Another one"),
        ("other", "Not a GREP at all"),
        ("none", "Something else"),
    ] {
        let text = format!(
            "let pkg = #{{ name: \"{name}\", version: \"1\", description: \"{description}\" }};\nfn install() {{ }}\n"
        );
        rig.write(&format!("recipes/{name}.rhai"), text);
    }
    let names = |args: &[&str]| -> Vec<String> {
        let text = rig.run(args).ok().stdout;
        text.lines().map(|l| l.split(' ').next().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["search", "Grep"]), ["grep", "grepper", "ripgrep", "other"]);
    assert_eq!(names(&["search", "--names", "grep"]), ["grep", "grepper", "ripgrep"]);
    assert_eq!(names(&["find", "grep", "text"]), ["ripgrep"]);
    rig.run(&["search", "ripgerp"]).fails(11, "did you mean ripgrep?");
    // Without a description the first line says what it is, as in the guide.
    let text = "//! fd: find files by name.\n//! More of it.\nlet pkg = #{ name: \"fd\", version: \"1\" };\nfn install() { }\n";
    rig.write("recipes/fd.rhai", text);
    assert_eq!(rig.run(&["search", "files"]).ok().stdout, "fd  1    find files by name.\n");
    assert!(rig.run(&["info", "fd"]).ok().stdout.contains("description:  find files by name.\n"));
    for (with, expected) in
        [("description: \"\", ", Some("find files by name.")), ("description: \"other\", ", Some("other"))]
    {
        rig.write("recipes/fd.rhai", text.replace("version:", &format!("{with}version:")));
        let json: serde_json::Value =
            serde_json::from_str(&rig.run(&["info", "fd", "--json"]).ok().stdout).expect("JSON");
        assert_eq!(json["recipes"][0]["description"].as_str(), expected);
    }
    for (line, expected) in [
        ("//!", None),
        ("// fd: no", None),
        ("//!  fd ", None),
        ("//! what it is", Some("what it is")),
        ("\n//! late", Some("late")),
    ] {
        rig.write("recipes/fd.rhai", text.replace("//! fd: find files by name.\n//! More of it.", line));
        let json: serde_json::Value =
            serde_json::from_str(&rig.run(&["info", "fd", "--json"]).ok().stdout).expect("JSON");
        assert_eq!(json["recipes"][0]["description"].as_str(), expected, "{line}");
    }
    let json = rig.run(&["search", "grep", "text", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["recipes"][0]["name"], "ripgrep");
    assert_eq!(rig.run(&["outdated"]).ok().stdout, "");
}

#[test]
fn a_finding_without_a_path_has_none() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    rig.run(&["install", "p"]).ok();
    std::fs::remove_dir_all(rig.prefix(".recipe/db")).expect("removed");
    let out = rig.run(&["check"]);
    assert_eq!(out.code, Some(14), "{out:#?}");
    assert!(out.stdout.starts_with("p: its recipe says that 1 is installed"), "{out:#?}");
}

#[test]
fn one_is_not_many() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    let says = |args: &[&str], text: &str| {
        let out = rig.run(args);
        assert!(out.stderr.contains(text), "{args:?}: {out:?}");
    };
    says(&["lint"], "1 recipe, 0 with mistakes\n");
    rig.write("prefix/bin/p", "mine");
    says(&["install", "p"], "1 file is in the way:\n");
    std::fs::remove_file(rig.prefix("bin/p")).expect("removed");
    rig.run(&["install", "p"]).ok();
    says(&["check"], "1 file of 1 package, 0 differ\n");
}
