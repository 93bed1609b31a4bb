//! A version that was installed before -> a staged package: its record, its recipe's text, and its files, from wherever they are.
//!
//! Files are taken from the prefix (unchanged since) and from what finished transactions replaced or removed. Each must be what the
//! record says, byte for byte: nothing is made up, nothing is downloaded, no code of the recipe runs but `post_install`.

use std::io::ErrorKind;
use std::rc::Rc;

use anyhow::{Context, bail};
use common::cli::Mark;

use super::desk::Desk;
use super::history::History;
use super::make::{self, Made};
use crate::db::{self, Record};
use crate::dir::{Dir, split};
use crate::exit;
use crate::recipe::Recipe;
use crate::stage::{self, Entry, What, examine};

/// Stages what transaction `from` had installed of a package; `recipe` is its recipe file as it is now.
///
/// # Errors
/// It is not known any more, or one of its files is nowhere (exit code [`exit::CONFLICT`]).
pub fn restore(
    desk: &Desk,
    tx: &str,
    recipe: &Recipe,
    from: &str,
    history: &History,
) -> anyhow::Result<Made> {
    let name = &recipe.name;
    let forgotten = || format!("what transaction {from} installed of {name} is not known any more");
    let record = db::read(&desk.own, name, from)?.with_context(forgotten).exit(exit::NOT_FOUND)?;
    let text = db::recipe(&desk.own, name, from)?.with_context(forgotten).exit(exit::NOT_FOUND)?;
    let mut old = Recipe::parse(&text, &recipe.path)?;
    old.state = recipe.state.clone();
    let program = make::program(desk, tx, &old, &text)?;
    let stage = desk.own.sub(&make::staged(tx, name)).context("failed to open the stage")?;
    let mut lost = Vec::new();
    for entry in &record.files {
        if !fetch(desk, history, name, entry, &stage)
            .with_context(|| format!("failed to restore {}", entry.path))?
        {
            lost.push(desk.places.installed(&entry.path));
        }
    }
    for dir in &record.empty {
        stage.make(dir, 0o755).with_context(|| format!("failed to restore {dir}"))?;
    }
    if !lost.is_empty() {
        let count = lost.len();
        return Err(anyhow::anyhow!(
            "{count} files of {name} {} are nowhere as they were installed:\n  {}",
            record.version,
            lost.join("\n  ")
        ))
        .exit(exit::CONFLICT)
        .hint("they were changed or removed by hand, or the transaction that kept them is forgotten");
    }
    let mut listing = stage::list(&stage).with_context(|| format!("cannot restore {name}"))?;
    for entry in &mut listing.entries {
        entry.config = record.files.iter().any(|f| f.path == entry.path && f.config);
    }
    let Record { sources, .. } = record;
    Ok(Made { recipe: old, text, listing, sources, program: Rc::new(program) })
}

/// Copies one file into the stage; whether it was found.
fn fetch(desk: &Desk, history: &History, name: &str, entry: &Entry, stage: &Dir) -> anyhow::Result<bool> {
    let path = &entry.path;
    let (parent, leaf) = split(path);
    let into = stage.make(parent, 0o755)?;
    if let What::Link { target } = &entry.what {
        rustix::fs::symlinkat(target.as_str(), &into, leaf)?;
        return Ok(true);
    }
    let is_it = |dir: &Dir, at: &str| -> anyhow::Result<bool> {
        match dir.stat(at) {
            Ok(Some(_)) => Ok(examine(dir, at)? == Some(entry.what.clone())),
            Ok(None) => Ok(false),
            // Something else than a directory is on the way: it is not there.
            Err(e) if e.kind() == ErrorKind::NotADirectory || e.raw_os_error() == Some(40) => Ok(false),
            Err(e) => Err(e.into()),
        }
    };
    if is_it(&desk.prefix, path)? {
        return copy(&desk.prefix, path, entry, &into, leaf).map(|()| true);
    }
    for tx in history.newest_first() {
        for kept in [format!("{tx}/old/{name}/{path}"), format!("{tx}/new/{name}/{path}")] {
            if is_it(&history.dir, &kept)? {
                return copy(&history.dir, &kept, entry, &into, leaf).map(|()| true);
            }
        }
    }
    // A file that users edit stays as they have it, so that nobody kept the package's own.
    if entry.config && desk.prefix.stat(path).is_ok_and(|s| s.is_some_and(|s| crate::dir::kind(&s).is_file()))
    {
        return copy(&desk.prefix, path, entry, &into, leaf).map(|()| true);
    }
    Ok(false)
}

fn copy(from: &Dir, path: &str, entry: &Entry, into: &Dir, leaf: &str) -> anyhow::Result<()> {
    let What::File { mode, .. } = entry.what else { bail!("expected a file") };
    let mut source = from.read(path)?;
    let file = stage::copy(&mut source, into, leaf, mode)?;
    Ok(file.set_modified(source.metadata()?.modified()?)?)
}
