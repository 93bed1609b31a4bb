//! Real software, built and installed by `recipe` as a user would: published crates from source, packages of npm and PyPI, and
//! what Debian has the sources of.
//!
//! Sources come through the clients of this machine (cargo, npm, pip, apt) into `target/real-sources` and are served on the loopback
//! interface, as a release page would: `recipe` itself meets no other network. What cannot be had is a skipped check. `cargo test`
//! builds one crate; LEVITATE_FULL=1 builds all, and large packages.

#[path = "cli/rig.rs"]
mod rig;
#[path = "real/sources.rs"]
mod sources;
#[path = "real/crates.rs"]
mod crates;
#[path = "real/published.rs"]
mod published;
#[path = "real/debian.rs"]
mod debian;

use rig::Rig;

/// Installs a package, uses it, checks it and removes it: nothing of it stays.
///
/// `user`: who installs it, if that is not who runs the test. `uses`: scripts, run with the prefix's bin first on PATH in an empty directory, and what they must print among other things.
fn lives(rig: &Rig, name: &str, user: Option<u32>, uses: &[(&str, &str)]) {
    let run = |args: &[&str]| {
        let own = || rig.cmd(args).env("RECIPE_TOOLS", rig::rust());
        rig.ran(user.map_or_else(own, |id| rig.cmd_as(id, args))).ok()
    };
    let out = run(&["install", name]);
    assert!(out.stdout.ends_with(&format!("+ {name} {}\n", version(rig, name))), "{out:?}");
    let path = format!("{}:/usr/bin:/bin", rig.prefix("bin").display());
    for (script, says) in uses {
        let dir = tempfile::tempdir().expect("a directory");
        let sh = common::cmd::Cmd::new("sh").args(["-euc", *script]).dir(dir.path());
        let sh = sh.env("PATH", &path).env("HOME", dir.path()).env("PREFIX", rig.path("prefix"));
        let said = sh.read().unwrap_or_else(|e| panic!("{name}: {e:#}"));
        assert!(said.contains(says), "{name}: expected {says:?} in what `{script}` said: {said}");
    }
    run(&["check", name]);
    run(&["remove", name]);
    // Directories that every prefix has stay.
    let left: Vec<_> = rig.tree().into_keys().filter(|path| path.contains('/')).collect();
    assert!(left.is_empty(), "{name} left {left:?}");
}

fn version(rig: &Rig, name: &str) -> String {
    let recipe = rig.recipe(name);
    let version = recipe.split("version: \"").nth(1).and_then(|rest| rest.split('"').next());
    version.expect("a version").to_owned()
}
