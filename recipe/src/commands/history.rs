//! `recipe history`: transactions that are kept, and what they did.

use std::process::ExitCode;

use serde_json::json;

use super::{Settings, output};
use crate::places::OWN;
use crate::tx::history::History;
use crate::tx::journal::{Journal, Package};
use crate::voice::paint;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only this transaction, with its files.
    tx: Option<String>,
}

/// Runs it. Needs no lock: finished transactions do not change.
///
/// # Errors
/// There is no such transaction, or the history cannot be read.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let own = crate::dir::Dir::open(&settings.places.prefix_here().join(OWN));
    let history = match own {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        own => History::open(&own?)?,
    };
    let journals = match (&history, &options.tx) {
        (Some(history), Some(tx)) => vec![history.journal(tx)?],
        (Some(history), None) => {
            history.newest_first().map(|tx| history.journal(tx)).collect::<anyhow::Result<_>>()?
        }
        (None, _) => Vec::new(),
    };
    if settings.json {
        let all: Vec<_> = journals.iter().map(json_of).collect();
        output::json_of("transactions", &all)?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.tx.is_some() {
        return journals.iter().try_for_each(in_full).map(|()| ExitCode::SUCCESS);
    }
    let rows: Vec<_> = journals
        .iter()
        .map(|j| [j.tx.clone(), output::date(j.time).unwrap_or_default(), all_changes(&j.packages)])
        .collect();
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    output::columns(&rows)?;
    Ok(ExitCode::SUCCESS)
}

fn json_of(journal: &Journal) -> serde_json::Value {
    let packages: Vec<_> = journal.packages.iter().map(output::change_json).collect();
    json!({ "tx": journal.tx, "time": journal.time, "packages": packages })
}

fn all_changes(packages: &[Package]) -> String {
    packages.iter().map(output::change_of).collect::<Vec<_>>().join(", ")
}

fn in_full(journal: &Journal) -> anyhow::Result<()> {
    for package in &journal.packages {
        output::line(paint::change(&output::change_of(package)))?;
        package.state.files.iter().try_for_each(|file| output::line(format!("  {file}")))?;
    }
    Ok(())
}
