//! Completion in the shells themselves: each on a terminal, with the script that its package has, and a Tab that is pressed.

use std::path::PathBuf;

use common::cmd::Cmd;

use crate::rig::Rig;
use testkit::terminal::Terminal;

const PROMPT: &str = "ready>";

/// Recipes `alpha`, `alpine` and `beta`, of which `alpha` and `beta` are installed, `beta` in an older version.
fn rig() -> Rig {
    let rig = Rig::new();
    for name in ["alpha", "alpine", "beta"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    // What was removed keeps its record as long as it can come back.
    rig.run(&["install", "alpine"]).ok();
    rig.run(&["remove", "alpine"]).ok();
    rig.run(&["install", "alpha", "beta"]).ok();
    rig.write("recipes/beta.rhai", rig.recipe("beta").replace("version: \"1\" }", "version: \"2\" }"));
    rig
}

/// A shell with nothing of the user's, and the completion as our package installs it below `share`.
fn shell(rig: &Rig, name: &str) -> Option<Terminal> {
    let Some(program) = common::cmd::which(name) else {
        testkit::skip(&format!("completion in {name}"), &format!("{name} is not installed"));
        return None;
    };
    let share = rig.path("share");
    for (shell, path) in recipe::complete::SCRIPTS {
        let script = recipe::complete::script(shell, "recipe").expect("a script");
        rig.write(&format!("share/{path}"), script);
    }
    let share = share.display();
    let (args, start) = match name {
        "bash" => (
            vec!["--norc".to_owned(), "--noprofile".to_owned(), "-i".to_owned()],
            format!(
                "bind 'set bell-style none'; bind 'set show-all-if-ambiguous on'; . {share}/bash-completion/completions/recipe.bash; PS1='{PROMPT} '"
            ),
        ),
        "zsh" => (
            vec!["-f".to_owned(), "-i".to_owned()],
            format!(
                "unsetopt beep; unset zle_bracketed_paste; fpath=({share}/zsh/site-functions $fpath); autoload -Uz compinit; \
                 compinit -D -u; PS1='{PROMPT} '"
            ),
        ),
        _ => (
            vec!["--no-config".to_owned(), "-i".to_owned()],
            format!(
                "source {share}/fish/vendor_completions.d/recipe.fish; function fish_prompt; echo '{PROMPT} '; end"
            ),
        ),
    };
    // The program that is in PATH is the one that is asked.
    let bin = PathBuf::from(env!("CARGO_BIN_EXE_recipe"));
    let path = format!("{}:{}", bin.parent()?.display(), std::env::var("PATH").unwrap_or_default());
    let cmd = Cmd::new(program).args(args).env("PATH", path).env("HOME", rig.path("")).dir(rig.path(""));
    let cmd = cmd.env("RECIPE_PATH", rig.path("recipes")).env("XDG_CONFIG_HOME", rig.path("config"));
    let cmd = cmd.env("XDG_DATA_HOME", rig.path("data")).env("HISTFILE", "/dev/null");
    let mut terminal = Terminal::start(&cmd.under("setsid", &["--ctty", "--wait"]));
    // The word is put together by the shell: the line that is typed does not have it.
    terminal.send(&format!("{}\n", start.replace(PROMPT, "rea''dy>")));
    terminal.wait_for(&[PROMPT]);
    Some(terminal)
}

fn completes(name: &str) {
    let rig = rig();
    let Some(mut terminal) = shell(&rig, name) else { return };
    let prefix = rig.path("prefix").display().to_string();
    // One candidate is put in; several are shown, and what they have in common is put in.
    for (typed, expected) in [
        (format!("recipe -p {prefix} remove al\t"), &["remove alpha"][..]),
        (format!("recipe -p {prefix} upgrade \t"), &["upgrade beta"]),
        ("recipe install alph\t".to_owned(), &["install alpha"]),
        ("recipe helpers install_ma\t".to_owned(), &["helpers install_man"]),
        ("recipe outd\t".to_owned(), &["recipe outdated"]),
        ("recipe install a\t\t".to_owned(), &["alpha", "alpine"]),
    ] {
        terminal.send(&typed);
        terminal.wait_for(expected);
        // ^U takes the line back; then nothing of it is on the screen.
        terminal.send("\u{15}clear\n");
        terminal.wait_until(|screen| screen.trim() == PROMPT);
    }
    terminal.send("exit\n");
    terminal.end();
}

#[test]
fn bash_completes_names() {
    completes("bash");
}

#[test]
fn zsh_completes_names() {
    completes("zsh");
}

#[test]
fn fish_completes_names() {
    completes("fish");
}

#[test]
fn candidates_are_those_that_are_meant() {
    let rig = rig();
    let prefix = rig.path("prefix").display().to_string();
    // As the script of bash asks.
    let ask = |words: &[&str]| {
        let words = [&["recipe", "-p", &prefix], words].concat();
        let index = (words.len() - 1).to_string();
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).arg("--").args(words.iter().copied());
        let cmd = cmd.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", index);
        let out = cmd.env("RECIPE_PATH", rig.path("recipes")).read().expect("it answers");
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // Commands by the names that the manual has for them; other names work, and are completed for who begins one.
    let commands = ask(&[""]);
    for name in ["install", "upgrade", "remove", "list", "search"] {
        assert!(commands.iter().any(|c| c == name), "{name}: {commands:?}");
    }
    for alias in ["add", "up", "rm", "uninstall", "ls", "find"] {
        assert!(commands.iter().all(|c| c != alias), "{alias}: {commands:?}");
    }
    assert_eq!(ask(&["inst"]), ["install"]);
    assert_eq!(ask(&["uni"]), ["uninstall"]);
    // Options are for who begins one.
    assert_eq!(ask(&["install", "--re"]), ["--reinstall", "--recipes", "--require-trust"]);
    assert_eq!(ask(&["install", "--color", "n"]), ["never"]);
    assert_eq!(ask(&["install", ""]), ["alpha", "alpine", "beta"]);
    assert_eq!(ask(&["add", "al"]), ["alpha", "alpine"], "by another name");
    assert_eq!(ask(&["install", "alpha", ""]), ["alpine", "beta"], "what is there is not meant again");
    assert_eq!(ask(&["remove", ""]), ["alpha", "beta"]);
    assert_eq!(ask(&["deps", "al"]), ["alpha", "alpine"], "what is not installed has a tree, too");
    assert_eq!(ask(&["upgrade", ""]), ["beta"]);
    assert!(ask(&["rollback", "beta", "1"]).is_empty(), "there is no other version");
    // A value of this option is behind `=`, or it has none.
    assert_eq!(ask(&["install", "--dry-run", ""]), ["alpha", "alpine", "beta"]);
    assert_eq!(ask(&["install", "-n", "al"]), ["alpha", "alpine"]);
    assert_eq!(ask(&["install", "--dry-run=p"]), ["--dry-run=plan"]);
    // Recipes can be named by their paths.
    rig.write("more/recipe.txt", "");
    rig.write("more/own.rhai", "");
    let more = rig.path("more").display().to_string();
    assert_eq!(ask(&["install", &format!("{more}/")]), [format!("{more}/own.rhai")]);
    assert_eq!(ask(&["lint", &more]), [format!("{more}/")]);
    assert_eq!(ask(&["undo", ""]).len(), 3);
    // Each version once.
    rig.run(&["install", "--reinstall", "alpha"]).ok();
    rig.release("alpha", "2", &[("bin/alpha", "2")]);
    rig.write("recipes/alpha.rhai", rig.recipe("alpha").replace("version: \"1\" }", "version: \"2\" }"));
    rig.run(&["upgrade", "alpha"]).ok();
    assert_eq!(ask(&["rollback", "alpha", ""]), ["1"]);
    assert!(ask(&["fetch", "a"]).is_empty(), "there is no lock file");
    rig.run(&["lock", "alpha"]).ok();
    assert_eq!(ask(&["fetch", ""]), ["alpha"]);
    // What the line says of places counts.
    rig.write("other/gamma.rhai", "");
    let other = rig.path("other").display().to_string();
    assert_eq!(ask(&["-r", &other, "install", ""]), ["gamma"]);
    assert_eq!(ask(&[&format!("--recipes={other}"), "install", ""]), ["gamma"]);
    // A static program cannot ask who it is, so without HOME there is no answer: not a wrong one, and no error.
    let cmd = Cmd::new("env").args(["--unset=HOME", env!("CARGO_BIN_EXE_recipe"), "--", "recipe", "inst"]);
    let cmd = cmd.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", "1");
    assert_eq!(cmd.read().expect("it is no error"), "");
    // What cannot be read has no candidates, and is no error.
    assert!(ask(&["-r", "/nonexistent", "install", "a"]).is_empty());
}
