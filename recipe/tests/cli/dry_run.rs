//! `--dry-run=plan` runs nothing and needs nothing to be there; `--dry-run`, or `=full`, makes the packages.

use serde_json::{Value, json};

use std::os::unix::fs::PermissionsExt;

use crate::rig::{Out, Rig, tree};

/// `a` needs `b`, and `c` to be built, which needs `d` to be built; all of them would leave a mark if their code ran.
fn rig() -> Rig {
    let rig = Rig::new();
    for (name, fields) in [
        ("a", ", deps: [\"b\"], build_deps: [\"c\"]"),
        ("b", ""),
        ("c", ", build_deps: [\"d >= 1\"]"),
        ("d", ""),
    ] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\"); print(\"has run\");"));
        let text = rig.recipe(name).replace(" }; // fixed", &format!("{fields} }};"));
        rig.write(&format!("recipes/{name}.rhai"), text);
    }
    rig
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn a_plan_is_what_then_happens_and_runs_nothing() {
    let rig = rig();
    let plan = rig.run(&["install", "--dry-run=plan", "a"]).ok();
    assert_eq!(plan.stdout, "+ d 1\n+ c 1\n+ b 1\n+ a 1\n");
    assert!(plan.stderr.contains("+ d        1        to build c\n"), "{plan:?}");
    assert!(!plan.stderr.contains("has run") && rig.tree().is_empty() && rig.server.log().is_empty());
    let json = rig.run(&["install", "--dry-run=plan", "--json", "a"]).ok().stdout;
    let package = |name: &str, why: Value| json!({ "name": name, "from": null, "to": "1", "why": why, "download": null, "new": [] });
    assert_eq!(
        parse(&json)["plan"],
        json!([
            package("d", "to build c".into()),
            package("c", "to build a".into()),
            package("b", "dependency".into()),
            package("a", Value::Null),
        ])
    );
    assert_eq!(rig.run(&["install", "a"]).ok().stdout, plan.stdout);
    // Of what is there nothing is planned; of an older version the step to the newer one.
    assert_eq!(rig.run(&["install", "-n=plan", "a"]).ok().stdout, "");
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"2\""));
    assert_eq!(rig.run(&["upgrade", "-n=plan"]).ok().stdout, "~ b 1 -> 2\n");
    // What would be refused is refused.
    rig.write(
        "recipes/e.rhai",
        "let pkg = #{ name: \"e\", version: \"1\", deps: [\"b < 2\"] };\nfn install() { }\n",
    );
    rig.run(&["upgrade", "-n=plan", "e"]).fails(11, "e is not installed");
    for args in [
        ["install", "--dry-run", "plan", "a"],
        ["install", "-n", "full", "a"],
        ["upgrade", "-n", "plan", "a"],
    ] {
        let out = rig.run(&args).fails(11, "there is no recipe");
        assert!(out.stderr.contains(&format!("hint: write --dry-run={}\n", args[2])), "{}", out.stderr);
    }
    rig.run(&["install", "-n=plan", "b", "e"]).fails(12, "b < 2 is needed by e");
}

#[test]
fn a_plan_knows_from_the_lock_file_what_is_downloaded() {
    let rig = rig();
    rig.run(&["install", "d"]).ok();
    rig.run(&["lock", "d"]).ok();
    let size = rig.path("www/d-1.tar.gz").metadata().expect("a file").len();
    let plan = |args: &[&str]| {
        let out = rig.run(&[&["install", "--reinstall", "-n=plan", "--json", "d"], args].concat()).ok();
        parse(&out.stdout)["plan"][0]["download"].clone()
    };
    assert_eq!(plan(&[]), 0, "it is in the cache");
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    assert_eq!(plan(&[]), size);
}

