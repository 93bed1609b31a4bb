//! The cache: what is in it, and what goes.

use std::time::Duration;

use crate::rig::{Rig, tree};
use testkit::server::Answer;

fn files(rig: &Rig) -> Vec<String> {
    let all = tree(&rig.path("cache")).into_iter();
    all.filter(|(_, what)| what.starts_with("file")).map(|(name, _)| name).collect()
}

/// `a` installed, `b` locked, `c` neither; all of them in the cache.
fn rig() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b", "c"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    rig.run(&["install", "a", "c"]).ok();
    rig.run(&["remove", "c"]).ok();
    rig.run(&["lock", "b"]).ok();
    rig
}

#[test]
fn only_what_nothing_refers_to_is_removed() {
    let rig = rig();
    let info = rig.run(&["cache", "info"]).ok();
    let needed: Vec<_> = info.stdout.lines().map(|l| (&l[..1], l.ends_with("  needed"))).collect();
    assert_eq!(needed, [("a", true), ("b", true), ("c", false)], "{}", info.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["cache", "info", "--json"]).ok().stdout).expect("JSON");
    assert_eq!((&json["schema"], json["files"].as_array().map(Vec::len)), (&1.into(), Some(3)));
    let all = files(&rig);
    assert!(rig.run(&["cache", "clean", "--dry-run"]).ok().stdout.starts_with("c-1.tar.gz-"));
    assert_eq!(files(&rig), all);
    assert!(rig.run(&["cache", "clean"]).ok().stdout.starts_with("c-1.tar.gz-"));
    assert_eq!(files(&rig).len(), 2);
    assert_eq!(tree(&rig.path("cache")).len(), 5, "empty directories go: {:?}", tree(&rig.path("cache")));
    rig.run(&["install", "--offline", "--locked", "b"]).ok();
    rig.run(&["install", "--offline", "--reinstall", "a"]).ok();
    rig.run(&["cache", "clean", "--all"]).ok();
    assert!(files(&rig).is_empty());
    assert_eq!(rig.run(&["cache", "clean"]).ok().stdout, "");
}

#[test]
fn another_file_of_the_same_address_is_not_needed() {
    let rig = rig();
    let dir = rig.path("cache/downloads").read_dir().expect("read").map(|e| e.expect("read").path());
    let a = dir.into_iter().find(|d| d.to_string_lossy().contains("/a-1")).expect("there");
    let other = common::hash::Sha256::of(b"other").to_string();
    std::fs::write(a.join(&other), "other").expect("written");
    std::fs::write(a.join("part"), "half").expect("written");
    std::fs::write(a.join("README"), "mine").expect("written");
    rig.run(&["cache", "clean"]).ok();
    let here: Vec<_> = files(&rig).into_iter().filter(|f| f.contains("/a-1")).collect();
    assert!(here.len() == 2 && here.iter().any(|f| f.ends_with("README")), "{here:?}");
    rig.run(&["install", "--offline", "--reinstall", "a"]).ok();
}

/// What cannot be read may need something.
#[test]
fn nothing_is_removed_while_something_is_not_known() {
    let rig = rig();
    let all = files(&rig);
    rig.write("recipes/d.rhai", "let pkg = ;");
    rig.run(&["cache", "clean"]).fails(10, "it is not known what this recipe needs");
    std::fs::remove_file(rig.path("recipes/d.rhai")).expect("removed");
    let lock = rig.read("recipes/recipe.lock");
    rig.write("recipes/recipe.lock", "version = 2\n");
    rig.run(&["cache", "clean"]).fails(20, "expected version 1, found 2");
    rig.write("recipes/recipe.lock", lock);
    assert_eq!(files(&rig), all);
}

#[test]
fn what_is_being_downloaded_stays() {
    let rig = rig();
    rig.add("slow", "1", "");
    rig.server.answer("/slow-1.tar.gz", Answer::Drip(Duration::from_millis(10)));
    let other = rig.path("other").to_string_lossy().into_owned();
    let recipes = rig.path("elsewhere");
    std::fs::create_dir_all(&recipes).expect("made");
    std::fs::copy(rig.path("recipes/slow.rhai"), recipes.join("slow.rhai")).expect("copied");
    std::fs::remove_file(rig.path("recipes/slow.rhai")).expect("removed");
    let cmd =
        common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["install", "slow", "-p", &other, "-r"]);
    let cmd = cmd.arg(&recipes).arg("--cache").arg(rig.path("cache"));
    let mut slow = cmd.std().spawn().expect("it starts");
    while !files(&rig).iter().any(|f| f.ends_with("/part"))
        || !rig.server.log().contains(&"/slow-1.tar.gz".to_owned())
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    rig.run(&["cache", "clean", "--all"]).ok();
    let left = files(&rig);
    slow.kill().expect("killed");
    slow.wait().expect("waited");
    assert!(left.len() == 1 && left[0].ends_with("/part"), "{left:?}");
    rig.run(&["cache", "clean"]).ok();
    assert!(files(&rig).is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_is_not_the_recipes_fault() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    rig.write("cache", "a file");
    let out = rig.run(&["install", "p"]).fails(13, "failed to create");
    assert!(
        out.stderr.contains("hint: --cache DIR or RECIPE_CACHE says where downloads are kept"),
        "{}",
        out.stderr
    );
}
