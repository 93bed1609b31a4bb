//! `cargo xtask packages`: our own tools as signed RPMs, in a repository of their own.
//!
//! ```text
//! target/packages/build/       cargo's directory for the static programs
//! target/packages/stage/       one tree a package, as it shall be installed, and its description
//! target/packages/repo/        the repository
//! target/packages/RPM-GPG-KEY-levitate, fingerprint
//! target/packages/state/       the secret key, made here and kept (0600); records of what was made
//! ```
//!
//! - [`table`]: which packages, and what is in them
//! - [`binary`]: static programs
//! - [`text`]: guides for terminals
//! - [`licences`]: notices of what is linked in
//! - [`stage`]: what a package installs
//!
//! leviso takes them like anybody's packages: a profile names repository, key and fingerprint (see `iso`).

mod table;
mod binary;
mod text;
mod licences;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::Context;
use common::cmd::Cmd;
use serde::Deserialize;

use crate::paths::Paths;
use crate::tools::Need;
use crate::{cargo, docs, doctor};

/// A repository, and what it takes to trust it.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) dir: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) fingerprint: String,
    /// The packages in it: name and `version-release`.
    pub(crate) packages: Vec<(String, String)>,
}

/// Makes or renews the packages; a second run without changes takes about a second. `json`: prints labrepo's summary.
pub(crate) fn packages(paths: &Paths, json: bool) -> anyhow::Result<Repo> {
    doctor::require(Need::Build)?;
    let out = paths.packages();
    let programs = binary::build(paths, table::ROWS)?;
    let docs = docs::docs(paths)?;
    let stages = out.join("stage");
    let labrepo = cargo::release(paths, "labrepo")?;
    let mut cmd = Cmd::new(labrepo).args(["pack", "--json", "--out"]).arg(&out);
    for row in table::ROWS {
        stage::stage(paths, row, &programs, &docs, &stages)
            .with_context(|| format!("failed to lay out the package {}", row.name))?;
        cmd = cmd.arg(stages.join(format!("{}.toml", row.name)));
    }
    let summary = cmd.read()?;
    if json {
        doctor::print(summary.trim());
    }
    let summary: Summary = serde_json::from_str(&summary).context("labrepo printed no summary")?;
    for new in summary.packages.iter().filter(|p| p.made) {
        doctor::eprintln_step(&format!("packaged {} {}", new.name, new.evr));
    }
    let packages = summary.packages.into_iter().map(|p| (p.name, p.evr)).collect();
    Ok(Repo { dir: summary.repo, key: summary.key, fingerprint: summary.fingerprint, packages })
}

/// What `labrepo pack --json` prints.
#[derive(Debug, Deserialize)]
struct Summary {
    repo: PathBuf,
    key: PathBuf,
    fingerprint: String,
    packages: Vec<Packed>,
}

#[derive(Debug, Deserialize)]
struct Packed {
    name: String,
    evr: String,
    made: bool,
}

impl Repo {
    /// Whether the lock in this file, if there is one, names other packages of ours than those that are there now.
    pub(crate) fn is_newer_than(&self, lock: &Path) -> bool {
        let Ok(lock) = std::fs::read_to_string(lock) else { return false };
        self.packages.iter().any(|(name, evr)| !lock.contains(&format!("/{name}-{evr}.")))
    }

    /// A profile: `base` with our packages.
    pub(crate) fn profile(&self, base: &Path) -> String {
        // Braces are variables in profiles.
        let path = |p: &Path| toml_text(&p.display().to_string().replace('{', "{{").replace('}', "}}"));
        let names = self.packages.iter().map(|(name, _)| toml_text(name)).collect::<Vec<_>>().join(", ");
        format!(
            "# Made by `cargo xtask`: a base with LevitateOS's own packages.\n\
             extends = {}\n\n\
             [[repo]]\nid = \"levitate\"\nbaseurl = [{}]\nkey = {}\nfingerprints = [\"{}\"]\n\
             # Nobody else's package of these names, and nothing else from here.\n\
             priority = 1\nincludepkgs = [{names}]\n\n\
             [packages]\ninclude = [{names}]\n",
            toml_text(&base.display().to_string()),
            path(&PathBuf::from(format!("file://{}", self.dir.display()))),
            path(&self.key),
            self.fingerprint,
        )
    }
}

/// A TOML string.
fn toml_text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> Repo {
        Repo {
            dir: "/a {b}/repo".into(),
            key: "/a {b}/KEY".into(),
            fingerprint: "AB".repeat(20),
            packages: vec![("one".into(), "1-2.x".into()), ("two".into(), "1-2.y".into())],
        }
    }

    #[test]
    fn the_profile_takes_ours_and_nothing_else() {
        let text = repo().profile(Path::new("/profiles/base.toml"));
        let profile: toml::Table = text.parse().unwrap();
        assert_eq!(profile["extends"].as_str(), Some("/profiles/base.toml"));
        assert!(!profile.contains_key("name"), "what is made from it is called like the base");
        let ours = &profile["repo"][0];
        assert_eq!(ours["baseurl"][0].as_str(), Some("file:///a {{b}}/repo"));
        assert_eq!(ours["priority"].as_integer(), Some(1));
        assert_eq!(ours["includepkgs"], profile["packages"]["include"]);
        assert_eq!(ours["includepkgs"].as_array().map(Vec::len), Some(2));
        assert_eq!(ours["fingerprints"][0].as_str().map(str::len), Some(40));
    }

    #[test]
    fn a_lock_of_other_packages_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("a.lock");
        assert!(!repo().is_newer_than(&lock), "there is no lock yet");
        let with = |release: &str| {
            let lines =
                format!("\"Packages/o/one-1-2.x.x86_64.rpm\"\n\"Packages/t/two-1-2.{release}.x86_64.rpm\"");
            std::fs::write(&lock, lines).unwrap();
            repo().is_newer_than(&lock)
        };
        assert!(!with("y"));
        assert!(with("z"));
    }
}
