//! What was done can be seen, and undone: by a transaction like any other.

use crate::rig::{Rig, tree};

/// `p` in version 1 and then 2, with files that stay, change, come and go, and a configuration file.
fn upgraded() -> Rig {
    let rig = Rig::new();
    rig.release(
        "p",
        "1",
        &[("bin/p", "one"), ("conf", "a"), ("same", "1"), ("gone/deep", "1"), ("dir/x", "1")],
    );
    rig.release("p", "2", &[("bin/p", "two"), ("conf", "b"), ("same", "1"), ("new/deep", "2"), ("dir", "2")]);
    rig.add(
        "p",
        "1",
        "install_tree(\".\", \"share/p\"); install_bin(\"p\"); install_config(\"conf\", \"etc/p.conf\");",
    );
    rig.run(&["install", "--as-dep", "p"]).ok();
    rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1\" }; // fixed", "\"2\" }; // fixed"));
    rig
}

/// Numbers of all transactions, the last one first.
fn history(rig: &Rig) -> Vec<String> {
    let json = rig.run(&["history", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let all = json["transactions"].as_array().expect("a list");
    all.iter().map(|t| t["tx"].as_str().expect("a number").to_owned()).collect()
}

fn last(rig: &Rig) -> String {
    history(rig).swap_remove(0)
}

#[test]
fn an_upgrade_is_undone_and_done_again() {
    let rig = upgraded();
    let one = rig.tree();
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ p 1 -> 2\n");
    let two = rig.tree();
    assert_ne!(one, two);

    assert_eq!(rig.run(&["undo", "--dry-run"]).ok().stdout, "~ p 2 -> 1\n");
    assert_eq!(rig.tree(), two, "a dry run changes nothing");
    assert_eq!(rig.run(&["undo"]).ok().stdout, "~ p 2 -> 1\n");
    assert_eq!(rig.tree(), one);
    rig.run(&["check"]).ok();
    let state = rig.recipe("p");
    assert!(
        state.contains("let installed_version = \"1\";") && state.contains("let installed_as_dep = true;"),
        "{state}"
    );
    assert!(state.contains("version: \"2\" }; // fixed"), "the recipe itself is the user's: {state}");
    assert_eq!(rig.run(&["list"]).ok().stdout, "p  2  installed: 1\n");

    assert_eq!(rig.run(&["undo"]).ok().stdout, "~ p 1 -> 2\n");
    assert_eq!(rig.tree(), two);
    rig.run(&["check"]).ok();
    assert_eq!(rig.server.log().len(), 2, "nothing is downloaded again");
}

#[test]
fn installations_and_removals_are_undone() {
    let rig = upgraded();
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "install_bin(\"q\");");
    rig.run(&["install", "q"]).ok();
    let both = rig.tree();
    assert_eq!(rig.run(&["remove", "p", "q"]).ok().stdout, "- p 1\n- q 1\n");
    let none = rig.tree();
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), both);
    rig.run(&["check"]).ok();
    assert_eq!(rig.run(&["undo"]).ok().stdout, "- p 1\n- q 1\n");
    assert_eq!(rig.tree(), none);
    assert!(!rig.prefix("bin/p").exists() && rig.recipe("p").contains("let installed = false;"));
}

#[test]
fn what_was_changed_since_is_not_undone_over() {
    let rig = upgraded();
    let first = last(&rig);
    rig.run(&["upgrade"]).ok();
    let out = rig.run(&["undo", &first]).fails(15, "p was changed since by");
    assert!(out.stderr.contains("undo that first"), "{}", out.stderr);
    rig.run(&["undo", "0123"]).fails(11, "transaction 0123 is not in the history");

    // What the older version needs is gone: all of it is named, and nothing happens.
    let kept = rig.prefix(&format!(".recipe/history/{}/new/p/bin/p", last(&rig)));
    std::fs::write(&kept, "rotten").expect("it was kept there");
    let all = |rig: &Rig| {
        let mut all = tree(&rig.path("prefix"));
        // Says who held it last.
        all.remove(".recipe/lock");
        (all, rig.recipe("p"))
    };
    let before = all(&rig);
    let out = rig.run(&["undo"]).fails(15, "1 files of p 1 are nowhere as they were installed");
    assert!(out.stderr.contains("prefix/bin/p"), "{}", out.stderr);
    assert_eq!(all(&rig), before);
}

