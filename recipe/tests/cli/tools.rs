//! Helpers of build systems, used for builds that succeed: CMake, Meson, configure, git, Cargo; and packages that are built against
//! what other packages installed.

use common::cmd::Cmd;
use common::hash::Sha256;

use crate::rig::{Rig, rust};

const TINY: &[(&str, &str)] = &[
    (
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.10)\nproject(tiny C)\ninclude(GNUInstallDirs)\nadd_library(tiny SHARED tiny.c)\n\
         install(TARGETS tiny DESTINATION ${CMAKE_INSTALL_LIBDIR})\ninstall(FILES tiny.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})\n\
         configure_file(tiny.pc.in tiny.pc @ONLY)\ninstall(FILES ${CMAKE_CURRENT_BINARY_DIR}/tiny.pc DESTINATION \
         ${CMAKE_INSTALL_LIBDIR}/pkgconfig)\nadd_custom_target(jobs ALL COMMAND sh -c 'echo jobs: $$MAKEFLAGS > jobs')\n",
    ),
    (
        "tiny.pc.in",
        "Name: tiny\nDescription: tiny\nVersion: 1\nCflags: -I@CMAKE_INSTALL_FULL_INCLUDEDIR@\nLibs: \
         -L@CMAKE_INSTALL_FULL_LIBDIR@ -ltiny\n",
    ),
    ("tiny.h", "int tiny(void);\n"),
    ("tiny.c", "#include \"tiny.h\"\nint tiny(void) { return 42; }\n"),
];

const MAIN: &str =
    "#include <stdio.h>\n#include <tiny.h>\nint main(void) { printf(\"tiny %d\\n\", tiny()); return 0; }\n";

/// Writes a recipe that builds NAME-1.tar.gz of the server.
pub(crate) fn source(rig: &Rig, name: &str, head: &str, files: &[(&str, &str)], build: &str, install: &str) {
    rig.release(name, "1", files);
    let url = rig.server.url(&format!("/{name}-1.tar.gz"));
    rig.write(
        &format!("recipes/{name}.rhai"),
        format!(
            "let pkg = #{{ name: \"{name}\", version: \"1\"{head} }};\nfn acquire() {{ download(\"{url}\"); extract(); }}\n\
             fn build() {{ {build} }}\nfn install() {{ {install} }}\n"
        ),
    );
}

#[test]
fn packages_are_built_against_what_others_installed() {
    for tool in ["cmake", "meson", "ninja", "pkg-config"] {
        drop(testkit::oracle(tool));
    }
    let rig = Rig::new();
    let tiny = "cmake(); print(read_file(\"build/jobs\"));";
    source(&rig, "tiny", "", TINY, tiny, "cmake_install(); print(\"made tiny\");");
    let needs = ", deps: [\"tiny\"], build_deps: [\"tiny\"]";
    let meson = "project('by-meson', 'c')\nexecutable('by-meson', 'main.c', dependencies: dependency('tiny'), install: true)\n";
    let files = [("meson.build", meson), ("main.c", MAIN)];
    source(&rig, "by-meson", needs, &files, "meson();", "meson_install();");
    let cmake = "cmake_minimum_required(VERSION 3.10)\nproject(by C)\nfind_library(TINY tiny REQUIRED)\n\
                 find_path(DIR tiny.h REQUIRED)\nadd_executable(by-cmake main.c)\ntarget_include_directories(by-cmake PRIVATE \
                 ${DIR})\ntarget_link_libraries(by-cmake ${TINY})\ninstall(TARGETS by-cmake DESTINATION bin)\n";
    let files = [("CMakeLists.txt", cmake), ("main.c", MAIN)];
    source(&rig, "by-cmake", needs, &files, "cmake();", "cmake_install();");
    // As those without pkg-config do it.
    let configure = "#!/bin/sh\nset -e\nfor arg; do case $arg in --prefix=*) prefix=${arg#*=};; --name=*) name=${arg#*=};; esac; \
                     done\nprintf 'all: main.c\\n\\tcc -o %s main.c -ltiny\\ninstall:\\n\\tmkdir -p $(DESTDIR)%s/bin\\n\\tcp %s \
                     $(DESTDIR)%s/bin\\n' $name $prefix $name $prefix > Makefile\n";
    let files = [("bin/configure", configure), ("bin/main.c", MAIN)];
    let build = "cd(\"bin\"); configure([\"--name=by-make\"]); make();";
    source(&rig, "by-make", needs, &files, build, "make([\"install\"]);");

    let toml = "[package]\nname = \"by-cargo\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let lock = "version = 4\n\n[[package]]\nname = \"by-cargo\"\nversion = \"1.0.0\"\n";
    let main = "#[link(name = \"tiny\")]\nextern \"C\" { fn tiny() -> i32; }\nfn main() { println!(\"tiny {}\", unsafe { tiny() }); }\n";
    let files = [("Cargo.toml", toml), ("Cargo.lock", lock), ("src/main.rs", main)];
    source(&rig, "by-cargo", needs, &files, "cargo_build();", "install_bin(\"by-cargo\");");

    for name in ["by-meson", "by-cmake", "by-make", "by-cargo"] {
        let out = rig.ran(rig.cmd(&["install", name]).env("RECIPE_TOOLS", rust())).ok();
        let says = Cmd::new(rig.prefix("bin").join(name)).read().expect("it runs");
        assert_eq!(says, "tiny 42\n", "{name}");
        if name == "by-meson" {
            // It was asked for twice, and is made once; not with a process for each file.
            assert_eq!(out.stderr.matches("made tiny").count(), 1, "{}", out.stderr);
            assert!(out.stderr.contains("jobs: ") && out.stderr.contains("jobserver"), "{}", out.stderr);
            assert_eq!(out.stdout, "+ tiny 1\n+ by-meson 1\n");
        }
    }
    let files = rig.run(&["files", "tiny"]).ok().stdout;
    let prefix = rig.path("prefix").display().to_string();
    let files: Vec<_> = files.lines().map(|l| l.trim_start_matches(&prefix)).collect();
    assert_eq!(files, ["/include/tiny.h", "/lib/libtiny.so", "/lib/pkgconfig/tiny.pc"]);
    rig.run(&["check"]).ok();
    rig.run(&["remove", "-s", "by-meson", "by-cmake", "by-make", "by-cargo"]).ok();
    // What is left are directories that every prefix has.
    assert!(rig.tree().keys().all(|path| !path.contains('/')), "{:?}", rig.tree());
}

