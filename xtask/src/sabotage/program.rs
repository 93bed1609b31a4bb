//! The test program of a promise, compiled in the copy and run there.
//!
//! In: the copy of the workspace as it is at the moment. Out: how one test ended ([`Run`]). All crates are selected and one test program is
//! named, as everywhere (`crate::cargo`): so what is compiled already of other crates fits. A program that boots machines is put aside,
//! since it may run while the next sabotage is compiled.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::Deserialize;

use super::tree::Tree;
use crate::cheats::scan::Promise;

/// How one run of one test ended.
pub(super) struct Run {
    pub(super) passed: bool,
    pub(super) compiled: bool,
    pub(super) output: String,
    pub(super) log: PathBuf,
    pub(super) seconds: f64,
}

/// A compiled test, or what the compiler said instead.
pub(super) struct Program {
    name: String,
    /// The test's name as the harness knows it.
    test: String,
    built: Result<Executable, String>,
    seconds: f64,
}

/// Where a test program is, and the crate it is of.
struct Executable {
    file: PathBuf,
    manifest_dir: PathBuf,
}

/// Whether a test of this program boots machines: minutes, on one processor.
pub(super) fn boots(promise: &Promise) -> bool {
    promise.target.as_deref() == Some("machines")
}

impl Program {
    /// Compiles the promise's test with as many processors; `name` is that of the run.
    pub(super) fn compile(tree: &Tree, promise: &Promise, name: &str, jobs: usize) -> anyhow::Result<Self> {
        let began = Instant::now();
        let cmd = tree.cargo().args(["test", "--release", "--locked", "--workspace", "--no-run"]);
        let cmd = cmd.args(["--message-format=json-render-diagnostics", "--jobs", &jobs.to_string()]);
        let out = match &promise.target {
            Some(target) => cmd.args(["--test", target]),
            None => cmd.arg("--lib"),
        }
        .output()?;
        let built = if out.status.success() {
            let mut executable = executable(&String::from_utf8_lossy(&out.stdout), promise)?;
            if boots(promise) {
                let aside = tree.aside(name);
                std::fs::copy(&executable.file, &aside).with_context(|| {
                    format!("failed to copy {} to {}", executable.file.display(), aside.display())
                })?;
                executable.file = aside;
            }
            Ok(executable)
        } else {
            Err(String::from_utf8_lossy(&out.stderr).into_owned())
        };
        let seconds = began.elapsed().as_secs_f64();
        Ok(Self { name: name.to_owned(), test: promise.path.clone(), built, seconds })
    }

    /// Runs the test and keeps what it says.
    pub(super) fn run(self, tree: &Tree) -> anyhow::Result<Run> {
        let began = Instant::now();
        let compiled = self.built.is_ok();
        let (output, passed) = match self.built {
            Ok(Executable { file, manifest_dir }) => {
                let cmd = tree.command(&file).dir(&manifest_dir).env("CARGO_MANIFEST_DIR", &manifest_dir);
                let out = cmd.args(["--exact", &self.test, "--nocapture"]).output()?;
                let text =
                    String::from_utf8_lossy(&[&out.stdout[..], b"\n", &out.stderr].concat()).into_owned();
                // A name that the harness does not know is no test that passed.
                let passed = out.status.success() && text.contains("1 passed");
                (text, passed)
            }
            Err(output) => (output, false),
        };
        let log = tree.log(&self.name);
        common::fs::write_atomic(&log, output.as_bytes())?;
        Ok(Run { passed, compiled, output, log, seconds: self.seconds + began.elapsed().as_secs_f64() })
    }
}

/// A line of what cargo prints as JSON.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The promise's program among those that cargo made: other crates may have a test program with the same name.
fn executable(messages: &str, promise: &Promise) -> anyhow::Result<Executable> {
    for line in messages.lines() {
        let message: Message =
            serde_json::from_str(line).with_context(|| format!("cargo said what is no message: {line}"))?;
        let (Some(file), Some(target)) = (message.executable, message.target) else { continue };
        let dir = message.manifest_path.parent().unwrap_or(Path::new(""));
        let is_named = match &promise.target {
            Some(name) => target.name == *name && target.kind.iter().any(|kind| kind == "test"),
            None => !target.kind.iter().any(|kind| kind == "test" || kind == "bin"),
        };
        if is_named && dir.ends_with(&promise.krate) {
            return Ok(Executable { file, manifest_dir: dir.to_owned() });
        }
    }
    anyhow::bail!("cargo made no program for {}", promise.test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_promises_own() {
        let made = |krate: &str, kind: &str, name: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/{krate}/Cargo.toml","target":{{"kind":["{kind}"],"name":"{name}"}},"executable":{executable}}}"#
            )
        };
        let messages = [
            made("recipe", "test", "erofs", "\"/t/recipe-erofs\""),
            made("leviso", "bin", "leviso", "\"/t/leviso\""),
            made("leviso", "lib", "leviso", "null"),
            made("leviso", "lib", "leviso", "\"/t/leviso-lib\""),
            made("leviso", "test", "erofs", "\"/t/leviso-erofs\""),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ]
        .join("\n");
        let found = |krate, target| executable(&messages, &Promise::of_test(krate, target)).map(|e| e.file);
        assert_eq!(found("leviso", Some("erofs")).unwrap(), Path::new("/t/leviso-erofs"));
        assert_eq!(found("leviso", None).unwrap(), Path::new("/t/leviso-lib"));
        assert!(found("leviso", Some("install")).unwrap_err().to_string().contains("no program for t"));
        assert!(found("recstrap", Some("erofs")).is_err());
    }
}