#[test]
fn a_configuration_that_was_edited_stays_when_an_upgrade_is_undone() {
    let rig = upgraded();
    rig.run(&["upgrade"]).ok();
    rig.write("prefix/etc/p.conf", "mine");
    rig.run(&["undo"]).ok();
    assert_eq!(rig.read("prefix/etc/p.conf"), "mine");
    assert_eq!(rig.read("prefix/bin/p"), "one");
}

#[test]
fn a_package_goes_back_to_a_version_it_had() {
    let rig = upgraded();
    let one = rig.tree();
    rig.run(&["rollback", "p"]).fails(11, "no other version of it is kept");
    rig.run(&["upgrade"]).ok();
    rig.run(&["rollback", "p", "7"]).fails(11, "known are 1");
    rig.run(&["undo"]).ok();
    rig.run(&["install", "--reinstall", "--as-dep", "p"]).ok();
    rig.run(&["rollback", "p", "7"]).fails(11, "known are 1\n");
    assert_eq!(rig.run(&["rollback", "p", "1"]).ok().stdout, "~ p 2 -> 1\n");
    assert_eq!(rig.tree(), one);
    rig.run(&["rollback", "nobody"]).fails(11, "nobody");
}

#[test]
fn history_tells_what_was_done() {
    let rig = Rig::new();
    assert_eq!(rig.run(&["history"]).ok().stdout, "");
    rig.run(&["undo"]).fails(11, "nothing has been done here yet");
    let rig = upgraded();
    rig.run(&["upgrade"]).ok();
    rig.run(&["remove", "p"]).ok();
    let text = rig.run(&["history"]).ok().stdout;
    let changes: Vec<_> =
        text.lines().map(|l| l.split_once("  ").expect("columns").1.trim_start()[10..].trim()).collect();
    assert_eq!(changes, ["- p 2", "~ p 1 -> 2", "+ p 1"], "{text}");
    let first = text.lines().last().and_then(|l| l.split(' ').next()).expect("a number");
    let files = rig.run(&["history", first]).ok().stdout;
    assert!(files.starts_with("+ p 1\n  ") && files.contains("bin/p\n"), "{files}");
}

#[test]
fn what_somebody_changed_goes_only_with_a_word_and_comes_back() {
    let rig = upgraded();
    rig.write("prefix/bin/p", "patched by hand");
    let patched = rig.tree();
    let out = rig.run(&["remove", "p"]).ok();
    assert!(out.stderr.contains("prefix/bin/p was changed since it was installed"), "{}", out.stderr);
    assert!(!rig.prefix("bin/p").exists());
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), patched, "undoing brings back what was there");
    // It is still known to be changed, and not taken for what was installed.
    rig.run(&["check"]).fails(14, "");
    let out = rig.run(&["upgrade"]).ok();
    assert!(out.stderr.contains("prefix/bin/p was changed since it was installed"), "{}", out.stderr);
    assert_eq!(rig.read("prefix/bin/p"), "two");
    rig.run(&["undo"]).ok();
    assert_eq!(rig.tree(), patched);

    // An installation that is undone takes it along, and brings it again.
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "install_bin(\"q\");");
    rig.run(&["install", "q"]).ok();
    rig.write("prefix/bin/q", "mine");
    let out = rig.run(&["undo"]).ok();
    assert!(out.stderr.contains("prefix/bin/q was changed since it was installed"), "{}", out.stderr);
    rig.run(&["undo"]).ok();
    assert_eq!(rig.read("prefix/bin/q"), "mine");

    // What was kept must be what was taken away.
    rig.run(&["remove", "q"]).ok();
    rig.write(&format!("prefix/.recipe/history/{}/old/q/bin/q", last(&rig)), "rotten");
    rig.run(&["undo"]).fails(15, "are nowhere as they were installed");
}

