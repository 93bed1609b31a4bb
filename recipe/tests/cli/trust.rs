//! What recipes can do: shown, compared, and refused before any code runs.

use serde_json::{Value, json};
use testkit::terminal::Terminal;

use crate::rig::Rig;

/// `p` downloads from the server and imports `l`.
fn rig() -> Rig {
    let rig = Rig::new();
    for version in ["1", "2"] {
        rig.release("p", version, &[("bin/p", version)]);
    }
    rig.add("p", "1", "l::put();");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("let pkg", "import \"l\" as l;\nlet pkg"));
    rig.write("recipes/lib/l.rhai", "fn put() { print(\"code runs\"); install_bin(\"p\"); }\n");
    rig
}

/// The recipe with one thing replaced.
fn edit(rig: &Rig, name: &str, from: &str, to: &str) {
    let text = rig.read(name);
    assert!(text.contains(from), "{text}");
    rig.write(name, text.replace(from, to));
}

fn host(rig: &Rig) -> String {
    rig.server.place().to_owned()
}

#[test]
fn review_shows_what_a_recipe_can_do_and_what_is_new() {
    let rig = rig();
    let out = rig.run(&["review", "p"]).ok().stdout;
    assert!(out.contains("trusted:   no\ninstalled: no\n"), "{out}");
    let line = format!("host      {}  {}:7\n", host(&rig), rig.path("recipes/p.rhai").display());
    assert!(out.contains(&line), "{line}{out}");
    assert!(out.contains(&format!("{}:1", rig.path("recipes/lib/l.rhai").display())), "{out}");
    assert!(!rig.prefix(".recipe").exists(), "a look leaves nothing");
    rig.run(&["diff", "p"]).fails(11, "p is not installed");
    rig.run(&["install", "p"]).ok();
    assert!(!rig.run(&["review", "p"]).ok().stdout.contains("\n+"));
    assert_eq!(rig.run(&["diff", "p"]).ok().stdout, "");

    edit(&rig, "recipes/p.rhai", "version: \"1\"", "version: \"2\", deps: [\"q > 1\"]");
    edit(&rig, "recipes/lib/l.rhai", "install_bin(\"p\");", "shell(\"touch x\"); install_bin(\"p\");");
    let text = format!("{}fn remove() {{ print(1); }}\n", rig.recipe("p"));
    rig.write("recipes/p.rhai", text);
    let out = rig.run(&["review", "p"]).ok().stdout;
    for new in ["+  needs", "+  script    touch x", "+  phase     remove"] {
        assert!(out.contains(new), "{new} is not in\n{out}");
    }
    let out = rig.run(&["diff", "p"]).ok().stdout;
    for says in [
        "-let pkg = #{ name: \"p\", version: \"1\" }; // fixed\n+let pkg",
        "--- lib/l.rhai\n+++ lib/l.rhai\n",
        "new: needs q, ",
        "new: phase remove, ",
        "new: script touch x, ",
    ] {
        assert!(out.contains(says), "{says} is not in\n{out}");
    }
    assert!(!out.contains("installed_tx"), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["diff", "p", "--json"]).ok().stdout).expect("JSON");
    assert_eq!((json["schema"].as_u64(), json["new"].as_array().map(Vec::len)), (Some(1), Some(3)), "{json}");
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["review", "p", "--json"]).ok().stdout).expect("JSON");
    assert!(
        json["capabilities"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|c| c["name"] == "touch x" && c["new"] == true)
    );
    assert_eq!(json["trusted"], "no");
}

