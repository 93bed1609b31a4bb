//! Install and remove: the recipe of the FAQ, the state in its file, what is left.

use crate::rig::Rig;

/// The recipe as the FAQ has it; only the host differs.
#[test]
fn the_recipe_of_the_faq_is_installed_listed_and_removed() {
    let rig = Rig::new();
    let top = "ripgrep-14.1.0-x86_64-unknown-linux-musl";
    rig.release(
        "ripgrep",
        "14.1.0-x86_64-unknown-linux-musl",
        &[("bin/x", ""), ("rg", "#!/bin/sh\necho found\n")],
    );
    let text = format!(
        "let pkg = #{{ name: \"ripgrep\", version: \"14.1.0\", }};\nfn install() {{\n    let url = `{}/ripgrep-${{pkg.version}}-x86_64-unknown-linux-musl.tar.gz`;\n    download(url);\n    extract(\"tar.gz\");\n    install_bin(\"rg\");\n}}\n",
        rig.server.url("")
    );
    rig.write("recipes/ripgrep.rhai", &text);
    assert_eq!(rig.run(&["install", "ripgrep"]).ok().stdout, "+ ripgrep 14.1.0\n");
    assert_eq!(rig.server.log(), [format!("/{top}.tar.gz")]);

    let rg = rig.prefix("bin/rg");
    assert_eq!(common::cmd::Cmd::new(&rg).read().expect("it runs"), "found\n");
    let state = rig.recipe("ripgrep");
    assert!(state.starts_with(&text[..text.find("fn install").expect("there")]), "{state}");
    assert!(state.ends_with(&text[text.find("fn install").expect("there")..]), "{state}");
    for line in [
        "let installed = true;\n",
        "let installed_version = \"14.1.0\";\n",
        "let installed_as_dep = false;\n",
        &format!("let installed_files = [\n    \"{}\",\n];\n", rg.display()),
    ] {
        assert!(state.contains(line), "{line} in {state}");
    }
    assert_eq!(rig.run(&["list"]).ok().stdout, "ripgrep  14.1.0  installed\n");
    assert_eq!(rig.run(&["files", "ripgrep"]).ok().stdout, format!("{}\n", rg.display()));
    assert_eq!(
        rig.run(&["owns", &rg.to_string_lossy()]).ok().stdout,
        format!("{}: ripgrep 14.1.0\n", rg.display())
    );
    rig.run(&["check"]).ok();
    assert!(rig.run(&["install", "ripgrep"]).ok().stderr.contains("installed already"));
    assert_eq!(rig.server.log().len(), 1, "a second run asks nobody");

    assert_eq!(rig.run(&["remove", "ripgrep"]).ok().stdout, "- ripgrep 14.1.0\n");
    assert!(!rg.exists());
    let state = rig.recipe("ripgrep");
    assert!(
        state.contains("let installed = false;\n") && state.contains("let installed_files = [];\n"),
        "{state}"
    );
    rig.run(&["remove", "ripgrep"]).fails(11, "ripgrep is not installed");
    for left in ["stage", "build", "journal.json"] {
        assert!(!rig.prefix(".recipe").join(left).exists(), "{left}");
    }
}

