//! `cargo xtask tidy`: facts that drift, checked against the tree as git knows it.
//!
//! - every Rust file opens with `//!`
//! - every path that a document names in backticks and that looks like ours exists
//! - every test that SUPPLY_CHAIN.md names exists
//! - a shell can parse every block of a document that is marked `sh`: readers and the install test type them
//! - docs/promises.md is what the tests' attributes say, and each file in sabotage/ is named by one of them
//!   and still applies
//! - no file names a host of the package registries this machine is configured with

use std::path::Path;

use common::cmd::Cmd;

use crate::cheats::{self, scan};
use crate::paths::Paths;
use crate::sabotage::patch::Patch;

/// Fails with a list of all findings.
pub(crate) fn tidy(paths: &Paths) -> anyhow::Result<()> {
    let listed = paths.files()?;
    let files: Vec<&str> = listed.iter().map(String::as_str).collect();
    let hosts = registry_hosts();
    let mut findings = Vec::new();
    let mut tests = String::new();
    let mut documents = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(paths.root.join(file)) else { continue };
        if file.ends_with(".rs") {
            if !text.starts_with("//!") {
                findings.push(format!(
                    "{file}: does not open with `//!` (purpose, inputs -> outputs, invariants)"
                ));
            }
            tests.push_str(&text);
        }
        // Cargo writes its lock itself; it names the registry by its canonical address.
        let ours = !file.ends_with("Cargo.lock");
        for host in hosts.iter().filter(|h| ours && text.contains(h.as_str())) {
            findings.push(format!(
                "{file}: names {host}, a package registry of this machine; read it at run time"
            ));
        }
        if file.ends_with(".md") {
            documents.push((*file, text));
        }
    }
    for (file, text) in &documents {
        findings.extend(shell_blocks(file, text)?);
        let named = backticked(text).filter(|word| looks_like_ours(word, &files));
        findings.extend(
            named
                .filter(|word| !paths.root.join(word).exists())
                .map(|word| format!("{file}: names `{word}`, which does not exist")),
        );
        if *file == "SUPPLY_CHAIN.md" {
            let claimed = backticked(text).filter_map(|word| word.strip_prefix("test "));
            findings.extend(
                claimed
                    .filter(|name| !tests.contains(&format!("fn {name}(")))
                    .map(|name| format!("{file}: names the test `{name}`, which does not exist")),
            );
        }
    }
    findings.extend(promises(paths, &files)?);
    if findings.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{} things are not tidy:\n{}", findings.len(), findings.join("\n"))
}

/// What is wrong with the page of promises and with the sabotages.
fn promises(paths: &Paths, files: &[&str]) -> anyhow::Result<Vec<String>> {
    let promises = scan::promises(paths)?;
    let mut findings = Vec::new();
    let page = paths.root.join(cheats::PAGE);
    if std::fs::read_to_string(&page).ok().as_deref() != Some(&*cheats::page_of(&promises)) {
        findings
            .push(format!("{}: is not what the tests say; run `cargo xtask cheats --write`", cheats::PAGE));
    }
    let names = files.iter().filter_map(|file| file.strip_prefix("sabotage/")?.strip_suffix(".patch"));
    let unused = names.filter(|name| !promises.iter().any(|p| p.sabotage.iter().any(|s| s == name)));
    findings.extend(unused.map(|name| format!("sabotage/{name}.patch: no test names it")));
    for (promise, name) in promises.iter().flat_map(|p| p.sabotage.iter().map(move |name| (p, name))) {
        let sound = |patch: Patch| patch.check(promise).and_then(|()| patch.applies(&paths.root));
        if let Err(e) = Patch::read(&paths.root, name).and_then(sound) {
            findings.push(format!("{e:#}"));
        }
    }
    Ok(findings)
}

/// What a shell says against the blocks of a document whose info string begins with `sh`. Each block is looked at by
/// itself, as it is typed.
fn shell_blocks(file: &str, text: &str) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((fence, number)) = lines.next() {
        let Some(info) = fence.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().map(|(line, _)| line).take_while(|line| *line != "```").collect();
        if info.split(' ').next() != Some("sh") {
            continue;
        }
        let parsed = Cmd::new("sh").args(["-n", "-c", &block.join("\n")]).output()?;
        if !parsed.status.success() {
            let why = String::from_utf8_lossy(&parsed.stderr).trim().to_owned();
            findings.push(format!("{file}:{number}: no shell can parse this block: {why}"));
        }
    }
    Ok(findings)
}

/// The words between single backticks, outside of code blocks.
fn backticked(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// A path whose first component is a folder or file of the workspace's root.
fn looks_like_ours(word: &str, files: &[&str]) -> bool {
    let Some((first, _)) = word.split_once('/') else { return false };
    let clean = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    clean && files.iter().any(|f| f.split_once('/').is_some_and(|(top, _)| top == first))
}

/// Hosts that apt and pip are configured with here. Names that are nobody's secret but ours to avoid: a file with
/// one in it would work on this machine only.
fn registry_hosts() -> Vec<String> {
    let apt = Cmd::new("apt-get").args(["indextargets", "--format", "$(SITE)"]).output();
    let apt = apt.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let home = std::env::var_os("HOME").unwrap_or_default();
    let configured =
        [".cargo/config.toml", ".config/pip/pip.conf", ".npmrc"].map(|f| Path::new(&home).join(f));
    let system = ["/etc/pip.conf"].map(Path::new).map(Path::to_owned);
    let texts = configured.iter().chain(&system).filter_map(|f| std::fs::read_to_string(f).ok());
    let text = std::iter::once(apt).chain(texts).collect::<Vec<_>>().join("\n");
    let mut hosts: Vec<_> = text
        .split("://")
        .skip(1)
        .filter_map(|rest| rest.split(['/', ':', '"', '\'', '\n', ' ']).next())
        .map(|host| host.rsplit('@').next().unwrap_or(host).to_owned())
        .filter(|host| host.contains('.'))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_ours_are_told_from_other_words() {
        let files = ["leviso/src/lib.rs", "README.md"];
        let text =
            "See `leviso/src/lib.rs`, `a/b`, `cargo xtask`.\n```\n`leviso/no`\n```\nand `leviso/src/gone.rs`";
        let ours: Vec<_> = backticked(text).filter(|w| looks_like_ours(w, &files)).collect();
        assert_eq!(ours, ["leviso/src/lib.rs", "leviso/src/gone.rs"]);
    }

    #[test]
    fn blocks_that_no_shell_can_parse_are_found() {
        let text = "```sh step=a\nls\n```\n```text\nif (\n```\n```sh\nif true\n```\n";
        let findings = shell_blocks("a.md", text).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("a.md:7: "), "{findings:?}");
    }
}
