//! Sources -> the functions that build them, with the helpers there are.

use anyhow::{Context, bail};
use common::cli::Mark;

use super::contents::Package;
use super::tree::File;
use crate::dir::Dir;
use crate::exit;
use crate::state::quote;

/// What builds and installs a source tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Build {
    /// What `acquire()` does besides getting the sources.
    pub(super) acquire: Vec<String>,
    /// `build()`.
    pub(super) build: Vec<String>,
    /// `install()`.
    pub(super) install: Vec<String>,
    /// What its own metadata say: description, homepage, licence.
    pub(super) about: [Option<String>; 3],
}

/// What builds a tree whose top directory this is; none if no build system is known there.
///
/// # Errors
/// Its Cargo.toml cannot be used.
pub(super) fn of(package: &Package<'_>, top: &Dir, files: &[File]) -> anyhow::Result<Option<Build>> {
    let has = |name: &str| files.iter().any(|f| f.path == name);
    let lines = |all: &[&str]| all.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let simple = |build: &[&str], install: &[&str]| Build {
        build: lines(build),
        install: lines(install),
        ..Build::default()
    };
    let makefile = ["Makefile", "makefile", "GNUmakefile"].into_iter().find(|name| has(name));
    Ok(Some(match () {
        () if has("Cargo.toml") => cargo(package, top, files)?,
        () if has("configure") => simple(&["configure();", "make();"], &["make([\"install\"]);"]),
        () if has("CMakeLists.txt") => simple(&["cmake();"], &["cmake_install();"]),
        () if has("meson.build") => simple(&["meson();"], &["meson_install();"]),
        () if has("configure.ac") => simple(
            &["exec([\"autoreconf\", \"-fi\"]);", "configure();", "make();"],
            &["make([\"install\"]);"],
        ),
        () => match makefile {
            Some(name) => {
                let text = read(top, name)?;
                let installs =
                    text.lines().any(|line| line.starts_with("install:") || line.starts_with("install "));
                match installs {
                    true => simple(&["make();"], &["make([\"install\", \"PREFIX=\" + prefix()]);"]),
                    false => Build {
                        build: lines(&["make();"]),
                        install: vec![format!("install_bin({});", quote(package.name))],
                        ..Build::default()
                    },
                }
            }
            None => return Ok(None),
        },
    }))
}

fn read(top: &Dir, path: &str) -> anyhow::Result<String> {
    let read = top.read(path).and_then(std::io::read_to_string);
    read.with_context(|| format!("failed to read {path} of the archive"))
}

fn manifest(top: &Dir, path: &str) -> anyhow::Result<toml::Table> {
    let text = read(top, path)?;
    text.parse().with_context(|| format!("failed to read {path} of the archive")).exit(exit::INTEGRITY)
}

/// A project of Cargo's: its own programs, or those of the members of its workspace.
fn cargo(package: &Package<'_>, top: &Dir, files: &[File]) -> anyhow::Result<Build> {
    if !files.iter().any(|f| f.path == "Cargo.lock") {
        bail!("it has a Cargo.toml, but no Cargo.lock, which says what it is built from");
    }
    let root = manifest(top, "Cargo.toml")?;
    let mut programs = binaries(&root, "", files);
    if programs.is_empty() && root.contains_key("workspace") {
        for file in files.iter().filter(|f| f.name() == "Cargo.toml" && (1..4).contains(&f.dirs().count())) {
            // Examples and fixtures need not be whole.
            let Ok(member) = manifest(top, &file.path) else { continue };
            programs.extend(binaries(&member, file.parent(), files));
        }
    }
    programs.sort();
    programs.dedup();
    if programs.is_empty() {
        return Err(anyhow::anyhow!("its Cargo.toml has no program: it is a library for other crates"))
            .exit(exit::NOT_FOUND);
    }
    let mut install: Vec<_> = programs
        .iter()
        .map(|name| format!("install_bin({});", quote(format!("target/release/{name}"))))
        .collect();
    install.extend(package.short(files, package.extras(files, &[])));
    let about = |key: &str| {
        let own = root.get("package").and_then(|p| p.get(key));
        own.and_then(toml::Value::as_str).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let homepage = about("homepage").or_else(|| about("repository"));
    Ok(Build {
        acquire: vec!["cargo_fetch();".to_owned()],
        build: vec!["cargo_build();".to_owned()],
        install,
        about: [about("description"), homepage, about("license")],
    })
}

/// Names of the programs of a package of Cargo's that lies in a directory.
fn binaries(manifest: &toml::Table, dir: &str, files: &[File]) -> Vec<String> {
    let Some(name) = manifest.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str) else {
        return Vec::new();
    };
    let below = |path: &str| if dir.is_empty() { path.to_owned() } else { format!("{dir}/{path}") };
    let mut names = Vec::new();
    let listed = manifest.get("bin").and_then(toml::Value::as_array);
    for bin in listed.into_iter().flatten() {
        // Those that need a feature are not built by themselves.
        let needs =
            bin.get("required-features").and_then(toml::Value::as_array).is_some_and(|f| !f.is_empty());
        let name = bin.get("name").and_then(toml::Value::as_str);
        names.extend(name.filter(|_| !needs).map(str::to_owned));
    }
    let main = below("src/main.rs");
    let main_listed = listed
        .into_iter()
        .flatten()
        .any(|bin| bin.get("path").and_then(toml::Value::as_str).is_some_and(|path| below(path) == main));
    if files.iter().any(|f| f.path == main) && !main_listed {
        names.push(name.to_owned());
    }
    let more = below("src/bin");
    let of_dir = files.iter().filter(|f| f.parent() == more).filter_map(|f| f.name().strip_suffix(".rs"));
    names.extend(of_dir.map(str::to_owned));
    names
}
