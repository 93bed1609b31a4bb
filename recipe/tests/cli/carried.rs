//! `recipe sync-state` where two machines have gone on, each in its own way.

use common::cmd::Cmd;

use crate::rig::Rig;
use crate::sync::{carry, second};

/// A package whose file is what it is called and its version.
fn package(rig: &Rig, name: &str, version: &str, more: &str) {
    let path = format!("recipes/{name}.rhai");
    let state = rig.path(&path).exists().then(|| rig.recipe(name));
    let state = state.and_then(|text| text.find("let installed").map(|at| text[at..].to_owned()));
    let text = format!(
        "fn install() {{ write_file(\"f\", \"{name} {version}\"); install_file(\"f\", \"share/{name}\"); }}\n\
         let pkg = #{{ name: \"{name}\", version: \"{version}\", {more} }};\n{}",
        state.unwrap_or_default()
    );
    rig.write(&path, text);
}

/// The second machine has `app` and `gen`, which built it; on the first, `app` was upgraded and `gen`, in this version, removed.
fn gone_on(gen_version: &str, needs: &str) -> (Rig, Rig) {
    let a = Rig::new();
    package(&a, "gen", "1", "");
    package(&a, "app", "1", "build_deps: [\"gen\"]");
    a.run(&["install", "app"]).ok();
    let b = second(&a);
    assert_eq!(b.run(&["sync-state"]).ok().stdout, "+ gen 1\n+ app 1\n", "all that came is said");
    package(&a, "gen", gen_version, "");
    package(&a, "app", "2", &format!("build_deps: [\"{needs}\"]"));
    a.run(&["upgrade"]).ok();
    a.run(&["remove", "gen"]).ok();
    carry(&a, &b);
    (a, b)
}

fn is_dep(rig: &Rig, name: &str) -> bool {
    rig.recipe(name).contains("let installed_as_dep = true;")
}

/// Everything is as files say, and says so.
#[track_caller]
fn settled(rig: &Rig) {
    rig.run(&["check"]).ok();
    let again = rig.run(&["sync-state"]).ok();
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
}

#[test]
fn what_built_it_before_is_taken_up() {
    for args in [&["sync-state"][..], &["install", "--all"]] {
        let (_a, b) = gone_on("1", "gen");
        let dry = b.run(&["sync-state", "-n"]).ok();
        assert_eq!(dry.stdout, "~ gen 1 -> 1\n~ app 1 -> 2\n", "{dry:#?}");
        let out = b.run(args).ok();
        assert_eq!(out.stdout, "~ gen 1 -> 1\n~ app 1 -> 2\n", "{out:#?}");
        assert!(is_dep(&b, "gen"));
        settled(&b);
        b.run(&["undo"]).ok();
        b.run(&["check"]).ok();
    }
    // In another version: its files are as they were installed, and nobody else's.
    let (_a, b) = gone_on("2", "gen >= 2");
    assert_eq!(b.run(&["sync-state"]).ok().stdout, "~ gen 1 -> 2\n~ app 1 -> 2\n");
    assert_eq!(b.read("prefix/share/gen"), "gen 2");
    settled(&b);
    // Unless somebody has changed one.
    let (_a, b) = gone_on("1", "gen");
    b.write("prefix/share/gen", "mine");
    let out = b.run(&["sync-state"]).fails(15, "share/gen: belongs to gen, though no recipe file says");
    assert!(out.stderr.contains("hint: `recipe sync-state --adopt gen`"), "{out:#?}");
    assert_eq!((b.read("prefix/share/gen").as_str(), b.read("prefix/share/app").as_str()), ("mine", "app 1"));
    assert_eq!(b.run(&["sync-state", "--adopt", "gen"]).ok().stdout, "= gen 1\n");
    assert_eq!(b.run(&["sync-state"]).ok().stdout, "~ app 1 -> 2\n");
}

