//! Recipe files as people write them and edit them: the state is right in each, and `grep` finds it.

use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use crate::rig::{Out, Rig};

const PKG: &str = "let pkg = #{ name: \"s\", version: \"1\" };";
const INSTALL: &str = "fn install() { write_file(\"x\", \"y\"); install_file(\"x\", \"share/a\"); }";

/// Whether `grep "installed = true"` finds something.
fn is_found(text: &str) -> bool {
    text.lines().any(|line| line.contains("installed = true"))
}

/// A rig with the recipe `s`.
fn of(text: &str) -> Rig {
    let rig = Rig::new();
    rig.write("recipes/s.rhai", text);
    rig
}

/// Installs `s` and removes it; what its file was in between, and afterwards.
#[track_caller]
fn there_and_back(text: &str) -> (String, String) {
    let rig = of(text);
    rig.run(&["install", "s"]).ok();
    let there = rig.recipe("s");
    assert!(is_found(&there), "{there}");
    assert_eq!(rig.run(&["list", "-i"]).ok().stdout.lines().count(), 1);
    rig.run(&["remove", "s"]).ok();
    let back = rig.recipe("s");
    assert!(!is_found(&back), "{back}");
    rig.run(&["lint", "s"]).ok();
    (there, back)
}

#[test]
fn grep_finds_what_is_installed_however_the_state_was_written() {
    for (written, expected) in [
        ("let installed=false;", "let installed = true;"),
        ("let   installed   =   false ;", "let installed = true;"),
        ("let installed\n  = false;", "let installed = true;"),
        ("\tlet\tinstalled\t=\tfalse\t;\t// mine", "\tlet installed = true;\t// mine"),
        ("let installed = /* no */ false; // mine", "let installed = true; /* no */ // mine"),
        (
            "let /* a */ installed // b\n = // c\n false /* d */ ;",
            "let installed = true; /* a */ // b\n// c\n/* d */",
        ),
        ("let a=1;let installed=false/* x */;let b=2;", "let a=1;let installed = true; /* x */"),
        ("let installed // x\n=false;let b=2;", "let installed = true; // x\n"),
    ] {
        for end in ["\n", "\r\n"] {
            let text = format!("{PKG}\n{written}\n{INSTALL}\n").replace('\n', end);
            let (there, back) = there_and_back(&text);
            let lines = expected.replace('\n', end);
            assert!(there.contains(&format!("{end}{lines}")), "{there}");
            assert!(there.contains("let b=2;") == written.contains("let b=2;"), "{there}");
            assert!(back.contains(&format!("{end}{}", lines.replace("true", "false"))), "{back}");
            assert!(there.ends_with(&format!("{INSTALL}{end}")) && there.starts_with(PKG), "{there}");
        }
    }
}

#[test]
fn comments_in_a_list_of_files_come_behind_it() {
    let text = format!("{PKG}\nlet installed_files = [ // none\n  /* really */\n]; // mine\n{INSTALL}\n");
    let (there, back) = there_and_back(&text);
    let behind = "]; // none\n/* really */ // mine\n";
    assert!(there.contains(&format!("/share/a\",\n{behind}")), "{there}");
    assert!(back.contains(&format!("\nlet installed_files = [{behind}")), "{back}");
}

/// What is no state, but looks like it, stays; `lint` says where it is.
#[test]
fn lint_names_what_deceives_grep() {
    let rig = of(&format!(
        "{PKG}\n// let installed = true;\nlet preinstalled = true;\nlet installed=true;\n{INSTALL}\nfn f() {{ let x = \
         \"installed = true\"; x }}\n"
    ));
    let out = rig.run(&["lint", "s"]).ok();
    let path = rig.path("recipes/s.rhai").display().to_string();
    for place in ["2:8", "3:8", "6:19"] {
        let says = format!(
            "warning: {path}:{place}: `grep \"installed = true\"` finds this, be the package installed"
        );
        assert!(out.stderr.contains(&says), "{place}: {}", out.stderr);
    }
    let says = format!("warning: {path}:4:1: expected `let installed = true;`");
    assert!(out.stderr.contains(&says), "{}", out.stderr);
    assert_eq!(out.stderr.matches("warning:").count(), 4, "{}", out.stderr);
    // Of what `recipe` writes itself there is nothing to say.
    let rig = of(&format!("{PKG}\n{INSTALL}\n"));
    rig.run(&["install", "s"]).ok();
    assert!(!rig.run(&["lint", "s"]).ok().stderr.contains("warning"));
}

