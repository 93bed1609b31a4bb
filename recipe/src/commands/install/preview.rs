//! What an installation would do, for people and programs: before anything is made.

use serde_json::{Value, json};

use super::foresight::Coming;
use crate::commands::output;
use crate::fetch::store;
use crate::lockfile::Package;
use crate::resolve::Step;
use crate::trust;
use crate::tx::Desk;
use crate::voice::{paint, summary::Row};

/// Packages in the order in which they come.
pub(super) fn rows(desk: &Desk, coming: &[Coming]) -> anyhow::Result<Vec<Row>> {
    let cached = match &desk.lockfile {
        Some(_) => store::list(&desk.places.cache)?,
        None => Vec::new(),
    };
    // Without a lock file nobody knows what a recipe will download.
    let download = |name: &str, version: &str| {
        let package = desk.lockfile.as_ref()?.get(name).filter(|package| package.version == version)?;
        let missing = Package::downloads(package).filter(|s| !cached.iter().any(|item| item.is(s)));
        Some(missing.map(|source| source.size).sum())
    };
    let row = |transaction: &Coming, step: &Step| -> anyhow::Result<Row> {
        let recipe = &step.recipe;
        Ok(Row {
            name: recipe.name.clone(),
            from: recipe.installed_version().map(str::to_owned),
            to: Some(recipe.version.clone()),
            size: None,
            download: download(&recipe.name, &recipe.version),
            why: why(transaction, step.wanted),
            new: trust::news(&desk.own, recipe)?,
        })
    };
    let all = coming
        .iter()
        .flat_map(|transaction| transaction.steps.iter().map(move |step| row(transaction, step)));
    all.collect()
}

fn why(transaction: &Coming, wanted: bool) -> Option<String> {
    match &transaction.to_build {
        // What was asked for too may have to come first.
        Some(_) if wanted && transaction.why != super::Why::Needed => None,
        Some(other) => Some(format!("to build {other}")),
        None if wanted => None,
        None => Some("dependency".to_owned()),
    }
}

/// Says what packages can do that they could not before, and gives it back. Once code has run it is too late for that.
pub(super) fn say_news(rows: &[Row]) -> Vec<String> {
    let news: Vec<_> = rows.iter().filter_map(Row::news).collect();
    news.iter().for_each(|line| common::cli::tell(line));
    news
}

/// The plan on stdout: a line a package, or JSON.
pub(in crate::commands) fn print(rows: &[Row], json: bool) -> anyhow::Result<()> {
    if !json {
        return rows.iter().try_for_each(|row| {
            output::line(paint::change(&output::change(&row.name, row.from.as_deref(), row.to.as_deref())))
        });
    }
    output::json_of("plan", &self::json(rows))
}

/// The plan as JSON.
pub(in crate::commands) fn json(rows: &[Row]) -> Value {
    let package = |row: &Row| {
        json!({
            "name": row.name, "from": row.from, "to": row.to, "why": row.why, "download": row.download,
            "new": row.new,
        })
    };
    rows.iter().map(package).collect()
}
