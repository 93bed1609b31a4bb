//! `cargo xtask reliability`: every attack on recstrap that is planned, not the sample that `cargo test` runs.
//!
//! In: a filter on names of tests. Out: the rows that the sweeps wrote (e2e/testkit/src/ledger.rs), as the
//! table of docs/reliability.md or as JSON, on stdout. A sweep that did not run leaves no row, and nothing here makes one.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::tools::Need;
use crate::{cargo, doctor};

/// What a sweep says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    sweep: String,
    sample: bool,
    population: u64,
    planned: u64,
    injected: u64,
    outcomes: BTreeMap<String, u64>,
    violations: Vec<String>,
    canary: Canary,
    seconds: f64,
    notes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Canary {
    caught: u64,
    of: u64,
}

/// Runs all sweeps whose name contains the filter.
pub(crate) fn reliability(paths: &Paths, filter: Option<&str>, json: bool) -> anyhow::Result<()> {
    doctor::require(Need::Test)?;
    let log = paths.target.join("reliability.jsonl");
    if log.exists() {
        std::fs::remove_file(&log).with_context(|| format!("failed to remove {}", log.display()))?;
    }
    let test = ["test", "--release", "--locked", "--package", "recstrap", "--test", "reliability"];
    let cmd = cargo::cargo(paths).args(test).args(filter).args(["--", "--nocapture", "--test-threads=1"]);
    // A sweep that cannot run is not a sweep that passed.
    let cmd = cmd.env("LEVITATE_FULL", "1").env("LEVITATE_NO_SKIP", "1");
    let cmd = cmd.env("LEVITATE_RELIABILITY_LOG", &log);
    // Our stdout is the table alone.
    let status = cmd.std().stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr())).status();
    let status = status.with_context(|| format!("failed to start `{}`", cmd.display()))?;
    let text = if log.exists() { common::fs::read_to_string(&log)? } else { String::new() };
    let rows = rows(&text).with_context(|| format!("failed to read {}", log.display()))?;
    if json {
        doctor::print(&serde_json::to_string_pretty(&rows)?);
    } else if !rows.is_empty() {
        doctor::print(&table(&rows));
    }
    ensure!(status.success(), "`{}` failed ({status}); its rows are in {}", cmd.display(), log.display());
    ensure!(!rows.is_empty(), "no sweep's name contains {:?}", filter.unwrap_or_default());
    Ok(())
}

fn rows(text: &str) -> anyhow::Result<Vec<Row>> {
    let row = |line: &str| {
        let row: Row = serde_json::from_str(line)?;
        ensure!(!row.sample, "`{}` ran only a sample", row.sweep);
        Ok(row)
    };
    text.lines().map(row).collect()
}

/// As in docs/reliability.md.
fn table(rows: &[Row]) -> String {
    let mut out =
        "| sweep | population | attacks met | outcomes | violations | canary | seconds |\n".to_owned();
    out.push_str("|---|---:|---:|---|---:|---:|---:|");
    for row in rows {
        let outcomes = row.outcomes.iter().map(|(what, count)| format!("{count} {what}"));
        let outcomes = outcomes.collect::<Vec<_>>().join("; ");
        let Row { sweep, population, planned, injected, seconds, .. } = row;
        let (violations, canary) = (row.violations.len(), &row.canary);
        out.push_str(&format!(
            "\n| {sweep} | {population} | {injected} of {planned} | {outcomes} | {violations} | {} of {} | {seconds:.0} |",
            canary.caught, canary.of
        ));
    }
    let notes = rows.iter().flat_map(|row| row.notes.iter().map(|note| format!("\n- {}: {note}", row.sweep)));
    let notes: String = notes.collect();
    if notes.is_empty() { out } else { format!("{out}\n{notes}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"sweep":"a","sample":SAMPLE,"population":9,"planned":3,"injected":2,"outcomes":{"x":1,"y":1},
        "violations":[],"canary":{"caught":1,"of":1},"seconds":1.4,"notes":["n"]}"#;

    #[test]
    fn a_table_has_a_line_a_row_and_a_sample_is_refused() {
        let line = |sample| ROW.replace("SAMPLE", sample).replace('\n', " ");
        let table = table(&rows(&line("false")).unwrap());
        assert!(table.contains("\n| a | 9 | 2 of 3 | 1 x; 1 y | 0 | 1 of 1 | 1 |\n\n- a: n"), "{table}");
        rows(&line("true")).unwrap_err();
    }
}
