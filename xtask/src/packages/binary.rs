//! Our programs for packages: linked statically, so that the libraries of the system they run on do not matter, and
//! without a trace of the machine they were built on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::cmd::Cmd;

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
        check(program, &common::fs::read(&path)?, &[&home, &paths.root])
            .with_context(|| format!("{} cannot be packaged", path.display()))?;
    }
    Ok(dir)
}

/// Lookups that are in a program and never come to pass: its name, the function, why.
const NEVER_CALLED: &[(&str, &str, &str)] = &[(
    "recipe",
    "getpwuid",
    "the standard library's home_dir() without HOME; recipe completes nothing then",
)];

/// Refuses a program that needs another file to run, or names `places` of this machine.
fn check(name: &str, program: &[u8], places: &[&Path]) -> anyhow::Result<()> {
    let elf = goblin::elf::Elf::parse(program).context("it is no ELF file")?;
    if let Some(interpreter) = elf.interpreter {
        bail!("it is linked dynamically: it wants {interpreter}");
    }
    ensure!(elf.libraries.is_empty(), "it is linked dynamically: it wants {}", elf.libraries.join(", "));
    // For these a static glibc loads libnss_*.so of the running system, which may be another glibc's. (Parts of NSS are in
    // every static program that forks; without these nobody calls them.)
    ensure!(elf.syms.iter().count() > 0, "it has no symbols to look at");
    let names = elf.syms.iter().filter_map(|symbol| elf.strtab.get_at(symbol.st_name));
    let is_called = |symbol: &&str| {
        lookup(symbol).is_some_and(|lookup| !NEVER_CALLED.iter().any(|(p, l, _)| (*p, *l) == (name, lookup)))
    };
    let lookups: Vec<_> = names.filter(is_called).collect();
    ensure!(lookups.is_empty(), "it would look names up by NSS: {} is in it", lookups.join(", "));
    for place in places {
        let place = place.as_os_str().as_encoded_bytes();
        let found = program.windows(place.len()).any(|window| window == place);
        ensure!(!found, "it names a place of this machine: {}", String::from_utf8_lossy(place));
    }
    Ok(())
}

/// Functions of glibc that look users, groups, hosts and services up, without their variants' endings.
const LOOKUPS: &[&str] = &[
    "getaddrinfo",
    "getnameinfo",
    "gethostbyname",
    "gethostbyaddr",
    "getservbyname",
    "getservbyport",
    "getpwnam",
    "getpwuid",
    "getgrnam",
    "getgrgid",
    "getgrouplist",
    "initgroups",
];

/// Which of them a symbol is.
fn lookup(symbol: &str) -> Option<&'static str> {
    let name = symbol.trim_start_matches('_');
    let name = name.strip_suffix("_r").unwrap_or(name);
    LOOKUPS.iter().find(|lookup| **lookup == name.trim_end_matches('2')).copied()
}

/// Copies a checked program to where it is packaged, without its symbols.
pub(super) fn install(program: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
    }
    Cmd::new("strip").args(["--strip-all", "-o"]).arg(to).arg(program).run()
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

    /// A static program with this body of main.
    fn program(body: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let (source, out) = (dir.path().join("a.c"), dir.path().join("a"));
        let text = format!("#include <pwd.h>\n#include <unistd.h>\nint main(void) {{ {body}; return 0; }}\n");
        std::fs::write(&source, text).unwrap();
        let cc = Cmd::new(testkit::oracle("cc")).args(["-static-pie", "-w", "-o"]).arg(&out).arg(&source);
        cc.output().unwrap();
        std::fs::read(&out).expect("cc links statically")
    }

    #[test]
    fn what_needs_the_running_system_is_refused() {
        let refused = |program: &[u8], places: &[&Path]| check("a", program, places).unwrap_err().to_string();
        // This test's own binary is dynamic.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(refused(&own, &[]).contains("linked dynamically"));
        assert!(refused(b"#!/bin/sh", &[]).contains("no ELF"));
        // Forking brings NSS's tables along, but nothing that calls it.
        let forks = program("return fork() + write(1, \"/home/me/src\", 1)");
        check("a", &forks, &[Path::new("/home/you")]).unwrap();
        assert!(refused(&forks, &[Path::new("/home/me")]).contains("a place of this machine: /home/me"));
        assert!(refused(&program("return getpwnam(\"root\") == 0"), &[]).contains("NSS: "));
        // What is known never to be called is so for one program and one function.
        let home = program("return getpwuid(0) == 0");
        assert!(refused(&home, &[]).contains("NSS: "));
        check("recipe", &home, &[]).unwrap();
        assert!(check("recipe", &program("return getpwnam(\"root\") == 0"), &[]).is_err());
    }
}