#[test]
fn what_built_it_before_is_kept_or_goes() {
    for gone in [false, true] {
        let (_a, b) = gone_on("1", "gen");
        if gone {
            std::fs::remove_file(b.path("recipes/gen.rhai")).expect("removed");
            b.run(&["sync-state"]).fails(12, "gen is needed to build app").fails(12, "--adopt gen");
        }
        assert_eq!(b.run(&["sync-state", "--adopt", "-n"]).ok().stdout, "~ app 1 -> 2\n= gen 1\n");
        assert_eq!(b.run(&["sync-state", "--adopt"]).ok().stdout, "~ app 1 -> 2\n= gen 1\n");
        settled(&b);
        // It builds the last time, and goes with the transaction.
        let (_a, b) = gone_on("1", "gen");
        if gone {
            std::fs::remove_file(b.path("recipes/gen.rhai")).expect("removed");
        }
        let dry = b.run(&["sync-state", "--remove", "-n"]).ok();
        assert_eq!(dry.stdout, "~ app 1 -> 2\n- gen 1\n");
        assert_eq!(b.run(&["sync-state", "--remove"]).ok().stdout, "- gen 1\n~ app 1 -> 2\n");
        assert!(!b.prefix("share/gen").exists());
        settled(&b);
        b.run(&["undo"]).ok();
        assert_eq!(b.read("prefix/share/gen"), "gen 1");
        settled(&b);
    }
    // What comes in another version is not what was here.
    let (_a, b) = gone_on("2", "gen >= 2");
    assert_eq!(b.run(&["sync-state", "--remove"]).ok().stdout, "~ gen 1 -> 2\n~ app 1 -> 2\n");
    assert!(is_dep(&b, "gen"));
    settled(&b);
    // What is kept stays although nothing needs it.
    let (_a, b) = gone_on("2", "gen >= 2");
    assert_eq!(b.run(&["sync-state", "--adopt"]).ok().stdout, "~ gen 1 -> 2\n~ app 1 -> 2\n");
    assert!(!is_dep(&b, "gen"));
    settled(&b);
}

/// Both machines have `app` and `lib`, which it needs.
fn app_and_lib() -> (Rig, Rig) {
    let a = Rig::new();
    package(&a, "lib", "1", "");
    package(&a, "app", "1", "deps: [\"lib\"]");
    a.run(&["install", "app"]).ok();
    let b = second(&a);
    b.run(&["sync-state"]).ok();
    (a, b)
}

/// Corrected files are not corrected again after a transaction has brought another version.
#[test]
fn a_file_is_corrected_before_its_package_is_upgraded() {
    let (a, b) = app_and_lib();
    // The file of lib says that 1 is installed, its recipe has 2, and the new app needs that.
    package(&a, "lib", "2", "");
    package(&a, "app", "2", "deps: [\"lib >= 2\"]");
    carry(&a, &b);
    b.write("recipes/app.rhai", b.recipe("app").replace("version = \"1\"", "version = \"2\""));
    let out = b.run(&["sync-state"]).ok();
    assert_eq!(out.stdout, "~ lib 1 -> 2\n~ app 1 -> 2\n", "{out:#?}");
    assert!(is_dep(&b, "lib") && b.recipe("lib").contains("let installed_version = \"2\";"));
    settled(&b);
}

/// What goes makes room for what comes, also where that comes first to build the rest.
#[test]
fn what_goes_is_not_in_the_way_of_what_replaces_it() {
    for more in ["deps: [\"new\"]", "build_deps: [\"new\"]"] {
        let a = Rig::new();
        package(&a, "old", "1", "");
        a.run(&["install", "old"]).ok();
        let b = second(&a);
        b.run(&["sync-state"]).ok();
        a.run(&["remove", "old"]).ok();
        std::fs::remove_file(a.path("recipes/old.rhai")).expect("removed");
        package(&a, "new", "1", "");
        a.write("recipes/new.rhai", a.recipe("new").replace("share/new", "share/old"));
        package(&a, "app", "1", more);
        a.run(&["install", "app"]).ok();
        carry(&a, &b);
        b.run(&["sync-state"]).fails(15, "share/old: belongs to old").fails(15, "--remove removes it");
        let out = b.run(&["sync-state", "--remove"]).ok();
        assert_eq!(out.stdout, "- old 1\n+ new 1\n+ app 1\n", "{out:#?}");
        assert_eq!(b.read("prefix/share/old"), "new 1");
        settled(&b);
    }
}

