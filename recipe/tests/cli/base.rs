//! The system's own packages: what they provide is there, what is theirs is not touched. packages.json is what leviso writes: its
//! test of the same name compares them.

use std::os::unix::fs::{PermissionsExt, symlink};

use common::cmd::Cmd;

use crate::rig::{Out, Rig, tree};

const PACKAGES: &str = include_str!("packages.json");

/// A system with a base, below `system`; its recipes are the rig's.
pub(crate) struct System(pub(crate) Rig);

impl System {
    pub(crate) fn new() -> Self {
        let rig = Rig::new();
        rig.write("system/usr/lib/levitate/packages.json", PACKAGES);
        for name in ["bash", "rbash", "openssl"] {
            let path = rig.write(&format!("system/usr/bin/{name}"), format!("the base's {name}"));
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("set");
        }
        symlink("bash", rig.path("system/usr/bin/sh")).expect("linked");
        for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib")] {
            symlink(target, rig.path("system").join(link)).expect("linked");
        }
        rig.write("system/etc/hostname", "here");
        Self(rig)
    }

    pub(crate) fn cmd(&self, prefix: &str, args: &[&str]) -> Cmd {
        let cmd = Cmd::new(env!("CARGO_BIN_EXE_recipe")).args(args.iter().copied()).dir(self.0.path(""));
        let cmd = cmd.arg("-R").arg(self.0.path("system")).args(["-p", prefix]);
        cmd.arg("-r").arg(self.0.path("recipes")).arg("--cache").arg(self.0.path("cache"))
    }

    pub(crate) fn run(&self, args: &[&str]) -> Out {
        self.0.ran(self.cmd("/usr/local", args))
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.run(args).stdout).expect("JSON")
    }

    /// A recipe that installs one file, without a download.
    pub(crate) fn add(&self, name: &str, version: &str, fields: &str) {
        let body = format!("write_file(\"f\", \"{version}\"); install_file(\"f\", \"share/{name}\");");
        self.recipe(name, version, fields, &body);
    }

    pub(crate) fn recipe(&self, name: &str, version: &str, fields: &str, body: &str) {
        let text = format!(
            "let pkg = #{{ name: \"{name}\", version: \"{version}\", {fields} }};\nfn install() {{ {body} }}\n"
        );
        self.0.write(&format!("recipes/{name}.rhai"), text);
    }
}

#[test]
fn what_the_base_has_is_not_installed_again() {
    let system = System::new();
    system.add("openssl", "4.1", "");
    let deps = "deps: [\"openssl >= 1.1.0, < 4\", \"pkgconfig(openssl) == 3.2.2\", \"/bin/sh\", \"/bin/rbash\"], build_deps: [\"bash > 5\"]";
    system.add("a", "1", deps);
    // A path is the base's, and no recipe's, though there is such a file here.
    system.run(&["tree", "/bin/sh"]).fails(11, "no installed package needs /bin/sh");
    assert_eq!(system.run(&["install", "a"]).ok().stdout, "+ a 1\n");
    assert_eq!(
        system.run(&["tree", "a"]).ok().stdout,
        "a 1\n  openssl (openssl 3.2.2-16.el10 of the base)\n  pkgconfig(openssl) (openssl 3.2.2-16.el10 of the base)\n  \
         /bin/sh (bash 5.2.26-6.el10 of the base)\n  /bin/rbash (bash 5.2.26-6.el10 of the base)\n"
    );
    let tree = system.json(&["tree", "a", "--json"]);
    assert_eq!((&tree["tree"][0]["from"], &tree["tree"][1]["from"]), (&"recipe".into(), &"base".into()));
    let why = system.run(&["why", "openssl"]).ok().stdout;
    assert!(
        why.starts_with("openssl (openssl 3.2.2-16.el10 of the base) <- a 1 (>= 1.1.0, < 4) <- you"),
        "{why}"
    );
    assert_eq!(
        system.run(&["tree", "--reverse", "/bin/sh"]).ok().stdout,
        "/bin/sh (bash 5.2.26-6.el10 of the base)\n  a 1\n"
    );
    system
        .run(&["why", "bash"])
        .fails(11, "no installed package needs bash (bash 5.2.26-6.el10 of the base)");
    // Asked for by name, the recipe is installed all the same.
    assert_eq!(system.run(&["install", "openssl"]).ok().stdout, "+ openssl 4.1\n");
    assert!(system.run(&["tree", "a"]).ok().stdout.contains("\n  openssl 4.1\n"));
}