#[test]
fn a_full_dry_run_says_files_sources_and_programs() {
    let rig = rig();
    rig.run(&["install", "-n", "a"]).fails(1, "d must be installed before c can be made");
    rig.run(&["install", "--dry-run=full", "a"]).fails(1, "hint: `--dry-run=plan` needs nothing to be made");
    let text = rig.recipe("b").replace("install_bin(\"b\");", "exec([\"true\"]); install_bin(\"b\");");
    rig.write("recipes/b.rhai", text);
    let out = rig.run(&["install", "-n", "b"]).ok();
    assert_eq!(out.stdout, "+ b 1\n  + bin/b\n");
    let url = rig.server.url("/b-1.tar.gz");
    assert!(out.stderr.contains(&format!("b: made from {url}, ")), "{out:?}");
    assert!(out.stderr.contains("b: install ran `true`\n") && !out.stderr.contains("Installed"), "{out:?}");
    let json = parse(&rig.run(&["install", "-n", "--json", "b"]).ok().stdout);
    assert_eq!((&json["done"], &json["packages"][0]["size_change"]), (&false.into(), &1.into()));
    assert_eq!(json["steps"], json!([{ "do": "create", "path": "bin/b" }]));
    assert_eq!(json["sources"][0]["url"], url.as_str());
    assert_eq!(
        json["programs"],
        json!([{ "package": "b", "phase": "install", "program": "true", "network": false }])
    );
    assert!(rig.tree().is_empty());
    // What is in the way is said as it would be.
    rig.write("prefix/bin/b", "somebody's");
    rig.run(&["install", "-n", "b"]).fails(15, "bin/b");
    rig.run(&["install", "--dry-run=nothing", "b"]).fails(2, "[possible values: plan, full]");
    // A name behind `-n` is a name.
    std::fs::remove_file(rig.prefix("bin/b")).expect("removed");
    assert_eq!(rig.run(&["install", "-n", "d"]).ok().stdout, "+ d 1\n  + bin/d\n");
}

/// `p` 1 was upgraded to 2, was asked for a newer version, and its user has edited `etc/c`; `q` is not installed.
fn upgraded() -> Rig {
    let rig = Rig::new();
    for version in ["1", "2"] {
        rig.release("p", version, &[("bin/p", version), ("etc/c", &format!("conf {version}\n"))]);
    }
    rig.add("p", "1", "install_bin(\"p\"); install_config(\"etc/c\", \"etc/c\");");
    let check = format!("fn check_update() {{ http_get(\"{}\") }}\n", rig.server.url("/latest"));
    rig.write("recipes/p.rhai", rig.recipe("p") + check.as_str());
    rig.write("www/latest", "3");
    rig.run(&["install", "p"]).ok();
    rig.write("prefix/etc/c", "mine\n");
    rig.write("recipes/p.rhai", rig.recipe("p").replacen("version: \"1\"", "version: \"2\"", 1));
    rig.run(&["upgrade"]).ok();
    rig.run(&["etc", "keep", &rig.prefix("etc/c").to_string_lossy()]).ok();
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "shell(\"test -w .\"); install_bin(\"q\");");
    rig
}

/// What is said of what would happen.
const LOOKS: [(&[&str], &str); 6] = [
    (&["undo", "-n"], "~ p 2 -> 1\n"),
    (&["undo", "-n", "--json"], ""),
    (&["rollback", "-n", "p"], "~ p 2 -> 1\n"),
    (&["lock", "-n"], "+ p 2\n"),
    (&["lock", "-n", "q"], "+ q 1\n"),
    (&["update", "-n"], "p 2 -> 3\n"),
];

/// Nobody is waited for, and nothing is made.
#[test]
fn what_only_looks_takes_no_lock() {
    let rig = upgraded();
    let lock = std::fs::File::open(rig.prefix(".recipe/lock")).expect("it is there");
    lock.lock().expect("locked");
    rig.write("cache/there", "");
    let before = ["prefix", "recipes"].map(|dir| tree(&rig.path(dir)));
    let temp = rig.path("temp");
    std::fs::create_dir(&temp).expect("made");
    let mut said = Vec::new();
    let run = |args: &[&str]| rig.ran(rig.cmd(args).env("TMPDIR", &temp)).ok();
    for (args, stdout) in LOOKS {
        let out = run(args);
        assert!(stdout.is_empty() || out.stdout == stdout, "{args:?}: {out:#?}");
        assert!(temp.read_dir().expect("read").next().is_none(), "{args:?}: something is left");
        said.push(out);
    }
    assert_eq!(before, ["prefix", "recipes"].map(|dir| tree(&rig.path(dir))));
    drop(lock);
    // It is what then happens.
    assert!(said[0].stderr.contains("shows how they differ (conflicts)"), "{:#?}", said[0]);
    let json = parse(&said[1].stdout);
    let steps: Vec<_> =
        json["steps"].as_array().expect("steps").iter().map(|step| step["path"].clone()).collect();
    assert_eq!((&json["done"], steps), (&false.into(), vec![json!("bin/p"), json!("etc/c.new")]));
    // The notes are the same but that these things are then done.
    let notes = |out: &Out| -> Vec<String> {
        out.stderr.lines().filter(|line| line.contains("etc/c")).map(str::to_owned).collect()
    };
    assert_eq!(notes(&rig.run(&["undo"]).ok()), notes(&said[0]));
    rig.run(&["check"]).ok();
    assert_eq!(rig.read("prefix/bin/p"), "1");
}

