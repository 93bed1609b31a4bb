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
pub(crate) struct Row {
    pub(crate) sweep: String,
    pub(crate) sample: bool,
    pub(crate) population: u64,
    pub(crate) planned: u64,
    #[serde(default)]
    pub(crate) seed: Option<u64>,
    pub(crate) injected: u64,
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) canary: Canary,
    pub(crate) seconds: f64,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Canary {
    pub(crate) caught: u64,
    pub(crate) of: u64,
}

/// Runs all sweeps on recstrap whose name contains the filter.
pub(crate) fn reliability(paths: &Paths, filter: Option<&str>, json: bool) -> anyhow::Result<()> {
    let (rows, end) = sweep(paths, "recstrap", filter, true)?;
    if json {
        doctor::print(&serde_json::to_string_pretty(&rows)?);
    } else if !rows.is_empty() {
        doctor::print(&table(&rows));
    }
    end
}

/// Runs a package's sweeps whose name contains the filter: all that is planned, or samples. Their rows, and how it ended: rows of
/// a run that failed are worth reading, too.
pub(crate) fn sweep(
    paths: &Paths,
    package: &str,
    filter: Option<&str>,
    full: bool,
) -> anyhow::Result<(Vec<Row>, anyhow::Result<()>)> {
    doctor::require(Need::Test)?;
    let log = paths.target.join("reliability.jsonl");
    if log.exists() {
        std::fs::remove_file(&log).with_context(|| format!("failed to remove {}", log.display()))?;
    }
    let cmd = cargo::cargo(paths).args(["test", "--locked", "--package", package, "--test", "reliability"]);
    // A sweep that cannot run is not a sweep that passed.
    let cmd = cmd.env("LEVITATE_NO_SKIP", "1").env("LEVITATE_RELIABILITY_LOG", &log);
    let cmd = if full { cmd.arg("--release").env("LEVITATE_FULL", "1") } else { cmd };
    let cmd = cmd.args(filter).args(["--", "--nocapture", "--test-threads=1"]);
    // Our stdout is the table alone.
    let status = cmd.std().stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr())).status();
    let status = status.with_context(|| format!("failed to start `{}`", cmd.display()))?;
    let text = if log.exists() { common::fs::read_to_string(&log)? } else { String::new() };
    let rows = rows(&text, full).with_context(|| format!("failed to read {}", log.display()))?;
    let (none, display) = (rows.is_empty(), cmd.display());
    let end = || {
        ensure!(status.success(), "`{display}` failed ({status}); its rows are in {}", log.display());
        ensure!(!none, "no sweep's name contains {:?}", filter.unwrap_or_default());
        Ok(())
    };
    Ok((rows, end()))
}

fn rows(text: &str, full: bool) -> anyhow::Result<Vec<Row>> {
    let row = |line: &str| {
        let row: Row = serde_json::from_str(line)?;
        ensure!(!full || !row.sample, "`{}` ran only a sample", row.sweep);
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
        let table = table(&rows(&line("false"), true).unwrap());
        assert!(table.contains("\n| a | 9 | 2 of 3 | 1 x; 1 y | 0 | 1 of 1 | 1 |\n\n- a: n"), "{table}");
        rows(&line("true"), true).unwrap_err();
        assert_eq!(rows(&line("true"), false).unwrap().len(), 1);
    }
}
