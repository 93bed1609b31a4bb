//! Digests and signatures, made by the field's own tools.

use common::cmd::Cmd;

use crate::rig::Rig;

/// A release on the server, and a recipe that checks it by `CALL`.
struct Release {
    rig: Rig,
    file: std::path::PathBuf,
    url: String,
}

impl Release {
    fn new() -> Self {
        let rig = Rig::new();
        rig.release("p", "1", &[("bin/p", &"p".repeat(100_000))]);
        let (file, url) = (rig.path("www/p-1.tar.gz"), rig.server.url("/p-1.tar.gz"));
        Self { rig, file, url }
    }

    /// What a tool says of the file.
    fn tool(&self, program: &str) -> String {
        let text = Cmd::new(testkit::oracle(program)).arg("p-1.tar.gz").dir(self.rig.path("www")).read();
        text.expect("it works")
    }

    fn recipe(&self, call: &str) {
        let url = &self.url;
        let text = format!(
            "let pkg = #{{ name: \"p\", version: \"1\" }};\nfn install() {{ download(\"{url}\"); {call} extract(); install_bin(\"p\"); }}\n"
        );
        self.rig.write("recipes/p.rhai", text);
    }

    /// The check passes, and refuses the file with one byte more, which does not stay in the cache.
    fn passes_and_refuses(&self, call: &str, says: &str) {
        self.recipe(call);
        self.rig.run(&["install", "p"]).ok();
        self.rig.run(&["remove", "p"]).ok();
        std::fs::remove_dir_all(self.rig.path("cache")).expect("there is a cache");
        let good = std::fs::read(&self.file).expect("read");
        std::fs::write(&self.file, [&good[..], b"x"].concat()).expect("written");
        self.rig.run(&["install", "p"]).fails(14, says);
        self.rig.run(&["install", "p", "--offline"]).fails(13, "is not in the cache");
        assert!(!self.rig.prefix("bin/p").exists());
        std::fs::write(&self.file, good).expect("written");
        self.rig.run(&["install", "p"]).ok();
        self.rig.run(&["remove", "p"]).ok();
    }
}

#[test]
fn digests_are_those_of_the_tools() {
    let release = Release::new();
    for (helper, tool) in [("sha256", "sha256sum"), ("sha512", "sha512sum"), ("blake3", "b3sum")] {
        let hex = release.tool(tool).split(' ').next().expect("a digest").to_uppercase();
        release
            .passes_and_refuses(&format!("verify_{helper}(\"{hex}\");"), "is not the file that was wanted");
        release.recipe(&format!("verify_{helper}(\"{}\");", &hex[1..]));
        release.rig.run(&["install", "p"]).fails(17, "recipes/p.rhai");
    }
}

#[test]
fn lists_of_digests_are_read_from_the_server() {
    let release = Release::new();
    let call = format!("verify_checksums(\"{}\");", release.rig.server.url("/SHASUMS"));
    for text in [
        release.tool("sha256sum"),
        format!("{}  another\n{}", "0".repeat(128), release.tool("sha512sum")),
        release.tool("sha256sum").split(' ').next().expect("a digest").to_owned(),
    ] {
        release.rig.write("www/SHASUMS", text);
        release.passes_and_refuses(&call, "is not the file that was wanted");
        std::fs::remove_dir_all(release.rig.path("cache")).expect("there is a cache");
    }
    release.rig.write("www/SHASUMS", format!("{}  another\n", "0".repeat(64)));
    release.rig.run(&["install", "p"]).fails(14, "has no digest of p-1.tar.gz");
}

#[test]
fn signatures_are_minisigns() {
    let release = Release::new();
    let minisign = |args: &[&str]| {
        let cmd = Cmd::new(testkit::oracle("minisign")).args(args.iter().copied()).dir(release.rig.path(""));
        cmd.read().expect("minisign works")
    };
    minisign(&["-G", "-W", "-p", "key.pub", "-s", "key"]);
    minisign(&["-S", "-s", "key", "-m", "www/p-1.tar.gz"]);
    let key = release.rig.read("key.pub").lines().nth(1).expect("a key").to_owned();
    release.passes_and_refuses(&format!("verify_minisign(\"{key}\");"), "is not signed by this key as it is");

    minisign(&["-G", "-W", "-f", "-p", "other.pub", "-s", "other"]);
    let other = release.rig.read("other.pub").lines().nth(1).expect("a key").to_owned();
    release.recipe(&format!("verify_minisign(\"{other}\");"));
    release.rig.run(&["install", "p"]).fails(14, "is not signed by this key as it is");
    let elsewhere = release.rig.server.url("/p-1.tar.gz");
    release.recipe(&format!("verify_minisign(\"{key}\", \"{elsewhere}\");"));
    release.rig.run(&["install", "p"]).fails(14, "failed to read");
}
