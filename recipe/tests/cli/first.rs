//! The first commands of a user, who has no recipes yet: those that came with the system are there.

use common::cmd::Cmd;
use testkit::strace::{Injection, attack};

use crate::rig::{Out, Rig, tree};

/// A system with two recipes, one of which uses a library and a file beside it, and a home with nothing in it.
fn rig() -> Rig {
    let rig = Rig::new();
    let recipe = |name: &str, install: &str| {
        let text = format!(
            "import \"l\" as l;\nlet pkg = #{{ name: \"{name}\", version: \"1\" }};\nfn install() {{ {install} }}\n"
        );
        rig.write(&format!("system/usr/share/recipe/recipes/{name}.rhai"), text);
    };
    recipe("tool", "copy_source(\"text\"); install_file(\"text\", l::place());");
    recipe("other", "write_file(\"o\", \"o\"); install_file(\"o\", \"share/other\");");
    rig.write("system/usr/share/recipe/recipes/lib/l.rhai", "fn place() { \"share/tool\" }\n");
    rig.write("system/usr/share/recipe/recipes/text", "text");
    std::fs::create_dir_all(rig.path("system/home/u")).expect("made");
    rig
}

/// Says of no directory of recipes.
fn cmd(rig: &Rig, args: &[&str]) -> Cmd {
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(args.iter().copied());
    let cmd = cmd.arg("-R").arg(rig.path("system")).args(["-p", "/home/u/.local"]);
    cmd.arg("--cache").arg(rig.path("cache")).dir(rig.path(""))
}

fn run(rig: &Rig, args: &[&str]) -> Out {
    rig.ran(cmd(rig, args))
}

#[test]
fn the_systems_recipes_are_seen_before_anything_is_made() {
    let rig = rig();
    assert_eq!(run(&rig, &["list"]).ok().stdout, "other  1\ntool   1\n");
    assert!(run(&rig, &["search", "tool"]).ok().stdout.contains("tool"));
    assert!(run(&rig, &["review", "tool"]).ok().stdout.contains("imports"));
    for args in
        [&["info", "tool"][..], &["outdated"], &["check"], &["lint"], &["orphans"], &["cache", "info"]]
    {
        run(&rig, args).ok();
    }
    let findings = run(&rig, &["doctor"]).stdout;
    assert!(!findings.contains("recipes:"), "{findings}");
    let at = rig.path("system/usr/share/recipe/recipes");
    run(&rig, &["install", "toll"]).fails(11, &format!("there is no recipe \"toll\" in {}", at.display()));
    run(&rig, &["remove", "tool"]).fails(11, "tool is not installed");
    assert_eq!(tree(&rig.path("system/home")).len(), 1);
}

#[test]
fn the_first_change_copies_them() {
    let rig = rig();
    let system = tree(&rig.path("system/usr"));
    let recipes = rig.path("system/home/u/.local/share/recipes");
    let says = format!("copied the recipes that came with the system to {}\n", recipes.display());
    let out = run(&rig, &["install", "tool"]).ok();
    assert_eq!((out.stdout.as_str(), out.stderr.matches(&says).count()), ("+ tool 1\n", 1), "{out:#?}");
    assert_eq!(rig.read("system/home/u/.local/share/tool"), "text");
    assert!(rig.read("system/home/u/.local/share/recipes/tool.rhai").contains("let installed = true;"));
    assert_eq!(tree(&rig.path("system/usr")), system, "those of the system are as they were");
    assert_eq!(
        tree(&recipes).into_keys().collect::<Vec<_>>(),
        ["lib", "lib/l.rhai", "other.rhai", "text", "tool.rhai"]
    );
    assert!(!run(&rig, &["install", "other"]).ok().stderr.contains("copied"));
    // They are the user's: what he removes does not come back.
    run(&rig, &["remove", "other"]).ok();
    std::fs::remove_file(recipes.join("other.rhai")).expect("removed");
    run(&rig, &["install", "other"]).fails(11, "there is no recipe \"other\"");
    run(&rig, &["upgrade"]).ok();
    assert_eq!(run(&rig, &["list"]).ok().stdout, "tool  1  installed\n");
    // Who says where his recipes are has said where they are.
    let own = rig.path("recipes").display().to_string();
    assert_eq!(run(&rig, &["list", "-r", &own]).ok().stdout, "");
}

/// Also what only writes a recipe, or looks whether there is something to do.
#[test]
fn every_first_change_copies_them() {
    for args in
        [&["upgrade"][..], &["new", "mine"], &["pin", "tool@1"], &["trust", "tool"], &["lock", "tool"]]
    {
        let rig = rig();
        let out = run(&rig, args).ok();
        assert!(out.stderr.contains("copied the recipes that came with the system"), "{out:#?}");
        assert!(rig.path("system/home/u/.local/share/recipes/other.rhai").exists(), "{args:?}");
        run(&rig, &["install", "tool"]).ok();
    }
}

/// Half of a copy is none.
#[test]
fn a_copy_that_was_killed_is_made_again() {
    let rig = rig();
    let share = rig.path("system/home/u/.local/share");
    for (call, when) in
        [("copy_file_range", "1"), ("copy_file_range", "3"), ("syncfs", "1"), ("renameat2", "1")]
    {
        let (name, action, when) = (call.to_owned(), "signal=KILL".to_owned(), when.to_owned());
        let injection = Injection { name, action, when, main: true, path: None };
        let out = attack(&cmd(&rig, &["upgrade"]), &injection, &rig.path("strace.log"));
        assert!(out.killed() && !share.join("recipes").exists(), "{call}: {out:#?}");
        assert_eq!(run(&rig, &["list"]).ok().stdout, "other  1\ntool   1\n", "{call}");
    }
    let half = share.join(".recipes.new/half.rhai");
    std::fs::create_dir_all(half.parent().expect("a parent")).expect("made");
    std::fs::write(half, "let").expect("written");
    run(&rig, &["install", "tool"]).ok();
    assert_eq!(run(&rig, &["list"]).ok().stdout, "other  1\ntool   1  installed\n");
    assert!(!share.join(".recipes.new").exists());
}
