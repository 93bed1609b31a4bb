//! Code that does not end, texts that are nested without end, libraries that import themselves, top levels that do something.

use crate::errors::of;

#[test]
fn libraries_that_import_themselves_are_refused_wherever_they_are_imported() {
    for (x, y, says) in [
        ("import \"x\" as x; fn f() {}", "", "lib/x.rhai:1:8: the library `x` imports itself\n"),
        (
            "import \"y\" as y; fn f() {}",
            "import \"x\" as x; fn f() {}",
            "lib/y.rhai:1:8: the library `x` imports itself: x imports y, which imports x",
        ),
        (
            "let a = f(); fn f() { import \"y\" as y; y::f() }",
            "let a = f(); fn f() { import \"x\" as x; x::f() }",
            "lib/y.rhai:1:30: the library `x` imports itself: x imports y, which imports x",
        ),
    ] {
        for body in ["import \"x\" as x;\nfn install() { }", "fn install() { import \"x\" as x; }"] {
            let rig = of(body);
            rig.write("recipes/lib/x.rhai", x);
            rig.write("recipes/lib/y.rhai", y);
            rig.write(
                "recipes/good.rhai",
                "let pkg = #{ name: \"good\", version: \"1\" };\nfn install() { }\n",
            );
            // What functions do is known when they run.
            if x.starts_with("import") || body.starts_with("import") {
                let out = rig.run(&["lint"]).fails(10, says);
                assert!(out.stderr.contains("2 recipes, 1 with mistakes"), "{out:#?}");
            }
            rig.run(&["install", "p"]).fails(10, says);
            assert!(!rig.prefix(".recipe/build").exists(), "{body}");
        }
    }
    // Functions may import each other's libraries; each is evaluated once.
    let rig = of("import \"x\" as x;\nfn install() { fail(x::f(3)); }");
    rig.write("recipes/lib/x.rhai", "fn f(n) { import \"y\" as y; y::g(n) }");
    rig.write(
        "recipes/lib/y.rhai",
        "fn g(n) { if n == 0 { return \"done\"; } import \"x\" as x; x::f(n - 1) }",
    );
    rig.run(&["install", "p"]).fails(17, ": done");
}

#[test]
fn texts_that_are_nested_without_end_are_mistakes_of_their_own_file() {
    let many = |text: &str| text.repeat(200_000);
    for text in [
        format!(
            "let pkg = #{{ name: \"p\", version: \"1\", x: {}{} }};\nfn install() {{ }}\n",
            many("["),
            many("]")
        ),
        format!("let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ {} }}\n", many("`${")),
    ] {
        let rig = of("");
        rig.write("recipes/p.rhai", text);
        rig.write("recipes/good.rhai", "let pkg = #{ name: \"good\", version: \"1\" };\nfn install() { }\n");
        let out = rig.run(&["list"]).fails(10, "is nested more than 64 deep");
        assert!(out.stdout.contains("good"), "{}", out.stdout);
    }
}

#[test]
fn the_top_level_has_no_effects() {
    for (top, library, says) in [
        ("let x = { print(\"hi\"); 1 };", "", "p.rhai:2:11: `print` can only be called in functions"),
        ("let x = { debug(1); 1 };", "", "p.rhai:2:11: `debug` can only be called in functions"),
        (
            "let x = say();\nfn say() { print(\"hi\"); 1 }",
            "",
            "p.rhai: `print` can only be called in functions",
        ),
        ("let x = sleep(5);", "", "p.rhai:2:9: `sleep` can only be called in functions"),
        ("let x = { let n = 0; loop { n += 1; } };", "", "p.rhai:2:29: Too many operations"),
        ("let x = { loop { } };", "", "p.rhai:2:16: Too many operations at the top level"),
        ("", "let x = print(\"hi\"); fn f() { }", "l.rhai:1:9: `print` can only be called in functions"),
        (
            "",
            "let x = write_file(\"a\", \"b\"); fn f() { }",
            "l.rhai:1:9: `write_file` can only be called in functions",
        ),
        (
            "",
            "let x = say(); fn say() { print(\"hi\"); 1 } fn f() { }",
            "l.rhai: `print` can only be called in functions",
        ),
    ] {
        let rig = of(&format!("{top}\nfn install() {{ import \"l\" as l; l::f(); }}"));
        rig.write("recipes/lib/l.rhai", if library.is_empty() { "fn f() { }" } else { library });
        let begin = std::time::Instant::now();
        if top.is_empty() {
            let out = rig.run(&["install", "p"]).fails(10, says);
            assert!(!out.stderr.contains("p: hi"), "{out:#?}");
        } else {
            let out = rig.run(&["lint", "p"]).fails(10, says);
            assert!(!out.stderr.contains("p: hi") && begin.elapsed().as_secs() < 5, "{out:#?}");
        }
    }
}

#[test]
fn sleep_ends_when_it_is_interrupted() {
    let rig = of("fn install() { print(\"now\"); sleep(100); }");
    let mut child =
        rig.cmd(&["install", "p"]).std().stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut said = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("p: now") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut said, &mut line).expect("read"), 0);
    }
    let begin = std::time::Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("sent");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(begin.elapsed().as_secs() < 10);
    of("fn install() { sleep(0.01); sleep(0); fail(\"awake\"); }").run(&["install", "p"]).fails(17, "awake");
}

#[test]
fn code_that_never_ends_is_found_where_it_is() {
    for (body, says) in [
        (
            "fn install() { helper(0); }\nfn helper(n) {\n    while true { n += 1; }\n}",
            "p.rhai:4:18: Too many operations\n",
        ),
        ("fn install() { helper(0); }\nfn helper(n) {\n    helper(n + 1);\n}", "p.rhai:4:12: Stack overflow"),
        (
            "fn install() {\n    let a = [];\n    loop { a.push(1); }\n}",
            "p.rhai:4:12: Size of array/BLOB too large",
        ),
    ] {
        let rig = of(body);
        let begin = std::time::Instant::now();
        let out = rig.run(&["install", "p"]).fails(17, says);
        assert!(begin.elapsed().as_secs() < 40, "{out:#?}");
        if body.contains("helper(0)") {
            assert!(
                out.stderr.contains("in helper, called at ") && out.stderr.contains("p.rhai:2:16"),
                "{out:#?}"
            );
        }
        assert!(out.stderr.lines().count() < 20, "{out:#?}");
    }
}

#[test]
fn an_array_has_fifty_thousand_values_at_most() {
    let fill = "fn install() { let a = []; a.pad(50000, 1);";
    of(&format!("{fill} fail(`${{a.len}} values`); }}")).run(&["install", "p"]).fails(17, "50000 values");
    let more = of(&format!("{fill} a.push(1); fail(`${{a.len}} values`); }}"));
    more.run(&["install", "p"]).fails(17, "Size of array/BLOB too large");
}

#[test]
fn recipes_that_never_end_are_ended() {
    for (body, says) in [
        ("fn install() { loop { } }", "p.rhai:2:1: Too many operations in install()"),
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
