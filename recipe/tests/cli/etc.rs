//! `recipe etc`: configuration files that were changed here and by their package, and one text out of both.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::rig::Rig;

const ONE: &[u8] = b"port = 1\n# a\n# b\n# c\nname = one\n";
const TWO: &[u8] = b"port = 1\n# a\n# b\n# c\nname = two\n";
const MINE: &[u8] = b"port = 7\n# a\n# b\n# c\nname = one\n";
const BOTH: &[u8] = b"port = 7\n# a\n# b\n# c\nname = two\n";

/// A package with a configuration file, in version 1.
fn installed(conf: &[u8]) -> Rig {
    let rig = Rig::new();
    rig.add("p", "1", "install_config(\"conf\", \"etc/p.conf\");");
    release(&rig, "1", conf);
    rig.run(&["install", "p"]).ok();
    rig
}

fn release(rig: &Rig, version: &str, conf: &[u8]) {
    rig.write(&format!("src/p-{version}/conf"), conf);
    rig.release("p", version, &[("bin/p", version)]);
    let text = rig.recipe("p");
    let old = text.lines().find(|l| l.starts_with("let pkg")).expect("pkg").to_owned();
    let new = format!("let pkg = #{{ name: \"p\", version: \"{version}\" }}; // fixed");
    rig.write("recipes/p.rhai", text.replace(&old, &new));
}

fn upgrade(rig: &Rig, version: &str, conf: &[u8]) -> crate::rig::Out {
    release(rig, version, conf);
    rig.run(&["upgrade"]).ok()
}

/// Version 2 came, and both have changed the file.
fn waiting(one: &[u8], mine: &[u8], two: &[u8]) -> Rig {
    let rig = installed(one);
    rig.write("prefix/etc/p.conf", mine);
    let out = upgrade(&rig, "2", two);
    assert!(out.stderr.contains("etc/p.conf.new"), "{out:#?}");
    rig
}

fn conf(rig: &Rig) -> (Vec<u8>, Option<Vec<u8>>) {
    let read = |name: &str| std::fs::read(rig.prefix(name)).ok();
    (read("etc/p.conf").expect("it is there"), read("etc/p.conf.new"))
}

fn path(rig: &Rig) -> String {
    rig.prefix("etc/p.conf").display().to_string()
}

#[test]
fn both_changes_are_merged_and_undone() {
    let rig = waiting(ONE, MINE, TWO);
    std::fs::set_permissions(rig.prefix("etc/p.conf"), PermissionsExt::from_mode(0o600)).expect("set");
    assert_eq!(rig.run(&["etc"]).ok().stdout, format!("{}  p  2  merges cleanly\n", path(&rig)));
    let diff = rig.run(&["etc", "diff"]).ok().stdout;
    assert!(diff.contains("-port = 7\n+port = 1\n") && diff.contains("-name = one\n+name = two\n"), "{diff}");
    let before = (conf(&rig), rig.recipe("p"));
    rig.run(&["etc", "merge", "-n"]).ok();
    assert_eq!((conf(&rig), rig.recipe("p")), before);
    let out = rig.run(&["etc", "merge", &path(&rig)]).ok();
    assert_eq!(out.stdout, format!("{}: merged\n", path(&rig)));
    assert!(out.stderr.contains("`recipe etc undo PATH` brings back both"), "{out:#?}");
    assert_eq!(conf(&rig), (BOTH.to_vec(), None));
    assert_eq!(rig.prefix("etc/p.conf").metadata().expect("there").mode() & 0o777, 0o600);
    assert_eq!(rig.run(&["etc"]).ok().stdout, "");
    rig.run(&["etc", "merge", &path(&rig)]).fails(11, "has no other version of its package beside it");
    // And back: by its relative name, of the other file.
    rig.run(&["etc", "undo", "prefix/etc/p.conf.new"]).ok();
    assert_eq!(conf(&rig), before.0);
    assert_eq!(rig.prefix("etc/p.conf").metadata().expect("there").mode() & 0o777, 0o600);
    rig.run(&["etc", "undo", &path(&rig)]).fails(11, "was not merged");
    rig.run(&["etc", "merge"]).ok();
    assert_eq!(conf(&rig), (BOTH.to_vec(), None));
    rig.write("prefix/etc/p.conf", "again");
    rig.run(&["etc", "undo", &path(&rig)]).fails(15, "it was changed since");
    assert_eq!(conf(&rig), (b"again".to_vec(), None));
    assert!(!rig.prefix(".recipe/stage").exists());
}

