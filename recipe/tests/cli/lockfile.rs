//! recipe.lock: what is made from what, here and on another machine.

use crate::rig::Rig;

/// `a` needs `b`; both download without a digest, and `a` uses a file beside it and a library.
pub(crate) fn rig() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    let a = rig.recipe("a").replace("\"1\" };", "\"1\", deps: [\"b\"] };");
    let a = a.replace("let pkg", "import \"l\" as l;\nlet pkg");
    let a = a.replace("extract(", "copy_source(\"note\"); l::note(); extract(");
    rig.write(
        "recipes/a.rhai",
        a.replace("install_bin(\"a\");", "install_bin(\"a\"); install_file(\"../note\", \"share/note\");"),
    );
    rig.write("recipes/lib/l.rhai", "fn note() { print(\"from a library\"); }\n");
    rig.write("recipes/note", "one\n");
    rig
}

/// As on another machine: nothing is cached or installed, and the recipes came along.
pub(crate) fn elsewhere(rig: &Rig) {
    for dir in ["prefix", "cache"] {
        if rig.path(dir).exists() {
            std::fs::remove_dir_all(rig.path(dir)).expect("removed");
        }
    }
}

#[test]
fn the_same_packages_are_made_elsewhere_without_a_network() {
    let rig = rig();
    assert_eq!(rig.run(&["lock", "a"]).ok().stdout, "+ a 1\n+ b 1\n");
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
    let lock = rig.read("recipes/recipe.lock");
    for says in ["name = \"a\"", "deps = [\"b 1\"]", "/a-1.tar.gz\"", "url = \"beside:note\"", "linux-x86_64"]
    {
        assert!(lock.contains(says), "{says} is missing in\n{lock}");
    }
    assert_eq!(rig.run(&["lock", "a"]).ok().stdout, "", "it is written down already");
    assert_eq!(rig.read("recipes/recipe.lock"), lock);

    elsewhere(&rig);
    rig.run(&["install", "--locked", "--offline", "a"]).fails(13, "is not in the cache");
    let before = rig.server.log().len();
    let urls = rig.run(&["fetch", "--dry-run"]).ok().stdout;
    assert_eq!((urls.lines().count(), rig.server.log().len()), (2, before), "{urls}");
    rig.run(&["fetch", "b"]).ok();
    assert_eq!(rig.run(&["fetch", "-n"]).ok().stdout, format!("{}\n", rig.server.url("/a-1.tar.gz")));
    assert_eq!(rig.run(&["fetch"]).ok().stdout.lines().count(), 2);
    assert_eq!(rig.run(&["fetch", "-n"]).ok().stdout, "", "it would download nothing any more");
    assert_eq!(rig.server.log().len(), before + 2);
    assert_eq!(rig.run(&["install", "--locked", "--offline", "a"]).ok().stdout, "+ b 1\n+ a 1\n");
    assert_eq!(rig.server.log().len(), before + 2, "nothing is asked for");
    assert_eq!(rig.read("prefix/share/note"), "one\n");
    // State is not what a recipe says.
    rig.run(&["install", "--locked", "--offline", "--reinstall", "a", "b"]).ok();
    assert_eq!(rig.run(&["lock", "--check"]).ok().stdout, "");
}

#[test]
fn other_bytes_are_refused_though_no_recipe_has_a_digest() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    rig.release("b", "1", &[("bin/b", "something else")]);
    elsewhere(&rig);
    rig.run(&["install", "--locked", "a"]).fails(14, "is not the file that was wanted");
    rig.run(&["fetch"]).fails(14, "is not the file that was wanted");
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
    rig.run(&["install", "b"]).ok();
    assert_eq!(rig.read("prefix/bin/b"), "something else");

    let rig = self::rig();
    rig.run(&["lock", "a"]).ok();
    rig.write("recipes/note", "two\n");
    rig.run(&["install", "--locked", "a"])
        .fails(14, "note beside the recipe is not the file that was wanted");
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
}

