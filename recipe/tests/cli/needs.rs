//! Dependencies: what comes with a package, in which order, why, and what goes with it.

use crate::rig::Rig;

/// Packages and what they need; all are released as version 1, or as it stands behind `=`.
fn rig(packages: &[(&str, &[&str])]) -> Rig {
    let rig = Rig::new();
    for (package, deps) in packages {
        let (name, version) = package.split_once('=').unwrap_or((package, "1"));
        rig.release(name, version, &[(&format!("bin/{name}"), name)]);
        rig.add(name, version, &format!("install_bin(\"{name}\"); print(pkg.name);"));
        let deps = format!("version: \"{version}\", deps: {deps:?} }}; // fixed");
        rig.write(
            &format!("recipes/{name}.rhai"),
            rig.recipe(name).replace(&format!("version: \"{version}\" }}; // fixed"), &deps),
        );
    }
    rig
}

#[test]
fn what_is_needed_comes_first_in_the_same_transaction() {
    let rig = rig(&[("a", &["b >= 1", "c"]), ("b", &["d"]), ("c", &["d == 1"]), ("d", &[]), ("e", &[])]);
    assert_eq!(rig.run(&["install", "a"]).ok().stdout, "+ d 1\n+ b 1\n+ c 1\n+ a 1\n");
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, "a  1  installed\n");
    let why = rig.run(&["why", "d"]).ok().stdout;
    let lines: Vec<_> = why.lines().map(|l| l.rsplit_once(", ").expect("a date").0).collect();
    assert_eq!(lines, ["d 1 <- b 1 <- a 1 (>= 1) <- you", "d 1 <- c 1 (== 1) <- a 1 <- you"]);
    assert_eq!(rig.run(&["tree", "a"]).ok().stdout, "a 1\n  b 1\n    d 1\n  c 1\n    d 1 (see above)\n");
    assert_eq!(
        rig.run(&["tree", "--reverse", "d"]).ok().stdout,
        "d 1\n  b 1\n    a 1\n  c 1\n    a 1 (see above)\n"
    );
    rig.run(&["why", "e"]).fails(11, "e is not installed");

    rig.run(&["remove", "d"]).fails(12, "is needed by");
    rig.run(&["remove", "b", "c"]).fails(12, "is needed by a");
    assert_eq!(rig.run(&["remove", "a"]).ok().stdout, "- a 1\n");
    assert_eq!(rig.run(&["orphans"]).ok().stdout, "b\nc\nd\n");
    // Marks survive; what was asked for is no orphan, nor what it needs.
    rig.run(&["mark", "explicit", "c"]).ok();
    assert_eq!(rig.run(&["orphans"]).ok().stdout, "b\n");
    rig.run(&["install", "--reinstall", "--as-dep", "c"]).ok();
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, "c  1  installed\n");
    assert_eq!(rig.run(&["autoremove"]).ok().stdout, "- b 1\n");
    assert_eq!(rig.run(&["remove", "-s", "c"]).ok().stdout, "- c 1\n- d 1\n");
    rig.run(&["install", "a"]).ok();
    assert_eq!(rig.run(&["remove", "--cascade", "d"]).ok().stdout, "- a 1\n- b 1\n- c 1\n- d 1\n");
}

#[test]
fn conflicts_are_explained_and_nothing_is_made() {
    let rig = rig(&[
        ("a", &["b"]),
        ("b", &["c >= 2"]),
        ("c=1.5", &[]),
        ("lost", &["nowhere"]),
        ("odd", &["c ~ 1"]),
    ]);
    let out = rig.run(&["install", "a"]).fails(12, "c >= 2 is needed by b 1, by a 1");
    assert!(out.stderr.contains("the recipe of c has 1.5"), "{}", out.stderr);
    rig.run(&["install", "lost"]).fails(12, "nowhere is needed by lost 1");
    rig.run(&["install", "odd"])
        .fails(10, "expected a dependency like \"openssl >= 1.1.0\", found \"c ~ 1\"");
    assert!(rig.tree().is_empty() && rig.server.log().is_empty());
    rig.run(&["install", "--no-deps", "a"]).ok();
}