#[test]
fn upgrade_says_what_is_new() {
    let rig = rig();
    rig.run(&["install", "p"]).ok();
    edit(&rig, "recipes/p.rhai", "version: \"1\"", "version: \"2\"");
    edit(&rig, "recipes/lib/l.rhai", "install_bin(\"p\");", "if env(\"TOKEN\") == 1 { } install_bin(\"p\");");
    let out = rig.run(&["upgrade", "-n"]).ok();
    assert!(out.stderr.contains("p 1 -> 2: new: variable TOKEN"), "{}", out.stderr);
    let out = rig.run(&["upgrade", "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    assert_eq!(json["notes"][0], "p 1 -> 2: new: variable TOKEN");
    let out = rig.run(&["install", "--reinstall", "p"]).ok();
    assert!(!out.stderr.contains("new:"), "{}", out.stderr);
}

/// Who is asked must know it, and what has run cannot be declined.
#[test]
fn what_is_new_is_said_before_any_of_it_runs() {
    let rig = rig();
    let fresh = rig.recipe("p");
    rig.run(&["install", "p"]).ok();
    rig.release("c", "1", &[("bin/c", "c")]);
    rig.add("c", "1", "install_bin(\"c\");");
    let tree = rig.tree();
    edit(&rig, "recipes/p.rhai", "version: \"1\"", "version: \"2\", build_deps: [\"c\"]");
    edit(&rig, "recipes/p.rhai", "download(", "shell(\"touch x\"); download(");
    let news = "p 1 -> 2: new: script touch x, needs-to-build c\n";
    let plan = rig.run(&["upgrade", "-n=plan"]).ok();
    assert_eq!(plan.stdout, "+ c 1\n~ p 1 -> 2\n");
    assert!(plan.stderr.ends_with(&format!("2 packages\n{news}")), "{}", plan.stderr);
    let plan: Value =
        serde_json::from_str(&rig.run(&["upgrade", "-n=plan", "--json"]).ok().stdout).expect("JSON");
    assert_eq!(plan["plan"][0]["new"], json!([]));
    assert_eq!(plan["plan"][1]["new"], json!(["script touch x", "needs-to-build c"]));

    // It is a reason to ask, also who named the package and needs nothing else for it.
    rig.run(&["install", "c"]).ok();
    for args in [["upgrade", "p"], ["install", "p"]] {
        let mut terminal = Terminal::start(&rig.cmd(&args));
        let screen = terminal.wait_for(&["Proceed? [Y/n]"]);
        assert!(screen.contains(&format!("1 package\n{news}Proceed?")), "{screen}");
        terminal.send("n\n");
        assert!(!terminal.end().with(29).last.contains("install"));
    }
    // What is done can do no more than what was shown.
    let mut terminal = Terminal::start(&rig.cmd(&["upgrade", "p"]));
    terminal.wait_for(&["Proceed?"]);
    edit(&rig, "recipes/p.rhai", "touch x", "touch y");
    terminal.send("y\n");
    let ended = terminal.end().with(10);
    assert!(ended.last.contains("the recipe of p was changed while you were asked"), "{}", ended.last);
    rig.run(&["remove", "c"]).ok();
    assert_eq!(rig.tree(), tree);
    // Nobody is there to be asked: it is in front of the first code, and said once.
    edit(&rig, "recipes/p.rhai", "touch y", "touch x");
    let out = rig.run(&["upgrade"]).ok().stderr;
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} is not in {out}"));
    assert!(at(news) < at("c: install") && at(news) < at("code runs"), "{out}");
    assert_eq!(out.matches(": new: ").count(), 1, "{out}");
    // A file that was carried here says that the next version is installed: that is an upgrade, too.
    let claim = "let installed = true;\nlet installed_version = \"3\";\nlet installed_tx = \"0\";\n";
    rig.release("p", "3", &[("bin/p", "3")]);
    let text =
        fresh.replace("version: \"1\"", "version: \"3\"").replace("download(", "exec([\"true\"]); download(");
    rig.write("recipes/p.rhai", format!("{claim}{text}"));
    let out = rig.run(&["sync-state"]).ok().stderr;
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} is not in {out}"));
    assert!(at("p 2 -> 3: new: program true\n") < at("code runs"), "{out}");
    assert_eq!(out.matches(": new: ").count(), 1, "{out}");
}

