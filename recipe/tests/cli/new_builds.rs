//! `recipe new` for sources, which are built, and for releases, of which one file is chosen.

use common::cmd::Cmd;

use crate::new::{elf, from, installs, pack, program};
use crate::rig::{Out, Rig, rust};
use testkit::server::Answer;

#[test]
fn sources_are_built() {
    let rig = Rig::new();
    let makefile = "hello:\n\tprintf '#!/bin/sh\\necho $(PREFIX)\\n' > hello\ninstall: hello\n\tinstall -D hello \
                    $(DESTDIR)$(PREFIX)/bin/hello\n";
    rig.release("hello", "1.0", &[("Makefile", makefile), ("tests/bin/x", "#!/bin/sh\n")]);
    from(&rig, "/hello-1.0.tar.gz").ok();
    assert_eq!(installs(&rig, "hello"), ["bin/hello"]);

    let rig = Rig::new();
    let configure = "#!/bin/sh\necho 'all:\n\ttouch done\ninstall:\n\tinstall -D -m 755 configure $(DESTDIR)'${1#--prefix=}'/bin/conf' > Makefile\n";
    rig.write("src/conf-2.1/CMakeLists.txt", "");
    program(&rig, "conf-2.1/configure", configure);
    pack(&rig, "conf-2.1", "o/conf/archive/refs/tags/v2.1.tar.gz");
    from(&rig, "/o/conf/archive/refs/tags/v2.1.tar.gz").ok();
    assert!(
        rig.recipe("conf").contains("/archive/refs/tags/v${pkg.version}.tar.gz`"),
        "{}",
        rig.recipe("conf")
    );
    assert_eq!(installs(&rig, "conf"), ["bin/conf"]);
}

#[test]
fn crates_cmake_and_meson_are_built() {
    let rig = Rig::new();
    let toml = "[package]\nname = \"crab\"\nversion = \"0.3.0\"\nedition = \"2021\"\ndescription = \"A \\\"crab\\\"\"\nlicense = \"MIT\"\n";
    let lock = "version = 4\n\n[[package]]\nname = \"crab\"\nversion = \"0.3.0\"\n";
    let files = [("Cargo.toml", toml), ("src/main.rs", "fn main() { println!(\"crab\"); }\n")];
    rig.release("crab", "0.3.0", &files);
    from(&rig, "/crab-0.3.0.tar.gz").fails(1, "no Cargo.lock");
    rig.release("crab", "0.3.0", &[files[0], files[1], ("Cargo.lock", lock)]);
    from(&rig, "/crab-0.3.0.tar.gz").ok();
    let text = rig.recipe("crab");
    assert!(text.contains("description: \"A \\\"crab\\\"\"") && text.contains("license: \"MIT\""), "{text}");
    rig.run(&["lint"]).ok();
    rig.ran(rig.cmd(&["install", "crab"]).env("RECIPE_TOOLS", rust())).ok();
    assert_eq!(Cmd::new(rig.prefix("bin/crab")).read().expect("it runs"), "crab\n");

    let cmake = "cmake_minimum_required(VERSION 3.10)\nproject(c NONE)\ninstall(PROGRAMS run.sh DESTINATION bin RENAME by-cmake)\n";
    rig.release("c", "1.0", &[("CMakeLists.txt", cmake), ("run.sh", "#!/bin/sh\n")]);
    let meson = "project('m')\ninstall_data('run.sh', rename: 'by-meson', install_dir: 'bin', install_mode: 'rwxr-xr-x')\n";
    rig.release("m", "1.0", &[("meson.build", meson), ("run.sh", "#!/bin/sh\n")]);
    for name in ["c", "m"] {
        from(&rig, &format!("/{name}-1.0.tar.gz")).ok();
        installs(&rig, name);
    }
    assert!(rig.prefix("bin/by-cmake").exists() && rig.prefix("bin/by-meson").exists());
}

