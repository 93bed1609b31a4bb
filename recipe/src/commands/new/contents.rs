//! What an archive holds -> the statements that install it.

use std::collections::BTreeSet;

use anyhow::anyhow;
use common::cli::Mark;

use super::name::{self, with_version};
use super::tree::{File, Kind};
use crate::exit;
use crate::state::quote;

/// What is known of the package besides its files.
pub(super) struct Package<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// Its version.
    pub(super) version: &'a str,
    /// This machine, as `arch()` calls it.
    pub(super) arch: &'a str,
}

/// Directories where programs lie that are to be run by their names.
const BIN: &[&str] = &["", "bin", "sbin", "usr/bin", "usr/sbin"];

/// Scripts that are no programs of the package.
const SETUP: &[&str] = &[
    "install",
    "uninstall",
    "setup",
    "configure",
    "build",
    "make",
    "bootstrap",
    "autogen",
    "update",
    "test",
];

impl Package<'_> {
    /// A path as Rhai source.
    pub(super) fn source(&self, path: &str) -> String {
        with_version(path, self.version).0
    }

    /// Programs of a directory that are ready to run.
    pub(super) fn programs<'f>(&self, files: &'f [File]) -> Vec<&'f File> {
        let machine_code =
            |f: &&File| matches!(f.kind, Kind::Elf(machine) if machine == self.arch) && !is_library(f.name());
        let in_bin = |f: &&File| BIN.contains(&f.parent());
        let usual: Vec<_> = files.iter().filter(machine_code).filter(in_bin).collect();
        let code = match usual.is_empty() {
            false => usual,
            true => files.iter().filter(machine_code).filter(|f| f.dirs().count() < 3).collect(),
        };
        let scripts = files.iter().filter(in_bin).filter(|f| f.kind == Kind::Script && f.exec);
        let scripts = scripts.filter(|f| {
            let stem = f.name().split('.').next().unwrap_or_default().to_ascii_lowercase();
            // Beside machine code a script is one of the programs only where programs lie.
            !SETUP.contains(&stem.as_str()) && (code.is_empty() || !f.parent().is_empty())
        });
        let mut scripts: Vec<_> = scripts.collect();
        // What programs are made of, where there are others.
        let part = |f: &File| [".js", ".cmd", ".bat"].iter().any(|ending| f.name().ends_with(ending));
        if !code.is_empty() || scripts.iter().any(|f| !part(f)) {
            scripts.retain(|f| !part(f));
        }
        code.into_iter().chain(scripts).collect()
    }

    /// What installs a package that is ready to run.
    ///
    /// # Errors
    /// There is no program and no library in it, or only for another machine.
    pub(super) fn install(&self, files: &[File]) -> anyhow::Result<Vec<String>> {
        let programs = self.programs(files);
        let libraries: Vec<_> =
            files.iter().filter(|f| is_library(f.name()) && is_lib_dir(f.parent())).collect();
        if programs.is_empty() && libraries.is_empty() {
            return Err(nothing(files, self.arch));
        }
        let extras = self.extras(files, &programs);
        let known: BTreeSet<&str> = extras.iter().map(|(path, _)| *path).collect();
        let belongs = |f: &&File| {
            let listed = known.contains(f.path.as_str()) || programs.iter().any(|p| p.path == f.path);
            !listed && !is_library_at_home(f) && !is_document(f)
        };
        let mut lines = Vec::new();
        match files.iter().any(|f| belongs(&f)) {
            // It looks for its own files beside itself.
            true if !programs.is_empty() => self.as_tree(files, &programs, &mut lines),
            _ => {
                lines.extend(programs.iter().map(|p| self.program(p, programs.len() == 1)));
                lines.extend(libraries.iter().map(|f| self.library(f)));
                if programs.is_empty() && files.iter().any(|f| f.path.starts_with("include/")) {
                    lines.push("install_tree(\"include\", \"include\");".to_owned());
                }
            }
        }
        lines.extend(self.short(files, extras));
        Ok(lines)
    }

    fn program(&self, file: &File, only: bool) -> String {
        let source = self.source(&file.path);
        match self.called(file, only) {
            name if name == file.name() => format!("install_bin({source});"),
            name => format!("install_bin({source}, {});", quote(name)),
        }
    }

    /// What a program is called once it is installed: `jq-linux-amd64` is `jq`.
    pub(super) fn called(&self, file: &File, only: bool) -> String {
        let said = name::of_file(file.name()).name.unwrap_or_default();
        let plain = file.name().to_ascii_lowercase() == said;
        if plain || !only {
            file.name().to_owned()
        } else if said.is_empty() {
            self.name.to_owned()
        } else {
            said
        }
    }

    fn library(&self, file: &File) -> String {
        match &file.kind {
            Kind::Link(to) if !to.contains('/') => {
                format!(
                    "symlink({}, {});",
                    self.source(&format!("lib/{to}")),
                    self.source(&format!("lib/{}", file.name()))
                )
            }
            _ => format!("install_lib({});", self.source(&file.path)),
        }
    }

    /// All of it in a directory of its own, and links to its programs.
    fn as_tree(&self, files: &[File], programs: &[&File], lines: &mut Vec<String>) {
        let home = format!("lib/{}", self.name);
        lines.push(format!("install_tree(\".\", {});", quote(&home)));
        let linked = files.iter().filter(|f| matches!(f.kind, Kind::Link(_)) && f.parent() == "bin");
        let all = programs.iter().copied().chain(linked);
        lines.extend(all.map(|f| {
            let called = quote(format!("bin/{}", self.called(f, programs.len() == 1)));
            format!("symlink({}, {called});", self.source(&format!("{home}/{}", f.path)))
        }));
    }
}

