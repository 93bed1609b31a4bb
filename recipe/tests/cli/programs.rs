//! Helpers that run programs: what they pass, what they say, in which phase they work, and a real build.

use crate::rig::Rig;

/// A recipe without a download; `body` is its functions.
fn of(body: &str) -> Rig {
    let rig = Rig::new();
    rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\" }};\n{body}\n"));
    rig
}

#[test]
fn a_c_program_is_configured_built_and_installed_by_make() {
    let rig = Rig::new();
    let make = "hello: hello.c\n\t$(CC) -o hello hello.c -DPREFIX='\"$(PREFIX)\"'\n\ninstall: hello\n\t\
                mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc\n\tcp hello $(DESTDIR)$(PREFIX)/bin\n\t\
                echo text > $(DESTDIR)$(PREFIX)/share/doc/hello\n";
    let source = "#include <stdio.h>\nint main(void) { puts(\"old \" PREFIX); return 0; }\n";
    rig.release("hello", "2", &[("Makefile", make), ("hello.c", source)]);
    rig.write("recipes/fix.patch", "--- a/hello.c\n+++ b/hello.c\n@@ -1,2 +1,2 @@\n #include <stdio.h>\n-int main(void) { puts(\"old \" PREFIX); return 0; }\n+int main(void) { puts(\"new \" PREFIX); return 0; }\n");
    let url = rig.server.url("/hello-2.tar.gz");
    rig.write(
        "recipes/hello.rhai",
        format!(
            "let pkg = #{{ name: \"hello\", version: \"2\" }};\nfn acquire() {{ download(\"{url}\"); extract(); copy_source(\"fix.patch\"); }}\n\
             fn build() {{ patch(\"fix.patch\"); make(); print(output([\"./hello\"])); }}\nfn install() {{ make([\"install\"]); }}\n\
             fn post_install() {{ print(output([prefix() + \"/bin/hello\"])); }}\n"
        ),
    );
    let out = rig.run(&["install", "hello"]).ok();
    let says = format!("new {}", rig.path("prefix").display());
    assert_eq!(out.stderr.matches(&says).count(), 2, "{}", out.stderr);
    let program = common::cmd::Cmd::new(rig.prefix("bin/hello")).read().expect("it runs");
    assert_eq!(program.trim(), says);
    assert_eq!(rig.run(&["files", "hello"]).ok().stdout.lines().count(), 2);
    // What the program's user made is not his afterwards.
    let owner = |path: &str| {
        let meta = std::fs::metadata(rig.prefix(path)).expect("it is there");
        (std::os::unix::fs::MetadataExt::uid(&meta), std::os::unix::fs::MetadataExt::gid(&meta))
    };
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    assert_eq!([owner("bin/hello"), owner("share/doc"), owner("share/doc/hello")], [own; 3]);
    rig.run(&["remove", "hello"]).ok();
    assert!(!rig.prefix("bin/hello").exists());
}

#[test]
fn failures_show_command_status_last_lines_and_place() {
    let rig =
        of("fn install() {\n    exec([\"sh\", \"-c\", \"seq 100; echo bad >&2; exit 3\", \"it's\"]);\n}");
    let out = rig
        .run(&["install", "p"])
        .fails(17, "p.rhai:3:5: `sh -c 'seq 100; echo bad >&2; exit 3' 'it'\\''s'` failed (exit status 3)");
    assert!(out.stderr.contains("\n62\n63\n") && out.stderr.contains("\n100\nbad\n"), "{}", out.stderr);
    assert!(!out.stderr.contains("\n61\n"), "{}", out.stderr);
    let rig = of("fn install() { exec(\"no-such-program\", []); }");
    rig.run(&["install", "p"]).fails(17, "no-such-program: there is no such program");
    let rig = of("fn install() { exec([]); }");
    rig.run(&["install", "p"]).fails(10, "expected a program and its arguments");
    let rig = of("fn install() { exec([\"echo\", #{}]); }");
    rig.run(&["install", "p"]).fails(10, "expected arguments to be strings");
}

#[test]
fn values_are_never_code() {
    let evil = "$(touch owned); `touch owned`; touch owned; ' \\\" && touch owned";
    let rig = Rig::new();
    rig.write(
        "recipes/p.rhai",
        format!(
            "let pkg = #{{ name: \"p\", version: \"1\", license: \"{evil}\" }};\nfn install() {{\n    shell(\"printf %s \\\"$1\\\" > a\", [pkg.license]);\n    \
             exec([\"sh\", \"-c\", \"printf %s \\\"$0\\\" > b\", pkg.license]);\n    print(exists(\"owned\"));\n    install_file(\"a\", \"share/a\"); install_file(\"b\", \"share/b\");\n}}\n"
        ),
    );
    let out = rig.run(&["install", "p"]).ok();
    assert!(out.stderr.contains("p: false"), "{}", out.stderr);
    for name in ["share/a", "share/b"] {
        assert_eq!(
            std::fs::read_to_string(rig.prefix(name)).expect("read"),
            evil.replace("\\\"", "\""),
            "{name}"
        );
    }
}

