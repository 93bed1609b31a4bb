//! `recipe cache`: what was downloaded, made and kept, and removing of it what nobody needs.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use super::{Settings, output};
use crate::db::{self, Source};
use crate::dir::Dir;
use crate::fetch::store::{self, Item};
use crate::lockfile::{Lockfile, Package};
use crate::places::OWN;
use crate::room;
use crate::shelf::{self, kept};
use crate::voice::note;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show what is in the cache, and what of it is needed; what `recipe run` has made; and texts that make `list` quick.
    Info,
    /// Remove what neither the lock nor a package installed in this prefix refers to, what `recipe run` has made, and texts
    /// that make `list` quick.
    Clean {
        /// Remove everything.
        #[arg(long)]
        all: bool,
        /// Say what would be removed; change nothing.
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// A file of the cache, and whether something refers to it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    item: Item,
    needed: bool,
}

/// What a command is about.
struct Found {
    files: Vec<Shown>,
    runs: Vec<room::Item>,
    texts: Vec<kept::Item>,
}

/// Runs it.
///
/// # Errors
/// The cache, the lock or the records cannot be read, or a file cannot be removed.
pub fn run(settings: &Settings, action: &Action) -> anyhow::Result<ExitCode> {
    let cache = &settings.places.cache;
    let found =
        || anyhow::Ok(Found { files: all(settings)?, runs: room::list(cache)?, texts: kept::list(cache)? });
    match action {
        Action::Info => print(settings, &found()?, "needed"),
        Action::Clean { all: everything, dry_run } => {
            // Who installs here is not disturbed.
            let _desk = if *dry_run { None } else { Some(settings.desk()?) };
            let mut found = found()?;
            found.files.retain(|shown| *everything || !shown.needed);
            found.runs.retain(|room| !room.busy);
            if *dry_run {
                return print(settings, &found, "would be removed");
            }
            let items: Vec<_> = found.files.into_iter().map(|shown| shown.item).collect();
            let removed = store::remove(cache, &items)?;
            found.files = removed.into_iter().map(|item| Shown { item, needed: false }).collect();
            found.runs = room::remove(cache, &found.runs)?;
            kept::remove(cache, &found.texts)?;
            print(settings, &found, "removed")
        }
    }
}

fn all(settings: &Settings) -> anyhow::Result<Vec<Shown>> {
    let needed = needed(settings)?;
    let items = store::list(&settings.places.cache)?.into_iter();
    Ok(items.map(|item| Shown { needed: needed.iter().any(|s| item.is(s)), item }).collect())
}

/// Everything that the lock or an installed package refers to. What cannot be read is an error: it may need something.
fn needed(settings: &Settings) -> anyhow::Result<Vec<Source>> {
    let places = &settings.places;
    let mut needed = Vec::new();
    if let Some(lockfile) = Lockfile::read(&places.recipes, false)? {
        needed.extend(lockfile.packages.iter().flat_map(Package::downloads));
    }
    if !places.recipes.exists() {
        return Ok(needed);
    }
    let Some(own) = Dir::open_if_there(&places.prefix_here().join(OWN))? else { return Ok(needed) };
    let recipes = shelf::every(places).context("it is not known what this recipe needs")?;
    for recipe in recipes.iter().filter(|r| r.state.installed) {
        needed.extend(db::installed(&own, recipe)?.into_iter().flat_map(|r| r.sources));
    }
    Ok(needed)
}

fn print(settings: &Settings, found: &Found, what: &str) -> anyhow::Result<ExitCode> {
    let Found { files: items, runs, texts } = found;
    if settings.json {
        let values =
            [serde_json::to_value(items)?, serde_json::to_value(runs)?, serde_json::to_value(texts)?];
        output::json_of_all(["files", "runs", "texts"].into_iter().zip(values))?;
        return Ok(ExitCode::SUCCESS);
    }
    for kept in texts {
        output::line(kept.to_string())?;
    }
    for room::Item { name, size, busy } in runs {
        let mark = if *busy { "  in use" } else { "" };
        output::line(format!("run/{name}  {size} bytes{mark}"))?;
    }
    for Shown { item, needed } in items {
        let digest = item.sha256.map_or_else(|| "not whole".to_owned(), |s| format!("sha256:{s}"));
        let mark = if *needed { "  needed" } else { "" };
        output::line(format!("{}  {digest}  {} bytes{mark}", item.slot, item.size))?;
    }
    let bytes =
        |only: &dyn Fn(&Shown) -> bool| items.iter().filter(|i| only(i)).map(|i| i.item.size).sum::<u64>();
    let (count, total) = (items.len(), bytes(&|_| true));
    note(&match what {
        "needed" => format!(
            "{}: {count} files, {total} bytes; {} bytes are needed",
            settings.places.cache.display(),
            bytes(&|i| i.needed)
        ),
        what => format!("{count} files, {total} bytes {what}"),
    });
    Ok(ExitCode::SUCCESS)
}