/// What cannot come back is known before.
#[test]
fn a_dry_undo_knows_that_files_are_lost() {
    let rig = upgraded();
    let history = rig.prefix(".recipe/history").read_dir().expect("read").map(|e| e.expect("read").path());
    for tx in history {
        let _ = std::fs::remove_dir_all(tx.join("new"));
    }
    for args in [&["undo", "-n"][..], &["undo"], &["rollback", "-n", "p"]] {
        rig.run(args).fails(15, "1 files of p 1 are nowhere as they were installed");
    }
}

#[test]
fn what_only_looks_ends_nothing_and_makes_no_prefix() {
    let rig = upgraded();
    rig.attacked(&["remove", "p"], "renameat2", "signal=KILL", 2);
    let left = tree(&rig.path("prefix"));
    assert!(left.contains_key(".recipe/journal.json"), "{left:?}");
    for args in [&["lock", "-n"][..], &["update", "-n"]] {
        let out = rig.run(args).ok();
        let says = "a transaction was interrupted; `recipe repair`, or the next change, ends it";
        assert!(out.stderr.contains(says), "{args:?}: {out:#?}");
    }
    assert_eq!(tree(&rig.path("prefix")), left);
    let rig = Rig::new();
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "shell(\"test -w .\"); install_bin(\"q\");");
    std::fs::remove_dir(rig.path("prefix")).expect("removed");
    assert_eq!(rig.run(&["lock", "-n", "q"]).ok().stdout, "+ q 1\n");
    assert_eq!(rig.run(&["update", "-n"]).ok().stdout, "");
    rig.run(&["undo", "-n"]).fails(11, "nothing has been done here yet");
    rig.run(&["rollback", "-n", "q"]).fails(11, "q is not installed");
    assert!(!rig.path("prefix").exists() && !rig.path("recipes/recipe.lock").exists());
}

/// Everybody may ask what would happen.
#[test]
fn what_only_looks_is_for_all_users() {
    if !testkit::is_root() {
        return testkit::skip("dry runs of others", "only root can become another user");
    }
    let rig = upgraded();
    let set = |path: &str, mode| {
        std::fs::set_permissions(rig.path(path), PermissionsExt::from_mode(mode)).expect("set");
    };
    // Downloads are everybody's own.
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    std::fs::create_dir(rig.path("cache")).expect("made");
    set("cache", 0o777);
    let before = ["prefix", "recipes"].map(|dir| tree(&rig.path(dir)));
    for (args, stdout) in LOOKS {
        let out = rig.ran(rig.cmd_of_another(4242, args)).ok();
        assert!(stdout.is_empty() || out.stdout == stdout, "{args:?}: {out:#?}");
        let unseen = "p: only the owner of the prefix can see whether all files of 1 are still there";
        let is_back = matches!(args[0], "undo" | "rollback");
        assert_eq!(out.stderr.contains(unseen), is_back, "{args:?}: {out:#?}");
    }
    assert_eq!(before, ["prefix", "recipes"].map(|dir| tree(&rig.path(dir))));
    for args in [&["undo"][..], &["rollback", "p"], &["lock", "q"], &["update"]] {
        let out = rig.ran(rig.cmd_of_another(4242, args)).fails(1, "Permission denied");
        assert!(out.stderr.contains("is another user's: run recipe as its owner"), "{out:#?}");
    }
}

/// What belonged to nobody comes back, as far as others can see.
#[test]
fn what_was_nobodys_is_in_a_dry_undo() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    rig.write("prefix/bin/p", "precious");
    rig.run(&["install", "p", "--overwrite", "*"]).ok();
    let before = tree(&rig.path("prefix"));
    let out = rig.run(&["undo", "-n"]).ok();
    assert!(out.stderr.contains("bin/p: what was there before comes back\n"), "{out:#?}");
    if testkit::is_root() {
        let out = rig.ran(rig.cmd_of_another(4242, &["undo", "-n"])).ok();
        let says = "bin/p: what was there before comes back, if it is still kept: only the owner of the prefix can see that";
        assert!(out.stderr.contains(says), "{out:#?}");
    }
    assert_eq!(tree(&rig.path("prefix")), before);
}
