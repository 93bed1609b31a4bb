//! docs/reference/recipe-json.md against the program: every command has JSON, and it has the shape that is published.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::rig::Rig;

const PAGE: &str = "docs/reference/recipe-json.md";

/// Shapes of each command, as the page has them.
fn published() -> BTreeMap<String, Vec<Value>> {
    let page = std::fs::read_to_string(testkit::workspace().join(PAGE)).expect("the page");
    let mut shapes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').expect("a body");
        let blocks = body.split("```json\n").skip(1).map(|b| b.split("```").next().unwrap_or_default());
        let blocks: Vec<Value> =
            blocks.map(|b| serde_json::from_str(b).unwrap_or_else(|e| panic!("{heading}: {e}"))).collect();
        for command in heading.split(", ") {
            shapes.insert(command.to_owned(), blocks.clone());
        }
    }
    shapes
}

/// How a value differs from its shape, if it does.
fn differs(at: &str, value: &Value, shape: &Value) -> Option<String> {
    match (shape, value) {
        (Value::String(types), value) => {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(n) if n.is_i64() => "integer",
                Value::String(_) => "string",
                _ => "something else",
            };
            let fits = types.split('|').any(|t| t == kind);
            (!fits).then(|| format!("{at}: expected {types}, found {value}"))
        }
        (Value::Array(shape), Value::Array(values)) => {
            values.iter().find_map(|value| differs(&format!("{at}[]"), value, &shape[0]))
        }
        (Value::Object(shape), Value::Object(value)) => {
            if let Some(any) = shape.get("*") {
                return value.iter().find_map(|(key, value)| differs(&format!("{at}.{key}"), value, any));
            }
            let known = |key: &String| shape.get(key).or_else(|| shape.get(&format!("{key}?")));
            let unknown = value.keys().find(|key| known(key).is_none());
            let missing = shape.keys().find(|key| !key.ends_with('?') && !value.contains_key(*key));
            let inside =
                || value.iter().find_map(|(key, value)| differs(&format!("{at}.{key}"), value, known(key)?));
            let unknown = unknown.map(|key| format!("{at}.{key} is not published"));
            unknown.or_else(|| missing.map(|key| format!("{at}.{key} is missing"))).or_else(inside)
        }
        _ => Some(format!("{at}: expected {shape}, found {value}")),
    }
}

/// A package with a configuration file.
const CONFIGURED: &str = r#"let pkg = #{ name: "e", version: "1" };
fn install() { write_file("e", "1\n"); install_config("e", "etc/e.conf"); }
"#;

/// `a` needs `b`, was installed, and its recipe is another version's by now; `c` is orphaned and undone.
fn rig() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b", "c"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    // A new version each time it is asked for one.
    let text = format!("{}fn check_update() {{ \"9\" }}\n", rig.recipe("b"));
    rig.write("recipes/b.rhai", text);
    let text = rig.recipe("a").replace(" }; // fixed", ", deps: [\"b\"], description: \"first\" };");
    rig.write("recipes/a.rhai", text);
    rig.write("recipes/e.rhai", CONFIGURED);
    rig.release("c", "1", &[("bin/c", "#!/bin/sh\necho of c\n")]);
    rig
}

