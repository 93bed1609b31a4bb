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
    assert!(out.stderr.contains("2 files of 1 package, 0 differ"), "{out:#?}");
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

/// What cannot be read to its end is not waited for, wherever a recipe or a library of one is expected, or a link leads to it.
#[test]
fn what_is_no_file_is_said_to_be_none() {
    let rig = Rig::new();
    rig.release("a", "1", &[("bin/a", "a")]);
    rig.add("a", "1", "install_bin(\"bin/a\");");
    let fifo = |path: &str| {
        let made = common::cmd::Cmd::new("mkfifo").arg(rig.path(path)).run();
        made.expect("mkfifo");
    };
    let run = |args: &[&str]| rig.ran(rig.cmd(args).under("timeout", &["-k1", "10"]));
    fifo("recipes/pipe.rhai");
    std::os::unix::fs::symlink("/dev/zero", rig.path("recipes/zero.rhai")).expect("linked");
    std::fs::create_dir(rig.path("recipes/dir.rhai")).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("recipes/socket.rhai")).expect("bound");
    let names = ["pipe", "zero", "dir", "socket"];
    let says = |name: &str| format!("recipes/{name}.rhai is not a file");
    for _ in ["nothing is kept", "kept"] {
        let out = run(&["list"]);
        assert_eq!((out.code, out.stdout.lines().count()), (Some(10), 1), "{out:#?}");
        assert!(names.iter().all(|name| out.stderr.contains(&says(name))), "{out:#?}");
    }
    for name in names {
        for command in ["info", "install", "lint", "review"] {
            run(&[command, name]).fails(10, &says(name));
        }
    }
    run(&["install", "a"]).ok();
    for name in names {
        let _ = std::fs::remove_dir(rig.path(&format!("recipes/{name}.rhai")));
        let _ = std::fs::remove_file(rig.path(&format!("recipes/{name}.rhai")));
    }
    std::fs::create_dir_all(rig.path("recipes/lib")).expect("made");
    fifo("recipes/lib/x.rhai");
    rig.write("recipes/a.rhai", rig.recipe("a").replacen("let pkg", "import \"x\" as x;\nlet pkg", 1));
    run(&["install", "--reinstall", "a"]).fails(10, "lib/x.rhai is not a file");
    fifo("recipes/recipe.lock");
    run(&["install", "--locked", "a"]).fails(20, "recipe.lock is not a file");
}