/// Starts a command whose exchange of the recipe file comes late, and saves the file right before it; what became of both.
fn saved_before_the_exchange(text: &str, args: &[&str], save: impl Fn(&str) -> Vec<u8>) -> (Out, Vec<u8>) {
    let rig = of(text);
    let strace = testkit::oracle("strace");
    let late =
        ["-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:delay_enter=4s:when=1"];
    let cmd = rig.cmd(args).under(strace.to_str().expect("UTF-8"), &late);
    let child = cmd.std().stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let staged = rig.path("recipes/.s.rhai.edit");
    while !std::fs::read_to_string(&staged).is_ok_and(|text| text.contains("let pinned")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(rig.path("recipes/s.rhai"), save(text)).expect("saved");
    let out = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(rig.path("recipes").read_dir().expect("read").count(), 1, "{stderr}");
    let now = std::fs::read(rig.path("recipes/s.rhai")).expect("it is there");
    (Out { code: out.status.code(), stdout: String::new(), stderr }, now)
}

#[test]
fn what_is_saved_in_the_last_moment_stays_whatever_it_is() {
    let text = format!("{PKG}\n{INSTALL}\n");
    let pin = ["pin", "s@1"];
    let (out, now) = saved_before_the_exchange(&text, &pin, |text| format!("// mine\n{text}").into());
    let now = String::from_utf8(now).expect("UTF-8");
    assert!(now.starts_with("// mine\n") && now.contains("let pinned = \"== 1\";"), "{now}");
    out.ok();
    // Neither is what cannot be read taken away.
    for broken in [&b"// \xe4\n"[..], b"", b"let pkg = #{ name: "] {
        let (out, now) = saved_before_the_exchange(&text, &pin, |_| broken.to_vec());
        out.fails(10, "s.rhai");
        assert_eq!(now, broken);
    }
}

/// Editors that write in place empty the file first. One that takes its time finds its file where it opened it.
#[test]
fn a_file_that_is_being_written_is_not_taken_for_a_whole_one() {
    for half in ["", PKG, INSTALL] {
        let rig = of(&format!(
            "{PKG}\nfn install() {{ write_file(\"begun\", \"\"); while !exists(\"go\") {{ }} install_file(\"begun\", \"share/a\"); }}\n"
        ));
        let text = rig.recipe("s");
        let child =
            rig.cmd(&["install", "s"]).std().stderr(std::process::Stdio::piped()).spawn().expect("it starts");
        let build = || {
            let tx = rig.prefix(".recipe/build").read_dir().ok()?.flatten().next()?.path().join("s");
            tx.join("begun").exists().then_some(tx)
        };
        let build = loop {
            match build() {
                Some(build) => break build,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut editor = std::fs::File::create(rig.path("recipes/s.rhai")).expect("opened");
        editor.write_all(half.as_bytes()).expect("written");
        std::fs::write(build.join("go"), "").expect("written");
        let out = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(10), "{half:?}: {said}");
        editor.set_len(0).and_then(|()| editor.rewind()).expect("emptied");
        editor.write_all(text.as_bytes()).expect("written");
        assert_eq!(rig.recipe("s"), text, "{half:?}: {said}");
        assert!(rig.tree().is_empty());
    }
}

/// What cannot be changed is refused before anything runs.
#[test]
fn constants_are_no_state() {
    let rig = of(&format!("{PKG}\nconst installed = false;\n{INSTALL}\n"));
    for command in ["lint", "install"] {
        let out = rig.run(&[command, "s"]).fails(10, "s.rhai:2:1: expected `let installed`, found `const`");
        assert!(!out.stderr.contains("[1/1]"), "{}", out.stderr);
    }
}

/// Links stay links, whatever lies behind them is changed where it lies, and rights stay.
#[test]
fn files_behind_links_are_changed_where_they_lie() {
    let rig = Rig::new();
    rig.write("dotfiles/s.rhai", format!("{PKG}\n{INSTALL}\n"));
    let own = rig.path("dotfiles/s.rhai");
    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o440)).expect("set");
    symlink("dotfiles/s.rhai", rig.path("link")).expect("linked");
    symlink("../link", rig.path("recipes/s.rhai")).expect("linked");
    for (args, says) in [
        (&["install", "s"][..], "let installed = true;"),
        (&["pin", "s"], "let pinned = \"== 1\";"),
        (&["mark", "dep", "s"], "let installed_as_dep = true;"),
        (&["remove", "s"], "let installed = false;"),
        (&["undo", "-y"], "let installed = true;"),
    ] {
        rig.run(args).ok();
        let text = rig.read("dotfiles/s.rhai");
        assert!(text.contains(says), "{args:?}: {text}");
        assert_eq!(rig.path("recipes/s.rhai").read_link().expect("a link").to_str(), Some("../link"));
        assert_eq!(own.metadata().expect("there").permissions().mode() & 0o777, 0o440, "{args:?}");
        assert_eq!(rig.path("dotfiles").read_dir().expect("read").count(), 1, "{args:?}");
    }
}

