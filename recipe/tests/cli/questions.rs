//! Who is asked before something is done, what he is shown, and what his answers do.

use crate::rig::Rig;
use testkit::terminal::{Ended, Terminal};

/// `a` needs `b`, and `c` to be built; `d` needs nothing.
fn rig() -> Rig {
    let rig = Rig::new();
    for (name, fields) in [("a", ", deps: [\"b\"], build_deps: [\"c\"]"), ("b", ""), ("c", ""), ("d", "")] {
        release(&rig, name, "1", fields);
    }
    rig
}

fn release(rig: &Rig, name: &str, version: &str, fields: &str) {
    rig.release(name, version, &[(&format!("bin/{name}"), name)]);
    rig.add(name, version, &format!("install_bin(\"{name}\");"));
    let text = rig.recipe(name).replace(" }; // fixed", &format!("{fields} }};"));
    rig.write(&format!("recipes/{name}.rhai"), text);
}

/// Runs a command on a terminal; types the answer when it is asked, and must be asked.
#[track_caller]
fn answer(rig: &Rig, args: &[&str], question: &str, answer: &str) -> Ended {
    let mut terminal = Terminal::start(&rig.cmd(args));
    terminal.wait_for(&["Proceed? ", question]);
    terminal.send(answer);
    terminal.end()
}

/// Runs a command on a terminal; it must not ask.
#[track_caller]
fn unasked(rig: &Rig, args: &[&str]) -> Ended {
    let ended = Terminal::start(&rig.cmd(args)).end();
    assert!(!ended.last.contains("Proceed?"), "{}", ended.last);
    ended
}

#[test]
fn who_gets_more_than_he_asked_for_is_shown_it_and_asked() {
    let rig = rig();
    let no = answer(&rig, &["install", "a"], "[Y/n]", "n\n").with(29);
    assert_eq!(
        no.last,
        "  package  version\n+ c        1        to build a\n+ b        1        dependency\n+ a        1\n3 packages\n\
         Proceed? [Y/n] n\nerror: not done, as you said; nothing was changed"
    );
    assert!(rig.tree().is_empty() && rig.server.log().is_empty(), "no code has run");
    // Return is yes where nothing is lost.
    let yes = answer(&rig, &["install", "a"], "[Y/n]", "\n").with(0);
    assert!(yes.last.contains("\n+ c 1\n+ b 1\n+ a 1\nInstalled 3 packages (+3 B) in "), "{}", yes.last);
    assert_eq!(rig.tree().len(), 4);
}

#[test]
fn who_gets_what_he_asked_for_is_not_asked() {
    let rig = rig();
    let ended = unasked(&rig, &["install", "d"]).with(0);
    assert!(ended.last.starts_with("  package  version\n+ d        1\n1 package\n+ d 1\n"), "{}", ended.last);
    unasked(&rig, &["install", "--reinstall", "d"]).with(0);
    unasked(&rig, &["remove", "d"]).with(0);
    unasked(&rig, &["install", "--yes", "a"]).with(0);
    // Programs are not asked, nor is who only wants to know.
    unasked(&rig, &["remove", "--cascade", "-y", "b"]).with(0);
    unasked(&rig, &["install", "a", "--json"]).with(0);
    unasked(&rig, &["remove", "--cascade", "--dry-run", "b"]).with(0);
    unasked(&rig, &["remove", "b"]).with(12);
    // Without a terminal nobody is there: it must neither ask nor wait, but say what comes along.
    let out = rig.ran(rig.cmd(&["remove", "--cascade", "b"]));
    assert_eq!(out.stdout, "- a 1\n- b 1\n", "{out:?}");
    assert!(out.stderr.contains("- a        1        -1 B  needs b\n"), "{out:?}");
}

#[test]
fn return_keeps_what_would_be_lost() {
    let rig = rig();
    rig.run(&["install", "a"]).ok();
    let before = rig.tree();
    for args in [&["remove", "--cascade", "b"][..], &["remove", "-s", "a"], &["undo"], &["autoremove"]] {
        if args == ["autoremove"] {
            rig.run(&["mark", "dep", "a"]).ok();
        }
        for no in ["\n", "n\n", "\u{4}", "what\n?\nso\n"] {
            let ended = answer(&rig, args, "[y/N]", no).with(29);
            assert!(ended.last.contains("nothing was changed"), "{}", ended.last);
            assert_eq!(rig.tree(), before, "{args:?} {no:?}");
        }
    }
    let ended = answer(&rig, &["autoremove"], "[y/N]", "perhaps\nYES\n").with(0);
    assert!(ended.last.contains("expected yes or no, found \"perhaps\""), "{}", ended.last);
    assert!(ended.last.contains("Removed 3 packages (-3 B) in "), "{}", ended.last);
    assert!(rig.tree().len() <= 1);
}

#[test]
fn an_upgrade_of_everything_and_an_older_version_are_asked_for() {
    let rig = rig();
    rig.run(&["install", "d"]).ok();
    let set = |version: &str| {
        rig.release("d", version, &[("bin/d", "d")]);
        let text = rig.recipe("d");
        let rest = text.split_once("version: \"").expect("a version").1.split_once('"').expect("its end").1;
        rig.write("recipes/d.rhai", format!("let pkg = #{{ name: \"d\", version: \"{version}\"{rest}"));
    };
    set("2");
    answer(&rig, &["upgrade"], "[Y/n]", "n\n").with(29);
    let named = unasked(&rig, &["upgrade", "d"]).with(0);
    assert!(named.last.contains("\nUpgraded 1 package (+0 B) in "), "{}", named.last);
    // The recipe went back: what is newer would be lost.
    set("1");
    let ended = answer(&rig, &["install", "d"], "[y/N]", "\n").with(29);
    assert!(ended.last.contains("~ d        2 -> 1"), "{}", ended.last);
    let ended = answer(&rig, &["install", "d"], "[y/N]", "y\n").with(0);
    assert!(ended.last.contains("\nDowngraded 1 package"), "{}", ended.last);
    // A rollback names its package.
    unasked(&rig, &["rollback", "d", "2"]).with(0);
}

#[test]
fn a_signal_ends_the_question() {
    let rig = rig();
    let mut terminal = Terminal::start(&rig.cmd(&["install", "a"]));
    terminal.wait_for(&["Proceed? "]);
    let pid = rustix::process::Pid::from_child(&terminal.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    let ended = terminal.end().with(130);
    assert!(ended.last.ends_with("error: interrupted; nothing was changed"), "{}", ended.last);
    assert!(rig.tree().is_empty());
}

#[test]
fn what_is_done_is_what_was_shown() {
    let rig = rig();
    let mut terminal = Terminal::start(&rig.cmd(&["install", "a"]));
    terminal.wait_for(&["Proceed? "]);
    rig.write("recipes/b.rhai", rig.recipe("b").replace("version: \"1\"", "version: \"1\", deps: [\"d\"]"));
    terminal.send("y\n");
    let ended = terminal.end().with(10);
    assert!(ended.last.contains("the recipe of b was changed while you were asked"), "{}", ended.last);
    assert!(rig.tree().is_empty() && rig.server.log().is_empty());
}