#[test]
fn what_came_before_a_failure_is_said() {
    let (_a, b) = gone_on("2", "gen >= 2");
    b.write("recipes/app.rhai", b.recipe("app").replace("{ write_file", "{ throw \"no\"; write_file"));
    let out = b.run(&["sync-state"]).fails(17, "install of app failed");
    assert_eq!(out.stdout, "~ gen 1 -> 2\n");
    assert_eq!(b.run(&["list", "-i"]).ok().stdout, "app  2  installed: 1\ngen  2  installed\n");
}

/// At every change of a name: of what is to go, with its file gone or not, what is kept, what is corrected, and what comes.
#[test]
fn what_is_killed_is_done_by_the_next_one() {
    let copy = |from: std::path::PathBuf, to: std::path::PathBuf| {
        Cmd::new("cp").arg("-aT").arg(from).arg(to).run().expect("copied");
    };
    let mut killed = 0;
    for (gone, args) in [
        (false, &["sync-state"][..]),
        (true, &["sync-state", "--remove"]),
        (true, &["sync-state", "--adopt"]),
    ] {
        let (_a, b) = gone_on("1", "gen");
        if gone {
            std::fs::remove_file(b.path("recipes/gen.rhai")).expect("removed");
        }
        let places = ["prefix", "recipes"];
        std::fs::create_dir(b.path("before")).expect("made");
        places.iter().for_each(|place| copy(b.path(place), b.path(&format!("before/{place}"))));
        b.run(args).ok();
        let whole = b.tree();
        for call in ["renameat2", "renameat"] {
            for when in 1.. {
                for place in places {
                    std::fs::remove_dir_all(b.path(place)).expect("removed");
                    copy(b.path(&format!("before/{place}")), b.path(place));
                }
                let Some(out) = b.attacked(args, call, "signal=KILL", when) else { break };
                killed += 1;
                assert!(out.killed(), "{out:#?}");
                b.run(args).ok();
                assert_eq!(b.tree(), whole, "{args:?} {call} {when}");
                settled(&b);
            }
        }
    }
    assert!(killed > 30, "{killed}");
}

/// Whatever comes over the recipe files of an upgrade that was killed at any renaming: another machine's, those of before, or none.
#[test]
fn files_may_be_replaced_while_a_transaction_is_open() {
    let (a, b) = app_and_lib();
    let copy = |from: std::path::PathBuf, to: std::path::PathBuf| {
        Cmd::new("cp").arg("-aT").arg(from).arg(to).run().expect("copied");
    };
    let places = ["prefix", "recipes"];
    std::fs::create_dir(b.path("before")).expect("made");
    places.iter().for_each(|place| copy(b.path(place), b.path(&format!("before/{place}"))));
    for name in ["lib", "app"] {
        package(&a, name, "2", if name == "app" { "deps: [\"lib\"]" } else { "" });
    }
    a.run(&["upgrade"]).ok();
    let mut killed = 0;
    for what in ["another's", "before", "none", "half"] {
        for when in 1.. {
            for place in places {
                std::fs::remove_dir_all(b.path(place)).expect("removed");
                copy(b.path(&format!("before/{place}")), b.path(place));
            }
            package(&b, "lib", "2", "");
            package(&b, "app", "2", "deps: [\"lib\"]");
            let upgrade = ["upgrade", "-y"];
            let Some(out) = b.attacked(&upgrade, "renameat2", "signal=KILL", when) else { break };
            assert!(out.killed(), "{out:#?}");
            killed += 1;
            // Who takes no lock does not finish it, and is not stopped by it.
            b.run(&["history"]).ok();
            let out = b.run(&["list", "-i"]).ok();
            assert!(out.stdout.lines().count() == 2 && !out.stderr.contains("no recipe file"), "{out:#?}");
            let out = b.run(&["check"]);
            assert!(out.code == Some(0) || out.code == Some(14), "{out:#?}");
            match what {
                "another's" => carry(&a, &b),
                "before" => copy(b.path("before/recipes"), b.path("recipes")),
                _ => std::fs::remove_file(b.path("recipes/app.rhai")).expect("removed"),
            }
            if what == "none" {
                std::fs::remove_file(b.path("recipes/lib.rhai")).expect("removed");
            }
            b.run(&["sync-state", "--adopt"]).ok();
            settled(&b);
            assert_eq!(b.run(&["list", "-i"]).ok().stdout.lines().count(), 2, "{what} {when}");
        }
    }
    assert!(killed > 20, "{killed}");
}
