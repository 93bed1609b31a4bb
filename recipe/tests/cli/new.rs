//! `recipe new`: from a name, an address, a file or a release to a package that is installed, by the recipe that was written.

use common::cmd::Cmd;
use common::hash::Sha256;
use testkit::server::Answer;

use crate::rig::{Out, Rig};

/// A program in machine code of this machine.
pub(crate) fn elf() -> Vec<u8> {
    std::fs::read(testkit::oracle("true")).expect("a program")
}

/// Packs what is in `src/NAME` as `www/FILE`: tar by its ending, zip else.
pub(crate) fn pack(rig: &Rig, name: &str, file: &str) {
    let archive = rig.path("www").join(file);
    std::fs::create_dir_all(archive.parent().expect("a parent")).expect("made");
    let src = rig.path("src");
    let cmd = if file.ends_with(".zip") {
        Cmd::new(testkit::oracle("zip")).arg("-qry").arg(&archive).arg(name).dir(&src)
    } else {
        Cmd::new(testkit::oracle("tar")).arg("-caf").arg(&archive).arg("-C").arg(&src).arg(name)
    };
    cmd.run().expect("it packs");
}

pub(crate) fn program(rig: &Rig, path: &str, content: impl AsRef<[u8]>) {
    let path = rig.write(&format!("src/{path}"), content);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
}

pub(crate) fn from(rig: &Rig, path: &str) -> Out {
    rig.run(&["new", "--from", &rig.server.url(path)])
}

/// What was written lints and installs; the files of the prefix.
#[track_caller]
pub(crate) fn installs(rig: &Rig, name: &str) -> Vec<String> {
    rig.run(&["lint", name]).ok();
    rig.run(&["install", name]).ok();
    rig.run(&["check", name]).ok();
    rig.tree().into_iter().filter(|(_, what)| what != "dir").map(|(path, _)| path).collect()
}

#[test]
fn a_name_alone_is_a_recipe_that_works() {
    let rig = Rig::new();
    let out = rig.run(&["new", "tool"]).ok();
    assert_eq!(out.stdout.trim(), rig.path("recipes/tool.rhai").display().to_string());
    assert_eq!(installs(&rig, "tool"), ["bin/tool"]);
    assert!(Cmd::new(rig.prefix("bin/tool")).read().expect("it runs").contains("until you change it"));
    assert_eq!(rig.run(&["update", "tool"]).ok().stdout, "");
    let before = rig.recipe("tool");
    rig.run(&["new", "tool"]).fails(15, "tool.rhai is there already");
    assert_eq!(rig.recipe("tool"), before);
    rig.run(&["new", "../x"]).fails(2, "expected a name of letters");
    rig.run(&["new"]).fails(2, "required");
}

#[test]
fn an_archive_of_programs_is_installed_with_all_that_belongs_to_it() {
    let rig = Rig::new();
    let top = "rg-14.1.0-x86_64-unknown-linux-musl";
    program(&rig, &format!("{top}/rg"), elf());
    for (path, content) in [
        ("doc/rg.1", ".TH RG 1\n"),
        ("doc/de/CHANGELOG.md", "# changes"),
        ("README.md", "# rg"),
        ("LICENSE-MIT", "mit"),
        ("complete/rg.bash", "complete"),
        ("complete/rg.fish", "complete"),
        ("complete/_rg", "#compdef rg"),
        ("complete/_rg.ps1", "windows"),
        ("share/applications/rg.desktop", "[Desktop Entry]"),
        ("share/icons/hicolor/scalable/apps/rg.svg", "<svg/>"),
        ("lib/librg.so.1.2", "\u{7f}ELF"),
    ] {
        rig.write(&format!("src/{top}/{path}"), content);
    }
    std::os::unix::fs::symlink("librg.so.1.2", rig.path(&format!("src/{top}/lib/librg.so.1")))
        .expect("linked");
    pack(&rig, top, &format!("dl/14.1.0/{top}.tar.gz"));
    let out = from(&rig, &format!("/dl/14.1.0/{top}.tar.gz")).ok();
    assert!(out.stderr.contains("is the digest of what the server sent just now"), "{}", out.stderr);
    let text = rig.recipe("rg");
    let digest =
        Sha256::of(&std::fs::read(rig.path(&format!("www/dl/14.1.0/{top}.tar.gz"))).expect("packed"));
    let url = rig.server.url("/dl/${pkg.version}/rg-${pkg.version}-x86_64-unknown-linux-musl.tar.gz");
    assert!(text.contains(&format!("`{url}`")) && text.contains(&format!("\"{digest}\"")), "{text}");
    assert!(text.contains("version: \"14.1.0\""), "{text}");
    assert_eq!(
        installs(&rig, "rg"),
        [
            "bin/rg",
            "lib/librg.so.1",
            "lib/librg.so.1.2",
            "share/applications/rg.desktop",
            "share/bash-completion/completions/rg",
            "share/fish/vendor_completions.d/rg.fish",
            "share/icons/hicolor/scalable/apps/rg.svg",
            "share/man/man1/rg.1",
            "share/zsh/site-functions/_rg",
        ]
    );
    Cmd::new(rig.prefix("bin/rg")).run().expect("it runs");
    // It is the one that was looked into, and no other is accepted.
    rig.run(&["remove", "rg"]).ok();
    std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    rig.write(&format!("www/dl/14.1.0/{top}.tar.gz"), "something else");
    rig.run(&["install", "rg"]).fails(14, "is not the file that was wanted");
}

