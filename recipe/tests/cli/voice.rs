//! Colours as they are agreed on, and names that are nearly right.

use common::cmd::Cmd;

use crate::rig::{Out, Rig};
use testkit::terminal::Terminal;

fn rig() -> Rig {
    let rig = Rig::new();
    rig.release("ripgrep", "1", &[("bin/rg", "rg")]);
    rig.add("ripgrep", "1", "install_bin(\"rg\");");
    rig
}

/// With these variables, and without the others.
fn with(rig: &Rig, args: &[&str], variables: &[&str]) -> Out {
    let unset = ["-u", "NO_COLOR", "-u", "CLICOLOR", "-u", "CLICOLOR_FORCE"];
    rig.ran(rig.cmd(args).under("env", &[&unset, variables].concat()))
}

#[test]
fn colours_are_where_the_user_wants_them() {
    let rig = rig();
    let install = ["install", "--reinstall", "ripgrep"];
    let painted = "\u{1b}[33m~\u{1b}[0m \u{1b}[1mripgrep\u{1b}[0m 1 -> 1\n";
    let plain = "~ ripgrep 1 -> 1\n";
    rig.run(&["install", "ripgrep"]).ok();
    for (more, variables, expected) in [
        (&[][..], &[][..], plain),
        (&["--color", "always"], &["NO_COLOR=1"], painted),
        (&["--color=never"], &["CLICOLOR_FORCE=1"], plain),
        (&[], &["CLICOLOR_FORCE=1"], painted),
        (&[], &["CLICOLOR_FORCE=0"], plain),
        // Who wants none gets none.
        (&[], &["CLICOLOR_FORCE=1", "NO_COLOR=1"], plain),
        (&[], &["CLICOLOR_FORCE=1", "NO_COLOR="], painted),
    ] {
        let out = with(&rig, &[&install[..], more].concat(), variables).ok();
        assert_eq!(out.stdout, expected, "{more:?} {variables:?}");
    }
    let error = with(&rig, &["info", "rigrep", "--color=always"], &[]);
    assert!(error.stderr.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m there is no"), "{error:?}");
    assert!(
        error.stderr.contains("\n\u{1b}[1m\u{1b}[36mhint:\u{1b}[0m did you mean ripgrep?\n"),
        "{error:?}"
    );
    // The command line's own errors, too.
    assert!(with(&rig, &["--color=always", "nothing"], &[]).stderr.contains('\u{1b}'));
    let removed = with(&rig, &["remove", "ripgrep"], &["CLICOLOR_FORCE=1"]).ok().stdout;
    assert_eq!(removed, "\u{1b}[31m-\u{1b}[0m \u{1b}[1mripgrep\u{1b}[0m 1\n");
    // JSON has none, whatever is asked for.
    let json = with(&rig, &["install", "ripgrep", "--json", "--color=always"], &[]).ok().stdout;
    assert!(json.starts_with("{\n") && !json.contains('\u{1b}'), "{json}");
}

#[test]
fn a_terminal_has_colours_unless_somebody_objects() {
    let rig = rig();
    let colours = |cmd: &Cmd| {
        let ended = Terminal::start(cmd).end().with(11);
        ended.bytes.windows(5).any(|bytes| bytes == b"\x1b[31m")
    };
    assert!(colours(&rig.cmd(&["info", "rigrep"])));
    assert!(!colours(&rig.cmd(&["info", "rigrep", "--color", "never"])));
    assert!(!colours(&rig.cmd(&["info", "rigrep"]).under("env", &["NO_COLOR=1"])));
    assert!(!colours(&rig.cmd(&["info", "rigrep"]).under("env", &["TERM=dumb"])));
}

#[test]
fn names_of_every_kind_get_a_hint() {
    let rig = rig();
    rig.add("ripgrep-all", "1", "");
    rig.run(&["install", "ripgrep"]).ok();
    rig.run(&["lock"]).ok();
    let meant = "did you mean ripgrep?";
    for args in [
        &["install", "rigrep"][..],
        // Only what is installed can be meant here.
        &["remove", "ripgrep-al"],
        &["remove", "ripgrep-all"],
        &["upgrade", "ripgerp"],
        &["files", "ripgerp"],
        &["check", "ripgerp"],
        &["why", "ripgerp"],
        &["tree", "--reverse", "ripgrep-all"],
        &["deps", "ripgerp"],
        &["mark", "dep", "ripgerp"],
        &["rollback", "ripgerp"],
        &["lint", "ripgerp"],
        &["lock", "ripgerp"],
        &["search", "ripgerp"],
    ] {
        rig.run(args).fails(11, meant);
    }
    rig.run(&["fetch", "ripgerp"]).fails(20, meant);
    rig.run(&["helpers", "instal_bin"]).fails(11, "did you mean install_bin?");
    // The best first, and no more than three.
    for (typed, meant) in [
        ("instal", "some similar subcommands exist: 'install', 'uninstall'\n"),
        ("remvoe", "some similar subcommands exist: 'remove', 'review'\n"),
        ("updat", "a similar subcommand exists: 'update'\n"),
        ("rdeps", "tip: `recipe tree --reverse NAME` shows what needs a package\n"),
        ("completions", "tip: `COMPLETE=bash recipe` prints the script for bash; zsh and fish have theirs\n"),
        ("man", "tip: `man recipe` is the manual, `man recipe-install` that of a command\n"),
    ] {
        let out = rig.run(&[typed, "ripgrep"]).fails(2, meant);
        assert_eq!(out.stderr.matches("tip:").count(), 1, "{}", out.stderr);
    }
    rig.run(&["cache", "inf"]).fails(2, "a similar subcommand exists: 'info'\n");
    rig.run(&["zzz"]).fails(2, "unrecognized subcommand 'zzz'\n\nUsage: recipe [OPTIONS] <COMMAND>\n");
    // The usage has what must be typed, not what the environment says.
    let cmd =
        rig.cmd(&["info"]).env("RECIPE_PATH", rig.path("recipes")).env("RECIPE_CACHE", rig.path("cache"));
    rig.ran(cmd).fails(2, "\n\nUsage: recipe info [OPTIONS] <NAMES>...\n");
    rig.run(&["files", "zzz"]).fails(11, "`recipe list` shows all recipes");
}

#[test]
fn text_of_a_recipe_cannot_steer_the_terminal() {
    let rig = rig();
    let text = rig.recipe("ripgrep").replace("extract(", "print(\"\\x1b[2Jgone\\x07\"); extract(");
    rig.write("recipes/ripgrep.rhai", text);
    let ended = Terminal::start(&rig.cmd(&["install", "ripgrep"])).end().with(0);
    assert!(ended.last.contains("\nripgrep: \\u{1b}[2Jgone\\u{7}\n"), "{}", ended.last);
}
