//! Recipe files as people write them and edit them: the state is right in each, and `grep` finds it.

use crate::rig::Rig;

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
