//! Pins: which versions may be installed, who is told so, and that the recipe file carries it through everything.

use crate::rig::Rig;

/// `p`, installed as version 1; its recipe has 2.
fn outdated() -> Rig {
    let rig = Rig::new();
    for version in ["1", "2"] {
        rig.release("p", version, &[("bin/p", version)]);
    }
    rig.add("p", "1", "install_bin(\"p\");");
    rig.run(&["install", "p"]).ok();
    to(&rig, "p", "1", "2");
    rig
}

/// A recipe's next version.
fn to(rig: &Rig, name: &str, from: &str, to: &str) {
    let text = rig.recipe(name);
    let new = text.replace(&format!("version: \"{from}\""), &format!("version: \"{to}\""));
    assert_ne!(new, text);
    rig.write(&format!("recipes/{name}.rhai"), new);
}

#[test]
fn an_upgrade_leaves_out_what_is_pinned_and_says_so() {
    let rig = outdated();
    rig.release("q", "2", &[("bin/q", "2")]);
    rig.release("q", "1", &[("bin/q", "1")]);
    rig.add("q", "1", "install_bin(\"q\");");
    rig.run(&["install", "q"]).ok();
    to(&rig, "q", "1", "2");
    let before = rig.recipe("p");
    rig.run(&["pin", "p"]).ok();
    assert_eq!(rig.recipe("p"), before.replace("];\n", "];\nlet pinned = \"== 1\";\n"));
    let out = rig.run(&["upgrade"]).ok();
    assert_eq!(out.stdout, "~ q 1 -> 2\n");
    assert!(out.stderr.contains("p stays 1: it is pinned to == 1; its recipe has 2"), "{}", out.stderr);
    assert_eq!(rig.read("prefix/bin/p"), "1");
    let json = rig.run(&["upgrade", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(json["notes"][0].as_str().is_some_and(|n| n.contains("pinned to == 1")), "{json}");
    // By name it is an error, whatever else is said, and nothing is made.
    let asked = rig.server.log().len();
    for args in [
        &["upgrade", "p"][..],
        &["upgrade", "q", "p"],
        &["install", "p"],
        &["install", "--no-deps", "p"],
        &["install", "-n", "p"],
        &["install", "--reinstall", "p"],
    ] {
        let out = rig.run(args).fails(12, "p 2 would be installed, but p is pinned to == 1, 1 is installed");
        assert!(out.stderr.contains("hint: `recipe unpin p`"), "{}", out.stderr);
    }
    assert_eq!(rig.server.log().len(), asked);
    rig.run(&["unpin", "p"]).ok();
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1 -> 2\n");
    assert!(rig.recipe("p").contains("let pinned = ();\n"));
}

#[test]
fn a_pin_with_a_condition_lets_through_what_it_allows() {
    let rig = outdated();
    for version in ["2.5", "3"] {
        rig.release("p", version, &[("bin/p", version)]);
    }
    rig.run(&["pin", "p@>= 1, < 3"]).ok();
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1 -> 2\n");
    to(&rig, "p", "2", "2.5");
    assert_eq!(rig.run(&["upgrade", "p"]).ok().stdout, "~ p 2 -> 2.5\n");
    to(&rig, "p", "2.5", "3");
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "");
    // Also before it is there at all.
    rig.run(&["remove", "p"]).ok();
    rig.run(&["install", "p"]).fails(12, "p 3 would be installed, but p is pinned to >= 1, < 3");
    rig.run(&["pin", "p@3"]).ok();
    rig.run(&["install", "p"]).ok();
    // What is installed stays installable, whatever the pin says of it by now.
    let out = rig.run(&["pin", "p@< 2"]).ok();
    assert!(
        out.stderr.contains("warning: 3 of it is installed, which that does not allow"),
        "{}",
        out.stderr
    );
    rig.run(&["install", "--reinstall", "p"]).ok();
}

#[test]
fn the_recipe_carries_it_through_everything() {
    let rig = outdated();
    rig.run(&["pin", "p@<= 2"]).ok();
    let pinned = |what: &str| {
        let text = rig.recipe("p");
        assert_eq!(text.matches("let pinned = \"<= 2\";\n").count(), 1, "{what}: {text}");
    };
    for args in [
        &["upgrade"][..],
        &["rollback", "p"],
        &["undo"],
        &["undo"],
        &["remove", "p"],
        &["undo"],
        &["mark", "dep", "p"],
        &["install", "--reinstall", "p"],
    ] {
        rig.run(args).ok();
        pinned(&args.join(" "));
    }
    // A copy is pinned elsewhere.
    let text = rig.recipe("p");
    let other = Rig::new();
    other.write("recipes/p.rhai", text);
    assert!(other.run(&["list", "--pinned"]).ok().stdout.contains("pinned: <= 2"));
    // What a recipe says is the same with it: it is no other package.
    rig.run(&["lock", "p"]).ok();
    rig.run(&["pin", "p@3"]).ok();
    rig.run(&["lock", "--check"]).ok();
    rig.run(&["unpin", "p"]).ok();
    rig.run(&["lock", "--check"]).ok();
}

#[test]
fn nothing_brings_back_a_version_that_the_pin_forbids() {
    let rig = outdated();
    rig.run(&["upgrade"]).ok();
    rig.run(&["pin", "p"]).ok();
    let before = (rig.recipe("p"), rig.tree());
    for args in [&["rollback", "p"][..], &["undo"], &["undo", "--no-deps"]] {
        rig.run(args).fails(12, "p 1 would be installed, but p is pinned to == 2, 2 is installed");
    }
    assert_eq!((rig.recipe("p"), rig.tree()), before);
    rig.run(&["unpin", "p"]).ok();
    rig.run(&["undo"]).ok();
    assert_eq!(rig.read("prefix/bin/p"), "1");
}

#[test]
fn what_needs_a_newer_version_of_it_is_explained() {
    let rig = outdated();
    rig.run(&["pin", "p"]).ok();
    for version in ["1", "2"] {
        rig.release("a", version, &[("bin/a", version)]);
    }
    rig.add("a", "1", "install_bin(\"a\");");
    let with_deps = |version: &str, dep: &str| {
        let text = rig.recipe("a");
        let line = text.lines().find(|l| l.starts_with("let pkg")).expect("pkg").to_owned();
        let new = format!("let pkg = #{{ name: \"a\", version: \"{version}\", deps: [{dep:?}] }};");
        rig.write("recipes/a.rhai", text.replace(&line, &new));
    };
    with_deps("1", "p");
    // What is installed of it is enough.
    rig.run(&["install", "a"]).ok();
    with_deps("2", "p >= 2");
    for args in [&["upgrade"][..], &["upgrade", "a"], &["install", "a"]] {
        let out = rig.run(args).fails(12, "p >= 2 is needed by a 2");
        assert!(out.stderr.contains("p is pinned to == 1, 1 is installed"), "{}", out.stderr);
        assert!(out.stderr.contains("hint: `recipe unpin p`"), "{}", out.stderr);
    }
    assert_eq!((rig.read("prefix/bin/a"), rig.read("prefix/bin/p")), ("1".into(), "1".into()));
    rig.run(&["pin", "p@< 3"]).ok();
    assert_eq!(rig.run(&["upgrade", "a"]).ok().stdout, "~ p 1 -> 2\n~ a 1 -> 2\n");
}

#[test]
fn lists_show_it() {
    let rig = outdated();
    rig.add("q", "1", "install_bin(\"q\");");
    let files = (rig.recipe("p"), rig.recipe("q"));
    assert_eq!(rig.run(&["list", "--pinned"]).ok().stdout, "");
    rig.run(&["unpin", "p", "q"]).ok();
    assert_eq!((rig.recipe("p"), rig.recipe("q")), files, "nothing is written for nothing");
    rig.run(&["pin", "p", "q@< 1"]).ok();
    assert_eq!(
        rig.run(&["list", "--pinned"]).ok().stdout,
        "p  2  installed: 1  pinned: == 1\nq  1  pinned: < 1\n"
    );
    assert_eq!(rig.run(&["outdated"]).ok().stdout, "p  2  installed: 1  pinned: == 1\n");
    let json = rig.run(&["list", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["recipes"][0]["pinned"], &json["recipes"][1]["pinned"]),
        (&"== 1".into(), &"< 1".into())
    );
    assert!(rig.run(&["info", "p"]).ok().stdout.contains("pinned:       == 1\n"));
}

#[test]
fn words_that_are_no_pins_change_nothing() {
    let rig = outdated();
    rig.add("q", "1", "install_bin(\"q\");");
    rig.add("p@2", "1", "install_bin(\"p\");");
    let files = (rig.recipe("p"), rig.recipe("q"), rig.recipe("p@2"));
    rig.run(&["pin", "p", "q@~1"])
        .fails(2, "expected a version or conditions like \">= 1.1, < 2\", found \"~1\"");
    rig.run(&["pin", "p", "q"]).fails(11, "q is not installed");
    rig.run(&["pin", "p", "nowhere@1"]).fails(11, "there is no recipe \"nowhere\"");
    rig.run(&["unpin", "p", "nowhere"]).fails(11, "there is no recipe \"nowhere\"");
    // A recipe that is called so is meant.
    rig.run(&["pin", "p@2"]).fails(11, "p@2 is not installed");
    assert_eq!((rig.recipe("p"), rig.recipe("q"), rig.recipe("p@2")), files);
    rig.run(&["pin", "p@2@1"]).ok();
    assert!(rig.recipe("p@2").contains("let pinned = \"== 1\";"));
    // By hand, wrongly.
    rig.write("recipes/q.rhai", format!("{}let pinned = 1;\n", files.1));
    rig.run(&["install", "q"]).fails(10, "10:14: expected `pinned` to be a string or (), found a number");
    rig.write("recipes/q.rhai", format!("{}let pinned = \"latest\" ;\n", files.1));
    rig.run(&["lint", "q"]).ok();
    rig.write("recipes/q.rhai", format!("{}let pinned = \"<\";\n", files.1));
    rig.run(&["lint", "q"]).fails(10, "`pinned`: expected a version or conditions");
}

/// The exchange of the file waits until somebody else has written it: his text stays.
#[test]
fn what_is_written_at_the_last_moment_stays() {
    let strace = testkit::oracle("strace");
    let args = ["-qq", "-o", "/dev/null", "-einject=renameat2:delay_enter=3000000:when=1"];
    for (mine, code) in [("let pkg = #{ // mine\n", 0), ("let pkg = ; // not finished\n", 10)] {
        let rig = outdated();
        let edited = rig.recipe("p").replacen("let pkg = #{", mine, 1);
        let cmd = rig.cmd(&["pin", "p@< 9"]).under(strace.to_str().expect("UTF-8"), &args);
        let mut child = cmd.std().spawn().expect("it starts");
        // It is written as a whole before it is exchanged.
        while !std::fs::read_to_string(rig.path("recipes/.p.rhai.edit")).is_ok_and(|t| t.ends_with("}\n")) {
            assert!(child.try_wait().expect("asked").is_none(), "it ended too early");
            std::thread::yield_now();
        }
        rig.write("recipes/p.rhai", &edited);
        assert_eq!(child.wait().expect("waited").code(), Some(code));
        let expected = match code {
            0 => edited.replace("];\n", "];\nlet pinned = \"< 9\";\n"),
            _ => edited,
        };
        assert_eq!(rig.recipe("p"), expected);
        let names: Vec<_> = crate::rig::tree(&rig.path("recipes")).into_keys().collect();
        assert_eq!(names, ["p.rhai"]);
        assert!(!rig.prefix(".recipe/edit").exists());
    }
}

#[test]
fn a_version_behind_a_name_is_the_recipes_or_refused() {
    let rig = outdated();
    rig.release("q", "1", &[("bin/q", "1")]);
    rig.add("q", "1", "install_bin(\"q\");");
    let out = rig.run(&["install", "p@3"]).fails(11, "expected version 3 of p, found that its recipe has 2");
    assert!(out.stderr.contains("hint: a recipe has one version: `recipe edit p`"), "{}", out.stderr);
    let out = rig.run(&["install", "p@1"]).ok();
    assert!(out.stdout.is_empty() && out.stderr.contains("p 1 is installed already"), "{out:?}");
    assert_eq!(rig.run(&["install", "q@1", "p@2"]).ok().stdout, "+ q 1\n~ p 1 -> 2\n");
    let out = rig.run(&["install", "p@1"]).fails(11, "found that its recipe has 2");
    assert!(out.stderr.contains("hint: `recipe rollback p 1` brings it back"), "{}", out.stderr);
    // A recipe may be called so.
    rig.release("q@2", "9", &[("bin/q2", "9")]);
    rig.add("q@2", "9", "install_bin(\"q2\");");
    assert_eq!(rig.run(&["install", "q@2"]).ok().stdout, "+ q@2 9\n");
    rig.run(&["install", "q@3.rhai"]).fails(11, "failed to open q@3.rhai");
    rig.run(&["install", "none@1"]).fails(11, "there is no recipe \"none\"");
}
