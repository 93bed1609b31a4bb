//! A recipe file that cannot be read: nothing that is installed is overlooked because of it, and it keeps nothing else from working.

use crate::rig::Rig;

/// `a` and `b` are installed, with a configuration file that waits; then somebody appends to the file of `b` what it has already.
fn rig() -> Rig {
    let rig = Rig::new();
    for name in ["a", "b"] {
        for version in ["1", "2"] {
            rig.release(name, version, &[("bin/x", name), ("x.conf", version)]);
        }
        let install =
            format!("install_bin(\"bin/x\", \"{name}\"); install_config(\"x.conf\", \"etc/{name}.conf\");");
        rig.add(name, "1", &install);
        rig.run(&["install", name]).ok();
        rig.write(&format!("prefix/etc/{name}.conf"), "mine");
        rig.write(&format!("recipes/{name}.rhai"), rig.recipe(name).replace("\"1\" }", "\"2\" }"));
    }
    rig.run(&["upgrade", "b"]).ok();
    rig.write("recipes/b.rhai", rig.recipe("b") + "let installed = true;\n");
    rig
}

const TWICE: &str = "`installed` is there twice";

#[test]
fn check_says_that_it_could_not_check_all() {
    let rig = rig();
    let out = rig.run(&["check"]).fails(10, TWICE);
    assert!(out.stderr.contains("2 files of 1 packages, 0 differ"), "{out:#?}");
    // What differs matters more.
    std::fs::remove_file(rig.prefix("bin/a")).expect("removed");
    rig.run(&["check"]).fails(14, TWICE);
}

#[test]
fn the_others_are_upgraded() {
    let rig = rig();
    let out = rig.run(&["upgrade"]).fails(10, TWICE);
    assert_eq!(out.stdout, "~ a 1 -> 2\n");
    assert!(rig.recipe("a").contains("let installed_version = \"2\";"));
}

/// The prefix's own books know whose configuration files they are.
#[test]
fn its_configuration_files_still_wait() {
    let rig = rig();
    let out = rig.run(&["etc"]).ok();
    assert!(out.stdout.contains("etc/b.conf"), "{out:#?}");
    rig.run(&["etc", "accept", &rig.prefix("etc/b.conf").to_string_lossy()]).ok();
    assert_eq!(rig.read("prefix/etc/b.conf"), "2");
}

/// A lock file without it would be one that forgot it.
#[test]
fn nothing_is_locked() {
    let rig = rig();
    rig.run(&["lock"]).fails(10, TWICE);
    assert!(!rig.path("recipes/recipe.lock").exists());
}
