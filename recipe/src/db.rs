//! What is installed, in detail: digests, modes and targets, and the recipe as it was when it was installed.
//!
//! ```text
//! PREFIX/.recipe/db/NAME/TX.json   Record, with the libraries of the recipe
//! PREFIX/.recipe/db/NAME/TX.rhai   the recipe's text: its remove() is the one that fits what is installed
//! PREFIX/.recipe/db/NAME/TX.etc/   texts of its configuration files (crate::pristine)
//! ```
//!
//! The recipe file stays the authority: which of these holds is said by `installed_tx` there.

use std::collections::BTreeSet;

use anyhow::Context;
use common::cli::Mark;
use common::hash::Sha256;
use serde::{Deserialize, Serialize};

use crate::digest::Libraries;
use crate::dir::{self, Dir, parents};
use crate::exit;
use crate::recipe::Recipe;
use crate::stage::{Entry, What};

/// An installed version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub schema: u32,
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The prefix it is in.
    pub prefix: String,
    /// Files and links.
    pub files: Vec<Entry>,
    /// Directories that it has nothing in: those of files are known by these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<String>,
    /// Dependencies that were declared.
    pub deps: Vec<String>,
    /// What it was made from: downloads, and files beside the recipe.
    pub sources: Vec<Source>,
    /// Libraries that its recipe may import, as they were; none in records of before they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libraries: Option<Libraries>,
}

impl Record {
    /// The content of its files, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let size = |entry: &Entry| match entry.what {
            What::File { size, .. } => size,
            What::Link { .. } => 0,
        };
        self.files.iter().map(size).sum()
    }

    /// Its directories: those above its files, those that it has nothing in, and those above these.
    #[must_use]
    pub fn dirs(&self) -> BTreeSet<&str> {
        let above =
            self.files.iter().map(|entry| &entry.path).chain(&self.empty).flat_map(|path| parents(path));
        above.chain(self.empty.iter().map(String::as_str)).collect()
    }
}

/// A file that a package is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its address; `beside:NAME` for a file that lies beside the recipe.
    pub url: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

/// What addresses of files beside a recipe begin with.
pub const BESIDE: &str = "beside:";

/// Where records are, in our own directory.
pub(crate) const DB: &str = "db";

/// Writes a record durably. It means nothing until a recipe names its transaction.
///
/// # Errors
/// It cannot be written.
pub fn write(own: &Dir, tx: &str, record: &Record, recipe: &str) -> anyhow::Result<()> {
    let context = || format!("failed to record {}", record.name);
    let dir = own.make(DB, 0o755).and_then(|db| db.make(&record.name, 0o755)).with_context(context)?;
    let json = serde_json::to_vec_pretty(record).with_context(context)?;
    dir.write(&format!("{tx}.rhai"), recipe.as_bytes()).with_context(context)?;
    dir.write(&format!("{tx}.json"), &json).with_context(context)?;
    own.sub(DB).and_then(|db| db.sync()).and_then(|()| own.sync()).with_context(context)
}

/// Writes a record again that something was added to, whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn rewrite(own: &Dir, tx: &str, record: &Record) -> anyhow::Result<()> {
    let context = || format!("failed to record {}", record.name);
    let json = serde_json::to_vec_pretty(record).with_context(context)?;
    own.sub(&format!("{DB}/{}", record.name))
        .and_then(|dir| dir.write(&format!("{tx}.json"), &json))
        .with_context(context)
}

/// The record of a transaction, if there is one.
///
/// # Errors
/// It cannot be read, or is spoilt (exit code [`exit::INTEGRITY`]).
pub fn read(own: &Dir, name: &str, tx: &str) -> anyhow::Result<Option<Record>> {
    let path = format!("{DB}/{name}/{tx}.json");
    let context = || format!("failed to read {}/{path}", own.path.display());
    let file = match own.read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => std::io::BufReader::new(file.with_context(context)?),
    };
    match serde_json::from_reader(file).with_context(context) {
        Err(e) if !dir::is_refused(&e) => Err(e).exit(exit::INTEGRITY).hint(format!(
            "move that file elsewhere; then `recipe install --reinstall {name}` makes it anew"
        )),
        record => record.map(Some),
    }
}

/// Transactions of all records of a package that are kept, sorted.
///
/// # Errors
/// They cannot be listed.
pub fn numbers(own: &Dir, name: &str) -> anyhow::Result<Vec<String>> {
    let names = match own.sub(&format!("{DB}/{name}")) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        dir => dir.with_context(|| format!("failed to read the records of {name}"))?.names()?,
    };
    Ok(names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect())
}

/// All records of a package that are kept, with their transactions; later ones come later.
///
/// # Errors
/// They cannot be read.
pub fn all(own: &Dir, name: &str) -> anyhow::Result<Vec<(String, Record)>> {
    let numbers = numbers(own, name)?.into_iter();
    let records = numbers.map(|tx| Ok(read(own, name, &tx)?.map(|record| (tx, record))));
    records.filter_map(Result::transpose).collect()
}

/// Names of all packages that records are kept of, sorted. What cannot be listed has none.
#[must_use]
pub fn packages(own: &Dir) -> Vec<String> {
    own.sub(DB).and_then(|dir| dir.utf8_names()).unwrap_or_default()
}

/// Names and transactions of all records that are kept. What cannot be listed has none.
#[must_use]
pub fn names(own: &Dir) -> Vec<(String, String)> {
    let list = |path: &str| own.sub(path).and_then(|dir| dir.utf8_names()).unwrap_or_default();
    let of = |name: String| {
        let files = list(&format!("{DB}/{name}")).into_iter();
        files.filter_map(move |f| Some((name.clone(), f.strip_suffix(".json")?.to_owned())))
    };
    packages(own).into_iter().flat_map(of).collect()
}

/// The record of what is installed of a recipe.
///
/// # Errors
/// It cannot be read.
pub fn installed(own: &Dir, recipe: &Recipe) -> anyhow::Result<Option<Record>> {
    match recipe.state.tx.as_deref().filter(|_| recipe.state.installed) {
        Some(tx) => read(own, &recipe.name, tx),
        None => Ok(None),
    }
}

/// Where a recipe's text is as it was installed, in our own directory.
#[must_use]
pub fn text(name: &str, tx: &str) -> String {
    format!("{DB}/{name}/{tx}.rhai")
}

/// The recipe's text as it was installed, if it was kept.
///
/// # Errors
/// It cannot be read.
pub fn recipe(own: &Dir, name: &str, tx: &str) -> anyhow::Result<Option<String>> {
    let path = text(name, tx);
    match own.read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        file => {
            let text = file.and_then(std::io::read_to_string);
            text.map(Some).with_context(|| format!("failed to read {}/{path}", own.path.display()))
        }
    }
}

/// Removes the record of a transaction that did not come to pass, or of a version that is gone.
///
/// # Errors
/// It cannot be removed.
pub fn forget(own: &Dir, name: &str, tx: &str) -> anyhow::Result<()> {
    let gone = ["json", "rhai", "json.new", "rhai.new"]
        .iter()
        .try_for_each(|kind| own.remove_file(&format!("{DB}/{name}/{tx}.{kind}")))
        .map_err(anyhow::Error::from)
        .and_then(|()| crate::pristine::forget(own, name, tx))
        .and_then(|()| Ok(own.remove_empty(&format!("{DB}/{name}"))?));
    gone.map(drop).with_context(|| format!("failed to remove the record of {name}"))
}
