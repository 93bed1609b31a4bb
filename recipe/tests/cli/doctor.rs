//! `recipe doctor`: each thing that can be wrong, made so and found.

use common::cmd::Cmd;

use crate::base::System;
use crate::rig::{Out, Rig, tree};

/// A prefix with two packages, of which one needs the other, and nothing wrong.
pub(crate) fn healthy() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    let text = rig.recipe("a").replace("version: \"1\" }", "version: \"1\", deps: [\"b\"] }");
    rig.write("recipes/a.rhai", text);
    rig.run(&["install", "a"]).ok();
    // Without it the test would depend on who runs it.
    rig.write("passwd", "root:x:0:0::/root:/bin/sh\nrecipe-build:x:977:977::/:/usr/sbin/nologin\n");
    rig
}

/// The doctor with PREFIX/bin in PATH, on a system that has the account.
pub(crate) fn cmd(rig: &Rig, args: &[&str]) -> Cmd {
    let args: Vec<_> = ["doctor"].iter().chain(args).copied().collect();
    let path = format!("{}:{}", rig.prefix("bin").display(), std::env::var("PATH").expect("a PATH"));
    with_account(rig, rig.cmd(&args).env("PATH", path))
}

pub(crate) fn with_account(rig: &Rig, cmd: Cmd) -> Cmd {
    if !testkit::is_root() {
        return cmd;
    }
    let script = format!("mount --bind '{}' /etc/passwd && exec \"$@\"", rig.path("passwd").display());
    cmd.under("unshare", &["-m", "sh", "-c", &script, "sh"])
}

pub(crate) fn doctor(rig: &Rig) -> Out {
    rig.ran(cmd(rig, &[]))
}

/// It must find this and nothing else, say what can be done, and change nothing.
#[track_caller]
pub(crate) fn finds(rig: &Rig, expected: &[&str]) {
    let before = tree(&rig.path(""));
    let out = doctor(rig);
    assert_eq!(out.code, Some(14), "{out:#?}");
    let (hints, found): (Vec<_>, Vec<_>) = out.stdout.lines().partition(|line| line.starts_with("  hint: "));
    assert_eq!(found.len(), expected.len(), "{out:#?}");
    for (line, says) in found.iter().zip(expected) {
        assert!(line.contains(says), "expected {says:?} in {out:#?}");
    }
    assert!(hints.len() == found.len() && hints.iter().all(|h| h.len() > 12), "{out:#?}");
    assert_eq!(tree(&rig.path("")), before, "it looks, and changes nothing");
}

#[track_caller]
pub(crate) fn is_healthy(rig: &Rig) {
    let out = doctor(rig);
    assert_eq!((out.code, out.stdout.as_str()), (Some(0), ""), "{out:#?}");
    assert!(out.stderr.contains("nothing is wrong"), "{out:#?}");
}

#[test]
fn where_nothing_is_wrong_nothing_is_found() {
    let rig = healthy();
    is_healthy(&rig);
    // Whatever was done in an orderly way leaves nothing to find.
    for args in [
        &["install", "--reinstall", "b"][..],
        &["remove", "a"],
        &["undo"],
        &["remove", "--cascade", "b"],
        &["install", "b"],
        &["undo"],
    ] {
        rig.run(args).ok();
        is_healthy(&rig);
    }
    // More than the history keeps: the oldest in it refers to a record of one that is gone.
    for _ in 0..22 {
        rig.run(&["install", "--reinstall", "a"]).ok();
    }
    is_healthy(&rig);
    // What was removed needs no recipe any more.
    rig.run(&["remove", "--cascade", "b"]).ok();
    std::fs::remove_file(rig.path("recipes/a.rhai")).expect("removed");
    is_healthy(&rig);
    let json: serde_json::Value =
        serde_json::from_str(&rig.ran(cmd(&rig, &["--json"])).ok().stdout).expect("JSON");
    assert_eq!(json, serde_json::json!({ "schema": 1, "findings": [] }));
}

#[test]
fn findings_are_data_too() {
    let rig = healthy();
    rig.write("recipes/bad.rhai", "let pkg = ;");
    let out = rig.ran(cmd(&rig, &["--json"]));
    assert_eq!(out.code, Some(14), "{out:#?}");
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    let finding = &json["findings"][0];
    assert_eq!((&finding["check"], json["findings"].as_array().map(Vec::len)), (&"recipes".into(), Some(1)));
    for key in ["subject", "problem", "hint"] {
        assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {json}");
    }
}

#[test]
fn recipes_that_cannot_be_read_are_found() {
    let rig = healthy();
    rig.write("recipes/bad.rhai", "let pkg = ;");
    finds(&rig, &["bad.rhai: 1:1: expected a value for `pkg`"]);
    std::fs::rename(rig.path("recipes"), rig.path("elsewhere")).expect("renamed");
    let found = doctor(&rig).stdout;
    assert!(found.contains("recipes: ") && found.contains("failed to list"), "{found}");
}

#[test]
fn packages_without_records_and_records_without_packages_are_found() {
    let rig = healthy();
    let db = rig.prefix(".recipe/db/b");
    std::fs::rename(&db, rig.path("kept")).expect("renamed");
    finds(&rig, &["record: b: its recipe says that 1 is installed, but there is no record of it in"]);
    std::fs::rename(rig.path("kept"), &db).expect("renamed");
    is_healthy(&rig);

    let mut json = db.read_dir().expect("read").map(|e| e.expect("read").path());
    let json = json.find(|p| p.extension().is_some_and(|e| e == "json")).expect("a record");
    let record = std::fs::read(&json).expect("read");
    std::fs::write(&json, &record[..20]).expect("written");
    finds(&rig, &["record: b: its record cannot be read"]);
    std::fs::write(&json, &record).expect("written");
    std::fs::write(db.join("0000000000000001.json"), &record).expect("written");
    finds(&rig, &["record: b: nothing refers to this record"]);
    std::fs::remove_file(db.join("0000000000000001.json")).expect("removed");

    // Whoever deletes a recipe file deletes the state.
    std::fs::remove_file(rig.path("recipes/a.rhai")).expect("removed");
    finds(&rig, &["record: a: no recipe file says that it is installed"]);
}