#[test]
fn what_is_too_old_is_upgraded_and_stays_what_it_was() {
    let rig = rig(&[("a", &["b >= 2"]), ("b", &[])]);
    rig.run(&["install", "b"]).ok();
    rig.release("b", "2", &[("bin/b", "2")]);
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"2\""));
    assert_eq!(rig.run(&["install", "a"]).ok().stdout, "~ b 1 -> 2\n+ a 1\n");
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout.lines().count(), 2, "b was asked for by name");
    // All of it at once; what came for others stays that.
    rig.run(&["mark", "dep", "b"]).ok();
    for name in ["a", "b"] {
        rig.release(name, "3", &[(&format!("bin/{name}"), "3")]);
        let text = rig
            .recipe(name)
            .replace("version: \"1\"", "version: \"3\"")
            .replace("version: \"2\"", "version: \"3\"");
        rig.write(&format!("recipes/{name}.rhai"), text);
    }
    assert_eq!(rig.run(&["list", "--outdated"]).ok().stdout, "a  3  installed: 1\nb  3  installed: 2\n");
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ b 2 -> 3\n~ a 1 -> 3\n");
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "");
    assert_eq!(rig.run(&["list", "--deps"]).ok().stdout, "b  3  installed\n");
    rig.run(&["upgrade", "nothing"]).fails(11, "there is no recipe");
}

#[test]
fn packages_may_need_each_other_to_run_but_not_to_be_built() {
    let rig = rig(&[("a", &["b"]), ("b", &["a"]), ("c", &[]), ("d", &[])]);
    assert_eq!(rig.run(&["install", "a"]).ok().stdout, "+ b 1\n+ a 1\n");
    for (name, needs) in [("c", "d"), ("d", "c")] {
        let text = rig.recipe(name).replace("deps: []", &format!("build_deps: [\"{needs}\"]"));
        rig.write(&format!("recipes/{name}.rhai"), text);
    }
    rig.run(&["install", "c"]).fails(12, "these need each other to be built: c, d, c");
    rig.write("recipes/d.rhai", rig.recipe("d").replace("build_deps: [\"c\"]", "deps: []"));
    // Built with d installed: two transactions.
    assert_eq!(rig.run(&["install", "c"]).ok().stdout, "+ d 1\n+ c 1\n");
    assert_eq!(rig.run(&["orphans"]).ok().stdout, "d\n", "needed to build, not to run");
}

#[test]
fn what_is_needed_to_build_is_made_once_and_stays_what_it_was_asked_for_as() {
    let both = |rig: &Rig| {
        rig.write(
            "recipes/a.rhai",
            rig.recipe("a").replace("deps: [\"b\"]", "deps: [\"b\"], build_deps: [\"b\"]"),
        );
    };
    for (names, explicit, there) in [
        (&["a"][..], "a  1  installed\n", false),
        (&["a", "b"], "a  1  installed\nb  1  installed\n", false),
        (&["b", "a"], "a  1  installed\nb  1  installed\n", false),
        (&["a"], "a  1  installed\n", true),
    ] {
        let rig = rig(&[("a", &["b"]), ("b", &[])]);
        both(&rig);
        if there {
            // By other means: no state says that it is there.
            let text = rig.recipe("b").replace("fn install", "fn is_installed() { true }\nfn install");
            rig.write("recipes/b.rhai", text);
        }
        let out = rig.run(&[&["install"], names].concat()).ok();
        assert_eq!(out.stdout, if there { "+ a 1\n" } else { "+ b 1\n+ a 1\n" }, "{names:?}");
        assert_eq!(out.stderr.matches("b: b").count(), usize::from(!there), "{names:?}: {}", out.stderr);
        assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, explicit, "{names:?}");
    }
}

#[test]
fn the_page_of_helpers_is_the_table() {
    let page = testkit::workspace().join("docs/reference/helpers.md");
    let made = Rig::new().run(&["helpers", "--markdown"]).ok().stdout;
    let found = std::fs::read_to_string(page).unwrap_or_default();
    assert!(made == found, "make it anew: recipe helpers --markdown >docs/reference/helpers.md");
}

