//! `cargo xtask cheats`: every promise that a test protects, how it could be cheated, and what is known of the test.
//!
//! In: the sources ([`scan`]), the ledger of the last `cargo xtask test`, the results of the last `cargo xtask sabotage`. Out: a table,
//! JSON, or docs/promises.md. Nothing is believed to have run that left no line: a critical test without one is a failure
//! of the run ([`all_critical_ran`]).

pub(crate) mod scan;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use common::cli::Mark;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::{doctor, sabotage};
use scan::Promise;

/// The page that is made of the sources alone.
pub(crate) const PAGE: &str = "docs/promises.md";

/// A line that a protected test writes when it ends (cheat-test/src/expand.rs).
#[derive(Debug, Deserialize)]
struct Ran {
    test: String,
    passed: bool,
}

/// What is known of one promise.
#[derive(Debug, Serialize)]
struct Row<'p> {
    #[serde(flatten)]
    promise: &'p Promise,
    /// Whether the last run of all tests had it, and how it ended.
    last: Option<bool>,
    /// How many of its sabotages the last `cargo xtask sabotage` planted, and how many the test noticed.
    planted: usize,
    killed: usize,
}

/// Prints the table or JSON; with `write`, renews the page.
pub(crate) fn cheats(paths: &Paths, json: bool, write: bool) -> anyhow::Result<()> {
    let promises = scan::promises(paths)?;
    if write {
        let page = paths.root.join(PAGE);
        common::fs::write_atomic(&page, page_of(&promises).as_bytes())?;
        doctor::eprintln_step(&format!("wrote {}", page.display()));
        return Ok(());
    }
    let ran = ran(&paths.cheat_ledger())?;
    let results = sabotage::results(paths)?;
    let rows: Vec<_> = promises.iter().map(|promise| row(promise, &ran, &results)).collect();
    if json {
        doctor::print(&serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    doctor::print(&table(&rows));
    Ok(())
}

fn row<'p>(promise: &'p Promise, ran: &BTreeMap<String, bool>, results: &[sabotage::Outcome]) -> Row<'p> {
    let own = || results.iter().filter(|r| r.test == promise.test && promise.sabotage.contains(&r.sabotage));
    let (planted, killed) = (own().count(), own().filter(|r| r.killed).count());
    Row { promise, last: ran.get(&promise.ledger_name()).copied(), planted, killed }
}

fn table(rows: &[Row<'_>]) -> String {
    let mut out =
        "| severity | promise | test | last run | cheats | sabotages: declared / planted / noticed |\n\
                   |---|---|---|---|---:|---:|\n"
            .to_owned();
    for Row { promise, last, planted, killed } in rows {
        let Promise { severity, protects, test, cheats, sabotage, .. } = promise;
        let last = match last {
            Some(true) => "passed",
            Some(false) => "**failed**",
            None => "not run",
        };
        let _ = writeln!(
            out,
            "| {severity} | {protects} | `{test}` | {last} | {} | {} / {planted} / {killed} |",
            cheats.len(),
            sabotage.len()
        );
    }
    let sum = |count: fn(&Row<'_>) -> usize| rows.iter().map(count).sum::<usize>();
    let _ = write!(
        out,
        "{} promises, {} cheats; sabotages: {} declared, {} planted, {} noticed",
        rows.len(),
        sum(|r| r.promise.cheats.len()),
        sum(|r| r.promise.sabotage.len()),
        sum(|r| r.planted),
        sum(|r| r.killed)
    );
    out
}

/// Fails unless each critical test left a line, and none of them a line that it did not pass or was skipped.
pub(crate) fn all_critical_ran(paths: &Paths) -> anyhow::Result<()> {
    let ran = ran(&paths.cheat_ledger())?;
    let skipped = paths.skip_ledger();
    let skipped = if skipped.exists() { common::fs::read_to_string(&skipped)? } else { String::new() };
    let promises = scan::promises(paths)?;
    let mut wrong = Vec::new();
    for promise in promises.iter().filter(|p| p.severity == "CRITICAL") {
        let is_skipped = skipped.lines().any(|line| line.ends_with(&format!(" [{}]", promise.path)));
        match ran.get(&promise.ledger_name()) {
            Some(true) if is_skipped => wrong.push(format!("{} skipped a check", promise.test)),
            Some(true) => {}
            Some(false) => wrong.push(format!("{} failed", promise.test)),
            None => wrong.push(format!("{} did not run", promise.test)),
        }
    }
    ensure_none(&wrong)
}

fn ensure_none(wrong: &[String]) -> anyhow::Result<()> {
    let check = || {
        ensure!(wrong.is_empty(), "critical promises are not proved:\n  {}", wrong.join("\n  "));
        Ok(())
    };
    check().hint("a CRITICAL test may not be skipped: give it what it needs (`cargo xtask doctor`)")
}

/// Names of tests in a ledger, and whether each passed.
pub(crate) fn ran(ledger: &Path) -> anyhow::Result<BTreeMap<String, bool>> {
    let text = if ledger.exists() { common::fs::read_to_string(ledger)? } else { String::new() };
    let mut ran = BTreeMap::new();
    for line in text.lines() {
        let Ran { test, passed } = serde_json::from_str(line)
            .with_context(|| format!("{} has a line that is none: {line}", ledger.display()))?;
        // A test that failed once has failed.
        ran.entry(test).and_modify(|all| *all &= passed).or_insert(passed);
    }
    Ok(ran)
}

/// The page: what is promised, to whoever reads and has run nothing.
pub(crate) fn page_of(promises: &[Promise]) -> String {
    let mut out = "# Promises\n\nWhat LevitateOS promises, which test guards it, and how that test could be cheated. Made of the tests' own \
                   attributes by `cargo xtask cheats --write`; `cargo xtask cheats` adds how they ended last. A sabotage is a patch in \
                   `sabotage/` that plants a cheat or breaks what is promised: `cargo xtask sabotage` plants each and demands that the \
                   test notices.\n"
        .to_owned();
    for severity in scan::SEVERITIES {
        let of_it: Vec<_> = promises.iter().filter(|p| p.severity == *severity).collect();
        if of_it.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## {severity}\n");
        for Promise { protects, consequence, test, cheats, sabotage, .. } in of_it {
            let _ = write!(out, "\n**{protects}**\n\nElse: {consequence}. Test: `{test}`.\n\n");
            for cheat in cheats {
                let _ = writeln!(out, "- cheat: {cheat}");
            }
            for name in sabotage {
                let _ = writeln!(out, "- sabotage: `sabotage/{name}.patch`");
            }
        }
    }
    out
}