/// What is said about it can be done, and ends it.
#[test]
fn a_spoilt_record_is_made_anew() {
    let rig = healthy();
    let mut json = rig.prefix(".recipe/db/b").read_dir().expect("read").map(|e| e.expect("read").path());
    let json = json.find(|p| p.extension().is_some_and(|e| e == "json")).expect("a record");
    let before = rig.tree();
    for spoilt in ["", "{", "{\"schema\": 1}", "no JSON"] {
        std::fs::write(&json, spoilt).expect("written");
        let hint = "move that file elsewhere; then `recipe install --reinstall b` makes it anew";
        for args in [&["install", "--reinstall", "b"][..], &["remove", "--no-deps", "b"], &["check", "b"]] {
            let out = rig.run(args);
            let says = |text: &str| out.stderr.contains(text);
            assert!(out.code == Some(14) && says(json.to_str().expect("text")) && says(hint), "{out:#?}");
        }
        finds(&rig, &["record: b: its record cannot be read"]);
        assert!(doctor(&rig).stdout.contains(hint));
        assert_eq!(rig.tree(), before);
    }
    std::fs::rename(&json, rig.path("elsewhere.json")).expect("renamed");
    rig.run(&["install", "--reinstall", "b"]).ok();
    is_healthy(&rig);
    assert_eq!(rig.tree(), before);
}

#[test]
fn files_that_are_gone_or_have_two_owners_are_found() {
    let rig = healthy();
    std::fs::remove_file(rig.prefix("bin/b")).expect("removed");
    finds(&rig, &["prefix/bin/b: it is missing"]);
    rig.run(&["install", "--reinstall", "b"]).ok();
    let own = |name: &str| format!("    \"{}\",\n", rig.prefix(&format!("bin/{name}")).display());
    let text = rig.recipe("b").replace(&own("b"), &format!("{}{}", own("a"), own("b")));
    rig.write("recipes/b.rhai", text);
    finds(&rig, &["prefix/bin/a: both a and b have installed it"]);
}

#[test]
fn dependencies_that_nothing_satisfies_are_found() {
    let rig = healthy();
    rig.run(&["remove", "--no-deps", "b"]).ok();
    finds(&rig, &["dependency: a: it needs b, which nothing satisfies"]);
    rig.run(&["install", "b"]).ok();
    let text = rig.recipe("a").replace("deps: [\"b\"]", "deps: [\"b >= 2\", \"b ~ 1\"]");
    rig.write("recipes/a.rhai", text);
    finds(&rig, &["expected a dependency like", "dependency: a: it needs b >= 2, and 1 is installed"]);
    // A hint is something that helps.
    let hint = |of: &str| {
        let out = doctor(&rig).stdout;
        out.lines().filter_map(|l| l.strip_prefix("  hint: ")).find(|l| l.contains(of)).map(str::to_owned)
    };
    let none = "the recipe of b has 1: `recipe update b` asks for a newer one, or mend `deps` of a";
    assert_eq!(hint("of b").as_deref(), Some(none));
    rig.write("recipes/a.rhai", rig.recipe("a").replace("\"b >= 2\", \"b ~ 1\"", "\"gone\""));
    assert_eq!(
        hint("gone").as_deref(),
        Some("no recipe of gone can be read; write or mend it, or mend `deps` of a")
    );
    rig.write("recipes/a.rhai", rig.recipe("a").replace("\"gone\"", "\"b >= 2\""));
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"2\""));
    assert_eq!(hint("`").as_deref(), Some("`recipe install --reinstall a` brings what it needs"));
}

#[test]
fn what_the_base_has_is_no_finding_but_what_it_owns_is() {
    let system = System::new();
    let rig = &system.0;
    rig.write("passwd", "recipe-build:x:977:977::/:/usr/sbin/nologin\n");
    let examine = || rig.ran(with_account(rig, system.cmd("/usr/local", &["doctor"])));
    let list = "system/usr/lib/levitate/packages.json";
    let packages = rig.read(list);
    system.add("a", "1", "deps: [\"openssl >= 3\", \"/bin/sh\"]");
    system.run(&["install", "a"]).ok();
    examine().ok();
    rig.write(list, packages.replace("[\"hostname\"]", "[\"hostname\"],\"/usr/local/share\":[\"a\"]"));
    let out = examine();
    let says = "file: /usr/local/share/a: it belongs to a and to the base (the image itself)";
    assert!(out.code == Some(14) && out.stdout.starts_with(says), "{out:#?}");
    rig.write(list, packages.replace("3.2.2", "2.9"));
    let out = examine();
    let says = "dependency: a: it needs openssl >= 3, and the base has openssl 2.9-16.el10";
    assert!(out.code == Some(14) && out.stdout.starts_with(says), "{out:#?}");
    rig.write(list, "{");
    let out = examine();
    assert!(
        out.code == Some(14) && out.stdout.starts_with("base: usr/lib/levitate/packages.json: failed"),
        "{out:#?}"
    );
}

#[test]
fn the_manual_has_every_check() {
    let page = testkit::workspace().join("docs/reference/recipe.md");
    let page = std::fs::read_to_string(page).expect("read");
    for (check, _) in recipe::doctor::CHECKS {
        assert!(page.contains(&format!("\n| `{check}` | ")), "{check} is not in the manual");
    }
}
