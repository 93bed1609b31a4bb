//! Recipe files that lost their state: overwritten by `git checkout`, or deleted. Their packages are still here, and everybody says so.

use crate::rig::Rig;

/// `a` is installed, and so is `b`, by its name; `a`'s recipe is as it was before.
fn rig() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    let pristine = rig.recipe("a");
    rig.run(&["install", "b"]).ok();
    rig.run(&["install", "a"]).ok();
    rig.write("recipes/a.rhai", pristine);
    rig
}

const SAYS: &str = "but no recipe file in ";
const HINT: &str = "`recipe sync-state --adopt a` writes it into its recipe file again, --remove removes it";

#[test]
fn everybody_says_that_the_package_is_here() {
    let rig = rig();
    for gone in [false, true] {
        if gone {
            std::fs::remove_file(rig.path("recipes/a.rhai")).expect("removed");
        }
        for args in [&["check"][..], &["check", "a"], &["check", "a", "b"]] {
            let out = rig.run(args);
            assert_eq!(out.code, Some(14), "{out:#?}");
            assert!(out.stdout.starts_with("a: ") && out.stdout.contains(SAYS), "{out:#?}");
            assert!(out.stdout.contains(HINT) && !out.stdout.contains("b:"), "{out:#?}");
        }
        rig.run(&["check", "b"]).ok();
        let json: serde_json::Value =
            serde_json::from_str(&rig.run(&["check", "--json"]).stdout).expect("JSON");
        assert_eq!((&json["findings"][0]["package"], &json["findings"][1]), (&"a".into(), &().into()));
        for command in ["remove", "files", "upgrade", "why", "rollback"] {
            rig.run(&[command, "a"]).fails(11, SAYS).fails(11, HINT);
        }
        rig.run(&["mark", "dep", "a"]).fails(11, HINT);
        let out = rig.run(&["list"]).ok();
        assert!(out.stderr.contains(SAYS) && out.stderr.contains(HINT), "{out:#?}");
        let path = rig.prefix("bin/a");
        let out = rig.run(&["owns", &path.to_string_lossy()]).ok();
        assert!(out.stdout.ends_with(": a 1\n"), "{out:#?}");
        assert!(out.stderr.contains(SAYS) && out.stderr.contains(HINT), "{out:#?}");
        rig.run(&["undo"]).fails(if gone { 10 } else { 15 }, HINT);
        assert_eq!(rig.read("prefix/bin/a"), "a");
    }
    rig.run(&["install", "a"]).fails(11, SAYS).fails(11, HINT);
    rig.run(&["sync-state", "--adopt", "a"]).ok();
    rig.run(&["check"]).ok();
    assert_eq!(rig.run(&["undo"]).ok().stdout, "- a 1\n");
    // What is removed is not here, though its record is kept.
    rig.run(&["check"]).ok();
    assert_eq!(rig.run(&["list"]).ok().stderr, "");
    rig.run(&["remove", "a"]).fails(11, "hint: `recipe list --installed` shows what is");
}

#[test]
fn to_install_it_takes_it_up() {
    let rig = rig();
    // A newer version has other files; what is not in it any more goes with the old one.
    rig.release("a", "2", &[("bin/a2", "a2"), ("bin/a", "other")]);
    rig.write("recipes/a.rhai", rig.recipe("a").replace("\"1\"", "\"2\"").replace("\"a\");", "\"a2\");"));
    let out = rig.run(&["install", "a"]).ok();
    assert_eq!(out.stdout, "~ a 1 -> 2\n", "{out:#?}");
    assert!(out.stderr.contains("a was here, though no recipe file said so"), "{out:#?}");
    assert!(!rig.prefix("bin/a").exists() && rig.read("prefix/bin/a2") == "a2");
    rig.run(&["check"]).ok();
    assert_eq!(rig.run(&["undo"]).ok().stdout, "~ a 2 -> 1\n");
    assert_eq!(rig.read("prefix/bin/a"), "a");
    rig.run(&["check"]).ok();
}

/// Whoever looks whether a program is there finds the package's own.
#[test]
fn what_is_here_by_us_is_not_here_by_other_means() {
    let rig = rig();
    let looks = "fn is_installed() { true }\n";
    rig.write("recipes/a.rhai", rig.recipe("a") + looks);
    assert_eq!(rig.run(&["install", "a"]).ok().stdout, "~ a 1 -> 1\n");
    rig.run(&["check"]).ok();
}

#[test]
fn what_somebody_changed_since_or_others_have_is_not_taken() {
    let rig = rig();
    rig.write("prefix/bin/a", "mine");
    rig.run(&["install", "a"]).fails(15, "bin/a: belongs to a, though no recipe file says").fails(15, HINT);
    assert_eq!(rig.read("prefix/bin/a"), "mine");
    // Another package that has the same file.
    rig.release("c", "1", &[("bin/a", "c")]);
    rig.add("c", "1", "install_bin(\"a\");");
    rig.run(&["install", "c"]).fails(15, "bin/a: belongs to a, though no recipe file says").fails(15, HINT);
    // It would go with a, once that is back.
    rig.run(&["install", "c", "--overwrite", "*"]).fails(15, "bin/a: belongs to a, though").fails(15, HINT);
    assert_eq!(rig.run(&["install", "a", "--overwrite", "*/bin/a"]).ok().stdout, "~ a 1 -> 1\n");
    assert_eq!(rig.read("prefix/bin/a"), "a");
    rig.run(&["check"]).ok();
}
