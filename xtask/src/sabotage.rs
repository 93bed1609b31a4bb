//! `cargo xtask sabotage`: each sabotage is planted in a copy of the workspace, and the test that names it must notice.
//!
//! In: `sabotage/NAME.patch` (what it does, the words that a noticing test says, a patch), and the tests that name them. Out: a table
//! and `target/sabotage/results.json`. A sabotage counts as noticed only when the patched workspace compiles, the test
//! fails, says the expected words and its own promise, and passed without the patch. The workspace itself is never touched.

pub(crate) mod patch;
mod program;
mod jobs;
mod tree;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use common::cli::Mark;
use serde::{Deserialize, Serialize};

use crate::cheats::scan::{self, Promise};
use crate::doctor;
use crate::paths::Paths;
use crate::timings::Timings;
use crate::tools::Need;
use jobs::Job;
use patch::Patch;
use program::Run;
use tree::Tree;

/// How one ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) sabotage: String,
    /// [`Promise::test`].
    pub(crate) test: String,
    pub(crate) severity: String,
    /// What the patch does.
    pub(crate) what: String,
    /// Whether the test noticed.
    pub(crate) killed: bool,
    /// Why it does not count, if it does not.
    pub(crate) why: Option<String>,
    pub(crate) seconds: f64,
}

/// Which of them.
#[derive(Debug, clap::Args)]
pub(crate) struct SabotageArgs {
    /// Only sabotages and tests whose name contains this.
    filter: Option<String>,
    /// Only those of CRITICAL tests.
    #[arg(long)]
    critical: bool,
    /// Do not run the tests without the sabotage first: the last `cargo xtask test` did. Each must have passed there.
    #[arg(long)]
    after_test: bool,
    /// Say what would be planted, and do nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// A patch and a test that names it.
struct Case {
    promise: Promise,
    patch: Patch,
}

/// Plants all that are asked for; fails unless each was noticed.
pub(crate) fn sabotage(paths: &Paths, args: &SabotageArgs) -> anyhow::Result<()> {
    let cases = cases(paths, args)?;
    ensure!(
        !cases.is_empty(),
        "no sabotage's name and no test's contains {:?}",
        args.filter.as_deref().unwrap_or("")
    );
    if args.dry_run {
        for Case { promise, patch } in &cases {
            doctor::print(&format!("{}: {} ({})", patch.name, patch.what, promise.test));
        }
        return Ok(());
    }
    doctor::require(Need::Test)?;
    if args.after_test {
        passed_before(paths, &cases)?;
    }
    // What a selection took says nothing about the next run.
    let is_whole = args.filter.is_none() && !args.json;
    let mut timings = is_whole.then(|| Timings::begin(paths, "4-sabotage")).transpose()?;
    let planting = || plant(paths, &cases, args.after_test);
    let outcomes = match &mut timings {
        Some(timings) => timings.step("planting", planting)?,
        None => planting()?,
    };
    for outcome in &outcomes {
        if let Some(timings) = &mut timings {
            timings.note(&outcome.sabotage, outcome.seconds)?;
        }
    }
    let all = merge(results(paths)?, &outcomes);
    common::fs::write_atomic(&results_file(paths), serde_json::to_string_pretty(&all)?.as_bytes())?;
    if args.json {
        doctor::print(&serde_json::to_string_pretty(&outcomes)?);
    } else {
        doctor::print(&table(&outcomes));
    }
    let missed: Vec<_> = outcomes.iter().filter(|o| !o.killed).map(|o| o.sabotage.as_str()).collect();
    ensure!(
        missed.is_empty(),
        "{} of {} were not noticed: {}",
        missed.len(),
        outcomes.len(),
        missed.join(", ")
    );
    timings.map_or(Ok(()), Timings::finish)
}

/// Every sabotage with the test that names it; each file must be named, and each cheat it plants be declared.
fn cases(paths: &Paths, args: &SabotageArgs) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for promise in scan::promises(paths)? {
        for name in &promise.sabotage {
            let patch = Patch::read(&paths.root, name)?;
            patch.check(&promise)?;
            let is_wanted = |f: &String| patch.name.contains(f) || promise.test.contains(f);
            if args.filter.as_ref().is_none_or(is_wanted)
                && (!args.critical || promise.severity == "CRITICAL")
            {
                cases.push(Case { promise: promise.clone(), patch });
            }
        }
    }
    Ok(cases)
}