#[test]
fn one_of_both_is_taken() {
    for (how, expect) in [("accept", TWO), ("keep", MINE)] {
        let rig = waiting(ONE, MINE, TWO);
        rig.run(&["etc", how]).fails(2, "required");
        rig.run(&["etc", how, &path(&rig)]).ok();
        assert_eq!(conf(&rig), (expect.to_vec(), None), "{how}");
        rig.run(&["etc", "undo", &path(&rig)]).ok();
        assert_eq!(conf(&rig), (MINE.to_vec(), Some(TWO.to_vec())), "{how}");
        rig.run(&["etc", how, &path(&rig)]).ok();
        // From then on the file is made from version 2.
        let out = upgrade(&rig, "3", b"port = 1\n# a\n# b\n# c\nname = three\n");
        let merges = out.stderr.contains("merges both cleanly");
        assert_eq!((merges, out.stderr.contains(".new")), (false, how == "keep"), "{how}: {out:#?}");
    }
}

#[test]
fn what_contradicts_is_left_or_marked() {
    let rig = waiting(ONE, MINE, b"port = 2\n# a\n# b\n# c\nname = one\n");
    assert!(rig.run(&["etc"]).ok().stdout.ends_with("  conflicts\n"));
    let before = conf(&rig);
    rig.run(&["etc", "merge"]).fails(15, "1 changes contradict the package's");
    assert_eq!(conf(&rig), before);
    let out = rig.run(&["etc", "merge", "--write-conflicts"]).ok();
    assert!(out.stdout.ends_with("merged, with marks in 1 places\n"), "{out:#?}");
    let (text, new) = conf(&rig);
    let text = String::from_utf8(text).expect("text");
    for line in ["<<<<<<< ours\nport = 7\n", "port = 1\n=======\nport = 2\n>>>>>>> theirs\n# a\n"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(new.is_none());
    rig.run(&["etc", "undo", &path(&rig)]).ok();
    assert_eq!(conf(&rig), before);
}

#[test]
fn the_text_an_edit_was_made_from_is_kept_from_version_to_version() {
    let rig = waiting(ONE, MINE, TWO);
    // More versions than the history keeps, and nothing was done about the first.
    for version in 3..26 {
        let text = format!("port = 1\n# a\n# b\n# c\nname = {version}\n");
        let out = upgrade(&rig, &version.to_string(), text.as_bytes());
        assert!(out.stderr.contains("merges both cleanly"), "{version}: {out:#?}");
        assert_eq!(conf(&rig), (MINE.to_vec(), Some(text.into_bytes())));
    }
    rig.run(&["install", "--reinstall", "p"]).ok();
    rig.run(&["etc", "merge"]).ok();
    assert_eq!(conf(&rig).0, b"port = 7\n# a\n# b\n# c\nname = 25\n");
    // It goes with the package, once the history has forgotten it.
    rig.run(&["remove", "p"]).ok();
    assert!(rig.prefix(".recipe/db/p").exists());
    rig.add("q", "1", "install_bin(\"q\");");
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.run(&["install", "q"]).ok();
    for _ in 0..22 {
        rig.run(&["install", "--reinstall", "q"]).ok();
    }
    assert!(!rig.prefix(".recipe/db/p").exists());
}

#[test]
fn a_merge_by_hand_counts() {
    let rig = waiting(ONE, MINE, TWO);
    rig.write("prefix/etc/p.conf", BOTH);
    std::fs::remove_file(rig.prefix("etc/p.conf.new")).expect("removed");
    assert_eq!(rig.run(&["etc"]).ok().stdout, "");
    let out = upgrade(&rig, "3", b"port = 1\n# a\n# b\n# c\nname = two\nmore\n");
    assert!(out.stderr.contains("merges both cleanly"), "{out:#?}");
    rig.run(&["etc", "merge"]).ok();
    assert_eq!(conf(&rig).0, b"port = 7\n# a\n# b\n# c\nname = two\nmore\n");
}

#[test]
fn what_is_no_text_is_not_merged_and_what_is_not_utf8_is_not_damaged() {
    let bytes = |text: &[u8]| text.iter().map(|b| if *b == b'#' { 0xff } else { *b }).collect::<Vec<_>>();
    let rig = waiting(&bytes(ONE), &bytes(MINE), &bytes(TWO));
    rig.run(&["etc", "merge"]).ok();
    assert_eq!(conf(&rig), (bytes(BOTH), None));

    let rig = waiting(b"a\0one\n", b"b\0one\n", b"a\0two\n");
    let before = conf(&rig);
    assert!(rig.run(&["etc", "diff"]).ok().stdout.starts_with("Binary files "));
    for args in [&["etc", "merge"][..], &["etc", "merge", "--write-conflicts"]] {
        rig.run(args).fails(15, "is not text");
        assert_eq!(conf(&rig), before);
    }
    rig.run(&["etc", "accept", &path(&rig)]).ok();
    assert_eq!(conf(&rig), (b"a\0two\n".to_vec(), None));
}

#[test]
fn nothing_of_anybody_else_is_replaced_by_what_comes_beside() {
    // Of nobody.
    let rig = installed(ONE);
    rig.write("prefix/etc/p.conf", MINE);
    rig.write("prefix/etc/p.conf.new", "my notes");
    assert_eq!(rig.run(&["etc"]).ok().stdout, "", "it is not the package's");
    release(&rig, "2", TWO);
    rig.run(&["upgrade"]).fails(15, "etc/p.conf.new: a file that belongs to no package");
    assert_eq!(conf(&rig), (MINE.to_vec(), Some(b"my notes".to_vec())));
    rig.run(&["install", "p", "--overwrite", "*/etc/p.conf.new"]).ok();
    assert_eq!(conf(&rig), (MINE.to_vec(), Some(TWO.to_vec())));
    // What we put there, and somebody wrote to.
    rig.write("prefix/etc/p.conf.new", "my notes");
    release(&rig, "3", b"three\n");
    rig.run(&["upgrade"]).fails(15, "etc/p.conf.new: a file that belongs to no package");
    // It is waiting all the same, and a merge is with what stands there.
    assert!(rig.run(&["etc", "diff"]).ok().stdout.contains("+my notes"));
    // Of another package.
    let rig = installed(ONE);
    rig.release("q", "1", &[("conf", "q's")]);
    rig.add("q", "1", "install_file(\"conf\", \"etc/p.conf.new\");");
    rig.run(&["install", "q"]).ok();
    rig.write("prefix/etc/p.conf", MINE);
    release(&rig, "2", TWO);
    rig.run(&["install", "p", "--overwrite", "*"]).fails(15, "etc/p.conf.new: belongs to q");
    assert_eq!(conf(&rig), (MINE.to_vec(), Some(b"q's".to_vec())));
    assert_eq!(rig.run(&["etc"]).ok().stdout, "");
}

#[test]
fn what_lies_beside_goes_when_it_says_nothing_any_more() {
    // With the package.
    let rig = waiting(ONE, MINE, TWO);
    rig.run(&["remove", "p"]).ok();
    assert_eq!(conf(&rig), (MINE.to_vec(), None));
    // By an undoing: the file was made from what comes back.
    let rig = waiting(ONE, MINE, TWO);
    rig.run(&["undo"]).ok();
    assert_eq!(conf(&rig), (MINE.to_vec(), None));
    rig.run(&["check"]).ok();
    // The package caught up.
    let rig = waiting(ONE, MINE, TWO);
    upgrade(&rig, "3", MINE);
    assert_eq!(conf(&rig), (MINE.to_vec(), None));
    // The user's was removed: the new one comes into its place.
    let rig = waiting(ONE, MINE, TWO);
    std::fs::remove_file(rig.prefix("etc/p.conf")).expect("removed");
    upgrade(&rig, "3", BOTH);
    assert_eq!(conf(&rig), (BOTH.to_vec(), None));
    // But not what somebody wrote there.
    let rig = waiting(ONE, MINE, TWO);
    rig.write("prefix/etc/p.conf.new", "my notes");
    rig.run(&["remove", "p"]).ok();
    assert_eq!(conf(&rig), (MINE.to_vec(), Some(b"my notes".to_vec())));
}

#[test]
fn without_a_base_nothing_is_guessed() {
    let rig = Rig::new();
    rig.add("p", "1", "install_config(\"conf\", \"etc/p.conf\");");
    release(&rig, "1", ONE);
    rig.write("prefix/etc/p.conf", MINE);
    rig.run(&["install", "p"]).ok();
    assert!(rig.run(&["etc"]).ok().stdout.ends_with("what it was made from is not known\n"));
    rig.run(&["etc", "merge"]).fails(15, "what it was made from is not known");
    assert_eq!(conf(&rig), (MINE.to_vec(), Some(ONE.to_vec())));
    rig.run(&["etc", "keep", &path(&rig)]).ok();
    // Now it is known.
    upgrade(&rig, "2", TWO);
    rig.run(&["etc", "merge"]).ok();
    assert_eq!(conf(&rig), (BOTH.to_vec(), None));
}

/// At every renaming and every removal.
#[test]
fn a_merge_that_is_killed_is_done_or_undone_by_the_next_one() {
    for then in ["merge", "undo"] {
        let mut killed = 0;
        for call in ["renameat2", "renameat", "rename", "unlinkat", "unlink"] {
            for when in 1.. {
                let rig = waiting(ONE, MINE, TWO);
                let Some(out) = rig.attacked(&["etc", "merge"], call, "signal=KILL", when) else { break };
                killed += 1;
                assert!(out.killed(), "{out:#?}");
                let (text, new) = conf(&rig);
                assert!(text == MINE || text == BOTH, "{call} {when}");
                assert!(new.as_deref() == Some(TWO) || (new.is_none() && text == BOTH), "{call} {when}");
                if then == "merge" {
                    rig.run(&["etc", then]).ok();
                    assert_eq!(conf(&rig), (BOTH.to_vec(), None), "{call} {when}");
                }
                let out = rig.run(&["etc", "undo", &path(&rig)]);
                assert!(matches!(out.code, Some(0 | 11)), "{call} {when}: {out:#?}");
                assert_eq!(conf(&rig), (MINE.to_vec(), Some(TWO.to_vec())), "{call} {when}");
                rig.run(&["check"]).ok();
                assert!(!rig.prefix(".recipe/stage").exists());
            }
        }
        assert!(killed > 5, "{killed}");
    }
}

/// An editor saves while a merge is about to put its text there.
#[test]
fn an_edit_that_is_made_meanwhile_is_not_lost() {
    let rig = waiting(ONE, MINE, TWO);
    let strace = testkit::oracle("strace");
    let args =
        ["-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:delay_enter=6s:when=1"];
    let cmd = rig.cmd(&["etc", "merge"]).under(strace.to_str().expect("UTF-8"), &args);
    let child = cmd.std().stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let staged = || {
        let dirs = rig.prefix(".recipe/stage").read_dir().ok()?;
        dirs.filter_map(Result::ok)
            .find(|dir| std::fs::read(dir.path().join("etc/ours")).is_ok_and(|text| text == BOTH))
    };
    while staged().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    rig.write("prefix/etc/p.conf", "saved");
    let out = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(15), "{said}");
    assert!(said.contains("somebody changed it meanwhile"), "{said}");
    assert_eq!(conf(&rig), (b"saved".to_vec(), Some(TWO.to_vec())));
}

