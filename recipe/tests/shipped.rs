//! Every recipe in recipes/ is valid, by the real program.

use common::cmd::Cmd;

fn recipe(args: &[&str]) -> std::process::Output {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    Cmd::new(env!("CARGO_BIN_EXE_recipe"))
        .args(args.iter().copied())
        .dir(root)
        .output()
        .expect("recipe starts")
}

#[test]
fn shipped_recipes_are_valid_and_listed() {
    let lint = recipe(&["lint"]);
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));
    let list = recipe(&["list"]);
    let list = String::from_utf8(list.stdout).expect("names are UTF-8");
    assert!(list.lines().any(|l| l.starts_with("ripgrep ")), "{list}");
}

#[test]
fn a_wrong_recipe_is_named_with_its_position() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("bad.rhai"), "let pkg = #{ name: \"bad\" };\nlet x = ;\n")
        .expect("written");
    let out = recipe(&["--dir", &dir.path().to_string_lossy(), "lint"]);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    assert!(stderr.contains("bad.rhai") && stderr.contains("line 2"), "{stderr}");
}
