//! Finished transactions, as they are kept: their journals, and the files that they replaced or removed.

use anyhow::Context;
use common::cli::Mark;

use super::journal::{HISTORY, Journal, NAME};
use crate::dir::{self, Dir};
use crate::exit;

/// What to do where it cannot be read for want of permission: older versions let nobody else see it.
pub const OWNERS: &str = "run recipe as the owner of the prefix";

/// What is kept of them.
#[derive(Debug)]
pub struct History {
    /// One directory a transaction.
    pub dir: Dir,
    /// Their numbers; later ones sort later.
    numbers: Vec<String>,
}

impl History {
    /// Opens the history of a prefix's own directory; it may be empty.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(own: &Dir) -> anyhow::Result<Option<Self>> {
        match own.sub(HISTORY) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            dir => {
                let dir = dir.context("failed to open the history")?;
                let mut numbers = dir.names()?;
                // The journal of one that is not finished comes last.
                numbers.retain(|tx| !matches!(dir.stat(&format!("{tx}/{NAME}")), Ok(None)));
                Ok(Some(Self { numbers, dir }))
            }
        }
    }

    /// Numbers, the latest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &str> {
        self.numbers.iter().rev().map(String::as_str)
    }

    /// A transaction's journal.
    ///
    /// # Errors
    /// There is none of this number (exit code [`exit::NOT_FOUND`]), or it cannot be read.
    pub fn journal(&self, tx: &str) -> anyhow::Result<Journal> {
        let known = self.numbers.iter().any(|number| number == tx);
        let unknown = || format!("transaction {tx} is not in the history");
        known
            .then_some(())
            .with_context(unknown)
            .exit(exit::NOT_FOUND)
            .hint("`recipe history` lists them")?;
        let path = format!("{tx}/{NAME}");
        let read = || -> anyhow::Result<Journal> {
            Ok(serde_json::from_reader(std::io::BufReader::new(self.dir.read(&path)?))?)
        };
        let read = read().with_context(|| format!("failed to read {}/{path}", self.dir.path.display()));
        match read {
            Err(e) if dir::is_denied(&e) => Err(e).hint(OWNERS),
            read => read,
        }
    }
}