#[test]
fn files_that_are_not_written_down_are_not_used() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    rig.write("recipes/recipe.lock", lock.replace("/b-1.tar.gz", "/other.tar.gz"));
    rig.run(&["install", "--locked", "b"]).fails(20, "b-1.tar.gz is not in the lock file, for b");
    rig.write("recipes/recipe.lock", lock.replace("beside:note", "beside:other"));
    rig.run(&["install", "--locked", "a"]).fails(20, "beside:note is not in the lock file, for a");
    // A digest of the recipe's own does not help against the lock file's.
    let call = format!("download(`{}/b-${{pkg.version}}.tar.gz`", rig.server.url(""));
    let text = rig.recipe("b").replace(&call, &format!("{call}, \"{}\"", "0".repeat(64)));
    assert_ne!(text, rig.recipe("b"));
    rig.write("recipes/b.rhai", text);
    rig.write("recipes/recipe.lock", &lock);
    rig.run(&["install", "--locked", "b"]).fails(20, "was changed since it was locked");
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
}

#[test]
fn recipes_that_were_changed_are_refused_and_named() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    let (a, b) = (rig.recipe("a"), rig.recipe("b"));
    rig.write("recipes/a.rhai", a.replace("// fixed", "// another comment"));
    rig.run(&["lock", "--check"]).ok();
    rig.write("recipes/lib/l.rhai", "fn note() { print(\"from another library\"); }\n");
    rig.run(&["install", "--locked", "a"]).fails(20, "was changed since it was locked");
    rig.write("recipes/b.rhai", b.replace("version: \"1\"", "version: \"2\""));
    rig.run(&["install", "--locked", "b"]).fails(20, "the lock file has version 1, the recipe 2");
    let out = rig.run(&["lock", "--check"]);
    assert_eq!(out.code, Some(20));
    assert_eq!(
        out.stdout,
        "a: its recipe, or a library of it, was changed since it was locked\n\
         b: the lock file has version 1, the recipe 2\n"
    );
    // Without --locked it is only said.
    rig.release("b", "2", &[("bin/b", "b2")]);
    let out = rig.run(&["install", "b"]).ok();
    assert!(out.stderr.contains("`recipe lock b` writes down what it is now"), "{}", out.stderr);
    assert_eq!(rig.run(&["lock", "a"]).ok().stdout, "~ a 1 -> 1\n~ b 1 -> 2\n");
    rig.run(&["install", "--locked", "a"]).ok();
    assert_eq!(rig.read("prefix/bin/b"), "b2");
    rig.write("recipes/c.rhai", b.replace("\"b\"", "\"c\""));
    rig.run(&["install", "--locked", "c"]).fails(20, "c is not in recipe.lock");
}