/// A repository with one file and a submodule below www, as a plain web server serves it; its commits, the older first.
fn repository(rig: &Rig) -> [String; 2] {
    let git = |dir: &str, args: &[&str]| {
        let cmd =
            Cmd::new(testkit::oracle("git")).args(["-c", "user.name=A", "-c", "user.email=a@example.org"]);
        let cmd = cmd.args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]);
        let cmd = cmd.args(args.iter().copied()).dir(rig.path(dir));
        cmd.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").read().expect("git")
    };
    rig.write("sub/part", "a part\n");
    rig.write("repo/bin/tool", "#!/bin/sh\necho one\n");
    for dir in ["sub", "repo"] {
        git(dir, &["init", "-q"]);
    }
    git("sub", &["add", "."]);
    git("sub", &["commit", "-qm", "sub"]);
    let url = rig.path("sub").display().to_string();
    git("repo", &["submodule", "--quiet", "add", &url, "sub"]);
    // Beside the repository, wherever that is.
    git("repo", &["config", "-f", ".gitmodules", "submodule.sub.url", "../sub.git"]);
    let mut commits = Vec::new();
    for text in ["one", "two"] {
        rig.write("repo/bin/tool", format!("#!/bin/sh\necho {text}\n"));
        git("repo", &["add", "."]);
        git("repo", &["commit", "-qm", text]);
        commits.push(git("repo", &["rev-parse", "HEAD"]).trim().to_owned());
    }
    for dir in ["sub", "repo"] {
        let bare = rig.path("www").join(format!("{dir}.git")).display().to_string();
        git(dir, &["clone", "-q", "--bare", ".", &bare]);
        git(&format!("www/{dir}.git"), &["update-server-info"]);
    }
    commits.try_into().expect("two")
}

#[test]
fn a_repository_is_cloned_at_its_commit_with_what_belongs_to_it() {
    let rig = Rig::new();
    let [one, two] = repository(&rig);
    let url = rig.server.url("/repo.git");
    let recipe = |url: &str, commit: &str| {
        let text = format!(
            "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn acquire() {{ git_clone(\"{url}\", \"{commit}\"); }}\nfn install() {{ \
             install_bin(\"bin/tool\"); install_file(\"sub/part\", \"share/part\"); }}\n"
        );
        rig.write("recipes/p.rhai", text);
    };
    for (commit, says) in [(&one, "one\n"), (&two, "two\n")] {
        recipe(&url, commit);
        rig.run(&["install", "p"]).ok();
        assert_eq!(Cmd::new(rig.prefix("bin/tool")).read().expect("it runs"), says);
        assert_eq!(rig.read("prefix/share/part"), "a part\n");
        rig.run(&["remove", "p"]).ok();
    }
    recipe(&url, &"0".repeat(40));
    rig.run(&["install", "p"]).fails(17, "git checkout");
    recipe("file:///etc", &one);
    rig.run(&["install", "p"]).fails(17, "expected a URL that begins with https://");
    recipe("ext::sh -c id", &one);
    rig.run(&["install", "p"]).fails(17, "expected a URL that begins with https://");
}

