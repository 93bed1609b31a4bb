//! Directories that two packages have: they stay until the last of them goes, and nothing else takes their place.

use serde_json::json;

use common::cmd::Cmd;

use crate::rig::{Rig, tree};

/// Publishes a version of a package: a file `share/NAME`, these directories without anything in them, and these files and links
/// (path, and where it leads), all of them below `share`. Its recipe, if there is one, gets that version and keeps its state.
fn package(rig: &Rig, name: &str, version: &str, dirs: &[&str], files: &[&str], links: &[(&str, &str)]) {
    let top = format!("{name}-{version}");
    let share = rig.path("src").join(&top).join("share");
    let put = |path: &str| {
        let path = share.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        path
    };
    dirs.iter().for_each(|dir| std::fs::create_dir_all(put(dir)).expect("made"));
    for file in files.iter().chain([&name]) {
        std::fs::write(put(file), format!("{file} of {top}")).expect("written");
    }
    for (path, target) in links {
        std::os::unix::fs::symlink(target, put(path)).expect("made");
    }
    let archive = rig.path("www").join(format!("{top}.tar.gz"));
    let tar = Cmd::new(testkit::oracle("tar")).arg("-czf").arg(archive).arg("-C").arg(rig.path("src"));
    tar.arg(&top).run().expect("tar packs");
    let recipe = rig.path("recipes").join(format!("{name}.rhai"));
    match std::fs::read_to_string(&recipe) {
        Ok(text) => {
            let (before, rest) = text.split_once("version: \"").expect("a version");
            let (_, behind) = rest.split_once('"').expect("its end");
            std::fs::write(recipe, format!("{before}version: \"{version}\"{behind}")).expect("written");
        }
        Err(_) => rig.add(name, version, "install_tree(\"share\", \"share\");"),
    }
}

/// `a` and `b`, installed, have both an empty `share/spool/x`.
fn both() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b"] {
        package(&rig, name, "1", &["spool/x"], &[], &[]);
        rig.run(&["install", name]).ok();
    }
    rig
}

/// The directory is there, and nothing is missing anywhere.
#[track_caller]
fn there(rig: &Rig) {
    assert!(rig.prefix("share/spool/x").is_dir(), "{:?}", rig.tree());
    rig.run(&["check"]).ok();
}

/// It is not, nor is the one above it, which had nothing else.
#[track_caller]
fn gone(rig: &Rig) {
    assert!(!rig.prefix("share/spool").exists(), "{:?}", rig.tree());
    rig.run(&["check"]).ok();
}

#[test]
fn it_goes_with_the_last_that_has_it() {
    for (first, last) in [("a", "b"), ("b", "a")] {
        let rig = both();
        rig.run(&["remove", first]).ok();
        there(&rig);
        rig.run(&["remove", last]).ok();
        gone(&rig);
        // Back they come, one after the other.
        rig.run(&["undo"]).ok();
        there(&rig);
        rig.run(&["remove", last]).ok();
        gone(&rig);
    }
    let rig = both();
    rig.run(&["remove", "a", "b"]).ok();
    gone(&rig);
    rig.run(&["undo"]).ok();
    there(&rig);
    // What somebody put there stays.
    rig.write("prefix/share/spool/x/mine", "1");
    rig.run(&["remove", "a", "b"]).ok();
    assert_eq!(rig.read("prefix/share/spool/x/mine"), "1");
}

#[test]
fn a_version_without_it_and_one_with_it_again() {
    let rig = both();
    package(&rig, "b", "2", &[], &[], &[]);
    rig.run(&["upgrade"]).ok();
    there(&rig);
    rig.run(&["undo"]).ok();
    rig.run(&["rollback", "b", "2"]).ok();
    there(&rig);
    // Now it is a's alone.
    rig.run(&["remove", "a"]).ok();
    gone(&rig);
    rig.run(&["rollback", "b", "1"]).ok();
    there(&rig);
    rig.run(&["rollback", "b", "2"]).ok();
    gone(&rig);
    // One leaves it and the other brings it, in one transaction.
    rig.run(&["rollback", "b", "1"]).ok();
    package(&rig, "b", "3", &[], &[], &[]);
    rig.run(&["install", "a", "b"]).ok();
    there(&rig);
    rig.run(&["undo"]).ok();
    there(&rig);
}

