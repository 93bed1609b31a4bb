//! `sabotage/NAME.patch`: a head of `Key: text` lines, an empty line, and a patch that GNU patch applies with `-p1`.
//!
//! `Plants:` one of the cheats of the test that names it, word for word; or `Breaks:` what it breaks. `Red:` words that the test
//! must say; may be given several times.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::cmd::Cmd;

use super::program::boots;
use crate::cheats::scan::Promise;

/// One of them.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// What it plants or breaks.
    pub(crate) what: String,
    is_cheat: bool,
    /// What the test must say.
    pub(crate) red: Vec<String>,
    /// What it changes, from the workspace's root.
    pub(crate) files: BTreeSet<PathBuf>,
}

impl Patch {
    /// Reads `sabotage/NAME.patch`.
    pub(crate) fn read(root: &Path, name: &str) -> anyhow::Result<Self> {
        let file = root.join("sabotage").join(format!("{name}.patch"));
        let text = common::fs::read_to_string(&file)?;
        Self::parse(name, &file, &text).with_context(|| format!("failed to read {}", file.display()))
    }

    fn parse(name: &str, file: &Path, text: &str) -> anyhow::Result<Self> {
        let (head, patch) = text.split_once("\n\n").context("expected an empty line after the head")?;
        ensure!(patch.contains("\n--- ") || patch.starts_with("--- "), "expected a patch after the head");
        let (mut what, mut is_cheat, mut red) = (None, false, Vec::new());
        for line in head.lines() {
            let (key, value) =
                line.split_once(": ").with_context(|| format!("expected `Key: text`, found {line:?}"))?;
            match key {
                "Plants" | "Breaks" if what.is_none() => {
                    is_cheat = key == "Plants";
                    what = Some(value.to_owned());
                }
                "Red" => red.push(value.to_owned()),
                _ => bail!("expected one `Plants:` or `Breaks:` and `Red:`, found {line:?}"),
            }
        }
        ensure!(!red.is_empty(), "expected `Red: ` and what the test says when it notices");
        let what = what.context("expected `Plants: ` or `Breaks: `")?;
        let name_of =
            |line: &'_ str| Some(line.strip_prefix("--- a/").or(line.strip_prefix("+++ b/"))?.to_owned());
        let files: BTreeSet<_> = patch.lines().filter_map(name_of).map(PathBuf::from).collect();
        Ok(Self { name: name.to_owned(), file: file.to_owned(), what, is_cheat, red, files })
    }

    /// That the tree still has what it changes; changes nothing.
    pub(crate) fn applies(&self, root: &Path) -> anyhow::Result<()> {
        // git allows no fuzz, as planting does; patch may not be installed yet where only this is asked.
        let applied = Cmd::new("git").args(["apply", "--check"]).arg(&self.file).dir(root).read().map(drop);
        applied.with_context(|| format!("{} does not apply any more", self.file.display()))
    }

    /// That a cheat it plants is one that the test declares, and that a test of machines has it compiled in.
    pub(crate) fn check(&self, promise: &Promise) -> anyhow::Result<()> {
        ensure!(
            !self.is_cheat || promise.cheats.contains(&self.what),
            "{} plants {:?}, which is no cheat of {}",
            self.file.display(),
            self.what,
            promise.test
        );
        let is_code = |file: &PathBuf| file.extension().is_some_and(|e| e == "rs");
        let read_late = self.files.iter().find(|file| boots(promise) && !is_code(file));
        if let Some(read_late) = read_late {
            bail!(
                "{} changes {}, which {} reads when the sabotage is gone again: change code",
                self.file.display(),
                read_late.display(),
                promise.test
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_mistakes_named() {
        let parse = |text: &str| Patch::parse("x", Path::new("x"), text).map_err(|e| e.to_string());
        let diff = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";
        let patch = parse(&format!("Breaks: the door\nRed: it is open\nRed: wide\n\n{diff}")).unwrap();
        assert_eq!((patch.what.as_str(), patch.is_cheat, patch.red.len()), ("the door", false, 2));
        assert!(parse(&format!("Breaks: the door\n\n{diff}")).unwrap_err().contains("expected `Red: `"));
        assert!(parse(&format!("Red: it is open\n\n{diff}")).unwrap_err().contains("`Breaks: `"));
        assert!(
            parse(&format!("Plants: a\nPlants: b\nRed: c\n\n{diff}")).unwrap_err().contains("expected one")
        );
        assert!(parse("Breaks: the door\nRed: it is open\n\nnothing\n").unwrap_err().contains("a patch"));
    }

    #[test]
    fn a_test_of_machines_is_broken_by_code_alone() {
        let diff = |name: &str| {
            let text = format!(
                "Breaks: the door\nRed: it is open\n\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n"
            );
            Patch::parse("x", Path::new("x"), &text).unwrap()
        };
        let machines = Promise::of_test("e2e", Some("machines"));
        diff("e2e/src/disc.rs").check(&machines).unwrap();
        let refused = diff("docs/guide/install.md").check(&machines).unwrap_err().to_string();
        assert!(refused.contains("changes docs/guide/install.md, which t reads"), "{refused}");
        diff("docs/guide/install.md").check(&Promise::of_test("recstrap", Some("install"))).unwrap();
    }
}
