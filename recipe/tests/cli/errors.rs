//! Mistakes in recipes: where they are, what was meant, who called whom.

use crate::rig::Rig;

/// A recipe of one package, p, with this behind its `pkg`.
pub(crate) fn of(body: &str) -> Rig {
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
        (
            "import \"../secret\" as s;\nfn install() { }",
            "2:8: cannot import \"../secret\": expected a name of letters",
        ),
        (
            "fn install() {\n    if false { import \"nope\" as n; }\n}",
            "3:23: cannot import \"nope\": there is no ",
        ),
        (
            "fn install() { install_bin(); }",
            "2:16: `install_bin` takes 1 or 2 arguments, found none; it is called as install_bin(file) or \
             install_bin(file, name)",
        ),
        ("fn install() { other(1); }\nfn other() { }", "2:16: `other` takes no arguments, found 1"),
        ("fn install() { pkg.versoin; }", "2:20: `pkg` has no field `versoin`; did you mean `version`?"),
        (
            "let list = [];\nfn install() { list = [1]; }",
            "3:16: `list` is of the top level: functions can read it, not change it",
        ),
        ("fn install() { pkg.name = \"q\"; }", "2:16: `pkg` is of the top level"),
        ("fn install() { }\nfn acqiure() { }", "3:1: nothing calls `acqiure`; did you mean `acquire`?"),
        ("fn install(x) { }", "2:1: `install` is called without arguments, but has a parameter"),
        ("fn install() { }\nfn remove(now) { }", "3:1: `remove` is called without arguments"),
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
         pkg.version = \"10\";\n    print(pkg.version + shout());\n    list.push(3);\n}\nfn deep(n) { if n == 0 { pkg.name } else { deep(n - 1) } }\n\
         fn shout() { pkg.version }\nlet installed = false;",
    );
    let out = rig
        .run(&["install", "--no-progress", "p"])
        .fails(17, "p.rhai:11:10: Non-pure method 'push' cannot be called on constant");
    assert!(!out.stderr.contains("(line "), "a place is said once: {}", out.stderr);
    assert!(out.stderr.starts_with("p: a13p2\np: 9\np: 101\n"), "{}", out.stderr);
}

/// What is misspelt in `pkg`, and what only looks so.
#[test]
fn keys_that_nothing_reads_and_resemble_one_are_misspelt() {
    let pkg = |keys: &str, body: &str| {
        let rig = of("");
        let text =
            format!("let pkg = #{{ name: \"p\", version: \"1\",\n{keys} }};\nfn install() {{ {body} }}\n");
        rig.write("recipes/p.rhai", text);
        rig
    };
    for (keys, says) in [
        ("  dep: [\"nonexistent\"]", "p.rhai:2:3: `pkg` knows no `dep`; did you mean `deps`?"),
        ("depends: []", "p.rhai:2:1: `pkg` knows no `depends`; did you mean `deps`?"),
        ("\"biuld_deps\": [\"nope\"]", "p.rhai:2:1: `pkg` knows no `biuld_deps`; did you mean `build_deps`?"),
        ("alow: [\"network-in-build\"]", "p.rhai:2:1: `pkg` knows no `alow`; did you mean `allow`?"),
    ] {
        let rig = pkg(keys, "");
        rig.run(&["lint", "p"]).fails(10, says);
        rig.run(&["install", "p"]).fails(10, says);
        rig.run(&["list"]).ok();
    }
    for (keys, body) in [
        ("maintainer: \"me\"", ""),
        ("versions: [1]", "pkg.versions;"),
        ("home_page: 1", "pkg[\"home_page\"]"),
    ] {
        pkg(keys, body).run(&["lint", "p"]).ok();
    }
    // A function of the recipe's own that is called is none of ours.
    of("fn install() { installs() }\nfn installs() { }").run(&["lint", "p"]).ok();
}

#[test]
fn mistakes_in_libraries_are_found_without_running_them() {
    for (library, says) in [
        ("fn f() {\n    undefined_thing();\n}", "lib/l.rhai:2:5: there is no function `undefined_thing`"),
        ("fn f() { print(nope); }", "lib/l.rhai:1:16: Undefined variable: nope"),
        (
            "import \"m\" as m;\nfn f() { m::nofn(); }",
            "lib/l.rhai:2:13: the library `m` has no function `nofn`",
        ),
        ("import \"m\" as m;\nfn f() { m::g(1); }", "lib/l.rhai:2:13: `m::g` takes no arguments, found 1"),
        ("fn f() { pkg = 1; }", "lib/l.rhai:1:10: `pkg` is of the top level"),
        (
            "write_file(\"x\", \"y\");\nfn f() { }",
            "lib/l.rhai:1:1: only `let`, `const`, `import`, `export` and functions",
        ),
        ("fn f() {", "lib/l.rhai:1:9: Expecting '}'"),
    ] {
        let rig = of("fn install() { import \"l\" as l; l::f(); }");
        rig.write("recipes/lib/l.rhai", library);
        rig.write("recipes/lib/m.rhai", "fn g() { }");
        rig.run(&["lint", "p"]).fails(10, says);
        rig.run(&["install", "p"]).fails(10, says);
    }
    let rig = of("import \"l\" as l;\nfn install() { print(l::SIZE + l::twice(2)); fail(\"here\"); }");
    rig.write(
        "recipes/lib/l.rhai",
        "export const SIZE = 3;\nlet local = 1;\nfn twice(x) { let pkg = x; pkg = 4; pkg * 2 }",
    );
    let out = rig.run(&["install", "p"]).fails(17, "p.rhai:3:46: here");
    assert!(out.stderr.contains("p: 11\n"), "{out:#?}");
}