#[test]
fn programs_that_need_files_beside_them_keep_these() {
    let rig = Rig::new();
    let top = "node-v20.11.1-linux-x64";
    program(&rig, &format!("{top}/bin/node"), elf());
    program(&rig, &format!("{top}/lib/node_modules/npm/cli.js"), "#!/bin/sh\necho npm\n");
    std::os::unix::fs::symlink("../lib/node_modules/npm/cli.js", rig.path(&format!("src/{top}/bin/npm")))
        .expect("linked");
    rig.write(&format!("src/{top}/share/man/man1/node.1"), ".TH NODE 1\n");
    rig.write(&format!("src/{top}/include/node.h"), "int x;\n");
    (1..9).for_each(|n| drop(rig.write(&format!("src/{top}/man/man5/n{n}.5"), ".TH N 5\n")));
    program(&rig, &format!("{top}/bin/npm-cli.js"), "#!/usr/bin/env node\n");
    pack(&rig, top, &format!("{top}.tar.xz"));
    from(&rig, &format!("/{top}.tar.xz")).ok();
    assert!(rig.recipe("node").contains("version: \"20.11.1\""), "{}", rig.recipe("node"));
    let files = installs(&rig, "node");
    for path in
        ["bin/node", "bin/npm", "lib/node/bin/npm", "lib/node/include/node.h", "share/man/man1/node.1"]
    {
        assert!(files.iter().any(|f| f == path), "{path}: {files:?}");
    }
    assert!(
        files.iter().any(|f| f == "share/man/man5/n8.5") && !files.iter().any(|f| f == "bin/npm-cli.js"),
        "{files:?}"
    );
    assert_eq!(Cmd::new(rig.prefix("bin/npm")).read().expect("it runs"), "npm\n");
}