/// That each test left a line that it passed, in the last run of all.
fn passed_before(paths: &Paths, cases: &[Case]) -> anyhow::Result<()> {
    let ran = crate::cheats::ran(&paths.cheat_ledger())?;
    for Case { promise, .. } in cases {
        let passed = ran.get(&promise.ledger_name()) == Some(&true);
        ensure!(
            passed,
            "{} did not pass in the last `cargo xtask test`: it would notice anything",
            promise.test
        );
    }
    Ok(())
}

/// Plants all of them, and runs each test without any, too, unless that was done before.
fn plant(paths: &Paths, cases: &[Case], after_test: bool) -> anyhow::Result<Vec<Outcome>> {
    let tree = Tree::new(paths)?;
    if cases.iter().any(|case| program::boots(&case.promise)) {
        // A test without one would build it, from sources with a sabotage in them.
        tree.iso().hint("run `cargo xtask iso`, or set LEVITATE_ISO")?;
    }
    let mut controls: Vec<&Promise> =
        if after_test { vec![] } else { cases.iter().map(|c| &c.promise).collect() };
    // The sabotages of one test stand together.
    controls.dedup_by_key(|promise| &promise.test);
    let as_it_is = controls.iter().map(|promise| Job { promise, patch: None });
    let planted = cases.iter().map(|case| Job { promise: &case.promise, patch: Some(&case.patch) });
    let jobs: Vec<_> = as_it_is.chain(planted).collect();
    let is_sound = |runs: &[Run], test: &str| {
        let control = controls.iter().position(|promise| promise.test == test);
        control.is_none_or(|at| runs[at].passed)
    };
    let runs = jobs::run(&tree, &jobs)?;
    let judged = cases.iter().zip(&runs[controls.len()..]);
    Ok(judged.map(|(case, run)| judge(case, run, is_sound(&runs, &case.promise.test))).collect())
}

/// Whether the test noticed, where it should and with the right words.
fn judge(case: &Case, run: &Run, is_sound: bool) -> Outcome {
    let Case { promise, patch } = case;
    let say = |what: &str| Some(format!("NOT noticed: {what}; see {}", run.log.display()));
    let why = if !is_sound {
        say("the test fails without it, too")
    } else if !run.compiled {
        say("with it the workspace does not compile")
    } else if run.passed {
        say("the test passed")
    } else if !run.output.contains("promise broken, noticed by") {
        say("the test failed without naming its promise")
    } else if let Some(missing) = patch.red.iter().find(|words| !run.output.contains(*words)) {
        say(&format!("the test failed elsewhere, without saying {missing:?}"))
    } else {
        None
    };
    Outcome {
        sabotage: patch.name.clone(),
        test: promise.test.clone(),
        severity: promise.severity.clone(),
        what: patch.what.clone(),
        killed: why.is_none(),
        why,
        seconds: run.seconds,
    }
}

/// What earlier runs found; none, if there was none.
pub(crate) fn results(paths: &Paths) -> anyhow::Result<Vec<Outcome>> {
    let file = results_file(paths);
    if !file.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&common::fs::read_to_string(&file)?)
        .with_context(|| format!("failed to read {}", file.display()))
}

fn results_file(paths: &Paths) -> PathBuf {
    paths.sabotage().join("results.json")
}

fn merge(old: Vec<Outcome>, new: &[Outcome]) -> Vec<Outcome> {
    let is_old = |o: &Outcome| !new.iter().any(|n| (&n.sabotage, &n.test) == (&o.sabotage, &o.test));
    old.into_iter().filter(is_old).chain(new.iter().cloned()).collect()
}

fn table(outcomes: &[Outcome]) -> String {
    let mut out = "| sabotage | test | severity | noticed | seconds |\n|---|---|---|---|---:|\n".to_owned();
    for o in outcomes {
        let noticed = o.why.as_deref().unwrap_or("yes");
        out.push_str(&format!(
            "| {} | `{}` | {} | {noticed} | {:.0} |\n",
            o.sabotage, o.test, o.severity, o.seconds
        ));
    }
    let killed = outcomes.iter().filter(|o| o.killed).count();
    out.push_str(&format!("{killed} of {} noticed", outcomes.len()));
    out
}