#[test]
fn a_configuration_that_was_edited_outlives_undoing_and_the_next_upgrade() {
    let rig = upgraded();
    rig.write("prefix/etc/p.conf", "mine");
    rig.run(&["upgrade"]).ok();
    rig.run(&["undo"]).ok();
    rig.run(&["upgrade"]).ok();
    assert_eq!(rig.read("prefix/etc/p.conf"), "mine");
    assert_eq!(rig.read("prefix/etc/p.conf.new"), "b");
}

#[test]
fn nothing_is_undone_that_others_need() {
    let rig = upgraded();
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "install_bin(\"q\");");
    let asks = |needs: &str| {
        rig.write(
            "recipes/q.rhai",
            rig.recipe("q").replace("\"1\" };", &format!("\"1\", deps: [{needs:?}] }};")),
        );
    };
    let first = last(&rig);
    asks("p");
    rig.run(&["install", "q"]).ok();
    let before = rig.tree();
    let out = rig.run(&["undo", &first]).fails(12, "p is needed by q, and would not be installed");
    assert!(out.stderr.contains("--no-deps"), "{}", out.stderr);
    assert_eq!(rig.tree(), before);

    // Nor is a version brought back that is too old for them; nor one that needs what is gone.
    rig.run(&["remove", "q"]).ok();
    rig.run(&["upgrade"]).ok();
    rig.write("recipes/q.rhai", rig.recipe("q").replace("deps: [\"p\"]", "deps: [\"p >= 2\"]"));
    rig.run(&["install", "q"]).ok();
    rig.run(&["rollback", "p"]).fails(12, "p >= 2 is needed by q, and 1 would be installed");
    rig.run(&["remove", "q"]).ok();
    rig.run(&["remove", "p"]).ok();
    let removed = history(&rig);
    rig.run(&["undo", &removed[1]]).fails(12, "p >= 2 is needed by q, and would not be installed");
    rig.run(&["undo", "--no-deps", &removed[1]]).ok();
    assert_eq!(rig.read("prefix/bin/q"), "q");
}

#[test]
fn a_file_that_is_written_to_while_it_is_copied_is_not_restored() {
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    let rig = Rig::new();
    let large = "x".repeat(4 << 20);
    rig.release("p", "1", &[("bin/p", "one"), ("large", &large)]);
    rig.release("p", "2", &[("bin/p", "two"), ("large", &large)]);
    rig.add("p", "1", "install_tree(\".\", \"share/p\");");
    rig.run(&["install", "p"]).ok();
    rig.write("recipes/p.rhai", rig.recipe("p").replace("\"1\" }; // fixed", "\"2\" }; // fixed"));
    rig.run(&["upgrade"]).ok();
    let path = rig.prefix("share/p/large");
    let (mut done, mut refused) = (0, 0);
    // Both happen on any machine, though nobody knows how often.
    for _ in 0..200 {
        let file = std::fs::File::options().write(true).open(&path).expect("it is there");
        let stop = AtomicBool::new(false);
        let out = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for byte in [b"y", b"x"] {
                        file.write_all_at(byte, large.len() as u64 - 1).expect("written");
                        std::thread::sleep(std::time::Duration::from_micros(500));
                    }
                }
            });
            let out = rig.run(&["undo"]);
            stop.store(true, Ordering::Relaxed);
            out
        });
        match out.code {
            Some(0) => done += 1,
            Some(15) => refused += 1,
            _ => panic!("{out:#?}"),
        }
        assert!(rig.read("prefix/share/p/large") == large, "what was installed is not what was recorded");
        if done > 0 && refused > 5 {
            return;
        }
    }
    panic!("of 200 runs {done} were done and {refused} refused: nothing was tested");
}

#[test]
fn a_history_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let rig = upgraded();
    std::fs::remove_dir_all(rig.prefix(".recipe/history")).expect("removed");
    assert_eq!(rig.run(&["history"]).ok().stdout, "");
    rig.write("prefix/.recipe/history", "a file");
    rig.run(&["history"]).fails(1, "failed to open the history");
}
