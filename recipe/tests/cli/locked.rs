//! `--locked` to the last byte, and before any code runs.

use std::time::Duration;

use testkit::server::Answer;

use crate::base::System;
use crate::lockfile::{elsewhere, rig};
use crate::rig::Rig;

#[test]
fn a_download_ends_at_the_size_of_the_lock_file() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    let size = std::fs::metadata(rig.path("www/b-1.tar.gz")).expect("packed").len();
    let says = format!("is not the file that was wanted\n  expected {size} bytes\n  found    more");
    for answer in [Answer::Endless, Answer::Bytes(vec![0; 1 << 20])] {
        elsewhere(&rig);
        rig.server.answer("/b-1.tar.gz", answer);
        rig.run(&["install", "--locked", "b"]).fails(14, &says);
        rig.run(&["fetch", "b"]).fails(14, &says);
        assert!(rig.tree().is_empty(), "{:?}", rig.tree());
        assert!(
            crate::rig::tree(&rig.path("cache")).values().all(|what| what == "dir"),
            "nothing is kept of it"
        );
    }
}

#[test]
fn a_size_that_is_not_the_files_is_an_error() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    let size = std::fs::metadata(rig.path("www/b-1.tar.gz")).expect("packed").len();
    let line = format!("size = {size}\n");
    assert!(lock.contains(&line), "{lock}");
    rig.write("recipes/recipe.lock", lock.replace(&line, &format!("size = {}\n", size + 1)));
    // Now from the cache, then from the server.
    let says = format!("expected {} bytes\n  found    {size} bytes", size + 1);
    rig.run(&["install", "--locked", "b"]).fails(14, &says);
    elsewhere(&rig);
    rig.run(&["install", "--locked", "b"]).fails(14, &says);
    rig.write("recipes/recipe.lock", lock.replace("size = 4\n", "size = 5\n"));
    rig.run(&["install", "--locked", "a"])
        .fails(14, "note beside the recipe is not the file that was wanted");
    assert!(rig.tree().is_empty(), "{:?}", rig.tree());
}

#[test]
fn no_code_runs_when_one_of_all_packages_is_not_as_locked() {
    let rig = rig();
    // `c` builds `b`, which `a` needs: both would run before `a` is looked at.
    rig.release("c", "1", &[("bin/c", "c")]);
    rig.add("c", "1", "print(\"code of c\"); install_bin(\"c\");");
    let b = rig.recipe("b").replace("\"1\" };", "\"1\", build_deps: [\"c\"] };");
    rig.write("recipes/b.rhai", b.replace("fn install() {", "fn install() { print(\"code of b\");"));
    rig.run(&["install", "--as-dep", "c"]).ok();
    rig.run(&["lock", "a"]).ok();
    rig.run(&["remove", "c"]).ok();
    let a = rig.recipe("a");
    rig.write("recipes/a.rhai", a.replace("share/note", "share/notes"));
    let out = rig.run(&["install", "--locked", "a"]);
    assert!(!out.stderr.contains("code of"), "{}", out.stderr);
    out.fails(20, "a: its recipe, or a library of it, was changed since it was locked");
    assert!(!rig.prefix("bin/c").exists());
    rig.write("recipes/a.rhai", a);
    let out = rig.run(&["install", "--locked", "a"]).ok();
    assert!(out.stderr.contains("code of c") && out.stderr.contains("code of b"), "{}", out.stderr);
}

/// `b` is version 1 in the lock file, and 2 is installed.
#[test]
fn what_is_installed_in_another_version_than_locked_is_named() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    rig.release("b", "2", &[("bin/b", "b2")]);
    let b = rig.recipe("b");
    rig.write("recipes/b.rhai", b.replace("\"1\" };", "\"2\" };"));
    rig.run(&["install", "b"]).ok();
    let installed = rig.recipe("b");
    let says = "a: the lock file has it with b 1, and here it comes with b 2";
    rig.run(&["install", "--locked", "a"]).fails(20, says);
    assert!(!rig.prefix("bin/a").exists());
    rig.run(&["install", "--locked", "b"]).fails(20, "b 2 is installed, and recipe.lock has b 1");
    let out = rig.run(&["lock", "--check"]);
    assert_eq!(out.code, Some(20));
    assert!(out.stdout.contains(says), "{}", out.stdout);
    // The recipe is that of version 1 again, and 2 is still installed.
    rig.write("recipes/b.rhai", installed.replace("version: \"2\"", "version: \"1\""));
    rig.run(&["lock", "--check"]).ok();
    rig.run(&["install", "--locked", "a"]).fails(20, says);
    rig.run(&["install", "--locked", "a", "b"]).ok();
    assert_eq!(rig.read("prefix/bin/b"), "b");
}

