//! Unit files of one manager (system or user): where they are, what their [Install] sections say.

use anyhow::Context;

use crate::finalise::conf;
use crate::tree::{Kind, Tree};

use super::name::UnitName;

/// Follow at most this many aliases (systemd: 64).
const MAX_ALIASES: usize = 64;

/// What [Install] asks for; lists in order, specifiers not yet replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) alias: Vec<String>,
    pub(super) wanted_by: Vec<String>,
    pub(super) required_by: Vec<String>,
    pub(super) upheld_by: Vec<String>,
    pub(super) also: Vec<String>,
    pub(super) default_instance: Option<String>,
}

/// What a unit name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No file.
    Missing,
    /// Empty, or a link to /dev/null.
    Masked,
    /// A link to a unit of another name.
    Alias(String),
    /// A unit file (an instance's is its template).
    Unit(Unit),
}

/// A unit with its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its name, which is an instance's even where the file is a template's.
    pub(super) name: String,
    /// Absolute path of the file: what links point to.
    pub(super) path: String,
    /// Its section, drop-ins included.
    pub(super) install: Install,
}

/// A manager's directories, highest priority first; the first is where links are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manager {
    pub(super) unit_dirs: &'static [&'static str],
    pub(super) preset_dirs: &'static [&'static str],
}

/// `systemctl`.
pub(super) const SYSTEM: Manager = Manager {
    unit_dirs: &["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"],
    preset_dirs: &[
        "/etc/systemd/system-preset",
        "/usr/local/lib/systemd/system-preset",
        "/usr/lib/systemd/system-preset",
    ],
};

/// `systemctl --global`.
pub(super) const USER: Manager = Manager {
    unit_dirs: &[
        "/etc/systemd/user",
        "/usr/local/share/systemd/user",
        "/usr/share/systemd/user",
        "/usr/local/lib/systemd/user",
        "/usr/lib/systemd/user",
    ],
    preset_dirs: &[
        "/etc/systemd/user-preset",
        "/usr/local/lib/systemd/user-preset",
        "/usr/lib/systemd/user-preset",
    ],
};

impl Manager {
    /// Where enabled units are linked.
    pub(super) fn config_dir(&self) -> &'static str {
        self.unit_dirs[0]
    }

    /// Every name that looks like a unit file, sorted, once each.
    pub(super) fn names(&self, tree: &Tree) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for dir in self.unit_dirs {
            for name in tree.list(dir) {
                let Ok(name) = std::str::from_utf8(name) else { continue };
                let id = tree.lstat(format!("{dir}/{name}")).map(|id| &tree.inode(id).kind);
                if UnitName::parse(name).is_some() && matches!(id, Ok(Kind::File(_) | Kind::Symlink(_))) {
                    names.push(name.to_owned());
                }
            }
        }
        names.sort();
        names.dedup();
        names
    }

    /// Looks a unit up, without following aliases.
    ///
    /// # Errors
    /// A unit file or drop-in is not UTF-8.
    pub(super) fn find(&self, tree: &Tree, name: &UnitName<'_>) -> anyhow::Result<Found> {
        let template = name.template();
        for file in std::iter::once(name.full).chain(template.as_deref()) {
            for dir in self.unit_dirs {
                let path = format!("{dir}/{file}");
                let Ok(id) = tree.lstat(&path) else { continue };
                if let Kind::Symlink(target) = &tree.inode(id).kind {
                    if target.as_ref() == b"/dev/null" {
                        return Ok(Found::Masked);
                    }
                    let base = target.rsplit(|&b| b == b'/').next().unwrap_or_default();
                    if base != file.as_bytes() {
                        return Ok(Found::Alias(String::from_utf8_lossy(base).into_owned()));
                    }
                }
                let Some(text) = conf::text_of(tree, path.as_bytes()) else { continue };
                let text = text.with_context(|| format!("failed to parse {path}"))?;
                if text.is_empty() {
                    return Ok(Found::Masked);
                }
                let mut install = Install::default();
                install.add(&text);
                for of in std::iter::once(name.full).chain(template.as_deref()) {
                    let dirs: Vec<String> = self.unit_dirs.iter().map(|d| format!("{d}/{of}.d")).collect();
                    let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
                    for drop_in in conf::fragments(tree, &dirs, ".conf")? {
                        install.add(&drop_in.text);
                    }
                }
                return Ok(Found::Unit(Unit { name: name.full.to_owned(), path, install }));
            }
        }
        Ok(Found::Missing)
    }

    /// Looks a unit up, aliases followed; an instance of an alias is that instance of its unit.
    ///
    /// # Errors
    /// As [`Manager::find`].
    pub(super) fn resolve(&self, tree: &Tree, name: &str) -> anyhow::Result<Found> {
        let mut name = name.to_owned();
        for _ in 0..MAX_ALIASES {
            let Some(parsed) = UnitName::parse(&name) else { return Ok(Found::Missing) };
            let found = self.find(tree, &parsed)?;
            let Found::Alias(target) = found else { return Ok(found) };
            name = match (UnitName::parse(&target), parsed.instance) {
                (Some(t), Some(instance)) if t.is_template() => t.with_instance(instance),
                _ => target,
            };
        }
        Ok(Found::Missing)
    }
}

impl Install {
    /// Adds the [Install] section of one file; an empty value empties its list.
    fn add(&mut self, text: &str) {
        let mut in_install = false;
        for line in logical_lines(text) {
            if line.starts_with('[') {
                in_install = line == "[Install]";
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            if !in_install {
                continue;
            }
            let (key, value) = (key.trim_end(), value.trim_start());
            let list = match key {
                "Alias" => &mut self.alias,
                "WantedBy" => &mut self.wanted_by,
                "RequiredBy" => &mut self.required_by,
                "UpheldBy" => &mut self.upheld_by,
                "Also" => &mut self.also,
                "DefaultInstance" => {
                    self.default_instance = Some(value.to_owned()).filter(|v| !v.is_empty());
                    continue;
                }
                _ => continue,
            };
            if value.is_empty() && key != "Also" {
                list.clear();
            }
            list.extend(conf::words(value).unwrap_or_default());
        }
    }
}

/// Lines without comments, those that end in a backslash joined with the next (systemd.syntax(7)).
fn logical_lines(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut joined: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        // A comment within a continued line is left out; the continuation goes on.
        if trimmed.starts_with(['#', ';']) || trimmed.is_empty() && joined.is_none() {
            continue;
        }
        let mut whole = joined.take().map_or_else(String::new, |j| j + " ");
        match trimmed.strip_suffix('\\') {
            Some(more) => {
                whole.push_str(more);
                joined = Some(whole);
            }
            None => {
                whole.push_str(trimmed);
                out.push(whole);
            }
        }
    }
    out.extend(joined);
    out
}
