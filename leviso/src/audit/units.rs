//! Enabled systemd units: the links that enable them, and the programs they start.
//!
//! Enabled is what a `.wants`, `.requires` or `.upholds` directory names, and what an enabled socket, timer or path
//! unit activates. Programs are looked up as systemd.service(5) says; a unit whose condition asks whether its own
//! program exists is fine without it.

use std::collections::BTreeSet;

use super::scripts;
use super::{Findings, Level, Problem, text};
use crate::tree::{InodeId, Kind, Tree};

/// Unit directories, highest priority first (systemd.unit(5)); the flag says whether a package's vendor owns it.
const DIRS: [(&str, bool); 4] = [
    ("/etc/systemd/system", false),
    ("/usr/lib/systemd/system", true),
    ("/etc/systemd/user", false),
    ("/usr/lib/systemd/user", true),
];

/// Directories whose entries enable units.
const ENABLING: [&[u8]; 3] = [b".wants", b".requires", b".upholds"];

/// Adds findings about enabled units.
pub(super) fn check(tree: &Tree, found: &mut Findings) {
    for half in DIRS.chunks(2) {
        let dirs = [half[0].0, half[1].0];
        let mut enabled = BTreeSet::new();
        for &(dir, is_vendor) in half {
            for sub in tree.list(dir) {
                if ENABLING.iter().any(|suffix| sub.ends_with(suffix)) {
                    let sub = [dir.as_bytes(), b"/", sub].concat();
                    check_links(tree, &sub, is_vendor, &mut enabled, found);
                }
            }
        }
        activated(tree, &dirs, &mut enabled);
        found.units += enabled.len();
        for unit in &enabled {
            check_programs(tree, &dirs, unit, found);
        }
    }
}

/// Collects the names of a directory of links and checks where they lead.
fn check_links(
    tree: &Tree,
    dir: &[u8],
    is_vendor: bool,
    enabled: &mut BTreeSet<Vec<u8>>,
    found: &mut Findings,
) {
    for name in tree.list(dir) {
        enabled.insert(name.to_vec());
        let path = [dir, b"/", name].concat();
        let Ok(id) = tree.lstat(&path) else { continue };
        let Kind::Symlink(target) = &tree.inode(id).kind else { continue };
        // A link to /dev/null masks; the tree has no device there.
        if **target != *b"/dev/null" && !tree.exists(&path) {
            // systemd takes only the name of such a link; a vendor's may name a unit of a package not installed.
            let level = if is_vendor { Level::Warning } else { Level::Error };
            found.add(tree, level, &path, id, Problem::DanglingLink(text(target)));
        }
    }
}

/// Adds the services that enabled sockets, timers and paths start.
fn activated(tree: &Tree, dirs: &[&str], enabled: &mut BTreeSet<Vec<u8>>) {
    let mut more = Vec::new();
    for unit in enabled.iter() {
        for suffix in [&b".socket"[..], b".timer", b".path"] {
            let Some(stem) = unit.strip_suffix(suffix) else { continue };
            for service in [[stem, b".service"].concat(), [stem, b"@.service"].concat()] {
                if unit_file(tree, dirs, &service).is_some() {
                    more.push(service);
                }
            }
        }
    }
    enabled.extend(more);
}

/// The file of a unit: its own, or its template's.
fn unit_file(tree: &Tree, dirs: &[&str], unit: &[u8]) -> Option<(Vec<u8>, InodeId)> {
    let names = std::iter::once(unit.to_vec()).chain(template(unit));
    let paths = names.flat_map(|name| dirs.iter().map(move |dir| [dir.as_bytes(), b"/", &name].concat()));
    paths.into_iter().find_map(|path| {
        let id = tree.lstat(&path).ok()?;
        Some((path, id))
    })
}