#[test]
fn packages_are_built_with_what_is_locked() {
    let rig = rig();
    rig.release("c", "1", &[("bin/c", "c")]);
    rig.release("c", "2", &[("bin/c", "c2")]);
    rig.add("c", "2", "install_bin(\"c\");");
    rig.write("recipes/b.rhai", rig.recipe("b").replace("\"1\" };", "\"1\", build_deps: [\"c\"] };"));
    rig.run(&["install", "c"]).ok();
    rig.run(&["lock", "b"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    rig.run(&["install", "--locked", "b"]).ok();
    rig.run(&["remove", "b"]).ok();
    rig.write("recipes/recipe.lock", lock.replace("version = \"2\"", "version = \"1\""));
    rig.run(&["install", "--locked", "b"]).fails(20, "c 2 is installed, and recipe.lock has c 1");
}

#[test]
fn the_base_in_the_place_of_a_recipe_is_another_dependency() {
    let system = System::new();
    let rig = &system.0;
    let recipe = "let pkg = #{ name: \"a\", version: \"1\", deps: [\"openssl\"] };\n\
                  fn install() { write_file(\"f\", \"\"); install_file(\"f\", \"share/a\"); }\n";
    rig.write("recipes/a.rhai", recipe);
    system.run(&["lock", "a"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    assert!(lock.contains("deps = [\"openssl (base)\"]"), "{lock}");
    rig.write("recipes/recipe.lock", lock.replace("openssl (base)", "openssl 3"));
    system
        .run(&["install", "--locked", "a"])
        .fails(20, "a: the lock file has it with openssl 3, and here it comes with openssl (base)");
    rig.write("recipes/recipe.lock", lock);
    system.run(&["install", "--locked", "a"]).ok();
}

#[test]
fn a_name_that_is_there_twice_is_an_error() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    let lock = rig.read("recipes/recipe.lock");
    let at = lock.find("[[package]]").expect("an entry");
    let entries: Vec<_> = lock[at..].split("[[package]]\n").skip(1).collect();
    let again = format!("{lock}\n[[package]]\n{}", entries[0]);
    rig.write("recipes/recipe.lock", again);
    for args in [&["install", "--locked", "a"][..], &["fetch"], &["lock", "a"], &["lock", "--check"]] {
        rig.run(args).fails(20, "recipe.lock has a twice");
    }
    // The order is nobody's mistake.
    let turned = format!("{}[[package]]\n{}\n[[package]]\n{}", &lock[..at], entries[1], entries[0]);
    rig.write("recipes/recipe.lock", turned.replace("deps = [\"b 1\"]", "deps = []"));
    rig.run(&["lock", "a"]).ok();
    assert_eq!(rig.read("recipes/recipe.lock"), lock);
}

#[test]
fn an_interrupt_of_fetch_is_one_error() {
    let rig = rig();
    rig.run(&["lock", "a"]).ok();
    elsewhere(&rig);
    let before = rig.server.log().len();
    for name in ["a", "b"] {
        rig.server.answer(&format!("/{name}-1.tar.gz"), Answer::Drip(Duration::from_millis(10)));
    }
    let mut cmd = rig.cmd(&["fetch", "-j", "2"]).std();
    let child = cmd.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("it starts");
    while rig.server.log().len() < before + 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    let out = child.wait_with_output().expect("waited");
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert_eq!((out.status.code(), out.stdout.len()), (Some(130), 0), "{said}");
    assert_eq!(said, "error: interrupted; nothing was changed\n");
}

/// Version 1 is removed by the library that it was installed with.
#[test]
fn an_installed_version_keeps_its_libraries() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p1")]);
    rig.add("p", "1", "install_bin(\"p\");");
    let text = rig.recipe("p").replace("let pkg", "import \"l\" as l;\nlet pkg");
    rig.write(
        "recipes/p.rhai",
        format!("{text}fn remove() {{ l::goes(); }}\nfn post_install() {{ l::comes(); }}\n"),
    );
    let library = |said: &str| {
        format!(
            "import \"m\" as m;\nfn goes() {{ m::say(\"{said} goes\"); }}\nfn comes() {{ m::say(\"{said} comes\"); }}\n"
        )
    };
    rig.write("recipes/lib/m.rhai", "fn say(what) { print(what); }\n");
    rig.write("recipes/lib/l.rhai", library("one"));
    rig.run(&["install", "p"]).ok();
    // Another library, and version 2 without it.
    rig.write("recipes/lib/l.rhai", library("two"));
    std::fs::remove_file(rig.path("recipes/lib/m.rhai")).expect("removed");
    let out = rig.run(&["remove", "p"]).ok();
    assert!(out.stderr.contains("p: one goes"), "{}", out.stderr);
    let out = rig.run(&["undo"]).ok();
    assert!(out.stderr.contains("p: one comes"), "{}", out.stderr);
    rig.run(&["install", "--reinstall", "p"]).fails(10, "cannot import \"m\": there is no ");
    let out = rig.run(&["remove", "p"]).ok();
    assert!(out.stderr.contains("p: one goes"), "{}", out.stderr);
}

/// Packages `p1` to `p4` of one file each, all in the lock file, none in the cache; the server sends them only together.
fn together() -> (Rig, [&'static str; 4]) {
    let rig = Rig::new();
    let names = ["p1", "p2", "p3", "p4"];
    for name in names {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    rig.run(&[&["lock"], &names[..]].concat()).ok();
    rig.run(&["cache", "clean", "--all"]).ok();
    for name in names {
        let path = format!("/{name}-1.tar.gz");
        let bytes = std::fs::read(rig.path(&format!("www{path}"))).expect("packed");
        rig.server.answer(&path, Answer::Together(4, bytes));
    }
    (rig, names)
}

#[test]
fn files_of_the_lock_file_are_downloaded_at_the_same_time() {
    for locked in [true, false] {
        let (rig, names) = together();
        let asked = rig.server.log().len();
        let how: &[&str] = if locked { &["--locked"] } else { &[] };
        let args = [&["install"], &names[..], how].concat();
        let out = rig.run(&args).ok();
        assert!(out.stderr.contains("[4/4] http://"), "{out:?}");
        let mut log = rig.server.log()[asked..].to_vec();
        log.sort();
        assert_eq!(log, names.map(|name| format!("/{name}-1.tar.gz")));
        // What is there is not asked for again, nor looked at for nothing.
        let out = rig.run(&["install", "--locked", "--reinstall", "p1", "p2"]).ok();
        assert!(!out.stderr.contains("[1/2] http://") && rig.server.log().len() == asked + 4, "{out:?}");
    }
}

#[test]
fn a_file_that_is_not_to_be_had_ends_an_installation_from_the_lock_file_before_any_code_runs() {
    let (rig, names) = together();
    rig.server.answer("/p4-1.tar.gz", Answer::Status(404));
    for name in &names[..3] {
        rig.server.answer(&format!("/{name}-1.tar.gz"), Answer::Redirect(format!("/{name}-1.tar.gz?")));
    }
    let args = [&["install", "--locked"], &names[..]].concat();
    let out = rig.run(&args);
    assert!(!out.stderr.contains("p1: install"), "{out:?}");
    out.fails(13, "p4-1.tar.gz\n  caused by: HTTP 404");
    // Without --locked it is the recipe's business, and the others are there.
    let asked = rig.server.log().len();
    let out = rig.run(&[&["install"], &names[..]].concat());
    assert!(out.stderr.contains("[4/4] p4: install"), "{out:?}");
    out.fails(13, "recipes/p4.rhai:6:5: failed to download");
    assert!(rig.server.log()[asked..].iter().all(|path| path == "/p4-1.tar.gz"), "{:?}", rig.server.log());
}

/// What a recipe may not need, or does not need any more, is not downloaded.
#[test]
fn only_what_is_needed_is_downloaded_ahead() {
    let (rig, names) = together();
    for name in names {
        rig.server.answer(&format!("/{name}-1.tar.gz"), Answer::Redirect(format!("/{name}-1.tar.gz?")));
    }
    // As it is locked, but it is there already; and another one than is locked.
    rig.write("recipes/p1.rhai", rig.recipe("p1") + "fn is_installed() { true }\n");
    rig.run(&["lock", "p1"]).ok();
    rig.run(&["cache", "clean", "--all"]).ok();
    rig.write("recipes/p2.rhai", rig.recipe("p2").replace("p2-$", "p2.$").replace("p2\");", "p3\");"));
    let asked = rig.server.log().len();
    let args = [&["install"], &names[..]].concat();
    rig.run(&args).fails(13, "p2.1.tar.gz: HTTP 404");
    let log = rig.server.log()[asked..].to_vec();
    assert!(!log.iter().any(|path| path.contains("p1-1") || path.contains("p2-1")), "{log:?}");
    assert!(log.iter().any(|path| path.contains("p4-1")), "{log:?}");
    // Nothing is asked for where only the cache counts, or only a plan.
    let asked = rig.server.log().len();
    rig.run(&["cache", "clean", "--all"]).ok();
    rig.run(&["install", "--dry-run=plan", "p3", "p4"]).ok();
    rig.run(&["install", "--offline", "p3", "p4"]).fails(13, "is not in the cache");
    assert_eq!(rig.server.log().len(), asked);
}
