//! Manual pages, completions, desktop entries and icons of an archive -> the statements that install them.

use std::collections::BTreeSet;

use super::contents::Package;
use super::tree::{File, Kind};
use crate::dir::split;
use crate::engine::helpers::completion_of;
use crate::state::quote;

impl Package<'_> {
    /// Manual pages, completions, desktop entries and icons: their paths, and what installs them.
    pub(super) fn extras<'f>(&self, files: &'f [File], programs: &[&File]) -> Vec<(&'f str, String)> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        let own = |f: &&File| !matches!(f.kind, Kind::Link(_)) && !f.dirs().any(|dir| dir == "node_modules");
        for file in files.iter().filter(own) {
            let source = self.source(&file.path);
            let (place, line) = if is_manual(file) {
                (format!("man {}", file.name()), format!("install_man({source});"))
            } else if let Some((shell, command)) = completion(file, programs) {
                let said = completion_of(file.name()).is_some();
                let how =
                    if said { String::new() } else { format!(", {}, {}", quote(shell), quote(&command)) };
                (format!("{shell} {command}"), format!("install_completion({source}{how});"))
            } else if file.name().ends_with(".desktop") {
                (format!("desktop {}", file.name()), format!("install_desktop({source});"))
            } else if let Some(at) =
                file.path.find("share/icons/").or_else(|| file.path.find("share/pixmaps/"))
            {
                let to = file.path[at..].to_owned();
                (to.clone(), format!("install_file({source}, {});", self.source(&to)))
            } else {
                continue;
            };
            if seen.insert(place) {
                all.push((file.path.as_str(), line));
            }
        }
        all
    }

    /// Their statements alone. Where a directory holds many manual pages and nothing else, a loop installs them.
    pub(super) fn short(&self, files: &[File], extras: Vec<(&str, String)>) -> Vec<String> {
        /// As many statements are read more easily than a loop.
        const FEW: usize = 6;
        let parent = |path: &str| split(path).0.to_owned();
        let only_pages = |dir: &str| {
            let mut inside = files.iter().filter(|f| f.path.starts_with(&format!("{dir}/")));
            inside.all(|f| f.parent() == dir && section(f.name()).is_some())
        };
        let pages = |dir: &str| {
            extras
                .iter()
                .filter(|(path, line)| line.starts_with("install_man(") && parent(path) == dir)
                .count()
        };
        let mut lines: Vec<String> = Vec::new();
        for (path, line) in &extras {
            let dir = parent(path);
            let many = line.starts_with("install_man(") && pages(&dir) > FEW && only_pages(&dir);
            let source = self.source(&dir);
            let line = match many && !dir.is_empty() {
                true => format!(
                    "for page in list_dir({source}) {{\n    install_man({source} + \"/\" + page);\n}}"
                ),
                false => line.clone(),
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }
}

/// The section that a name has at its end, as manual pages do, and whether it is packed.
fn section(name: &str) -> Option<bool> {
    let packed = [".gz", ".xz", ".zst", ".bz2"].iter().find_map(|ending| name.strip_suffix(ending));
    let (_, section) = packed.unwrap_or(name).rsplit_once('.')?;
    let numbered = section.len() == 1 && section.starts_with(|c: char| ('1'..='9').contains(&c));
    numbered.then_some(packed.is_some())
}

fn is_manual(file: &File) -> bool {
    // share/man/de/man1 has another language's.
    let dirs: Vec<_> = file.dirs().collect();
    let foreign = dirs.windows(2).any(|pair| pair[0] == "man" && !pair[1].starts_with("man"));
    let in_man = dirs.iter().any(|dir| dir.starts_with("man"));
    let page = |packed: bool| file.kind == Kind::Roff || (packed && in_man);
    !foreign && section(file.name()).is_some_and(page)
}

/// Shell and command of a completion; where such files lie their names say it.
fn completion(file: &File, programs: &[&File]) -> Option<(&'static str, String)> {
    if !file.is_among_completions() || matches!(file.kind, Kind::Elf(_)) {
        return None;
    }
    let name = file.name();
    let is_bash =
        || file.dirs().any(|dir| dir.starts_with("bash")) || programs.iter().any(|p| p.name() == name);
    let (shell, command) = completion_of(name).or_else(|| is_bash().then_some(("bash", name)))?;
    let plain = !command.is_empty() && !command.contains('.');
    plain.then(|| (shell, command.to_owned()))
}