#[test]
fn crates_are_fetched_with_a_network_and_built_without_one() {
    let rig = Rig::new();
    // A registry on the loopback interface with one crate.
    let manifest =
        |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    rig.release(
        "part",
        "1.0.0",
        &[("Cargo.toml", &manifest("part")), ("src/lib.rs", "pub const PART: u8 = 7;\n")],
    );
    std::fs::rename(rig.path("www/part-1.0.0.tar.gz"), rig.path("www/part-1.0.0.crate")).expect("renamed");
    let sum = Sha256::of(&std::fs::read(rig.path("www/part-1.0.0.crate")).expect("read"));
    let index = format!(
        "{{\"name\":\"part\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"{sum}\",\"features\":{{}},\"yanked\":false}}\n"
    );
    rig.write("www/index/pa/rt/part", index);
    let dl = rig.server.url("/{crate}-{version}.crate");
    rig.write("www/index/config.json", format!("{{\"dl\":\"{dl}\"}}"));
    let registry = rig.server.url("/index/");
    let config = format!(
        "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"sparse+{registry}\"\n"
    );
    let toml = format!("{}[dependencies]\npart = \"1\"\n", manifest("app"));
    let main = "fn main() { println!(\"part {}\", part::PART); }\n";
    let mut files = vec![("Cargo.toml", &*toml), ("src/main.rs", main), (".cargo/config.toml", &*config)];
    rig.release("app", "0", &files);
    let cargo = Cmd::new("cargo").arg("generate-lockfile").env("CARGO_HOME", rig.path("cargo"));
    cargo.dir(rig.path("src/app-0")).read().expect("a lock");
    let lock = rig.read("src/app-0/Cargo.lock");
    files.push(("Cargo.lock", &lock));
    source(&rig, "app", "", &files, "cargo_build();", "install_bin(\"target/release/app\");");
    let install =
        |rig: &Rig| rig.ran(rig.cmd(&["install", "--reinstall", "app"]).env("RECIPE_TOOLS", rust()));
    let out = install(&rig);
    assert!(out.code == Some(17) && out.stderr.contains("cargo build --release --frozen"), "{out:?}");
    rig.write("recipes/app.rhai", rig.recipe("app").replace("extract(); }", "extract(); cargo_fetch(); }"));
    install(&rig).ok();
    assert_eq!(Cmd::new(rig.prefix("bin/app")).read().expect("it runs"), "part 7\n");
    // A crate that is not the one of Cargo.lock.
    let other = lock.replace(&sum.to_string(), &"0".repeat(64));
    let last = files.len() - 1;
    files[last] = ("Cargo.lock", &other);
    let text = rig.recipe("app");
    rig.release("app", "2", &files);
    rig.write("recipes/app.rhai", text.replace("app-1.tar.gz", "app-2.tar.gz"));
    let out = install(&rig);
    assert!(out.code == Some(17) && out.stderr.contains("checksum"), "{out:?}");
}

#[test]
fn programs_are_found_also_when_a_shell_has_them_itself() {
    let rig = Rig::new();
    let names =
        ["sh", "echo", "test", "cc", "no-such-program", "if", "*", "", "/bin/sh", "./sh", "/etc/passwd"];
    let asks: String = names.iter().map(|n| format!("print(`{n}: ${{has_program(\"{n}\")}}`);")).collect();
    rig.write(
        "recipes/p.rhai",
        format!(
            "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{\n    {asks}\n    exec([which(\"test\"), \"-d\", \"/\"]);\n    \
             write_file(\"d\", \"\");\n    install_file(\"d\", \"share/d\");\n}}\nfn post_install() {{ which(\"no-such-program\"); }}\n"
        ),
    );
    let out = rig.run(&["install", "p"]).fails(11, "there is no program \"no-such-program\"");
    for (name, there) in
        names.iter().zip([true, true, true, true, false, false, false, false, true, false, false])
    {
        assert!(out.stderr.contains(&format!("p: {name}: {there}\n")), "{name}: {}", out.stderr);
    }
}
