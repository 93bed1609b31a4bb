//! Mistakes in recipes: where they are, what was meant, who called whom.

use crate::rig::Rig;

fn of(body: &str) -> Rig {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\" }};\n{body}\n"));
    rig
}

#[test]
fn mistakes_are_found_without_running_anything() {
    for (body, says) in [
        (
            "fn install() {\n    instal_bin(\"p\");\n}",
            "p.rhai:3:5: there is no function `instal_bin`; did you mean `install_bin`?",
        ),
        ("fn install() { let x = pkgs.version; }", "2:24: Undefined variable: pkgs"),
        ("fn install() {\n  if true { 1 \n}", "2:14: this bracket is never closed"),
        ("fn install() { install_bin(\"p\") install_bin(\"q\") }", "2:33: Expecting ';'"),
        ("fn install() { }\nfn download(x) { }", "3:1: `fn download` would hide the helper of this name"),
        (
            "let installed = false;\nlet installed = true;\nfn install() { }",
            "3:1: `installed` is there twice",
        ),
        (
            "let x = download(\"http://127.0.0.1:1/\");\nfn install() { }",
            "2:9: `download` can only be called in functions",
        ),
        (
            "let installed_files = \"/\";\nfn install() { }",
            "expected `installed_files` to be an array of strings, found a string",
        ),
        ("fn build() { }", "`fn install()` is missing"),
        ("import \"../secret\" as s;\nfn install() { }", "../secret"),
    ] {
        let rig = of(body);
        let before = rig.recipe("p");
        rig.run(&["lint", "p"]).fails(10, says);
        rig.run(&["install", "p"]).fails(10, says);
        assert_eq!(rig.recipe("p"), before);
    }
}

#[test]
fn failures_show_the_line_and_the_chain_of_calls() {
    let rig = of(
        "fn install() {\n    outer(pkg.version);\n}\nfn outer(v) {\n\tinner(v)\n}\nfn inner(v) { fail(`no ${v}`); }",
    );
    let out = rig.run(&["install", "--no-progress", "p"]).fails(17, "recipes/p.rhai:8:15: no 1\n");
    let file = rig.path("recipes/p.rhai").display().to_string();
    assert_eq!(
        out.stderr,
        format!(
            "error: install of p failed\n  caused by: {file}:8:15: no 1\n      |\n    8 | fn inner(v) {{ fail(`no \
             ${{v}}`); }}\n      |               ^\n    in inner, called at {file}:6:2\n    in outer, called at {file}:3:5\n"
        )
    );
}

#[test]
fn code_of_a_recipe_can_look_at_pkg_everywhere_and_change_it_nowhere() {
    let rig = of(
        "const LIMIT = 3;\nlet list = [1, 2];\nfn install() {\n    let f = |x| x + `${pkg.version}${LIMIT}`;\n    \
         print(f.call(\"a\") + deep(2) + list.len());\n    let pkg = #{ name: \"mine\", version: \"9\" };\n    print(pkg.version);\n    \
         pkg.version = \"10\";\n    print(pkg.version + shout());\n    installed = true;\n}\nfn deep(n) { if n == 0 { pkg.name } else { deep(n - 1) } }\n\
         fn shout() { pkg.version }\nlet installed = false;",
    );
    let out = rig
        .run(&["install", "--no-progress", "p"])
        .fails(17, "p.rhai:11:5: Cannot modify constant installed");
    assert!(!out.stderr.contains("(line "), "a place is said once: {}", out.stderr);
    assert!(out.stderr.starts_with("p: a13p2\np: 9\np: 101\n"), "{}", out.stderr);
}

#[test]
fn caught_errors_are_texts_and_misspelt_fields_are_errors() {
    let rig = of(
        "fn install() {\n    try { install_bin(\"nothing\"); } catch (e) { print(`caught ${e}`); }\n    pkg.versoin;\n}",
    );
    let out = rig.run(&["install", "p"]).fails(17, "p.rhai:4:9: Property not found: versoin");
    assert!(out.stderr.contains("p: caught there is no file \"nothing\"; found nothing"), "{}", out.stderr);
}

