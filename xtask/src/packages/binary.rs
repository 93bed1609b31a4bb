//! Our programs for packages: linked statically, so that the libraries of the system they run on do not matter, and
//! without a trace of the machine they were built on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::table::Row;
use crate::cargo;
use crate::paths::Paths;

/// The only platform we build for.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The profile in Cargo.toml.
const PROFILE: &str = "packaged";

/// Builds the programs of all rows; returns the directory they are in.
pub(crate) fn build(paths: &Paths, rows: &[Row]) -> anyhow::Result<PathBuf> {
    let home = cargo_home()?;
    // What rustc is given at the end is looked at first: the registry's folder is called after its mirror.
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(remap(&paths.root, "/levitateos"));
    flags.push(remap(&home, "/cargo"));
    for registry in registries(&home) {
        flags.push(remap(&registry, "/cargo/crates"));
    }
    // A directory of its own: these flags would make cargo compile everything else anew, too.
    let dir = paths.packages().join("build");
    let mut cmd = cargo::cargo(paths)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--no-default-features",
            "--profile",
            PROFILE,
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env(
            "CFLAGS",
            format!(
                "-O2 -ffile-prefix-map={}=/cargo -ffile-prefix-map={}=/levitateos",
                home.display(),
                paths.root.display()
            ),
        );
    for row in rows {
        cmd = cmd.args(["--package", row.cargo]);
        cmd = row.programs.iter().fold(cmd, |cmd, program| cmd.args(["--bin", program]));
    }
    cmd.run()?;
    let dir = dir.join(TARGET).join(PROFILE);
    for program in rows.iter().flat_map(|row| row.programs) {
        let path = dir.join(program);
        check(&common::fs::read(&path)?, &[&home, &paths.root])
            .with_context(|| format!("{} cannot be packaged", path.display()))?;
    }
    Ok(dir)
}

/// Refuses a program that needs another file to run, or names `places` of this machine.
fn check(program: &[u8], places: &[&Path]) -> anyhow::Result<()> {
    let elf = goblin::elf::Elf::parse(program).context("it is no ELF file")?;
    if let Some(interpreter) = elf.interpreter {
        bail!("it is linked dynamically: it wants {interpreter}");
    }
    ensure!(elf.libraries.is_empty(), "it is linked dynamically: it wants {}", elf.libraries.join(", "));
    // A static glibc loads libnss_*.so of the running system for user and host names, which may be another glibc's.
    let words = [b"nsswitch.conf".as_slice(), b"libnss_"].map(|w| (w, "it would look names up by NSS"));
    let places =
        places.iter().map(|p| (p.as_os_str().as_encoded_bytes(), "it names a place of this machine"));
    for (word, problem) in words.into_iter().chain(places) {
        let found = program.windows(word.len()).any(|window| window == word);
        ensure!(!found, "{problem}: {} is in it", String::from_utf8_lossy(word));
    }
    Ok(())
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}

/// Where cargo keeps the sources of crates.
pub(super) fn cargo_home() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

/// The folders with the sources of crates, one a registry.
pub(super) fn registries(home: &Path) -> Vec<PathBuf> {
    let dirs = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
    let mut dirs: Vec<_> = dirs.map(|entry| entry.path()).collect();
    dirs.sort();
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_static_is_refused() {
        // This test's own binary is dynamic and full of paths.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let err = check(&own, &[]).unwrap_err().to_string();
        assert!(err.contains("linked dynamically"), "{err}");
        assert!(check(b"#!/bin/sh", &[]).unwrap_err().to_string().contains("no ELF"));
    }
}
