//! `cargo xtask torture recipe`: every sweep on recipe, as one table.
//!
//! In: a filter on names of sweeps; samples, or all that is planned. Out: a table on stdout, and in target/torture/ the
//! same as NAME.md and NAME.json, which also say which commit it was and on what machine. Exit code 0 only if each sweep
//! passed: no violation, something injected, every canary caught.

use anyhow::Context;
use common::cmd::Cmd;
use serde::Serialize;

use crate::doctor;
use crate::paths::Paths;
use crate::reliability::{Row, sweep};

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RecipeArgs {
    /// A sample of each sweep, as `cargo test` runs it (the default).
    #[arg(long, conflicts_with = "full")]
    sample: bool,
    /// All that is planned, with the release build: hours.
    #[arg(long)]
    full: bool,
    /// Print JSON on stdout.
    #[arg(long)]
    json: bool,
    /// Only sweeps whose test's name contains this.
    filter: Option<String>,
}

/// All of a run.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    target: &'static str,
    mode: &'static str,
    commit: String,
    processors: usize,
    kernel: String,
    rows: Vec<Row>,
}

/// Runs the sweeps.
pub(crate) fn recipe(paths: &Paths, args: &RecipeArgs) -> anyhow::Result<()> {
    let mode = if args.full { "full" } else { "sample" };
    let commit = commit(paths)?;
    let (rows, end) = sweep(paths, "recipe", args.filter.as_deref(), args.full)?;
    let report = Report {
        schema: SCHEMA,
        target: "recipe",
        mode,
        commit,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: common::fs::read_to_string("/proc/sys/kernel/osrelease".as_ref())?.trim().to_owned(),
        rows,
    };
    let (json, table) = (serde_json::to_string_pretty(&report)?, table(&report));
    let dir = paths.target.join("torture");
    std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    for (kind, text) in [("json", &json), ("md", &table)] {
        let path = dir.join(format!("recipe-{mode}.{kind}"));
        std::fs::write(&path, format!("{text}\n")).with_context(|| path.display().to_string())?;
    }
    doctor::print(if args.json { &json } else { &table });
    end
}

/// What was attacked; `+` when it was changed since.
fn commit(paths: &Paths) -> anyhow::Result<String> {
    let git = |args: &[&str]| Cmd::new("git").args(args.iter().copied()).dir(&paths.root).read();
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Ok(format!("{}{}", git(&["rev-parse", "--short", "HEAD"])?.trim(), if changed { "+" } else { "" }))
}

fn table(report: &Report) -> String {
    let Report { mode, commit, processors, kernel, .. } = report;
    let mut out = format!(
        "recipe at {commit}, {mode}, {processors} processors, kernel {kernel}\n\n\
         | sweep | attacks | injected (proved) | outcomes | VIOLATION | canary caught | wall s |\n\
         |---|---|--:|---|--:|--:|--:|"
    );
    for row in &report.rows {
        let outcomes: Vec<_> = row.outcomes.iter().map(|(what, count)| format!("{count} {what}")).collect();
        out.push_str(&format!(
            "\n| {} | {} | {} of {} | {} | {} | {}/{} | {:.0} |",
            row.sweep,
            chosen(row),
            row.injected,
            row.planned,
            outcomes.join("; "),
            row.violations.len(),
            row.canary.caught,
            row.canary.of,
            row.seconds
        ));
    }
    for row in &report.rows {
        row.notes.iter().for_each(|note| out.push_str(&format!("\n- {}: {note}", row.sweep)));
        row.violations.iter().for_each(|v| out.push_str(&format!("\n- VIOLATION, {}: {v}", row.sweep)));
    }
    out
}

/// How the attacks were chosen out of all there could be.
fn chosen(row: &Row) -> String {
    match row.seed {
        Some(seed) => format!("{} sampled, seed {seed}", row.planned),
        None if row.planned >= row.population => format!("all {} enumerated", row.population),
        None => format!("{} of {}", row.planned, row.population),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_how_attacks_were_chosen_and_shows_violations() {
        let row = |seed, planned| {
            let text = serde_json::json!({ "sweep": "a", "sample": true, "population": 9, "planned": planned, "seed": seed,
                "injected": 2, "outcomes": { "old": 1, "new": 1 }, "violations": ["at 7: torn"],
                "canary": { "caught": 1, "of": 2 }, "seconds": 1.4, "notes": [] });
            serde_json::from_value::<Row>(text).unwrap()
        };
        let rows = vec![row(Some(7), 3), row(None, 9), row(None, 3)];
        let report = Report {
            schema: 1,
            target: "recipe",
            mode: "sample",
            commit: "c+".into(),
            processors: 2,
            kernel: "k".into(),
            rows,
        };
        let table = table(&report);
        for line in [
            "| a | 3 sampled, seed 7 | 2 of 3 | 1 new; 1 old | 1 | 1/2 | 1 |",
            "| a | all 9 enumerated | 2 of 9 |",
            "| a | 3 of 9 | 2 of 3 |",
            "- VIOLATION, a: at 7: torn",
        ] {
            assert!(table.contains(line), "{line}: {table}");
        }
    }
}