#[test]
fn a_recipe_comes_where_the_base_is_not_enough() {
    let system = System::new();
    system.add("openssl", "4.1", "");
    system.add("a", "1", "deps: [\"openssl >= 4\"]");
    assert_eq!(system.run(&["install", "a"]).ok().stdout, "+ openssl 4.1\n+ a 1\n");
    // It stands in front of the base's from now on.
    system.add("b", "1", "deps: [\"openssl >= 3\"]");
    assert_eq!(system.run(&["install", "b"]).ok().stdout, "+ b 1\n");
    system.add("c", "1", "deps: [\"openssl < 4\"]");
    let both = "the base has openssl 3.2.2-16.el10, the recipe of openssl has 4.1, and 4.1 is installed";
    system.run(&["install", "c"]).fails(12, both);
    // Whichever is asked for first, of what comes with one the other must be served, too.
    system.run(&["remove", "--cascade", "openssl"]).ok();
    for names in [["a", "c"], ["c", "a"]] {
        let out = system.run(&["install", names[0], names[1]]);
        out.fails(12, "openssl < 4 is needed by c 1\n  caused by: openssl 4.1 will be installed");
    }
    system.run(&["install", "c"]).ok();
    system.run(&["remove", "c"]).ok();
    system.run(&["install", "a"]).ok();
    let text = system.0.recipe("c").replace("deps", "build_deps");
    system.0.write("recipes/c.rhai", text);
    let out = system.run(&["install", "c"]).fails(12, both);
    assert!(out.stderr.contains("openssl < 4 is needed to build c"), "{}", out.stderr);
}

#[test]
fn what_nothing_satisfies_is_explained_by_both() {
    let system = System::new();
    system.add("openssl", "1.0", "");
    for (deps, says) in [
        ("openssl >= 4", "the base has openssl 3.2.2-16.el10, the recipe of openssl has 1.0"),
        ("bash >= 6", "the base has bash 5.2.26-6.el10"),
        ("bash >= 6", "there is no recipe \"bash\""),
        ("pkgconfig(openssl) > 3.2.2", "the base has openssl 3.2.2-16.el10"),
        ("pkgconfig(zlib)", "no recipe can be called \"pkgconfig(zlib)\""),
        ("/usr/bin/cc", "no recipe can be called \"/usr/bin/cc\""),
        // What has no version is in no version.
        ("user(other) >= 1", "user(other) >= 1 is needed by a 1"),
    ] {
        system.add("a", "1", &format!("deps: [\"{deps}\"]"));
        system.run(&["install", "a"]).fails(12, says);
    }
    // A recipe that cannot be read may be installed: the base does not stand in for it.
    system.add("a", "1", "deps: [\"openssl\"]");
    system.0.write("recipes/openssl.rhai", "let pkg = ;");
    system.run(&["install", "a"]).fails(12, "openssl.rhai:1:1");
    // Without a base nothing is known of one; a damaged list is not taken for none.
    let list = system.0.path("system/usr/lib/levitate/packages.json");
    std::fs::remove_file(&list).expect("removed");
    system.add("a", "1", "deps: [\"pkgconfig(openssl)\"]");
    system.run(&["install", "a"]).fails(12, "nothing is known of the base of this system");
    for damaged in [&PACKAGES[..200], &PACKAGES.replace("\"schema\":1", "\"schema\":2")] {
        system.0.write("system/usr/lib/levitate/packages.json", damaged);
        system.add("a", "1", "");
        system.run(&["install", "a"]).fails(14, "packages.json");
    }
    assert!(!system.0.path("system/usr/local/share/a").exists());
}