#[test]
fn every_install_helper_puts_its_file_where_it_belongs() {
    let rig = Rig::new();
    let files = [
        ("bin/tool", "program"),
        ("lib/libtool.so", "library"),
        ("doc/tool.1", ".TH TOOL 1"),
        ("complete/_tool", "zsh"),
        ("complete/tool.fish", "fish"),
        ("complete/tool.bash", "bash"),
        ("tool.desktop", "[Desktop Entry]"),
        ("etc/tool.conf", "a = 1"),
        ("share/runtime/deep/file", "data"),
        ("LICENSE", "licence"),
    ];
    rig.release("tool", "1", &files);
    rig.add(
        "tool",
        "1",
        r#"install_bin("tool"); install_bin("bin/tool", "tool2"); install_lib("libtool.so"); install_lib("lib/libtool.so", "libtool.so.1"); install_man("tool.1");
           install_completion("_tool"); install_completion("tool.fish"); install_completion("tool.bash");
           install_completion("LICENSE", "bash", "odd"); install_desktop("tool.desktop");
           install_config("etc/tool.conf", "etc/tool/tool.conf"); install_tree("share/runtime", "share/tool");
           install_file("LICENSE", "share/licenses/tool/LICENSE", 0o600); symlink("bin/tool", "share/tool/tool");
           symlink("tool", "bin/t"); write_file("made/by/hand", `v${pkg.version}`); install_file("made/by/hand", "etc/v");"#,
    );
    rig.run(&["install", "tool"]).ok();
    let tree = rig.tree();
    let kinds: Vec<_> = tree
        .iter()
        .filter(|(_, what)| *what != "dir")
        .map(|(path, what)| format!("{path} {}", what.split(' ').take(2).collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(
        kinds,
        [
            "bin/t -> ../tool",
            "bin/tool file 0755",
            "bin/tool2 file 0755",
            "etc/tool/tool.conf file 0644",
            "etc/v file 0644",
            "lib/libtool.so file 0755",
            "lib/libtool.so.1 file 0755",
            "share/applications/tool.desktop file 0644",
            "share/bash-completion/completions/odd file 0644",
            "share/bash-completion/completions/tool file 0644",
            "share/fish/vendor_completions.d/tool.fish file 0644",
            "share/licenses/tool/LICENSE file 0600",
            "share/man/man1/tool.1 file 0644",
            "share/tool/deep/file file 0644",
            "share/tool/tool -> ../../bin/tool",
            "share/zsh/site-functions/_tool file 0644",
        ]
    );
    rig.run(&["check", "tool"]).ok();
    rig.run(&["remove", "tool"]).ok();
    let left: Vec<_> = rig.tree().into_iter().collect();
    let top = ["bin", "etc", "lib", "share"].map(|d| (d.to_owned(), "dir".to_owned()));
    assert_eq!(left, top, "only what lies directly in the prefix stays");
}

#[test]
fn phases_run_in_order_and_a_missing_one_is_none() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    let url = rig.server.url("/p-1.tar.gz");
    let text = format!(
        "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn is_installed() {{ print(\"asked\"); false }}\n\
         fn acquire() {{ print(\"acquire\"); download(\"{url}\"); }}\nfn build() {{ print(\"build\"); extract(); }}\n\
         fn install() {{ print(\"install\"); install_bin(\"p\"); }}\nfn post_install() {{ print(\"post\"); }}\n\
         fn remove() {{ print(\"removing \" + pkg.version); }}\n"
    );
    rig.write("recipes/p.rhai", &text);
    let said = rig.run(&["install", "--no-progress", "p"]).ok().stderr;
    assert!(said.starts_with("p: asked\np: acquire\np: build\np: install\np: post\nInstalled"), "{said}");
    // The recipe is a newer one by now: what removes is the installed one's.
    rig.write(
        "recipes/p.rhai",
        rig.recipe("p").replace("\"1\" }", "\"2\" }").replace("removing", "breaking"),
    );
    assert!(rig.run(&["remove", "p"]).ok().stderr.starts_with("p: removing 1\nRemoved"));
    // It is there, but not by us.
    rig.write("recipes/p.rhai", text.replace("\"asked\"); false", "\"asked\"); true"));
    let out = rig.run(&["install", "p"]).ok();
    assert!(out.stderr.contains("not installed by recipe"), "{out:?}");
    assert!(!rig.prefix("bin/p").exists() && rig.recipe("p").contains("{ name"));
}

#[test]
fn a_failing_post_install_takes_everything_back() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p"), ("share/x/y/z", "z")]);
    rig.add("p", "1", "install_bin(\"p\"); install_tree(\"share\", \"share\");");
    rig.write("recipes/p.rhai", rig.recipe("p") + "fn post_install() { fail(\"not today\"); }\n");
    let (before, tree) = (rig.recipe("p"), rig.tree());
    rig.run(&["install", "p"]).fails(17, "recipes/p.rhai:10:21: not today");
    rig.run(&["install", "p"]).fails(17, "error: post_install of p failed; nothing was changed\n");
    assert_eq!((rig.recipe("p"), rig.tree()), (before, tree));
    assert!(!rig.prefix(".recipe/journal.json").exists() && !rig.prefix(".recipe/db/p").exists());
}