/// A release at the server, whose API is asked instead of GitHub's.
fn release(rig: &Rig, names: &[&str]) {
    let url = rig.server.url("");
    let asset = |name: &&str| serde_json::json!({ "name": name, "browser_download_url": format!("{url}/o/Tool/releases/download/v1.4/{name}") });
    let assets: Vec<_> = names.iter().map(asset).collect();
    let page = format!("{url}/o/Tool/releases/tag/v1.4");
    let json = serde_json::json!({ "tag_name": "v1.4", "html_url": page, "assets": assets }).to_string();
    rig.write("www/api/v3/repos/o/Tool/releases/latest", &json);
    rig.write("www/api/v3/repos/o/Tool/releases/tags/v1.4", &json);
}

fn at_github(rig: &Rig, args: &[&str]) -> Out {
    rig.ran(rig.cmd(args).env("RECIPE_GITHUB_API", rig.server.url("/api/v3")))
}

#[test]
fn the_release_for_this_machine_is_taken() {
    let rig = Rig::new();
    program(&rig, "t/tool", elf());
    let good = "tool-x86_64-unknown-linux-musl.tar.gz";
    pack(&rig, "t", &format!("o/Tool/releases/download/v1.4/{good}"));
    release(
        &rig,
        &[
            "tool-aarch64-apple-darwin.tar.gz",
            "tool-x86_64-unknown-linux-gnu.tar.gz.sha256",
            good,
            "tool-x86_64-pc-windows-msvc.zip",
        ],
    );
    let about = r#"{ "description": "Does\n \"things\"", "license": { "spdx_id": "MIT" }, "homepage": "" }"#;
    rig.server.answer("/api/v3/repos/o/Tool", Answer::Bytes(about.into()));
    let pages = [
        rig.server.url("/o/Tool"),
        rig.server.url("/o/Tool/releases/latest"),
        rig.server.url("/o/Tool/releases/tag/v1.4"),
    ];
    for word in ["github:o/Tool", "github:o/Tool@v1.4"].into_iter().chain(pages.iter().map(String::as_str)) {
        at_github(&rig, &["new", "--from", word]).ok();
        let text = rig.recipe("tool");
        assert!(
            text.contains("version: \"1.4\"") && text.contains("/download/v${pkg.version}/tool-x86_64"),
            "{text}"
        );
        assert!(
            text.contains(r#"description: "Does \"things\"""#) && text.contains("license: \"MIT\""),
            "{text}"
        );
        assert!(text.contains(&format!("homepage: \"{}\"", rig.server.url("/o/Tool"))), "{text}");
        assert!(text.contains("github_latest(\"o/Tool\")"), "{text}");
        assert_eq!(installs(&rig, "tool"), ["bin/tool"]);
        assert_eq!(at_github(&rig, &["update", "-n", "tool"]).ok().stdout, "");
        rig.run(&["remove", "tool"]).ok();
        std::fs::remove_file(rig.path("recipes/tool.rhai")).expect("removed");
    }
    at_github(&rig, &["new", "--from", "github:o/none"])
        .fails(13, "failed to find the latest release of o/none");
    at_github(&rig, &["new", "--from", "github:tool"]).fails(2, "expected a repository like owner/name");
    // Without a file for it: its sources.
    release(&rig, &["tool-aarch64-apple-darwin.tar.gz"]);
    rig.release("Tool", "1.4", &[("Makefile", "tool:\n\tcp Makefile tool\n")]);
    std::fs::create_dir_all(rig.path("www/o/Tool/archive/refs/tags")).expect("made");
    std::fs::rename(rig.path("www/Tool-1.4.tar.gz"), rig.path("www/o/Tool/archive/refs/tags/v1.4.tar.gz"))
        .expect("moved");
    at_github(&rig, &["new", "--from", "github:o/Tool"]).ok();
    assert_eq!(installs(&rig, "tool"), ["bin/tool"]);
}