#[test]
fn files_of_the_base_are_never_replaced() {
    let system = System::new();
    symlink("/lib/../bin", system.0.path("system/alias")).expect("linked");
    let file = |path: &str| format!("write_file(\"f\", \"mine\"); install_file(\"f\", \"{path}\");");
    let config = |path: &str| format!("write_file(\"f\", \"mine\"); install_config(\"f\", \"{path}\");");
    let of_bash = "bash: belongs to the base (bash 5.2.26-6.el10)";
    for (prefix, body, says) in [
        ("/usr", file("bin/bash"), of_bash),
        ("/usr/bin", file("bash"), of_bash),
        ("/", file("usr/bin/bash"), of_bash),
        ("/bin", file("bash"), of_bash),
        ("/alias", file("bash"), of_bash),
        ("/", config("usr/bin/bash"), of_bash),
        // By the links themselves, and instead of them.
        ("/", file("bin/new"), "/bin: belongs to the base (the image itself)"),
        ("/", file("lib/new"), "/lib: belongs to the base (the image itself)"),
        (
            "/",
            "write_file(\"f\", \"\"); install_file(\"f\", \"share/f\"); symlink(\"share\", \"lib\");".into(),
            "/lib: belongs to the base",
        ),
        ("/", file("etc/hostname"), "/etc/hostname: belongs to the base (the image itself)"),
        // They are not there now, but may come.
        ("/", file("etc/openssl.cnf"), "/etc/openssl.cnf: belongs to the base (openssl 3.2.2-16.el10)"),
        ("/usr", file("bin/openssl/x"), "/usr/bin/openssl: belongs to the base (openssl 3.2.2-16.el10)"),
    ] {
        let _ = std::fs::remove_file(system.0.path("system/usr/bin/openssl"));
        system.recipe("p", "1", "", &body);
        let before = without_own(&system);
        for args in [&["install", "p"][..], &["install", "--overwrite", "*", "p"]] {
            system.0.ran(system.cmd(prefix, args)).fails(15, says);
            assert_eq!(without_own(&system), before, "{prefix} {body}");
        }
    }
    // Beside them there is room.
    system.recipe("p", "1", "", &file("bin/new"));
    system.0.ran(system.cmd("/usr", &["install", "p"])).ok();
    assert_eq!(system.0.read("system/bin/new"), "mine");
}

/// The system's files, without what recipe keeps for itself.
fn without_own(system: &System) -> std::collections::BTreeMap<String, String> {
    let mut tree = tree(&system.0.path("system"));
    tree.retain(|path, _| !path.contains(".recipe"));
    tree
}

#[test]
fn what_became_the_bases_is_neither_removed_nor_upgraded() {
    let system = System::new();
    let list = "system/usr/lib/levitate/packages.json";
    std::fs::remove_file(system.0.path(list)).expect("removed");
    let run = |args: &[&str]| system.0.ran(system.cmd("/usr", args));
    system.recipe(
        "p",
        "1",
        "",
        "write_file(\"f\", \"1\"); install_file(\"f\", \"bin/tool\"); install_file(\"f\", \"bin/mine\");",
    );
    run(&["install", "p"]).ok();
    system.0.write(list, PACKAGES.replace("\"openssl\"]}},", "\"openssl\",\"tool\"]}},"));
    let text = system
        .0
        .recipe("p")
        .replace("version: \"1\"", "version: \"2\"")
        .replace("\"f\", \"1\"", "\"f\", \"2\"");
    system.0.write("recipes/p.rhai", text);
    run(&["upgrade"]).fails(15, "/usr/bin/tool: belongs to the base (openssl 3.2.2-16.el10)");
    let out = run(&["remove", "p"]).ok();
    assert!(out.stderr.contains("/usr/bin/tool is not removed: it belongs to the base"), "{}", out.stderr);
    assert_eq!(system.0.read("system/usr/bin/tool"), "1");
    assert!(!system.0.path("system/usr/bin/mine").exists());
    // Nor does it come back over it.
    run(&["undo"]).fails(15, "/usr/bin/tool: belongs to the base");
}

