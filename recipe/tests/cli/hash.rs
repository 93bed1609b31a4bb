//! `recipe hash` and `recipe edit`.

use std::os::unix::fs::PermissionsExt;

use common::cmd::Cmd;

use crate::rig::Rig;

#[test]
fn digests_are_what_the_tools_print_and_check() {
    let rig = Rig::new();
    let names = ["a", "with space", "line\nbreak", "back\\slash"];
    for (at, name) in names.iter().enumerate() {
        rig.write(name, vec![b'x'; at * 100_000]);
    }
    for (algorithm, tool) in [("sha256", "sha256sum"), ("sha512", "sha512sum"), ("blake3", "b3sum")] {
        let ours = rig.run(&[&["hash", "-a", algorithm][..], &names].concat()).ok().stdout;
        let theirs = Cmd::new(testkit::oracle(tool)).args(names).dir(rig.path("")).read().expect("it works");
        assert_eq!(ours, theirs, "{tool}");
    }
    let ours = rig.run(&["hash", "a", "missing", ".", "with space"]);
    assert_eq!((ours.code, ours.stdout.lines().count()), (Some(11), 2), "{ours:?}");
    assert!(ours.stderr.contains("failed to read missing") && ours.stderr.contains("it is a directory"));
    let json: serde_json::Value =
        serde_json::from_str(&rig.run(&["hash", "--json", "a"]).ok().stdout).expect("JSON");
    assert_eq!((json["algorithm"].as_str(), json["files"][0]["file"].as_str()), (Some("sha256"), Some("a")));
}

/// An editor that runs a script with the file as $1.
fn editor(rig: &Rig, script: &str) -> String {
    let path = rig.write("an editor", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("set");
    format!("'{}' --wait", path.display())
}

#[test]
fn edit_opens_the_editor_and_looks_for_mistakes() {
    let rig = Rig::new();
    rig.add("p", "1", "install_bin(\"p\");");
    let edit = |editor: &str, name: &str| {
        rig.ran(rig.cmd(&["edit", name]).env("VISUAL", editor).env("EDITOR", "false"))
    };
    let works = editor(&rig, "test \"$1\" = --wait && sed -i 's/\"1\"/\"2\"/' \"$2\"");
    assert!(edit(&works, "p").ok().stderr.contains("p.rhai: no mistakes"));
    assert!(rig.recipe("p").contains("version: \"2\""));
    let breaks = editor(&rig, "sed -i 's/install_bin/install_bim/' \"$2\"");
    edit(&breaks, "p").fails(10, "there is no function `install_bim`; did you mean `install_bin`?");
    assert!(rig.recipe("p").contains("install_bim"), "what was written stays");
    let fails = editor(&rig, "exit 3");
    edit(&fails, "p").fails(1, "failed (exit status: 3)");
    edit(&works, "q").fails(11, "there is no recipe \"q\"");
    rig.ran(rig.cmd(&["edit", "p"]).env("VISUAL", "").env("EDITOR", "false"))
        .fails(1, "the editor `false` failed");
    rig.ran(rig.cmd(&["edit", "p"]).env("VISUAL", " ").env("EDITOR", "").env("PATH", "/nonexistent"))
        .fails(11, "VISUAL or EDITOR names one");
    // Nothing is locked meanwhile: the editor can install.
    rig.add("p", "1", "install_bin(\"p\");");
    rig.release("p", "1", &[("bin/p", "p")]);
    let places = format!(
        "-r '{}' -p '{}' --cache '{}'",
        rig.path("recipes").display(),
        rig.path("prefix").display(),
        rig.path("cache").display()
    );
    let installs = editor(&rig, &format!("'{}' install p {places}", env!("CARGO_BIN_EXE_recipe")));
    edit(&installs, "p").ok();
    assert_eq!(rig.read("prefix/bin/p"), "p");
}