#[test]
fn links_are_left_to_their_owner() {
    let rig = installed(ONE);
    let mine = rig.write("dotfiles/p.conf", MINE);
    std::fs::remove_file(rig.prefix("etc/p.conf")).expect("removed");
    std::os::unix::fs::symlink(&mine, rig.prefix("etc/p.conf")).expect("linked");
    upgrade(&rig, "2", TWO);
    for args in [["etc", "merge"].to_vec(), vec!["etc", "accept", &path(&rig)]] {
        rig.run(&args).fails(15, "one of both is not a file");
    }
    assert_eq!(conf(&rig), (MINE.to_vec(), Some(TWO.to_vec())));
    assert!(rig.prefix("etc/p.conf").is_symlink());
    let out = rig.run(&["etc", "keep", &path(&rig)]).ok();
    assert!(!out.stderr.contains("etc undo"), "{out:?}");
    assert_eq!(conf(&rig), (MINE.to_vec(), None));
    assert!(rig.prefix("etc/p.conf").is_symlink());
    assert_eq!(rig.run(&["etc"]).ok().stdout, "");
}

#[test]
fn the_owner_of_a_file_stays() {
    if !testkit::is_root() {
        return testkit::skip("owners of configuration files", "only root can give files away");
    }
    let rig = waiting(ONE, MINE, TWO);
    let id = rustix::fs::Uid::from_raw(1234);
    rustix::fs::chown(rig.prefix("etc/p.conf"), Some(id), None).expect("given away");
    for how in ["merge", "undo"] {
        rig.run(&["etc", how, &path(&rig)]).ok();
        assert_eq!(rig.prefix("etc/p.conf").metadata().expect("there").uid(), 1234, "{how}");
    }
}