#[test]
fn an_installation_that_is_undone_takes_it_from_nobody() {
    let rig = Rig::new();
    package(&rig, "a", "1", &["spool/x"], &[], &[]);
    package(&rig, "b", "1", &["spool/x"], &[], &[]);
    rig.run(&["install", "a"]).ok();
    rig.run(&["install", "b"]).ok();
    rig.run(&["undo"]).ok();
    there(&rig);
    // Killed anywhere, it is there: it was a's all the time.
    for when in 1.. {
        let attacked = rig.attacked(&["install", "b"], "renameat2", "signal=KILL", when);
        rig.run(&["repair"]).ok();
        there(&rig);
        if attacked.is_none() {
            assert!(when > 1, "it was never met");
            break;
        }
        let _ = rig.run(&["remove", "b"]);
        there(&rig);
    }
}

/// A directory is of those that have files in it, though these are gone, too.
#[test]
fn a_directory_of_files_stays_for_whose_files_are_missing() {
    let rig = Rig::new();
    for name in ["a", "b"] {
        package(&rig, name, "1", &[], &[&format!("spool/x/{name}")], &[]);
    }
    rig.run(&["install", "a", "b"]).ok();
    std::fs::remove_file(rig.prefix("share/spool/x/b")).expect("removed");
    rig.run(&["remove", "a"]).ok();
    assert!(rig.prefix("share/spool/x").is_dir());
    rig.run(&["remove", "b"]).ok();
    assert!(!rig.prefix("share/spool").exists());
}

/// A package that no recipe file knows of any more has what it has, all the same.
#[test]
fn it_stays_for_a_package_whose_recipe_is_gone() {
    let rig = both();
    std::fs::remove_file(rig.path("recipes/a.rhai")).expect("removed");
    rig.run(&["remove", "b"]).ok();
    assert!(rig.prefix("share/spool/x").is_dir());
}

/// Nobody knows what it has: what is empty is left, and said.
#[test]
fn where_a_record_cannot_be_read_no_directory_goes() {
    let rig = both();
    let db = rig.prefix(".recipe/db/a").read_dir().expect("read").map(|entry| entry.expect("read").path());
    let record = db.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).expect("a record");
    std::fs::write(&record, "{").expect("written");
    // It says nothing of files.
    rig.write("prefix/share/nobodys", "");
    let file = rig.prefix("share/nobodys").to_string_lossy().into_owned();
    rig.run(&["owns", &file]).fails(11, "belongs to no package");
    let out = rig.run(&["remove", "b"]).ok();
    assert!(out.stderr.contains("directories that are empty now stay: failed to read "), "{out:?}");
    assert!(rig.prefix("share/spool/x").is_dir() && !rig.prefix("share/b").exists());
}

#[test]
fn owns_names_all_of_them() {
    let rig = both();
    let dir = rig.prefix("share/spool/x").to_string_lossy().into_owned();
    let all = format!("{dir}: a 1\n{dir}: b 1\n");
    assert_eq!(rig.run(&["owns", &dir]).ok().stdout, all);
    assert_eq!(rig.run(&["owns", &format!("{dir}/")]).ok().stdout, all);
    // Also the one that has files of both.
    let share = rig.prefix("share").to_string_lossy().into_owned();
    let file = rig.prefix("share/b").to_string_lossy().into_owned();
    let out = rig.run(&["owns", "--json", &share, &file]).ok().stdout;
    let found: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(found["owners"], json!({ &share: "a", &file: "b" }));
    assert_eq!(found["packages"], json!({ &share: ["a", "b"], &file: ["b"] }));
    rig.run(&["remove", "a"]).ok();
    assert_eq!(rig.run(&["owns", &dir]).ok().stdout, format!("{dir}: b 1\n"));
    rig.run(&["remove", "b"]).ok();
    rig.run(&["owns", &dir]).fails(11, "belongs to no package");
}