#[test]
fn an_upgrade_that_others_cannot_live_with_is_refused() {
    let rig = rig(&[("a", &["b < 2"]), ("b", &[])]);
    rig.run(&["install", "a"]).ok();
    rig.release("b", "2", &[("bin/b", "b2")]);
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"2\""));
    let before = rig.tree();
    rig.run(&["upgrade"]).fails(12, "b < 2 is needed by a, and 2 would be installed");
    rig.run(&["install", "b"]).fails(12, "b < 2 is needed by a");
    assert_eq!(rig.tree(), before);
    rig.run(&["upgrade", "--no-deps"]).ok();
    assert_eq!(rig.read("prefix/bin/b"), "b2");
    // What is broken already stops nothing else.
    rig.release("c", "1", &[("bin/c", "c")]);
    rig.add("c", "1", "install_bin(\"c\");");
    rig.run(&["install", "c"]).ok();
}

/// `d` came for `t`; then somebody asks for it.
#[test]
fn what_is_asked_for_later_stays_when_nothing_needs_it_any_more() {
    let rig = rig(&[("t", &["d"]), ("d", &[]), ("e", &[])]);
    rig.run(&["install", "t"]).ok();
    let says = |verb: &str| format!("d 1 is installed already; {verb} as asked for by name");
    for how in [&["-n"][..], &["-n=plan"], &["-n", "--json"]] {
        let out = rig.run(&[&["install", "d"], how].concat()).ok();
        assert!(out.stderr.contains(&says("it would be marked")), "{how:?}: {out:#?}");
    }
    rig.run(&["install", "--as-dep", "d"]).ok();
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, "t  1  installed\n");
    let out = rig.run(&["install", "--json", "d"]).ok();
    assert!(out.stderr.contains(&says("it is marked")), "{out:#?}");
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    let expected = (&true.into(), &serde_json::json!([says("it is marked")]));
    assert_eq!((&json["done"], &json["notes"]), expected, "{json}");
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, "d  1  installed\nt  1  installed\n");
    // The second time there is nothing to say.
    assert_eq!(rig.run(&["install", "d"]).ok().stderr, "d 1 is installed already\n");
    assert_eq!(rig.run(&["remove", "-s", "t"]).ok().stdout, "- t 1\n");
    // Beside others it is marked when these are there, and not at all when they fail.
    rig.run(&["mark", "dep", "d"]).ok();
    let e = rig.recipe("e");
    rig.write("recipes/e.rhai", e.replace("extract(", "fail(\"no\"); extract("));
    rig.run(&["install", "d", "e"]).fails(17, "no");
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, "");
    rig.write("recipes/e.rhai", e);
    let out = rig.run(&["install", "d", "e"]).ok();
    assert_eq!((out.stdout.as_str(), out.stderr.matches("as asked for by name").count()), ("+ e 1\n", 1));
    assert_eq!(rig.run(&["list", "--explicit"]).ok().stdout, "d  1  installed\ne  1  installed\n");
}

