//! What a transaction would do to single files, and what it took to make its packages: of plans that are not carried out.

use serde_json::{Value, json};

use super::output;
use crate::db::Source;
use crate::engine::Ran;
use crate::tx::journal::Step;
use crate::tx::{Change, Plan};
use crate::voice::note;

/// The files of a plan that is not carried out, on stdout; what it took to make it, on stderr. JSON has all of it already.
pub(super) fn print(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(());
    }
    for step in &plan.journal.steps {
        let (sign, _, path) = words(step);
        output::line(format!("  {sign} {path}"))?;
    }
    for change in &plan.changes {
        let Some((record, _)) = &change.record else { continue };
        for source in &record.sources {
            note(&format!("{}: made from {}, {} bytes", record.name, source.url, source.size));
        }
        for ran in &change.programs {
            let network = if ran.network { ", with a network" } else { "" };
            note(&format!("{}: {} ran `{}`{network}", record.name, ran.phase, ran.program));
        }
    }
    Ok(())
}

/// Keys of the JSON of a plan that was made but not carried out.
pub(super) fn json_of(plan: &Plan) -> [(&'static str, Value); 3] {
    let step = |step: &Step| {
        let (_, what, path) = words(step);
        json!({ "do": what, "path": path })
    };
    let of = |change: &Change| change.record.as_ref().map(|(record, _)| record.name.clone());
    let changes = || plan.changes.iter().filter_map(|change| Some((of(change)?, change)));
    let programs = changes().flat_map(|(name, change)| {
        let json = |ran: &Ran| {
            json!({ "package": name, "phase": ran.phase, "program": ran.program, "network": ran.network })
        };
        change.programs.iter().map(json).collect::<Vec<_>>()
    });
    let records = plan.changes.iter().filter_map(|change| change.record.as_ref());
    let sources = records.flat_map(|(record, _)| {
        let json =
            |s: &Source| json!({ "package": record.name, "url": s.url, "sha256": s.sha256, "size": s.size });
        record.sources.iter().map(json)
    });
    [
        ("steps", plan.journal.steps.iter().map(step).collect()),
        ("sources", sources.collect()),
        ("programs", programs.collect()),
    ]
}

/// A sign, a word and the path below the prefix.
fn words(step: &Step) -> (char, &'static str, &str) {
    match step {
        Step::Create { path, .. } => ('+', "create", path),
        Step::Replace { path, .. } => ('~', "replace", path),
        Step::Remove { path, .. } => ('-', "remove", path),
    }
}
