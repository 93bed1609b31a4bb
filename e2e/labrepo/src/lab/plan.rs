//! What the lab is made of: data/lab.toml and data/effects.toml as types. Pure parse; both are part of the binary.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::rpm::Compression;

const LAB: &str = include_str!("../../data/lab.toml");
const EFFECTS: &str = include_str!("../../data/effects.toml");

/// data/lab.toml.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Suite that must be there.
    pub suite: String,
    /// Suites used when the mirror has them.
    pub optional_suites: Vec<String>,
    /// Archive components.
    pub components: Vec<String>,
    /// Keyring that apt checks the archive with.
    pub keyring: String,
    /// Packages asked for; their closure is converted.
    pub packages: Vec<String>,
    /// Package -> payload compressor, where it is not zstd.
    pub compression: BTreeMap<String, String>,
    /// Package or virtual name that is left out -> why.
    pub drop: BTreeMap<String, String>,
    /// Path that is left out of every package, with everything below it -> why.
    pub remove: BTreeMap<String, String>,
    /// Units.
    pub presets: Presets,
    /// Package -> what its maintainer script would have done.
    #[serde(skip)]
    pub effects: BTreeMap<String, Effect>,
}

/// Presets on top of the packages'.
#[derive(Debug, Clone, Deserialize)]
pub struct Presets {
    /// Units to enable.
    pub enable: Vec<String>,
    /// Units to disable.
    pub disable: Vec<String>,
}

/// One table of data/effects.toml, where the keys are explained.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "explained at the head of data/effects.toml")]
pub struct Effect {
    pub copy: BTreeMap<String, String>,
    pub concat: BTreeMap<String, String>,
    pub file: BTreeMap<String, String>,
    pub link: BTreeMap<String, String>,
    pub dir: BTreeMap<String, String>,
    pub attr: BTreeMap<String, String>,
    pub caps: BTreeMap<String, String>,
    pub shadow: bool,
    pub none: String,
}

impl Plan {
    /// The plan in the binary.
    ///
    /// # Errors
    /// A file of it is wrong.
    pub fn load() -> anyhow::Result<Self> {
        let mut plan: Self = toml::from_str(LAB).context("failed to parse data/lab.toml")?;
        plan.effects = toml::from_str(EFFECTS).context("failed to parse data/effects.toml")?;
        Ok(plan)
    }

    /// Whether dependencies on `name` are left out.
    #[must_use]
    pub fn drops(&self, name: &str) -> bool {
        self.drop.contains_key(name)
    }

    /// Whether a path is left out of every package.
    #[must_use]
    pub fn removes(&self, path: &[u8]) -> bool {
        let below =
            |at: &str| path.strip_prefix(at.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        self.remove.keys().any(|at| below(at))
    }

    /// What is done for a package: its table, or one whose name ends in `*` and begins as the package's does.
    #[must_use]
    pub fn effect(&self, name: &str) -> Option<&Effect> {
        let pattern = |key: &str| key.strip_suffix('*').is_some_and(|start| name.starts_with(start));
        self.effects.get(name).or_else(|| self.effects.iter().find(|(key, _)| pattern(key)).map(|(_, e)| e))
    }

    /// How a package's payload is compressed. Low levels: the lab is made often and read once.
    ///
    /// # Errors
    /// The plan names an unknown compressor.
    pub fn compression_of(&self, name: &str) -> anyhow::Result<Compression> {
        Ok(match self.compression.get(name).map(String::as_str) {
            None => Compression::Zstd(3),
            Some("xz") => Compression::Xz(1),
            Some("gzip") => Compression::Gzip(6),
            Some(other) => bail!("unknown compressor {other:?} for {name} in data/lab.toml"),
        })
    }
}

/// `"4754 root:messagebus"`.
///
/// # Errors
/// It is of another form.
pub fn attributes(text: &str) -> anyhow::Result<(u16, &str, &str)> {
    let parse = || -> Option<(u16, &str, &str)> {
        let (mode, owner) = text.split_once(' ')?;
        let (user, group) = owner.split_once(':')?;
        Some((u16::from_str_radix(mode, 8).ok()?, user, group))
    };
    parse().with_context(|| format!("expected \"MODE USER:GROUP\", found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_parses() {
        let plan = Plan::load().unwrap();
        assert!(plan.drops("debconf") && !plan.drops("bash"));
        for effect in plan.effects.values() {
            for text in effect.dir.values().chain(effect.attr.values()) {
                attributes(text).unwrap();
            }
        }
        for name in plan.compression.keys() {
            plan.compression_of(name).unwrap();
        }
        assert!(attributes("0755 root").is_err());
        assert!(plan.removes(b"/etc/sv") && plan.removes(b"/etc/sv/ssh/run") && !plan.removes(b"/etc/svn"));
        assert!(plan.effect("linux-image-6.12.1-amd64").is_some());
    }
}
