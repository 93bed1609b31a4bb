//! What builds leave that no ordinary archive has: info pages, empty directories, names that are no text, files with two names; and
//! the recipes of the guide.

use crate::rig::Rig;
use crate::tools::source;

#[test]
fn the_list_of_info_pages_belongs_to_no_package() {
    let rig = Rig::new();
    let make = "all:\n\ninstall:\n\tmkdir -p $(DESTDIR)$(PREFIX)/share/info\n\techo a > $(DESTDIR)$(PREFIX)/share/info/$(NAME).info\n\t\
                echo list > $(DESTDIR)$(PREFIX)/share/info/dir\n";
    for name in ["a", "b"] {
        source(
            &rig,
            name,
            "",
            &[("Makefile", make)],
            "make();",
            &format!("make([\"install\", \"NAME={name}\"]);"),
        );
    }
    rig.run(&["install", "a", "b"]).ok();
    assert_eq!(rig.run(&["files", "b"]).ok().stdout.lines().count(), 1);
    assert!(!rig.prefix("share/info/dir").exists());
}

#[test]
fn empty_directories_come_and_go_with_their_package() {
    let rig = Rig::new();
    rig.write(
        "recipes/p.rhai",
        "let pkg = #{ name: \"p\", version: \"1\" };\nfn install() { shell(\"cd $STAGE; mkdir -p var/p/log/old var/p/run share/p; \
         echo x > share/p/x\"); }\n",
    );
    rig.run(&["install", "p"]).ok();
    assert!(rig.prefix("var/p/log/old").is_dir() && rig.prefix("var/p/run").is_dir());
    let second = rig.recipe("p").replace("var/p/log/old ", "").replace("version: \"1\"", "version: \"2\"");
    rig.write("recipes/p.rhai", second);
    rig.run(&["upgrade"]).ok();
    assert!(!rig.prefix("var/p/log").exists() && rig.prefix("var/p/run").is_dir());
    rig.run(&["undo"]).ok();
    assert!(rig.prefix("var/p/log/old").is_dir());
    // What somebody put there stays.
    rig.write("prefix/var/p/run/pid", "1");
    rig.run(&["remove", "p"]).ok();
    let left: Vec<_> = rig.tree().into_keys().collect();
    assert_eq!(left, ["share", "var", "var/p", "var/p/run", "var/p/run/pid"]);
}

#[test]
fn names_that_are_no_text_are_no_obstacle() {
    use std::os::unix::ffi::OsStrExt;
    let rig = Rig::new();
    rig.write("src/p-1/test/x", "x");
    let odd = rig.path("src/p-1/test").join(std::ffi::OsStr::from_bytes(b"na\xefve"));
    std::fs::write(odd, "x").expect("written");
    let build = "shell(\"ls test | wc -l > count; mkdir bin; echo x > bin/tool\");";
    source(
        &rig,
        "p",
        "",
        &[("Makefile", "all:\n")],
        build,
        "install_bin(\"tool\"); install_file(\"count\", \"share/count\");",
    );
    rig.run(&["install", "p"]).ok();
    assert_eq!(rig.read("prefix/share/count").trim(), "2");
    let odd = "fn install() { shell(\"mkdir $STAGE/share; touch $STAGE/share/$(printf 'na\\\\357ve')\"); }";
    rig.write("recipes/q.rhai", format!("let pkg = #{{ name: \"q\", version: \"1\" }};\n{odd}\n"));
    rig.run(&["install", "q"]).fails(14, "expected a name in UTF-8");
}

#[test]
fn files_with_several_names_are_installed() {
    let rig = Rig::new();
    let install =
        "fn install() { shell(\"mkdir $STAGE/bin; echo x > $STAGE/bin/a; ln $STAGE/bin/a $STAGE/bin/b\"); }";
    rig.write("recipes/p.rhai", format!("let pkg = #{{ name: \"p\", version: \"1\" }};\n{install}\n"));
    rig.run(&["install", "p"]).ok();
    rig.run(&["check", "p"]).ok();
    rig.run(&["install", "--reinstall", "p"]).ok();
    rig.run(&["undo"]).ok();
    rig.run(&["check", "p"]).ok();
    rig.run(&["remove", "p"]).ok();
    assert!(!rig.prefix("bin/a").exists() && !rig.prefix("bin/b").exists());
}

#[test]
fn recipes_of_the_guide_have_no_mistakes() {
    let page = testkit::workspace().join("docs/guide/building.md");
    let page = std::fs::read_to_string(page).expect("read");
    let blocks = page.split("```text\n").skip(1).map(|rest| rest.split("```").next().expect("an end"));
    let mut count = 0;
    for text in blocks {
        let rig = Rig::new();
        let name = text.split("name: \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a name");
        rig.write(&format!("recipes/{name}.rhai"), text);
        rig.run(&["lint", name]).ok();
        count += 1;
    }
    assert!(count >= 6, "found {count}");
}

#[test]
fn a_home_lasts_while_a_package_is_built_and_is_no_part_of_it() {
    let rig = Rig::new();
    let body = r#"let pkg = #{ name: "p", version: "1" };
fn acquire() { shell("mkdir $HOME/.cache; echo kept > $HOME/.cache/x; echo gone > /tmp/x"); }
fn build() { shell("cat $HOME/.cache/x > x; ! cat /tmp/x"); }
fn install() { shell("cat $HOME/.cache/x > y"); install_tree(".", "share/p"); }
fn post_install() { print(output(["sh", "-c", "echo $HOME"])); }
"#;
    rig.write("recipes/p.rhai", body);
    let out = rig.run(&["install", "p"]).ok();
    assert!(out.stderr.contains("\np: /tmp\n"), "{}", out.stderr);
    let files: Vec<_> = rig.tree().into_keys().collect();
    assert_eq!(files, ["share", "share/p", "share/p/x", "share/p/y"]);
    assert_eq!(rig.read("prefix/share/p/y"), "kept\n");
    assert!(!rig.prefix(".recipe/home").exists());
}

#[test]
fn how_the_network_is_reached_is_said_to_acquire_alone() {
    let rig = Rig::new();
    let say = "print(output([\"sh\", \"-c\", \"env | grep -E 'PROXY|CERT' | sort | tr '\\\\n' ' '\"]))";
    let text = format!(
        "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn acquire() {{ {say}; }}\nfn build() {{ {say}; }}\n\
         fn install() {{ {say}; write_file(\"d\", \"\"); install_file(\"d\", \"share/d\"); }}\n"
    );
    rig.write("recipes/p.rhai", text);
    let cmd =
        rig.cmd(&["install", "p"]).env("SSL_CERT_FILE", "/etc/a").env("HTTPS_PROXY", "http://127.0.0.1:9");
    let out = rig.ran(cmd).ok();
    let all: Vec<_> = out.stderr.lines().filter(|line| line.starts_with("p:")).collect();
    assert!(
        all[0].contains("SSL_CERT_FILE=/etc/a") && all[0].contains("HTTPS_PROXY=http://127.0.0.1:9"),
        "{all:?}"
    );
    assert_eq!(all[1..], ["p: ", "p: "]);
}