#[test]
fn a_removal_is_refused_for_what_was_named() {
    // A chain: who needs it directly is said.
    let chain = rig(&[("app", &["tool"]), ("tool", &["lib"]), ("lib", &[]), ("other", &["lib >= 1"])]);
    chain.run(&["install", "app", "other"]).ok();
    let out = chain.run(&["remove", "lib"]).fails(12, "lib is needed by tool\n");
    assert!(out.stderr.contains("lib >= 1 is needed by other") && !out.stderr.contains("app"), "{out:#?}");
    assert!(out.stderr.contains("hint: --cascade removes them too;"), "{out:#?}");
    let path = chain.path("recipes/lib.rhai").display().to_string();
    chain.run(&["remove", &path]).fails(12, "lib is needed by tool");
    let out = chain.run(&["remove", "--cascade", "lib"]).ok();
    assert_eq!(out.stdout, "- app 1\n- lib 1\n- other 1\n- tool 1\n");
    assert!(out.stderr.contains("needs tool") && out.stderr.contains("needs lib"), "{out:#?}");
    // A circle that nobody else needs goes as a whole.
    let circle = rig(&[("c1", &["c2"]), ("c2", &["c1"]), ("x", &["z"]), ("y", &["z"]), ("z", &[])]);
    circle.run(&["install", "c1"]).ok();
    circle.run(&["remove", "c1"]).fails(12, "c1 is needed by c2");
    assert_eq!(circle.run(&["remove", "-s", "c1"]).ok().stdout, "- c1 1\n- c2 1\n");
    // What was left before keeps what it needs.
    circle.run(&["install", "x", "y"]).ok();
    circle.run(&["mark", "dep", "x"]).ok();
    assert_eq!(circle.run(&["remove", "-s", "y"]).ok().stdout, "- y 1\n");
    circle.run(&["check"]).ok();
    assert_eq!(circle.run(&["autoremove"]).ok().stdout, "- x 1\n- z 1\n");
}

/// The base is enough for who is left, as it is when something is undone.
#[test]
fn what_the_base_has_too_can_be_removed() {
    let system = crate::base::System::new();
    system.add("openssl", "3.5.0", "");
    system.add("curl", "1", "deps: [\"openssl >= 3\"]");
    system.add("new", "1", "deps: [\"openssl >= 3.5\"]");
    system.run(&["install", "openssl"]).ok();
    system.run(&["install", "curl", "new"]).ok();
    let out = system.run(&["remove", "openssl"]).fails(12, "openssl >= 3.5 is needed by new");
    assert!(!out.stderr.contains("curl"), "{out:#?}");
    assert_eq!(
        system.run(&["remove", "-n", "--cascade", "openssl"]).ok().stdout,
        "- new 1\n- openssl 3.5.0\n"
    );
    system.run(&["remove", "new"]).ok();
    assert_eq!(system.run(&["remove", "openssl"]).ok().stdout, "- openssl 3.5.0\n");
    let tree = system.run(&["tree", "curl"]).ok().stdout;
    assert!(tree.contains("openssl (openssl 3.2.2-16.el10 of the base)"), "{tree}");
}

#[test]
fn marks_are_all_set_or_none() {
    let rig = rig(&[("a", &[]), ("b", &[])]);
    rig.run(&["install", "a"]).ok();
    let before = rig.recipe("a");
    for name in ["nosuch", "b"] {
        let out = rig.run(&["mark", "dep", "a", name]);
        assert_eq!((out.code, out.stdout.as_str()), (Some(11), ""), "{out:#?}");
        assert!(!out.stderr.contains("a: needed by others"), "{out:#?}");
        assert_eq!(rig.recipe("a"), before, "{name}");
    }
}

#[test]
fn a_tree_shows_what_would_be_needed() {
    let rig = rig(&[("a", &["b >= 1", "c >= 2", "nowhere"]), ("b", &["d"]), ("c", &[]), ("d", &[])]);
    let expected = "a 1 (not installed)\n  b 1 (not installed)\n    d 1\n  c 1 (not installed; c >= 2 is needed)\n  \
                    nowhere (not installed)\n";
    rig.run(&["install", "d"]).ok();
    for args in [&["tree", "a"][..], &["deps", "a"], &["tree", "recipes/a.rhai"]] {
        assert_eq!(rig.run(args).ok().stdout, expected, "{args:?}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["tree", "a", "--json"]).ok().stdout).expect("JSON");
    let from: Vec<_> = json["tree"].as_array().expect("a list").iter().map(|node| &node["from"]).collect();
    let null = &serde_json::Value::Null;
    assert_eq!(from, [null, null, &"recipe".into(), null, null]);
    // Who needs what is not there cannot be known from what is.
    rig.run(&["tree", "--reverse", "a"]).fails(11, "a is not installed");
    rig.run(&["tree", "none"]).fails(11, "there is no recipe \"none\"");
}