/// One ^C ends it, and nothing was changed.
/// What is installed is removed by the recipe that was installed, and its errors are of that text.
#[test]
fn errors_of_what_was_installed_name_the_copy() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");\n}\nimport \"l\" as l;\nfn remove() {\n    l::no(\"no\");");
    rig.write("recipes/lib/l.rhai", "fn no(x) { fail(x) }");
    rig.run(&["install", "p"]).ok();
    let tx = rig.recipe("p").split("installed_tx = \"").nth(1).expect("a transaction")[..16].to_owned();
    let copy = rig.prefix(&format!(".recipe/db/p/{tx}.rhai"));
    let text = std::fs::read_to_string(&copy).expect("read");
    let line = text.lines().position(|l| l.contains("l::no")).expect("there") + 1;
    rig.write("recipes/p.rhai", rig.recipe("p").replace("l::no(\"no\");", ""));
    let out = rig.run(&["remove", "p"]).fails(17, &format!("{}: lib/l.rhai:1:12: no\n", copy.display()));
    assert!(out.stderr.contains(&format!("in no, called at {}:{line}:", copy.display())), "{out:#?}");
    assert!(
        out.stderr.contains("hint: p 1 was run as it was installed; `recipe install --reinstall p`"),
        "{out:#?}"
    );
    rig.run(&["install", "--reinstall", "p"]).ok();
    rig.run(&["remove", "p"]).ok();
}

/// What is a mistake now was none when it was installed: the package can be removed all the same.
#[test]
fn mistakes_in_what_was_installed_are_no_reason_to_keep_it() {
    for (code, says) in [
        ("fn remove(force) { }", "p: remove() has parameters, and is not called"),
        (
            "fn remove() { write_file(\"x\", \"y\"); print(\"goes\"); }",
            "`write_file` can only be called in acquire(), build() and install(), not in remove(): it has no effect",
        ),
        ("fn acqiure() { typo(); }\nlet x = print(\"goes\");\nfn remove() { }", "p: goes"),
        ("fn remove() { import \"gone\" as g; }", "cannot import \"gone\": there is no "),
    ] {
        let rig = Rig::new();
        rig.release("p", "1", &[("bin/p", "p")]);
        rig.add("p", "1", "install_bin(\"p\");");
        rig.run(&["install", "p"]).ok();
        let tx = rig.recipe("p").split("installed_tx = \"").nth(1).expect("a transaction")[..16].to_owned();
        let copy = format!("prefix/.recipe/db/p/{tx}.rhai");
        rig.write(&copy, format!("{}{code}\n", rig.read(&copy)));
        let out = rig.run(&["remove", "p"]);
        assert!(out.stderr.contains(says), "{code}: {out:#?}");
        assert_eq!(out.code, Some(if code.contains("gone") { 10 } else { 0 }), "{code}: {out:#?}");
        // What fails when it runs has a way out.
        if code.contains("gone") {
            rig.run(&["install", "--reinstall", "p"]).ok();
            rig.run(&["remove", "p"]).ok();
        }
        assert!(!rig.prefix("bin/p").exists(), "{code}");
    }
}

#[test]
fn caught_errors_are_texts_and_misspelt_fields_are_errors() {
    let rig = of(
        "fn install() {\n    try { install_bin(\"nothing\"); } catch (e) { print(`caught ${e}`); }\n    let p = pkg; p.versoin;\n}",
    );
    let out = rig.run(&["install", "p"]).fails(17, "p.rhai:4:20: Property not found: versoin");
    assert!(out.stderr.contains("p: caught there is no file \"nothing\"; found nothing"), "{}", out.stderr);
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
        assert!(out.stderr.contains("1 recipe, 1 with mistakes"), "{out:#?}");
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
    let hint = "hint: p 1 was run as it was installed; `recipe install --reinstall p` installs it by its recipe file";
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