/// As git does with core.autocrlf, back and forth: nothing is another recipe by that, and lines end as the file's.
#[test]
fn line_ends_can_change_at_any_time() {
    let rig = of(&format!("{PKG}\n\nlet installed_ = 1; let Installed = 2; // mine\n{INSTALL}\n"));
    let ends = |text: &str| (text.matches("\r\n").count(), text.matches('\n').count());
    rig.run(&["install", "s"]).ok();
    for dos in [true, false, true] {
        let text = rig.recipe("s").replace("\r\n", "\n");
        rig.write("recipes/s.rhai", if dos { text.replace('\n', "\r\n") } else { text });
        assert_eq!(rig.run(&["list", "-i"]).ok().stdout, "s  1  installed\n");
        for args in
            [&["pin", "s"][..], &["unpin", "s"], &["mark", "dep", "s"], &["remove", "s"], &["install", "s"]]
        {
            rig.run(args).ok();
            let text = rig.recipe("s");
            let (crlf, all) = ends(&text);
            assert_eq!(crlf, if dos { all } else { 0 }, "{args:?}: {text:?}");
            assert!(text.contains("let installed_ = 1; let Installed = 2; // mine"), "{text}");
        }
        rig.run(&["upgrade"]).ok();
        assert_eq!(rig.run(&["outdated"]).ok().stdout, "");
    }
    // One in a string does not count.
    let rig = of(&format!("{PKG}\nlet odd = `a\r\nb`;\n{INSTALL}\n"));
    rig.run(&["install", "s"]).ok();
    assert_eq!(ends(&rig.recipe("s")).0, 1, "{:?}", rig.recipe("s"));
}

/// What the file says of the installed version, and what was installed, are compared.
#[test]
fn an_installed_version_that_was_edited_is_found() {
    let rig = of(&format!("{PKG}\n{INSTALL}\n"));
    rig.run(&["install", "s"]).ok();
    let right = rig.recipe("s");
    let prefix = rig.path("prefix").display().to_string();
    for (written, says) in [("\"9\"", "9 is installed"), ("()", "no version is installed")] {
        let line = format!("installed_version = {written};");
        rig.write("recipes/s.rhai", right.replace("installed_version = \"1\";", &line));
        let edited = rig.recipe("s");
        assert!(edited.contains(&line), "{edited}");
        let problem = format!("its recipe says that {says}, but in {prefix} 1 is");
        let hint = "`recipe sync-state s` corrects the file";
        for args in [&["check"][..], &["check", "s"]] {
            assert_eq!(rig.run(args).fails(14, "1 differ").stdout, format!("s: {problem}; {hint}\n"));
        }
        let doctor = rig.run(&["doctor"]).stdout;
        assert!(doctor.contains(&format!("record: s: {problem}\n  hint: {hint}\n")), "{doctor}");
        assert_eq!(rig.recipe("s"), edited, "nobody has asked for that");
        // The hint helps, and only that: no file moves.
        let tree = rig.tree();
        let out = rig.run(&["sync-state", "-n", "s"]).ok();
        assert_eq!((out.stdout.as_str(), rig.recipe("s")), ("= s 1\n", edited));
        assert_eq!(rig.run(&["sync-state", "s"]).ok().stdout, "= s 1\n");
        assert_eq!((rig.recipe("s"), rig.tree()), (right.clone(), tree));
        rig.run(&["check"]).ok();
        assert!(!rig.run(&["doctor"]).stdout.contains("record: "));
    }
    // Of a recipe that has a newer version, the file is corrected, and the version stays.
    let newer = right.replace("version: \"1\"", "version: \"2\"");
    rig.write("recipes/s.rhai", newer.replace("installed_version = \"1\";", "installed_version = \"2\";"));
    rig.run(&["check"]).fails(14, "");
    rig.run(&["sync-state"]).ok();
    assert_eq!(rig.recipe("s"), newer);
    assert_eq!(rig.run(&["upgrade"]).ok().stdout, "~ s 1 -> 2\n");
}