#[test]
fn every_command_prints_the_json_that_is_published() {
    let rig = rig();
    let shapes = published();
    let file = rig.prefix("bin/b").display().to_string();
    let recipe = rig.path("recipes/a.rhai").display().to_string();
    // In this order: the later ones find what the earlier ones did.
    let runs: &[(&[&str], i32)] = &[
        (&["install", "--dry-run=plan", "a"], 0),
        (&["install", "--dry-run=full", "a"], 0),
        (&["install", "a"], 0),
        (&["install", "a"], 0),
        (&["install", "--as-dep", "c"], 0),
        (&["upgrade"], 0),
        (&["upgrade", "-n=plan"], 0),
        (&["list"], 0),
        (&["search", "a"], 0),
        (&["outdated"], 0),
        (&["info", "a", "b"], 0),
        (&["files", "a"], 0),
        (&["owns", &file, "/nonexistent"], 11),
        (&["which", "sh"], 0),
        (&["why", "b"], 0),
        (&["tree", "a"], 0),
        (&["impact", "b"], 0),
        (&["orphans"], 0),
        (&["lock"], 0),
        (&["lock", "--check"], 0),
        (&["fetch", "--dry-run"], 0),
        (&["fetch"], 0),
        (&["run", "-n", "a"], 0),
        (&["run", "-n", "c"], 0),
        (&["run", "c"], 0),
        (&["run", "-n", "c"], 0),
        (&["cache", "info"], 0),
        (&["cache", "clean"], 0),
        (&["autoremove"], 0),
        (&["review", "a"], 0),
        (&["diff", "a"], 0),
        (&["trust", "a"], 0),
        (&["trust"], 0),
        (&["untrust", "a"], 0),
        (&["hash", &recipe], 0),
        (&["sync-state", "-n"], 0),
        (&["sync-state"], 0),
        (&["undo"], 0),
        (&["mark", "explicit", "c"], 0),
        (&["remove", "-n", "c"], 0),
        (&["remove", "c"], 0),
        (&["rollback", "a", "2"], 11),
        (&["history"], 0),
        (&["helpers", "extract"], 0),
        (&["pin", "a@1"], 0),
        (&["unpin", "a"], 0),
        (&["new", "d"], 0),
        (&["update"], 0),
        (&["lint"], 0),
        (&["repair"], 0),
        (&["etc"], 0),
        (&["etc", "diff"], 0),
        (&["etc", "merge", "-n"], 15),
        (&["check"], 14),
        (&["doctor"], 14),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (args, code) in runs {
        if args[0] == "check" {
            rig.write("prefix/bin/b", "changed");
            std::fs::remove_file(rig.prefix("bin/a")).expect("removed");
        }
        if *args == ["etc"] {
            rig.run(&["install", "e"]).ok();
            rig.write("prefix/etc/e.conf", "mine\n");
            let text = rig.recipe("e").replace("\"1\"", "\"2\"").replace("1\\n", "2\\n");
            rig.write(
                "recipes/e.rhai",
                text.replace("installed_version = \"2\"", "installed_version = \"1\""),
            );
            rig.run(&["upgrade", "e"]).ok();
        }
        let out = rig.run(&[*args, &["--json"]].concat());
        assert_eq!(out.code, Some(*code), "{args:?}: {out:#?}");
        seen.insert(args[0].to_owned());
        if args[0] == "rollback" {
            assert_eq!(out.stdout, "", "{args:?} has no document");
            continue;
        }
        if *args == ["run", "c"] {
            assert_eq!(out.stdout, "of c\n", "stdout is the program's");
            continue;
        }
        let json: Value =
            serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {out:#?}"));
        assert_eq!(json["schema"], 1, "{args:?}");
        let shapes = shapes.get(args[0]).unwrap_or_else(|| panic!("{PAGE} has no section of {}", args[0]));
        let all: Vec<_> = shapes.iter().map_while(|shape| differs(args[0], &json, shape)).collect();
        assert!(all.len() < shapes.len(), "{args:?} is not as {PAGE} says: {all:#?}");
    }
    // An editor is no program for tests of JSON.
    seen.insert("edit".to_owned());
    // A command that is new has JSON, a section of the page, and a run here.
    for command in recipe::cli::command().get_subcommands().map(clap_name) {
        assert!(shapes.contains_key(&command), "{PAGE} has no section of {command}");
        assert!(seen.contains(&command), "`recipe {command} --json` is not run by this test");
    }
}

fn clap_name(command: &clap::Command) -> String {
    command.get_name().to_owned()
}

#[test]
fn the_judge_of_shapes_finds_what_is_wrong() {
    let shape: Value =
        serde_json::from_str(r#"{"a": "integer|null", "b?": ["string"], "c": {"*": "boolean"}}"#)
            .expect("JSON");
    for (value, expected) in [
        (r#"{"a": 1, "c": {}}"#, None),
        (r#"{"a": null, "b": ["x"], "c": {"any": true}}"#, None),
        (r#"{"a": "1", "c": {}}"#, Some("x.a: expected integer|null, found \"1\"")),
        (r#"{"c": {}}"#, Some("x.a is missing")),
        (r#"{"a": 1, "c": {}, "d": 1}"#, Some("x.d is not published")),
        (r#"{"a": 1, "b": [1], "c": {}}"#, Some("x.b[]: expected string, found 1")),
        (r#"{"a": 1, "c": {"k": 0}}"#, Some("x.c.k: expected boolean, found 0")),
    ] {
        let value: Value = serde_json::from_str(value).expect("JSON");
        assert_eq!(differs("x", &value, &shape).as_deref(), expected, "{value}");
    }
}

#[test]
fn done_is_that_something_was_changed_and_then_there_is_a_transaction() {
    let rig = rig();
    let says = |args: &[&str]| -> Value {
        serde_json::from_str(&rig.run(&[args, &["--json"]].concat()).stdout).expect("JSON")
    };
    let known = |json: &Value| {
        let tx = json["tx"].as_str().expect("a transaction");
        says(&["history"])["transactions"].as_array().expect("a list").iter().any(|t| t["tx"] == tx)
    };
    for args in [&["install", "-n", "a"][..], &["autoremove"], &["upgrade"], &["sync-state"]] {
        let json = says(args);
        assert_eq!((&json["done"], &json["tx"]), (&false.into(), &Value::Null), "{args:?}");
    }
    let json = says(&["install", "a"]);
    assert!(json["done"] == true && known(&json), "{json}");
    for args in [&["install", "a"][..], &["remove", "-n", "a"], &["undo", "-n"], &["sync-state"]] {
        let json = says(args);
        assert_eq!((&json["done"], &json["tx"]), (&false.into(), &Value::Null), "{args:?}");
    }
    let json = says(&["remove", "a"]);
    assert!(json["done"] == true && known(&json), "{json}");
    // Files of recipes, and of configurations.
    assert_eq!(says(&["update", "-n", "b"])["done"], false);
    assert_eq!(says(&["update", "b"])["done"], true);
    assert_eq!(says(&["update", "b"])["done"], false, "it is current");
    rig.run(&["install", "e"]).ok();
    rig.write("prefix/etc/e.conf", "mine\n");
    let text = rig.recipe("e").replace("version: \"1\"", "version: \"2\"").replace("1\\n", "2\\n");
    rig.write("recipes/e.rhai", text);
    rig.run(&["upgrade", "e"]).ok();
    let file = rig.prefix("etc/e.conf").display().to_string();
    assert_eq!(says(&["etc", "merge", &file])["done"], false, "it was refused");
    assert_eq!(says(&["etc", "accept", &file])["done"], true);
    assert_eq!(says(&["etc", "merge"])["done"], false);
    assert_eq!(rig.run(&["why", "zero", "--json"]).fails(11, "there is no recipe").stdout, "");
}
