//! `recfstab` fed with texts, one behaviour a file: `tests/fstab/NAME.txt`.
//!
//! A file is a comment (what it shows), then sections: `=== findmnt.json`, `=== lsblk.json`, `=== swaps`, `=== blkid`
//! are what the system says, `=== fstab` is what stands in the file already; `=== run ARGS` is followed by the exact output, `=== stderr` and `=== exit CODE` where they
//! are not empty and 0.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

/// One call of the program, and what comes of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    args: String,
    stdout: String,
    stderr: String,
    code: i32,
}

/// The sections of a file, in order: what follows `===`, and the lines below it.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("=== "), sections.last_mut()) {
            (Some(name), _) => sections.push((name.to_owned(), String::new())),
            (None, Some((_, body))) => body.push_str(&format!("{line}\n")),
            (None, None) => assert!(line.starts_with("# "), "a file starts with what it shows"),
        }
    }
    sections
}

/// Writes the inputs to `dir` and returns the runs.
fn unpack(text: &str, dir: &Path) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (name, body) in sections(text) {
        match (name.split_once(' ').unwrap_or((&name, "")), runs.last_mut()) {
            (("run", args), _) => runs.push(Run { args: args.to_owned(), stdout: body, ..Run::default() }),
            (("stderr", ""), Some(run)) => run.stderr = body,
            (("exit", code), Some(run)) => run.code = code.parse().expect("an exit code"),
            (("findmnt.json" | "lsblk.json" | "swaps" | "blkid" | "fstab", ""), None) => {
                std::fs::write(dir.join(&name), body).expect("written");
            }
            (other, _) => panic!("unknown section {other:?}"),
        }
    }
    runs
}

fn run(dir: &Path, args: &str) -> Run {
    let out = Cmd::new(env!("CARGO_BIN_EXE_recfstab")).arg("--from").arg(dir).args(args.split(' '));
    let out = out.output().expect("recfstab starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = out.status.code().expect("not ended by a signal");
    Run { args: args.to_owned(), stdout: text(out.stdout), stderr: text(out.stderr), code }
}

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fstab");
    let mut cases: Vec<_> =
        std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("read").path()).collect();
    cases.retain(|c| c.extension().is_some_and(|e| e == "txt"));
    cases.sort();
    cases
}

#[test]
fn every_case_gives_exactly_its_output() {
    let mut wrong = Vec::new();
    for case in cases() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let runs = unpack(&std::fs::read_to_string(&case).expect("read"), dir.path());
        assert!(!runs.is_empty(), "{} runs nothing", case.display());
        for expected in runs {
            let got = run(dir.path(), &expected.args);
            assert!(
                [0, 14].contains(&got.code) || got.stdout.is_empty(),
                "{}: output of a failure: {got:?}",
                case.display()
            );
            if got != expected {
                wrong.push(format!("{}\nexpected {expected:#?}\ngot {got:#?}", case.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What users rely on, as it is known of genfstab, is a file each; a file that is gone is a test that is gone.
#[test]
fn no_case_is_lost() {
    let names: Vec<_> =
        cases().iter().map(|c| c.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    let documented =
        std::fs::read_to_string(testkit::workspace().join("docs/reference/recfstab.md")).expect("read");
    let missing: Vec<_> = names.iter().filter(|n| !documented.contains(&format!("`{n}`"))).collect();
    assert!(missing.is_empty(), "docs/reference/recfstab.md does not name {missing:?}");
    let table = documented.split("\n## ").find(|part| part.starts_with("What it does")).expect("a section");
    let table = table.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name);
    let gone: Vec<_> = table.filter(|n| !names.iter().any(|m| m == n)).collect();
    assert!(gone.is_empty(), "docs/reference/recfstab.md names cases that do not exist: {gone:?}");
}