#[test]
fn recipes_that_never_end_are_ended() {
    for (body, says) in [
        ("fn install() { loop { } }", "Too many operations"),
        ("fn install() { f() } fn f() { f() }", "Stack overflow"),
        ("fn install() { let s = \"x\"; loop { s += s; } }", "Length of string too large"),
        ("fn install() { let a = [1]; loop { a += a; } }", "Size of array/BLOB too large"),
        ("fn install() { try { loop { } } catch { } }", "Too many operations"),
        ("fn install() { eval(\"1\") }", "eval"),
    ] {
        let rig = of(body);
        let out = rig.run(&["install", "p"]);
        assert!(matches!(out.code, Some(10 | 17)) && out.stderr.contains(says), "{body}: {out:?}");
    }
}

#[test]
fn libraries_of_the_recipes_can_be_imported_and_nothing_else() {
    let rig = of("import \"shared\" as s;\nfn install() {\n    s::greet();\n    s::broken();\n}");
    rig.write(
        "recipes/lib/shared.rhai",
        "fn greet() { print(`hello ${pkg.name}`); }\nfn broken() { fail(\"oh\"); }\n",
    );
    rig.write("secret.rhai", "fn greet() { print(\"secret\"); }");
    let out = rig.run(&["install", "p"]).fails(17, "recipes/lib/shared.rhai:2:15: oh");
    assert!(out.stderr.contains("p: hello p\n"), "{}", out.stderr);
    for path in ["../../secret", "/etc/passwd", "lib/shared", "nothing"] {
        rig.write("recipes/p.rhai", rig.recipe("p").replace("\"shared\"", &format!("\"{path}\"")));
        rig.run(&["lint", "p"]).fails(10, path);
        rig.write("recipes/p.rhai", rig.recipe("p").replace(&format!("\"{path}\""), "\"shared\""));
    }
}

#[test]
fn helpers_write_only_where_they_may() {
    for (call, says) in [
        ("install_file(\"p\", \"../x\")", "expected a path of plain names below the prefix, found \"../x\""),
        ("install_file(\"p\", \"/etc/x\")", "found \"/etc/x\""),
        ("install_file(\"p\", \"a/./b\")", "found \"a/./b\""),
        ("install_file(\"p\", \".recipe/lock\")", "belongs to recipe itself"),
        ("install_file(\"p\", \"share/recipes/x.rhai\")", "belongs to recipe itself"),
        ("install_file(\"p\", \"x\", 0o4755)", "expected a mode from 0 to 0o777"),
        ("install_bin(\"p\", \"a/b\")", "expected a name without a slash"),
        ("install_bin(\"../../../../../../etc/passwd\")", "leads out of the build directory"),
        ("install_bin(\"/etc/passwd\")", "leads out of the build directory"),
        ("read_file(\"../../../lock\")", "leads out of the build directory"),
        ("write_file(\"../../../x\", \"\")", "leads out of the build directory"),
        ("cd(\"../..\"); cd(\"..\")", "leads out of the build directory"),
        ("symlink(\"x\", \"../x\")", "found \"../x\""),
        ("install_tree(\"..\", \"share/recipes\")", "belongs to recipe itself"),
        ("copy_source(\"../secret\")", "expected the name of a file beside the recipe"),
        ("install_man(\"p\")", "expected a manual page like p.1"),
        ("extract(\"rar\")", "expected one of tar.gz,"),
        ("verify_sha256(\"abc\")", "expected 64 hex digits"),
    ] {
        let rig = Rig::new();
        rig.release("p", "1", &[("bin/p", "p")]);
        rig.add("p", "1", &format!("{call};"));
        let out = rig.run(&["install", "p"]);
        assert!(out.code != Some(0) && out.stderr.contains(says), "{call}: {out:?}");
        assert!(rig.tree().is_empty(), "{call}");
    }
}