#[test]
fn what_is_installed_is_written_down_without_making_it_again() {
    let rig = rig();
    rig.run(&["install", "a"]).ok();
    let before = rig.server.log().len();
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    assert_eq!(rig.run(&["lock", "--dry-run"]).ok().stdout, "+ a 1\n+ b 1\n");
    assert!(!rig.path("recipes/recipe.lock").exists());
    let out = rig.run(&["lock", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(json["packages"][1]["name"], "b");
    assert_eq!(rig.server.log().len(), before, "it is known what they were made from");
    rig.run(&["remove", "a", "b"]).ok();
    assert_eq!(rig.run(&["lock"]).ok().stdout, "- a 1\n- b 1\n");
}

#[test]
fn a_lock_file_that_is_none_is_an_error_that_says_so() {
    let rig = rig();
    rig.run(&["install", "--locked", "a"]).fails(20, "recipe.lock");
    rig.run(&["fetch"]).fails(20, "recipe.lock");
    rig.run(&["lock", "a"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    rig.run(&["fetch", "c"]).fails(20, "c is not in recipe.lock");
    for (text, says) in [
        (lock.replace("version = 1\n", "version = 2\n"), "expected version 1, found 2"),
        (lock.replace("sha256 = \"", "sha256 = \"z"), "is not a lock file of recipe"),
        (lock.replace("[[package]]", "[[packages]]"), "is not a lock file of recipe"),
        ("[[".to_owned(), "is not a lock file of recipe"),
    ] {
        assert_ne!(text, lock);
        rig.write("recipes/recipe.lock", text);
        rig.run(&["install", "--locked", "a"]).fails(20, says);
        rig.run(&["install", "a"]).fails(20, says);
    }
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
}

#[test]
fn lists_of_digests_are_written_down_too() {
    let rig = rig();
    let call = "extract(\"tar.gz\");";
    let list = rig.server.url("/SHA256SUMS");
    rig.write(
        "recipes/b.rhai",
        rig.recipe("b").replace(call, &format!("verify_checksums(\"{list}\"); {call}")),
    );
    let sums = |rig: &Rig| {
        let digest = common::hash::Sha256::of(&std::fs::read(rig.path("www/b-1.tar.gz")).expect("packed"));
        rig.write("www/SHA256SUMS", format!("{digest}  b-1.tar.gz\n"));
    };
    sums(&rig);
    rig.run(&["lock", "b"]).ok();
    elsewhere(&rig);
    assert_eq!(rig.run(&["fetch"]).ok().stdout.lines().count(), 2);
    let before = rig.server.log().len();
    rig.run(&["install", "--locked", "--offline", "b"]).ok();
    assert_eq!(rig.server.log().len(), before);
    // Whoever changes both the archive and the list changes nothing.
    rig.release("b", "1", &[("bin/b", "something else")]);
    sums(&rig);
    elsewhere(&rig);
    rig.run(&["install", "--locked", "--reinstall", "b"]).fails(14, "is not the file that was wanted");
}

/// Two who say what a file must be have to agree.
#[test]
fn a_digest_of_the_recipe_is_held_against_the_lock_files() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    let bytes = std::fs::read(rig.path("www/p-1.tar.gz")).expect("packed");
    let sha256 = common::hash::Sha256::of(&bytes).to_string();
    rig.add("p", "1", "install_bin(\"p\");");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("tar.gz`);", &format!("tar.gz`, \"{sha256}\");")));
    rig.run(&["lock", "p"]).ok();
    rig.run(&["install", "--locked", "p"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    assert_eq!(lock.matches(&sha256).count(), 1, "{lock}");
    rig.write("recipes/recipe.lock", lock.replace(&sha256, &"0".repeat(64)));
    rig.run(&["install", "--locked", "--reinstall", "p"]).fails(20, "p-1.tar.gz of the lock file");
}

/// Entries that say the wrong thing of what is installed, and of what a server has now.
#[test]
fn entries_are_mended_by_what_is_installed_or_made_again() {
    let rig = rig();
    rig.run(&["install", "b"]).ok();
    rig.run(&["lock"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    let url = rig.server.url("/b-1.tar.gz");
    let digest = |rig: &Rig| {
        common::hash::Sha256::of(&std::fs::read(rig.path("www/b-1.tar.gz")).expect("packed")).to_string()
    };
    let first = digest(&rig);
    for (from, to) in [(&url, format!("{url}x")), (&first, "0".repeat(64))] {
        rig.write("recipes/recipe.lock", lock.replace(from.as_str(), &to));
        let out = rig.run(&["lock", "--check"]);
        let says = "b: the lock file has it made from other files than what is installed\n";
        assert_eq!((out.code, out.stdout.as_str()), (Some(20), says), "{out:#?}");
        let out = rig.run(&["install", "--locked", "--reinstall", "b"]);
        assert!(out.stderr.contains("hint: ") && out.stderr.contains("`recipe lock --update b`"), "{out:#?}");
        assert_eq!(rig.run(&["lock", "b"]).ok().stdout, "~ b 1 -> 1\n");
        assert_eq!(rig.read("recipes/recipe.lock"), lock);
    }
    // The server has another file by now: only who is asked to look there knows.
    rig.release("b", "1", &[("bin/b", "another")]);
    let second = digest(&rig);
    assert_ne!(first, second);
    assert_eq!(rig.run(&["lock", "b"]).ok().stdout, "");
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    let out = rig.run(&["install", "--locked", "--reinstall", "b"]).fails(14, "is not the file that was");
    assert!(out.stderr.contains("`recipe lock --update b`"), "{out:#?}");
    assert_eq!(rig.run(&["lock", "-n", "--update", "b"]).ok().stdout, "~ b 1 -> 1\n");
    assert_eq!(rig.read("recipes/recipe.lock"), lock);
    let out = rig.run(&["lock", "--update", "b"]).ok();
    assert_eq!(out.stdout, "~ b 1 -> 1\n");
    assert!(out.stderr.contains("b 1 is made, to see from what"), "{out:#?}");
    assert_eq!(
        rig.read("recipes/recipe.lock"),
        lock.replace(&first, &second).replace(
            &format!("size = {}", size(&lock)),
            &format!("size = {}", std::fs::metadata(rig.path("www/b-1.tar.gz")).expect("packed").len()),
        )
    );
    assert_eq!(rig.run(&["lock"]).ok().stdout, "", "what is true of the recipe stays, if it was not named");
    rig.run(&["lock", "--update", "--offline", "b"]).fails(13, "is not in the cache");
    rig.run(&["install", "--locked", "--reinstall", "b"]).ok();
    assert_eq!(rig.read("prefix/bin/b"), "another");
    rig.run(&["lock", "--check"]).ok();
    // What is not installed is made from what is there now, too; what was not named stays.
    elsewhere(&rig);
    rig.run(&["lock", "a"]).ok();
    rig.release("a", "1", &[("bin/a", "another")]);
    rig.release("b", "1", &[("bin/b", "a third")]);
    assert_eq!(rig.run(&["lock", "--update", "a"]).ok().stdout, "~ a 1 -> 1\n");
    rig.run(&["lock", "--update", "--check"]).fails(2, "cannot be used with");
}

fn size(lock: &str) -> String {
    let size = lock.lines().find_map(|line| line.strip_prefix("size = ")).expect("a size");
    size.to_owned()
}

#[test]
fn each_platform_has_its_own_sources() {
    let rig = rig();
    let (here, other) = (format!("linux-{}", std::env::consts::ARCH), "linux-other");
    rig.run(&["lock", "b"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    let theirs = lock.replace(&here, other);
    rig.write("recipes/recipe.lock", &theirs);
    let says = format!("b: the lock file has it for {other}, not for {here}");
    rig.run(&["install", "--locked", "b"]).fails(20, &says);
    assert_eq!(rig.run(&["lock", "--check"]).stdout, format!("{says}\n"));
    assert_eq!(rig.run(&["lock", "b"]).ok().stdout, "~ b 1 -> 1\n");
    let both = rig.read("recipes/recipe.lock");
    assert_eq!((both.matches(&here).count(), both.matches(other).count()), (1, 1), "{both}");
    rig.run(&["install", "--locked", "b"]).ok();
    // Those of others stay as long as the recipe says the same.
    assert_eq!(rig.run(&["lock", "--update", "b"]).ok().stdout, "");
    assert_eq!(rig.run(&["lock"]).ok().stdout, "");
    assert_eq!(rig.read("recipes/recipe.lock"), both);
    rig.write("recipes/recipe.lock", both.replace("linux-other", "linux-another"));
    rig.write("recipes/b.rhai", rig.recipe("b").replace("fn install() {", "fn install() { print(1);"));
    rig.run(&["lock", "b"]).ok();
    let new = rig.read("recipes/recipe.lock");
    assert_eq!((new.matches(&here).count(), new.matches("another").count()), (1, 0), "{new}");
}