#[test]
fn a_directory_that_is_missing_or_something_else_is_found() {
    let rig = both();
    let dir = rig.prefix("share/spool/x");
    std::fs::remove_dir(&dir).expect("removed");
    for (problem, how) in [("it is missing", false), ("it is no directory any more", true)] {
        if how {
            std::fs::write(&dir, "").expect("written");
        }
        let line = |name: &str| format!("{name}: {}: {problem}\n", dir.display());
        assert_eq!(rig.run(&["check"]).fails(14, "2 differ").stdout, line("a") + line("b").as_str());
    }
    std::fs::remove_file(&dir).expect("removed");
    rig.run(&["install", "--reinstall", "a"]).ok();
    there(&rig);
}

/// What one has as a directory, another one would have as a file or a link.
#[test]
fn a_file_or_link_in_the_place_of_anothers_directory_is_refused() {
    let files: (&[&str], &[(&str, &str)]) = (&["spool/x"], &[]);
    let links: (&[&str], &[(&str, &str)]) = (&[], &[("spool/x", "../y")]);
    for (files, links) in [files, links] {
        // It comes new.
        let rig = Rig::new();
        package(&rig, "a", "1", &["spool/x"], &[], &[]);
        package(&rig, "c", "1", &[], files, links);
        rig.run(&["install", "a", "c"]).fails(15, "share/spool/x: a file of c, and a directory of a");
        rig.run(&["install", "a"]).ok();
        let before = rig.tree();
        rig.run(&["install", "c"]).fails(15, "share/spool/x: a directory stands there");
        rig.run(&["install", "c", "--overwrite", "*"]).fails(15, "share/spool/x: a directory stands there");
        assert_eq!(rig.tree(), before);
        rig.run(&["remove", "a"]).ok();
        rig.run(&["install", "c"]).ok();
        rig.run(&["install", "a"]).fails(15, "stands where a directory is needed");
        // It had a file in that directory before, or had the directory itself, or one in it.
        for (dirs, had) in [(&[][..], &["spool/x/c"][..]), (&["spool/x"], &[]), (&["spool/x/y/z"], &[])] {
            let rig = Rig::new();
            package(&rig, "a", "1", &["spool/x"], &[], &[]);
            package(&rig, "c", "1", dirs, had, &[]);
            rig.run(&["install", "a", "c"]).ok();
            package(&rig, "c", "2", &[], files, links);
            let before = tree(&rig.path("prefix/share"));
            rig.run(&["upgrade"]).fails(15, "share/spool/x: a directory of a");
            assert_eq!(tree(&rig.path("prefix/share")), before);
            rig.run(&["check"]).ok();
            // Without the other one it makes room.
            rig.run(&["remove", "a"]).ok();
            rig.run(&["upgrade"]).ok();
            assert!(!rig.prefix("share/spool/x").symlink_metadata().expect("there").is_dir());
            rig.run(&["check"]).ok();
            rig.run(&["undo"]).ok();
            assert!(rig.prefix("share/spool/x").is_dir());
            rig.run(&["check"]).ok();
        }
    }
}

/// A directory in it is another's, though the one that makes room is not.
#[test]
fn a_directory_below_is_anothers() {
    let rig = Rig::new();
    package(&rig, "a", "1", &["spool/x/deep"], &[], &[]);
    package(&rig, "c", "1", &[], &["spool/x/c"], &[]);
    rig.run(&["install", "a", "c"]).ok();
    package(&rig, "c", "2", &[], &["spool/x"], &[]);
    rig.run(&["upgrade"]).fails(15, "share/spool/x: a directory of a");
    // Both change their mind at the same time.
    package(&rig, "a", "2", &[], &[], &[]);
    rig.run(&["upgrade"]).ok();
    assert_eq!(rig.read("prefix/share/spool/x"), "spool/x of c-2");
    rig.run(&["check"]).ok();
    rig.run(&["undo"]).ok();
    assert!(rig.prefix("share/spool/x/deep").is_dir());
    rig.run(&["check"]).ok();
}