/// Names of files need not be text.
#[test]
fn arguments_that_are_no_text_are_no_obstacle() {
    use std::os::unix::ffi::OsStrExt;
    let rig = Rig::new();
    let path = std::ffi::OsStr::from_bytes(b"/tmp/\xff");
    for args in [vec!["owns"], vec!["--color", "never", "owns"]] {
        rig.ran(rig.cmd(&args).arg(path)).fails(11, "belongs to no package");
    }
    let odd = |bytes: &[u8]| rig.path("").join(std::ffi::OsStr::from_bytes(bytes));
    std::fs::create_dir(odd(b"d\xff")).expect("made");
    let recipe = "let pkg = #{ name: \"p\", version: \"1\" };\nfn install() { }\n";
    for name in [&b"a\xff.rhai"[..], b"d\xff/p.rhai", b"d\xff/tool-1", b"tool-1\xff"] {
        std::fs::write(odd(name), recipe.replace("let", "#!")).expect("written");
    }
    std::fs::write(odd(b"d\xff/p.rhai"), recipe).expect("written");
    let run = |args: &[&str], name: &[u8]| rig.ran(rig.cmd(args).arg(odd(name)));
    // As sha256sum does.
    let cmd = rig.cmd(&["hash"]).arg(odd(b"d\xff/p.rhai")).output().expect("it starts");
    let sum = common::cmd::Cmd::new(testkit::oracle("sha256sum")).arg(odd(b"d\xff/p.rhai"));
    assert_eq!(cmd.stdout, sum.output().expect("it starts").stdout);
    run(&["hash", "--json"], b"d\xff/p.rhai").ok();
    for command in ["lint", "info", "review", "tree"] {
        run(&[command], b"d\xff/p.rhai").ok();
        run(&[command, "--json"], b"d\xff/p.rhai").ok();
    }
    run(&["lint"], b"a\xff.rhai").fails(10, "expected `let pkg");
    // What a transaction writes down is text.
    run(&["install"], b"d\xff/p.rhai").fails(2, "expected the path of a recipe in UTF-8, found ");
    let new = |name: &[u8]| rig.ran(rig.cmd(&["new", "-n"]).arg("--from").arg(odd(name)));
    new(b"tool-1\xff").fails(2, "expected a file name in UTF-8, found ");
    new(b"d\xff/tool-1").ok();
}

#[test]
fn a_directory_of_recipes_is_called_in_text_and_its_files_are() {
    use std::os::unix::ffi::OsStrExt;
    let rig = of("fn install() { write_file(\"f\", \"\"); install_file(\"f\", \"share/f\"); }");
    std::fs::write(rig.path("recipes").join(std::ffi::OsStr::from_bytes(b"x\xff.rhai")), "")
        .expect("written");
    for args in [&["list"][..], &["lint"], &["search", "p"]] {
        let out = rig.run(args);
        assert!(out.stderr.contains("x\u{fffd}.rhai:1:1: expected `let pkg"), "{args:?}: {out:?}");
    }
    rig.run(&["list"]).fails(10, "");
    rig.run(&["install", "p"]).ok();
    let dir = rig.path("").join(std::ffi::OsStr::from_bytes(b"rec\xff"));
    std::fs::rename(rig.path("recipes"), &dir).expect("renamed");
    let cmd = common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["-p", "/nonexistent", "list", "-r"]);
    rig.ran(cmd.arg(&dir)).fails(2, "expected a directory of recipes in UTF-8, found ");
}

#[test]
fn wrong_arguments_are_a_wrong_command_line() {
    let rig = Rig::new();
    for (args, says) in [
        (&["new", "--from", "ftp://127.0.0.1/x-1.tar.gz"][..], "ftp"),
        (&["new", "--from", "github:a"], "expected a repository like owner/name, found \"a\""),
        (&["new", "--from", "https://github.com/../b/releases"], "expected a repository like owner/name"),
    ] {
        rig.run(args).fails(2, says);
    }
    let cmd =
        common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["-R", "root1", "-p", "relative", "list"]);
    rig.ran(cmd.dir(rig.path(""))).fails(2, "expected an absolute prefix, found relative");
}