#[test]
fn helpers_say_in_which_phase_they_work() {
    for (body, says) in [
        (
            "fn install() { git_clone(\"https://127.0.0.1/x\", \"1\"); }",
            "`git_clone` can only be called in acquire(), not in install()",
        ),
        (
            "fn install() { }\nfn post_install() { write_file(\"x\", \"y\"); }",
            "p.rhai:3:21: `write_file` can only be called in acquire(), build() and install(), not in post_install()",
        ),
        (
            "fn install() { late(); }\nfn is_installed() { late(); false }\nfn late() { install_file(\"x\", \"share/zz\"); }",
            "p.rhai:4:13: `install_file` can only be called in acquire(), build() and install(), not in is_installed()",
        ),
        (
            "fn build() { cargo_fetch(); }\nfn install() { }",
            "`cargo_fetch` can only be called in acquire(), not in build()",
        ),
        (
            "fn build() { cmake_install(); }\nfn install() { }",
            "`cmake_install` can only be called in install(), not in build()",
        ),
        (
            "fn acquire() { git_clone(\"https://127.0.0.1/x\", \"v1.0\"); }\nfn install() { }",
            "expected a commit of 40 digits",
        ),
    ] {
        of(body).run(&["install", "p"]).fails(10, says);
    }
    let rig = Rig::new();
    rig.write(
        "recipes/p.rhai",
        "let pkg = #{ name: \"p\", version: \"1\", allow: [\"everything\"] };\nfn install() { }\n",
    );
    rig.run(&["lint", "p"])
        .fails(10, "expected `pkg.allow` to name some of network-in-build, found \"everything\"");
}

#[test]
fn a_program_may_not_run_forever() {
    let rig = of("fn install() { exec([\"sleep\", \"1000\"]); }");
    let begin = std::time::Instant::now();
    let out = rig.cmd(&["install", "p"]).env("RECIPE_DEADLINE", "1").output().expect("it starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(17) && said.contains("`sleep 1000`: still running after 1 s"),
        "{said}"
    );
    assert!(begin.elapsed().as_secs() < 60);
}

#[test]
fn arguments_that_no_program_can_have_are_refused() {
    let rig = Rig::new();
    for (word, says) in [
        ("\"a\\x00b\"", "expected arguments without NUL, found \"a\\0b\""),
        ("true", "expected arguments to be strings, found one that is bool"),
    ] {
        let text = format!(
            "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ exec([\"echo\", {word}]); }}\n"
        );
        rig.write("recipes/p.rhai", text);
        rig.run(&["install", "p"]).fails(10, says);
    }
}

/// The kernel takes a quarter of the stack's limit for all arguments together, and 128 KiB for one.
#[test]
fn programs_can_have_as_many_arguments_as_the_kernel_takes() {
    let many = "let a = []; for i in 0..5000 { a.push(`file-with-a-quite-long-name-number-${i}.c`); }";
    let long = "let s = \"true # \"; while s.len() < 200_000 { s += \"0123456789\\t'\"; }";
    let rig = of(&format!(
        "fn install() {{\n    {many}\n    print(output([\"sh\", \"-c\", \"echo $# ${{5000}}\", \"sh\"] + a));\n    {long}\n    \
         s = s[0..131_000]; shell(s, [s, s]); write_file(\"x\", \"\"); install_file(\"x\", \"x\");\n}}"
    ));
    let out = rig.run(&["install", "p"]);
    assert!(
        out.code == Some(0) && out.stderr.contains("p: 5000 file-with-a-quite-long-name-number-4999.c\n"),
        "{:?} {:.2000}",
        out.code,
        out.stderr
    );
    for (call, code, says) in [
        (format!("{many} exec(\"false\", a);"), 17, "... (5000 arguments)` failed (exit status 1)"),
        (format!("{many} exec(\"/missing\", a);"), 17, "/missing: there is no such program"),
        (format!("{long} shell(s);"), 10, "expected arguments below 128 KiB, found one of 200011 bytes"),
        (format!("{long} exec(\"echo\", [s]);"), 10, "hint: write_file() puts a long text"),
        (
            format!("{long} s = s[0..130_000]; let a = []; a.pad(60, s); exec(\"true\", a);"),
            17,
            "true: cannot be started: Argument list too long",
        ),
    ] {
        let rig = of(&format!("fn install() {{\n    {call}\n}}"));
        let out = rig.run(&["install", "p"]);
        let said: String = out.stderr.chars().take(2000).collect();
        assert!(out.code == Some(code) && said.contains(says), "{call}: {:?} {said}", out.code);
        assert!(out.stderr.len() < 2000, "{call}: {} bytes", out.stderr.len());
    }
    let rig = of(&format!(
        "fn install() {{\n    {long}\n    write_file(\"long.sh\", s); exec(\"sh\", [\"-eu\", \"long.sh\"]); install_file(\"long.sh\", \"x\");\n}}"
    ));
    rig.run(&["install", "p"]).ok();
}