#[test]
fn bare_programs_and_packed_ones_are_called_by_their_names() {
    let rig = Rig::new();
    rig.write("www/o/jq/releases/download/jq-1.7.1/jq-linux-amd64", elf());
    from(&rig, "/o/jq/releases/download/jq-1.7.1/jq-linux-amd64").ok();
    assert!(rig.recipe("jq").contains("/jq-${pkg.version}/jq-linux-amd64`"), "{}", rig.recipe("jq"));
    assert_eq!(installs(&rig, "jq"), ["bin/jq"]);
    Cmd::new(rig.prefix("bin/jq")).run().expect("it runs");

    // One file, packed, with the version in its name; a zip, whose programs may have no rights.
    let rig = Rig::new();
    program(&rig, "tool-2.0-linux-x64", elf());
    Cmd::new(testkit::oracle("gzip")).arg(rig.path("src/tool-2.0-linux-x64")).run().expect("packed");
    std::fs::rename(rig.path("src/tool-2.0-linux-x64.gz"), rig.path("www/tool-2.0-linux-x64.gz"))
        .expect("moved");
    from(&rig, "/tool-2.0-linux-x64.gz").ok();
    assert_eq!(installs(&rig, "tool"), ["bin/tool"]);

    let rig = Rig::new();
    rig.write("src/sub/deno", elf());
    pack(&rig, "sub", "v1.2/deno-x86_64-unknown-linux-gnu.zip");
    from(&rig, "/v1.2/deno-x86_64-unknown-linux-gnu.zip").ok();
    assert_eq!(installs(&rig, "deno"), ["bin/deno"]);
    // An address whose end says nothing.
    let rig = Rig::new();
    rig.release("p", "3", &[("bin/p", "#!/bin/sh\necho p\n")]);
    std::fs::rename(rig.path("www/p-3.tar.gz"), rig.path("www/download")).expect("moved");
    let url = rig.server.url("/download");
    rig.run(&["new", "--from", &url]).fails(2, "does not say which version it is");
    let out = rig.run(&["new", "p", "--from", &url, "--pkg-version", "3"]).ok();
    assert!(out.stderr.contains("does not have the version in it"), "{}", out.stderr);
    assert_eq!(installs(&rig, "p"), ["bin/p"]);
}

#[test]
fn local_files_lie_beside_their_recipe() {
    let rig = Rig::new();
    rig.release("p", "1.5", &[("bin/p", "#!/bin/sh\necho p\n"), ("share/p/data", "x")]);
    std::fs::rename(rig.path("www/p-1.5.tar.gz"), rig.path("p-1.5.tar.gz")).expect("moved");
    rig.run(&["new", "--from", "p-1.5.tar.gz"]).ok();
    assert!(rig.recipe("p").contains("extract_file(`p-${pkg.version}.tar.gz`);"), "{}", rig.recipe("p"));
    let files = installs(&rig, "p");
    assert_eq!(files, ["bin/p", "lib/p/bin/p", "lib/p/share/p/data"]);
    assert!(rig.server.log().is_empty());
    // Another file is refused.
    rig.write("recipes/p-1.5.tar.gz", "something else");
    rig.run(&["install", "--reinstall", "p"]).fails(14, "p-1.5.tar.gz beside the recipe is not the file");
    // And never overwritten: then there is no recipe either.
    rig.run(&["new", "q", "--from", "p-1.5.tar.gz"]).fails(15, "recipes/p-1.5.tar.gz is there already");
    assert!(!rig.path("recipes/q.rhai").exists());
    assert_eq!(rig.read("recipes/p-1.5.tar.gz"), "something else");
    // A program alone.
    rig.write("tool-2.sh", "#!/bin/sh\necho two\n");
    rig.run(&["new", "tool", "--from", "tool-2.sh", "--pkg-version", "2"]).ok();
    rig.run(&["install", "tool"]).ok();
    rig.run(&["new", "--from", "missing.tar.gz"]).fails(11, "failed to open missing.tar.gz");
    rig.run(&["new", "--from", "recipes/tool.rhai"]).fails(1, "expected an archive or a program");
}

/// Names in archives are strangers' data: they stay names, whatever they look like in a program.
#[test]
fn names_of_files_are_no_code() {
    let rig = Rig::new();
    let odd = ["a`${fail(1)}", "b\"); fail(\"2", "c\\", "d 1.0 `1.0`", "e'${pkg.version}", "f//", "\u{fc}"];
    for name in odd.iter().map(|name| name.trim_end_matches('/')) {
        program(&rig, &format!("odd-1.0/bin/{name}"), format!("#!/bin/sh\necho {}\n", name.len()));
    }
    program(&rig, "odd-1.0/bin/1.0", "#!/bin/sh\n");
    rig.write("src/odd-1.0/share/man/man1/`${x}.1", ".TH\n");
    pack(&rig, "odd-1.0", "odd-1.0.tar.gz");
    from(&rig, "/odd-1.0.tar.gz").ok();
    let files = installs(&rig, "odd");
    let mut expected: Vec<_> = odd.iter().map(|name| format!("bin/{}", name.trim_end_matches('/'))).collect();
    expected.extend(["bin/1.0", "share/man/man1/`${x}.1"].map(str::to_owned));
    expected.sort();
    assert_eq!(files, expected);
    // What cannot be a name of the package makes no recipe that could not be installed.
    let rig = Rig::new();
    program(&rig, "odd-1.0/bin/odd", elf());
    let name = "odd\n1.0.tar.gz";
    pack(&rig, "odd-1.0", name);
    std::fs::rename(rig.path("www").join(name), rig.path(name)).expect("moved");
    let out = rig.run(&["new", "--from", name]);
    assert_ne!(out.code, Some(0), "{out:?}");
    assert_eq!(std::fs::read_dir(rig.path("recipes")).expect("read").count(), 0);
}