#[test]
fn dependencies_that_are_none_are_shown_where_they_stand() {
    let text = |fields: &str| {
        format!(
            "// \"deps\": a comment\nlet pkg = #{{\n    name: \"p\", version: \"1\",\n    {fields}\n}};\n\
             fn install() {{ write_file(\"f\", \"x\"); install_file(\"f\", \"share/p\"); }}\n"
        )
    };
    let rig = Rig::new();
    rig.write("recipes/lib.rhai", text("").replace("\"p\"", "\"lib\"").replace("share/p", "share/lib"));
    for (fields, place, found) in [
        ("deps: [\"lib => 1\"]", "4:12", "lib => 1"),
        ("deps: [\"lib\", \"lib ^1.2\"]", "4:19", "lib ^1.2"),
        ("deps: [], build_deps: [\n    `lib`, #\"x >=\"#]", "5:12", "x >="),
        ("description: \"lib =>\", deps: [ /* \"lib => */ \"lib =>\", ]", "4:50", "lib =>"),
    ] {
        rig.write("recipes/p.rhai", text(fields));
        let says = format!(
            "p.rhai:{place}: expected a dependency like \"openssl >= 1.1.0\", found {found:?}\n      |\n    "
        );
        let out = rig.run(&["lint", "p"]).fails(10, &says);
        assert!(out.stderr.contains("1 recipes, 1 with mistakes"), "{out:#?}");
        let out = rig.run(&["install", "p"]).fails(10, &says);
        assert!(rig.tree().is_empty(), "{out:#?}");
        rig.run(&["list"]).ok();
        rig.run(&["info", "p"]).ok();
    }
    // All of them.
    rig.write("recipes/p.rhai", text("deps: [\"a =>\"], build_deps: [\"b ~ 1\"]"));
    let out = rig.run(&["lint", "p"]).fails(10, "found \"a =>\"");
    assert!(
        out.stderr.contains("4:34: expected a dependency") && out.stderr.contains("\"b ~ 1\""),
        "{out:#?}"
    );
    // What is installed can be removed, also if its recipe was spoilt since, and so can others.
    rig.write("recipes/p.rhai", text("deps: [\"lib\"]"));
    rig.run(&["install", "p"]).ok();
    rig.write("recipes/p.rhai", rig.recipe("p").replace("[\"lib\"]", "[\"lib =>\"]"));
    let warned = "warning: what this recipe needs is not considered";
    let out = rig.run(&["remove", "-n", "lib"]).ok();
    assert!(out.stderr.contains(warned), "{out:#?}");
    assert_eq!(rig.run(&["remove", "p"]).ok().stdout, "- p 1\n");
}

/// What removes is what was installed, whatever its file says by now.
#[test]
fn a_remove_that_fails_says_which_text_it_is_of() {
    let rig = of(
        "fn install() { write_file(\"p\", \"\"); install_bin(\"p\"); }\nfn remove() { fail(\"broken\"); }",
    );
    rig.run(&["install", "p"]).ok();
    let hint = "hint: what runs is remove() as it was installed; `recipe install --reinstall p` installs that of its file";
    let out = rig.run(&["remove", "p"]).fails(17, "error: remove of p failed\n");
    assert!(out.stderr.contains(".rhai:3:15: broken") && out.stderr.contains(hint), "{out:#?}");
    rig.write("recipes/p.rhai", rig.recipe("p").replace("fail(\"broken\");", "\n    print(\"mended\");"));
    let out = rig.run(&["remove", "p"]).fails(17, hint);
    let text = rig.prefix(".recipe/db/p").display().to_string();
    assert!(out.stderr.contains(&format!("  caused by: {text}/")), "{out:#?}");
    assert!(
        out.stderr.contains(".rhai:3:15: broken") && out.stderr.contains("| fn remove() { fail"),
        "{out:#?}"
    );
    assert!(!out.stderr.contains("recipes/p.rhai"), "{out:#?}");
    rig.run(&["install", "--reinstall", "p"]).ok();
    rig.run(&["remove", "p"]).ok();
}