#[test]
fn what_was_trusted_may_change_but_not_do_more() {
    let rig = rig();
    let shown = rig.run(&["review", "p"]).ok().stdout;
    let digest = shown.lines().find_map(|l| l.strip_prefix("digest:")).expect("a digest").trim();
    rig.run(&["trust", "p", "--digest", &digest.replace(['1', '2', '3'], "0")])
        .fails(21, "is not what was reviewed");
    assert!(rig.run(&["trust", "p", "--digest", digest]).ok().stdout.starts_with("p 1 sha256:"));
    assert!(rig.run(&["review", "p"]).ok().stdout.contains("trusted:   yes\n"));
    let out = rig.run(&["install", "p"]).ok();
    assert!(!out.stderr.contains("trusted"), "{}", out.stderr);
    // The state is no change, a version is one.
    assert!(rig.run(&["review", "p"]).ok().stdout.contains("trusted:   yes\n"));
    edit(&rig, "recipes/p.rhai", "version: \"1\"", "version: \"2\"");
    let out = rig.run(&["upgrade"]).ok();
    assert!(
        out.stderr.contains("p was changed since it was trusted; it can do no more than then"),
        "{}",
        out.stderr
    );

    let lib = rig.read("recipes/lib/l.rhai");
    let recipe = rig.recipe("p");
    let tree = rig.tree();
    for (more, says) in [
        ("shell(\"id\");", "script id, "),
        ("exec([\"id\"]);", "program id, "),
        ("make();", "helper make, "),
        ("download(\"https://evil.example/x\");", "host evil.example, "),
        ("env(\"TOKEN\");", "variable TOKEN, "),
        ("let n = \"sh\" + \"ell\"; Fn(n).call(\"id\");", "any-helper (computed), "),
        ("import \"l\" + \"2\" as x;", "imports (computed), "),
    ] {
        // First in a library, then in the recipe.
        rig.write("recipes/lib/l.rhai", lib.replace("print(", &format!("{more} print(")));
        let out = rig.run(&["install", "--reinstall", "p"]);
        assert!(!out.stderr.contains("code runs"), "{}", out.stderr);
        assert!(
            out.stderr.contains("`recipe review p` shows what it does, then `recipe trust p`"),
            "{}",
            out.stderr
        );
        out.fails(21, &format!("p can do more than when it was trusted:\n  {says}"));
        rig.write("recipes/lib/l.rhai", &lib);
        rig.write("recipes/p.rhai", recipe.replace("l::put();", &format!("l::put(); {more}")));
        rig.run(&["install", "--reinstall", "p"]).fails(21, says);
        rig.run(&["lock", "p"]).fails(21, says);
        rig.write("recipes/p.rhai", &recipe);
    }
    assert_eq!(rig.tree(), tree);
    rig.write("recipes/p.rhai", format!("{recipe}fn remove() {{ print(1); }}\n"));
    rig.run(&["install", "--reinstall", "p"]).fails(21, "phase remove, ");
    let out = rig.run(&["review", "p"]).ok().stdout;
    assert!(out.contains("trusted:   it was; now it can do more: phase remove, "), "{out}");
    let out = rig.run(&["trust", "p"]).ok().stdout;
    assert!(out.contains("  new: phase remove, "), "{out}");
    rig.run(&["install", "--reinstall", "p"]).ok();
    rig.write("recipes/p.rhai", rig.recipe("p").replace("print(1)", "exec([\"id\"])"));
    rig.run(&["untrust", "p"]).ok();
    rig.run(&["untrust", "p"]).fails(11, "p is not trusted");
    rig.run(&["install", "--reinstall", "p"]).ok();
}

#[test]
fn no_code_runs_when_one_of_all_is_not_trusted() {
    let rig = rig();
    rig.release("a", "1", &[("bin/a", "a")]);
    rig.add("a", "1", "print(\"code runs\"); install_bin(\"a\");");
    edit(&rig, "recipes/p.rhai", "version: \"1\"", "version: \"1\", deps: [\"a\"]");
    rig.run(&["trust", "p"]).ok();
    edit(&rig, "recipes/p.rhai", "l::put();", "l::put(); shell(\"id\");");
    let out = rig.run(&["install", "p"]);
    assert!(!out.stderr.contains("code runs"), "{}", out.stderr);
    out.fails(21, "script id");
    rig.run(&["trust", "p"]).ok();
    let out = rig.run(&["install", "p", "--require-trust"]);
    assert!(!out.stderr.contains("code runs"), "{}", out.stderr);
    out.fails(21, "a is not trusted");
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
    rig.ran(rig.cmd(&["install", "p"]).env("RECIPE_REQUIRE_TRUST", "1")).fails(21, "a is not trusted");
    rig.run(&["trust", "--require", "yes"]).ok();
    rig.run(&["install", "p"]).fails(21, "a is not trusted");
    rig.run(&["trust", "a"]).ok();
    rig.run(&["install", "p"]).ok();
    // Then a change is one, whatever it does.
    edit(&rig, "recipes/a.rhai", "print(\"code runs\");", "print(\"other code\");");
    rig.run(&["install", "--reinstall", "a"]).fails(21, "a was changed since it was trusted");
    rig.run(&["trust", "--require", "no"]).ok();
    rig.run(&["install", "--reinstall", "a"]).ok();
}

/// What was installed may run again, whatever is trusted now; what lies there now may not.
#[test]
fn a_removal_asks_only_where_nothing_is_known_of_what_was_installed() {
    let rig = rig();
    rig.write("recipes/p.rhai", format!("{}fn remove() {{ print(\"old code\"); }}\n", rig.recipe("p")));
    rig.run(&["trust", "p"]).ok();
    rig.run(&["install", "p"]).ok();
    edit(&rig, "recipes/p.rhai", "print(\"old code\")", "exec([\"id\"])");
    rig.run(&["trust", "--require", "yes"]).ok();
    let out = rig.run(&["remove", "p"]).ok();
    assert!(out.stderr.contains("p: old code"), "{}", out.stderr);
    rig.run(&["undo"]).ok();
    let tx = rig
        .recipe("p")
        .lines()
        .find_map(|l| Some(l.strip_prefix("let installed_tx = \"")?.replace("\";", "")));
    std::fs::remove_file(rig.prefix(&format!(".recipe/db/p/{}.rhai", tx.expect("installed"))))
        .expect("removed");
    rig.run(&["remove", "p"]).fails(21, "p can do more than when it was trusted:\n  program id, ");
    assert!(rig.prefix("bin/p").exists());
}