/// `getty@tty1.service` -> `getty@.service`.
fn template(unit: &[u8]) -> Option<Vec<u8>> {
    let at = unit.iter().position(|&b| b == b'@')?;
    let dot = unit.iter().rposition(|&b| b == b'.').filter(|&dot| dot > at)?;
    Some([&unit[..=at], &unit[dot..]].concat())
}

/// Reads the unit and its drop-ins and looks for what it starts.
fn check_programs(tree: &Tree, dirs: &[&str], unit: &[u8], found: &mut Findings) {
    let Some((path, id)) = unit_file(tree, dirs, unit) else { return };
    let mut content = tree.read(&path).unwrap_or_default().to_vec();
    for name in std::iter::once(unit.to_vec()).chain(template(unit)) {
        for dir in dirs.iter().rev() {
            let drop_ins = [dir.as_bytes(), b"/", &name, b".d"].concat();
            for file in tree.list(&drop_ins).into_iter().filter(|f| f.ends_with(b".conf")) {
                let drop_in = tree.read([&drop_ins, &b"/"[..], file].concat()).unwrap_or_default();
                content.push(b'\n');
                content.extend_from_slice(drop_in);
            }
        }
    }
    let unit = Settings::parse(&content);
    for program in unit.programs {
        let conditional = unit.conditions.contains(&program);
        if !conditional && !scripts::exists(tree, program.as_bytes()) {
            found.add(tree, Level::Error, &path, id, Problem::NoProgram(program));
        }
    }
}

/// What matters of a unit file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    /// Programs whose absence makes the unit fail.
    programs: Vec<String>,
    /// Paths that a condition or assertion asks for.
    conditions: Vec<String>,
}

impl Settings {
    fn parse(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content).replace("\\\n", " ");
        let mut starts: Vec<(&str, &str)> = Vec::new();
        let mut conditions = Vec::new();
        for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim_end(), value.trim_start());
            match key {
                // An empty value takes back what came before.
                "ExecStart" | "ExecStartPre" | "ExecStartPost" if value.is_empty() => {
                    starts.retain(|s| s.0 != key);
                }
                "ExecStart" | "ExecStartPre" | "ExecStartPost" => starts.push((key, value)),
                "ConditionPathExists"
                | "ConditionFileIsExecutable"
                | "AssertPathExists"
                | "ConditionFileNotEmpty" => {
                    conditions.push(value.trim_start_matches('|').to_owned());
                }
                _ => {}
            }
        }
        let programs = starts.iter().filter_map(|(_, command)| program(command)).collect();
        Self { programs, conditions }
    }
}

/// The program of a command line; none where its absence is no failure, or where it is not known before it runs.
fn program(command: &str) -> Option<String> {
    let word = command.split_whitespace().next()?;
    let bare = word.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    let prefixes = &word[..word.len() - bare.len()];
    let bare = bare.trim_matches(['"', '\'']);
    let is_known = !bare.is_empty() && !bare.contains(['%', '$', '\\']);
    (is_known && !prefixes.contains('-')).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_a_unit() {
        let unit = b"[Unit]\nConditionPathExists=|/usr/bin/b\n[Service]\nExecStart=/usr/bin/old\nExecStartPre=-/usr/bin/may\n\
            # ExecStart=/usr/bin/comment\nExecStart=\nExecStart=@!/usr/bin/a name \\\n  ExecStart=/x\nExecStart = \"/usr/bin/b\" -c\n\
            ExecStartPost=%h/bin/c\nExecStop=/usr/bin/d\n";
        let expected = Settings {
            programs: vec!["/usr/bin/a".to_owned(), "/usr/bin/b".to_owned()],
            conditions: vec!["/usr/bin/b".to_owned()],
        };
        assert_eq!(Settings::parse(unit), expected);
    }

    #[test]
    fn templates() {
        assert_eq!(template(b"getty@tty1.service").unwrap(), b"getty@.service");
        assert_eq!(template(b"dev-x@y"), None);
        assert_eq!(template(b"a.service"), None);
    }
}