/// The error for an archive without anything to install.
fn nothing(files: &[File], arch: &str) -> anyhow::Error {
    let other = files.iter().find_map(|f| match f.kind {
        Kind::Elf(machine) if machine != arch && !is_library(f.name()) => Some((f, machine)),
        _ => None,
    });
    let what = match other {
        Some((file, machine)) => {
            anyhow!("{} is a program for {machine}, and this machine is {arch}", file.path)
        }
        None => {
            let some: Vec<_> = files.iter().take(6).map(|f| f.path.as_str()).collect();
            anyhow!(
                "it holds no program, and nothing that is known how to build; it holds {}",
                some.join(", ")
            )
        }
    };
    let error = Err::<(), _>(what).exit(exit::NOT_FOUND);
    error.hint("`recipe new NAME` writes a recipe to be filled in by hand").unwrap_err()
}

fn is_library(name: &str) -> bool {
    let shared = name.ends_with(".so") || name.contains(".so.");
    shared || [".a", ".o", ".ko", ".node"].iter().any(|ending| name.ends_with(ending))
}

fn is_lib_dir(dir: &str) -> bool {
    matches!(dir, "" | "lib" | "lib64" | "usr/lib" | "usr/lib64")
}

/// Libraries that programs find in the prefix as they do here.
fn is_library_at_home(file: &File) -> bool {
    is_library(file.name()) && is_lib_dir(file.parent()) && !file.parent().is_empty()
}

/// Files that no program looks for.
fn is_document(file: &File) -> bool {
    const BEGINS: &[&str] = &[
        "readme",
        "license",
        "licence",
        "copying",
        "copyright",
        "notice",
        "unlicense",
        "changelog",
        "changes",
        "news",
        "history",
        "authors",
        "contribut",
        "third",
        "thirdparty",
        "install",
        "uninstall",
        "todo",
        "security",
        "version",
        "faq",
    ];
    const DIRS: &[&str] = &["doc", "docs", "licenses", "license", "example", "examples", "contrib", "man"];
    const ENDS: &[&str] =
        &[".md", ".txt", ".rst", ".adoc", ".html", ".pdf", ".asc", ".sig", ".sha256", ".ps1", ".nu", ".elv"];
    let name = file.name().to_ascii_lowercase();
    // Of the package, not of the program.
    let metadata = name == "package.json" || name.starts_with('.');
    metadata
        || BEGINS.iter().any(|begin| name.starts_with(begin))
        || ENDS.iter().any(|end| name.ends_with(end))
        || file.is_among_completions()
        || file.dirs().any(|dir| DIRS.contains(&dir))
}
