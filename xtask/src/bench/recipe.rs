//! `cargo xtask bench recipe`: what recipe takes for what people type, against pacman (and uv and mise where they are), in one run.
//!
//! In: how many runs. Out: a table (or JSON): medians, minimum and maximum, the bar, the ratio to recipe.
//!
//! Both get the same: as many recipes as the repository has packages, the same graph of needs, the same files in the same tarball
//! (zstd). Runs are interleaved. `cold` is after all caches of the kernel were dropped. What an installation costs is measured until
//! the program ends; recipe syncs what it writes, pacman does not: for that there is a second row, in which both are
//! followed by syncfs.
//!
//! - [`scenes`]: the two package managers' worlds
//! - [`rivals`]: others, where they are

mod rivals;
mod scenes;

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use common::cmd::Cmd;
use serde::Serialize;

use super::{drop_caches, report::median, say, wanted};
use crate::paths::Paths;
use scenes::{Scenes, programs};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RecipeArgs {
    /// Runs of each.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How many recipes and packages there are to list and search.
    #[arg(long, default_value_t = 10_000)]
    packages: usize,
    /// Only rows whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Measure this recipe instead of building the workspace's.
    #[arg(long, value_name = "PROGRAM")]
    recipe: Option<std::path::PathBuf>,
    /// Print JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// One thing that people do, by one program.
pub(super) struct Case {
    /// What is done.
    pub(super) task: &'static str,
    /// By whom.
    pub(super) program: &'static str,
    /// The command.
    pub(super) cmd: Cmd,
    /// Milliseconds that recipe may take at most.
    pub(super) bar: Option<f64>,
    /// Caches are dropped before.
    pub(super) cold: bool,
    /// Everything has to be on the disk in the end.
    pub(super) sync: bool,
    /// Brings back what was before.
    pub(super) reset: rivals::Reset,
    /// What must be there afterwards.
    pub(super) makes: Option<std::path::PathBuf>,
    /// The fewest lines that it must print.
    pub(super) lines: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    task: &'static str,
    program: &'static str,
    command: String,
    bar_ms: Option<f64>,
    ms: Vec<f64>,
    median_ms: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    runs: u32,
    packages: usize,
    processors: usize,
    kernel: String,
    versions: Vec<String>,
    rows: Vec<Row>,
}

/// Measures and prints.
pub(crate) fn recipe(paths: &Paths, args: &RecipeArgs) -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "dropping caches, and pacman, need root");
    let program = match &args.recipe {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
        None => crate::cargo::release(paths, "recipe")?,
    };
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(&paths.target)?;
    say(&format!("making {} recipes and packages", args.packages));
    let scenes = Scenes::make(dir.path(), &program, args.packages)?;
    let mut cases = scenes.cases()?;
    cases.retain(|case| wanted(&args.only, case.task));
    ensure!(!cases.is_empty(), "nothing is called {:?}", args.only);
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|case| Row {
            task: case.task,
            program: case.program,
            command: shown(&case.cmd, dir.path()),
            bar_ms: case.bar,
            ms: Vec::new(),
            median_ms: 0.0,
        })
        .collect();
    // The first round only warms up.
    for run in 0..=args.runs as usize {
        say(&format!("run {run} of {}", args.runs));
        for number in 0..cases.len() {
            // Nobody always comes after the same one.
            let at = (number + run) % cases.len();
            let ms = measure(&cases[at], dir.path())
                .with_context(|| format!("{}, {}", cases[at].task, cases[at].program))?;
            if run > 0 {
                rows[at].ms.push(ms);
            }
        }
    }
    rows.iter_mut().for_each(|row| row.median_ms = median(&row.ms));
    let report = Report {
        schema: 1,
        runs: args.runs,
        packages: args.packages,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: common::fs::read_to_string("/proc/sys/kernel/osrelease".as_ref())?.trim().to_owned(),
        versions: programs(&program)?,
        rows,
    };
    crate::doctor::print(&if args.json { serde_json::to_string_pretty(&report)? } else { report.table() });
    Ok(())
}

/// A command as it is shown: without the directory of this run.
fn shown(cmd: &Cmd, dir: &Path) -> String {
    cmd.display().replace(&format!("{}/", dir.display()), "")
}

/// Milliseconds.
fn measure(case: &Case, dir: &Path) -> anyhow::Result<f64> {
    (case.reset)()?;
    // What the last one left to be written is not this one's.
    rustix::fs::sync();
    if case.cold {
        drop_caches()?;
    }
    let root = std::fs::File::open(dir)?;
    let out = tempfile::tempfile()?;
    let mut std = case.cmd.std();
    std.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(tempfile::tempfile()?);
    let since = Instant::now();
    let status = std.status().with_context(|| format!("failed to start `{}`", case.cmd.display()))?;
    if case.sync {
        rustix::fs::syncfs(&root)?;
    }
    let ms = since.elapsed().as_secs_f64() * 1000.0;
    ensure!(status.success(), "`{}` failed ({status})", case.cmd.display());
    let mut text = String::new();
    let mut out = out;
    std::io::Seek::rewind(&mut out)?;
    std::io::Read::read_to_string(&mut out, &mut text)?;
    ensure!(text.lines().count() >= case.lines, "`{}` printed too little: {text}", case.cmd.display());
    if let Some(path) = &case.makes {
        ensure!(path.exists(), "`{}` did not make {}", case.cmd.display(), path.display());
    }
    Ok(ms)
}

impl Report {
    fn table(&self) -> String {
        let mut out = format!(
            "{}; {} packages, {} runs each, {} processors, kernel {}\n\n\
             | | | median ms | min .. max ms | x recipe | bar |\n|---|---|--:|--:|--:|---|",
            self.versions.join(", "),
            self.packages,
            self.runs,
            self.processors,
            self.kernel
        );
        for row in &self.rows {
            let ours = self.rows.iter().find(|r| r.task == row.task && r.program == "recipe");
            let ratio = ours.map_or("-".to_owned(), |r| format!("{:.2}", row.median_ms / r.median_ms));
            let bar = row.bar_ms.map_or(String::new(), |bar| {
                format!("< {bar} ms: {}", if row.median_ms < bar { "met" } else { "**not met**" })
            });
            let (min, max) = row.ms.iter().fold((f64::MAX, 0.0_f64), |(a, b), s| (a.min(*s), b.max(*s)));
            out += &format!(
                "\n| {} | {} | {:.1} | {min:.1} .. {max:.1} | {ratio} | {bar} |",
                row.task, row.program, row.median_ms
            );
        }
        out += "\n\n";
        self.rows.iter().for_each(|row| out += &format!("- {}: `{}`\n", row.task, row.command));
        out.trim_end().to_owned()
    }
}