#[test]
fn what_is_no_package_makes_no_recipe() {
    let rig = Rig::new();
    rig.write("www/page-1.0", "<!DOCTYPE html>");
    from(&rig, "/page-1.0").fails(1, "page-1.0 is neither an archive nor a program, but a web page");
    rig.release("docs", "1.0", &[("README.md", "# docs"), ("data/x", "x")]);
    let out = from(&rig, "/docs-1.0.tar.gz").fails(11, "it holds no program");
    assert!(
        out.stderr.contains("data/x") && out.stderr.contains("hint: `recipe new NAME`"),
        "{}",
        out.stderr
    );
    let mut foreign = elf();
    foreign[18..20].copy_from_slice(&[40, 0]);
    rig.write("src/arm/prog", foreign);
    pack(&rig, "arm", "prog-1.0.tar.gz");
    from(&rig, "/prog-1.0.tar.gz").fails(11, "prog is a program for another machine");
    rig.write("www/bad-1.0.tar.gz", "not packed");
    from(&rig, "/bad-1.0.tar.gz").fails(14, "cannot make a recipe of");
    from(&rig, "/none-1.0.tar.gz").fails(13, "HTTP 404");
    assert_eq!(std::fs::read_dir(rig.path("recipes")).expect("read").count(), 0);
    assert!(rig.tree().is_empty() && !rig.prefix(".recipe/build").exists());
    // What is only looked at.
    rig.release("p", "1.0", &[("bin/p", "#!/bin/sh\n")]);
    let out = rig.run(&["new", "-n", "--from", &rig.server.url("/p-1.0.tar.gz")]).ok();
    assert!(out.stdout.contains("install_bin(\"bin/p\");"), "{}", out.stdout);
    assert_eq!(std::fs::read_dir(rig.path("recipes")).expect("read").count(), 0);
    let out = rig.run(&["new", "--json", "--from", &rig.server.url("/p-1.0.tar.gz")]).ok();
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    assert_eq!((&json["name"], &json["version"], &json["done"]), (&"p".into(), &"1.0".into(), &true.into()));
    assert_eq!(json["recipe"], rig.recipe("p").as_str());
}

/// It changes no package: it waits for nobody, and keeps nobody waiting, however long a download takes.
#[test]
fn it_needs_no_lock() {
    let rig = Rig::new();
    rig.release("q", "1", &[("bin/q", "q")]);
    rig.add("q", "1", "install_bin(\"q\");");
    program(&rig, "tool-1.0/bin/tool", elf());
    pack(&rig, "tool-1.0", "tool-1.0.tar.gz");
    let bytes = std::fs::read(rig.path("www/tool-1.0.tar.gz")).expect("packed");
    rig.server.answer("/slow-1.0.tar.gz", Answer::Stalls(bytes));
    let is_time = || {
        let asked = rig.server.log().iter().any(|line| line.starts_with("/slow-1.0.tar.gz"));
        if asked {
            rig.run(&["install", "q"]).ok();
        }
        asked
    };
    rig.interrupted(&["new", "--from", &rig.server.url("/slow-1.0.tar.gz")], is_time);
    assert!(rig.prefix("bin/q").exists() && !rig.path("recipes/slow.rhai").exists());
    let lock = std::fs::File::open(rig.prefix(".recipe/lock")).expect("it is there");
    lock.lock().expect("locked");
    from(&rig, "/tool-1.0.tar.gz").ok();
    drop(lock);
    assert_eq!(installs(&rig, "tool"), ["bin/q", "bin/tool"]);
}