/// A file beside the recipe is code, too.
#[test]
fn files_beside_the_recipe_count_by_their_content() {
    let rig = rig();
    rig.write("recipes/fix", "one\n");
    edit(&rig, "recipes/p.rhai", "l::put();", "l::put(); copy_source(\"fix\");");
    rig.run(&["trust", "p"]).ok();
    rig.run(&["install", "p"]).ok();
    rig.write("recipes/fix", "two\n");
    rig.run(&["install", "--reinstall", "p"]).fails(21, "file fix [");
    rig.run(&["trust", "p"]).ok();
    let out = rig.run(&["install", "--reinstall", "p"]).ok();
    assert!(out.stderr.contains("p 1 -> 1: new: file fix ["), "{}", out.stderr);
}

/// Ways that no look can follow end where the helper is.
#[test]
fn what_a_review_cannot_see_does_not_run() {
    let rig = rig();
    let recipe = rig.recipe("p");
    for (more, says) in [
        ("[\"id\"].map(\"shell\");", "`script id` cannot be seen in the recipe"),
        ("shell(\"true\"); [\"id\"].map(\"shell\");", "`script id` cannot be seen in the recipe"),
        ("[[\"id\"]].map(\"exec\");", "`program id` cannot be seen"),
        ("[\"https://evil.example/x\"].map(\"download\");", "`host evil.example` cannot be seen"),
        ("[\"TOKEN\"].map(\"env\");", "`variable TOKEN` cannot be seen"),
        ("[\"fix\"].map(\"copy_source\");", "`file fix ["),
        ("[[\"x\"]].map(\"make\");", "`helper make` cannot be seen"),
    ] {
        rig.write("recipes/fix", "one\n");
        let text = recipe.replace("l::put();", &format!("l::put(); {more}"));
        rig.write("recipes/p.rhai", text);
        rig.run(&["install", "p"]).fails(21, says);
        assert!(rig.tree().is_empty(), "{:?}", rig.tree());
    }
}

#[test]
fn a_store_that_others_can_write_is_none() {
    use std::os::unix::fs::PermissionsExt;
    let rig = rig();
    rig.run(&["trust", "p"]).ok();
    rig.release("a", "1", &[("bin/a", "a")]);
    rig.add("a", "1", "install_bin(\"a\");");
    rig.run(&["install", "a"]).ok();
    let store = rig.prefix(".recipe/trust.toml");
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o666)).expect("set");
    rig.run(&["install", "p"]).fails(21, "others can write it");
    std::fs::set_permissions(&store, PermissionsExt::from_mode(0o644)).expect("set");
    let text = std::fs::read_to_string(&store).expect("written");
    for wrong in
        [text.replace("version = 1", "version = 2"), text.replace("host ", "ghost "), "[[".to_owned()]
    {
        assert_ne!(wrong, text);
        std::fs::write(&store, wrong).expect("written");
        rig.run(&["install", "p"]).fails(21, "cannot tell what is trusted");
    }
    assert!(!rig.prefix("bin/p").exists());
    rig.run(&["remove", "a"]).ok();
}

#[test]
fn what_is_trusted_can_be_asked_for() {
    let rig = rig();
    let out = rig.run(&["trust"]).ok();
    assert!(out.stdout.is_empty() && out.stderr.contains("nothing is trusted"), "{out:?}");
    assert!(!rig.prefix(".recipe").exists(), "who asks changes nothing");
    let line = rig.run(&["trust", "p"]).ok().stdout;
    rig.run(&["trust", "--require", "yes"]).ok();
    edit(&rig, "recipes/p.rhai", "version: \"1\"", "version: \"2\"");
    // As it was reviewed, whatever the recipe says by now.
    let out = rig.run(&["trust"]).ok();
    assert_eq!(out.stdout, line.replace("p 1 ", "p "));
    assert!(out.stderr.contains("nothing else is installed"), "{}", out.stderr);
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["trust", "--json"]).ok().stdout).expect("JSON");
    assert_eq!((&json["require"], &json["trusted"][0]["name"]), (&true.into(), &"p".into()));
    assert_eq!(json["trusted"][0]["version"], serde_json::Value::Null);
    rig.run(&["trust", "--digest", "sha256:0"]).fails(2, "required");
}