#[test]
fn a_new_configuration_file_is_not_put_over_one_of_the_base() {
    let system = System::new();
    let list = "system/usr/lib/levitate/packages.json";
    system.recipe("p", "1", "", "write_file(\"f\", \"1\"); install_config(\"f\", \"etc/p\");");
    system.run(&["install", "p"]).ok();
    system.0.write("system/usr/local/etc/p", "edited");
    system.0.write("system/usr/local/etc/p.new", "the base's");
    system.0.write(list, PACKAGES.replace("\"/etc\":[\"hostname\"]", "\"/usr/local/etc\":[\"p.new\"]"));
    let text = system
        .0
        .recipe("p")
        .replace("version: \"1\"", "version: \"2\"")
        .replace("\"f\", \"1\"", "\"f\", \"2\"");
    system.0.write("recipes/p.rhai", text);
    system.run(&["upgrade"]).fails(15, "/usr/local/etc/p.new: belongs to the base (the image itself)");
    assert_eq!(system.0.read("system/usr/local/etc/p.new"), "the base's");
}

#[test]
fn owners_are_told_apart() {
    let system = System::new();
    system.recipe("p", "1", "", "write_file(\"f\", \"\"); install_bin(\"f\");");
    system.run(&["install", "p"]).ok();
    system.0.write("system/usr/bin/nobodys", "");
    let out = system.run(&["owns", "/bin/bash", "/usr/local/bin/f", "/etc/hostname", "/bin"]).ok().stdout;
    assert_eq!(
        out,
        "/bin: the image itself (base)\n/bin/bash: bash 5.2.26-6.el10 (base)\n/etc/hostname: the image itself (base)\n\
         /usr/local/bin/f: p 1\n"
    );
    let json = system.json(&["owns", "--json", "/bin/bash", "/usr/local/bin/f", "/bin", "/usr/bin/nobodys"]);
    assert_eq!(
        json["owners"],
        serde_json::json!({ "/bin/bash": "bash", "/usr/local/bin/f": "p", "/bin": null, "/usr/bin/nobodys": null })
    );
    assert_eq!(
        json["from"],
        serde_json::json!({ "/bin/bash": "base", "/usr/local/bin/f": "recipe", "/bin": "base", "/usr/bin/nobodys": null })
    );
    system.run(&["owns", "/usr/bin/nobodys"]).fails(11, "belongs to no package");

    let which = |args: &[&str]| {
        let args: Vec<_> = ["which"].iter().chain(args).copied().collect();
        system.0.ran(system.cmd("/usr/local", &args).env("PATH", "relative:/nonexistent:/usr/local/bin:/bin"))
    };
    let out = which(&["f", "sh", "rbash"]).ok().stdout;
    assert_eq!(
        out,
        "/usr/local/bin/f: p 1\n/bin/sh: bash 5.2.26-6.el10 (base)\n/bin/rbash: bash 5.2.26-6.el10 (base)\n"
    );
    // It is there, but cannot be run.
    which(&["nobodys", "f"]).fails(11, "nobodys is not in PATH");
    let json: serde_json::Value = serde_json::from_str(&which(&["sh", "--json"]).ok().stdout).expect("JSON");
    assert_eq!(
        json["commands"],
        serde_json::json!([{ "command": "sh", "path": "/bin/sh", "package": "bash", "from": "base" }])
    );
}