#[test]
fn several_packages_are_one_transaction() {
    let rig = Rig::new();
    for name in ["a", "b", "c"] {
        rig.release(name, "1", &[(&format!("bin/{name}"), name)]);
        rig.add(name, "1", &format!("install_bin(\"{name}\");"));
    }
    rig.write("recipes/c.rhai", rig.recipe("c").replace("install_bin(\"c\")", "install_bin(\"gone\")"));
    let before = ["a", "b", "c"].map(|n| rig.recipe(n));
    rig.run(&["install", "a", "b", "c"]).fails(11, "there is no file \"gone\"; found bin");
    assert_eq!(["a", "b", "c"].map(|n| rig.recipe(n)), before);
    assert!(rig.tree().is_empty());
    assert_eq!(rig.run(&["install", "a", "b", "a"]).ok().stdout, "+ a 1\n+ b 1\n");
    let tx = |name: &str| {
        let text = rig.recipe(name);
        text.lines().find(|l| l.starts_with("let installed_tx")).expect("a transaction").to_owned()
    };
    assert_eq!(tx("a"), tx("b"));
    assert_eq!(rig.run(&["remove", "b", "a"]).ok().stdout, "- a 1\n- b 1\n");
    assert_eq!(rig.tree().len(), 1);
}

#[test]
fn another_system_is_installed_into_by_its_own_links() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    // /usr/local leads to /var/usrlocal there, by an absolute link: never to this system's.
    std::fs::create_dir_all(rig.path("root/usr")).expect("made");
    std::fs::create_dir_all(rig.path("root/var/usrlocal")).expect("made");
    std::os::unix::fs::symlink("/var/usrlocal", rig.path("root/usr/local")).expect("linked");
    let root = rig.path("root").to_string_lossy().into_owned();
    let (recipes, cache) = (rig.path("recipes"), rig.path("cache"));
    let cmd = common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(["install", "p", "-R", &root, "-r"]);
    cmd.arg(recipes).arg("--cache").arg(cache).run().expect("it installs");
    assert!(rig.path("root/var/usrlocal/bin/p").is_file());
    assert!(rig.recipe("p").contains("\"/usr/local/bin/p\""));
}

#[test]
fn a_dry_run_makes_the_package_and_changes_nothing() {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    let before = rig.recipe("p");
    let out = rig.run(&["install", "-n", "--json", "p"]).ok();
    let json: serde_json::Value = serde_json::from_str(&out.stdout).expect("JSON");
    assert_eq!((&json["schema"], &json["done"]), (&1.into(), &false.into()));
    assert_eq!(json["packages"][0]["files"][0], rig.prefix("bin/p").to_string_lossy().as_ref());
    assert_eq!((rig.recipe("p"), rig.tree().len()), (before, 0));
    rig.run(&["install", "p"]).ok();
    let before = rig.recipe("p");
    rig.run(&["remove", "-n", "p"]).ok();
    assert_eq!((rig.recipe("p"), rig.tree().len()), (before, 2));
}

/// `download` gives a path: also of several files, also of one that is called otherwise.
#[test]
fn what_was_downloaded_is_installed_by_its_path() {
    let rig = Rig::new();
    for name in ["tool", "tool.1", "_tool"] {
        rig.write(&format!("www/{name}"), name);
    }
    let url = |name: &str| rig.server.url(&format!("/{name}"));
    let text = format!(
        "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{\n    let tool = download(\"{}\");\n    \
         let page = download(\"{}\");\n    let zsh = download(\"{}\");\n    install_bin(tool);\n    \
         install_bin(tool, \"other\");\n    install_man(page);\n    install_completion(zsh);\n    \
         install_file(tool, \"share/p/tool\");\n}}\n",
        url("tool"),
        url("tool.1"),
        url("_tool")
    );
    rig.write("recipes/p.rhai", &text);
    rig.run(&["install", "p"]).ok();
    for (path, content) in [
        ("bin/tool", "tool"),
        ("bin/other", "tool"),
        ("share/man/man1/tool.1", "tool.1"),
        ("share/zsh/site-functions/_tool", "_tool"),
        ("share/p/tool", "tool"),
    ] {
        assert_eq!(rig.read(&format!("prefix/{path}")), content, "{path}");
    }
    // Nothing else of the cache is.
    let other = rig.write("cache/downloads/other", "x").display().to_string();
    rig.write(
        "recipes/p.rhai",
        rig.recipe("p").replace("install_bin(tool)", &format!("install_bin(\"{other}\")")),
    );
    rig.run(&["install", "--reinstall", "p"]).fails(17, "leads out of the build directory");
}
