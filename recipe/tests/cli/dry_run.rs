//! `--dry-run=plan` runs nothing and needs nothing to be there; `--dry-run`, or `=full`, makes the packages.

use serde_json::{Value, json};

use crate::rig::Rig;

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
