//! What an interrupted run left -> the old state or the new one. Can itself be interrupted anywhere and run again.

use anyhow::Context;
use common::cli::tell;
use rustix::fs::{Mode, RenameFlags};
use serde::Serialize;

use super::desk::Desk;
use super::journal::{BUILD, HISTORY, HOME, Journal, NAME, STAGE};
use super::{apply, commit, edit};
use crate::dir::{Dir, parents, rename};
use crate::recipe::Recipe;
use crate::state::located;
use crate::{db, exit};

/// How many finished transactions are kept for undo.
const KEPT: usize = 20;

/// What a run leaves in our own directory when it is interrupted; none of it is there when nobody works.
pub const LEFTOVERS: &[&str] = &[NAME, UNFINISHED, STAGE, BUILD, edit::NAME, edit::UNFINISHED];
/// A journal that is being written.
const UNFINISHED: &str = "journal.json.new";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "direction", rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing was open.
    Clean,
    /// The transaction had been committed; it is finished now.
    Forward {
        /// Its number.
        tx: String,
    },
    /// The transaction had not been committed; everything is as it was before.
    Back {
        /// Its number.
        tx: String,
        /// What could not be put back.
        warnings: Vec<String>,
    },
}

impl Outcome {
    /// [`exit::RECOVERY`] if something could not be put back.
    #[must_use]
    pub fn exit_code(&self) -> std::process::ExitCode {
        match self {
            Self::Back { warnings, .. } if !warnings.is_empty() => exit::RECOVERY.into(),
            _ => std::process::ExitCode::SUCCESS,
        }
    }

    /// Says so, if there was something.
    pub fn tell(&self) {
        match self {
            Self::Clean => {}
            Self::Forward { tx } => tell(&format!("finished the interrupted transaction {tx}")),
            Self::Back { tx, warnings } => {
                tell(&format!("undid the interrupted transaction {tx}"));
                warnings.iter().for_each(|w| tell(&format!("warning: {w}")));
            }
        }
    }
}

/// Ends what an interrupted run left.
///
/// # Errors
/// The journal cannot be read, or an operation cannot be undone or finished.
pub fn recover(desk: &Desk) -> anyhow::Result<Outcome> {
    edit::clean(desk)?;
    let Some(journal) = Journal::open(&desk.own)? else {
        litter(desk)?;
        return Ok(Outcome::Clean);
    };
    let tx = journal.tx.clone();
    if is_committed(&journal) || is_kept(desk, &journal)? {
        finish(desk, &journal)?;
        litter(desk)?;
        return Ok(Outcome::Forward { tx });
    }
    let warnings = apply::back(desk, &journal)?;
    for package in &journal.packages {
        db::forget(&desk.own, &package.name, &tx)?;
        commit::clean(&package.recipe, &tx)?;
    }
    desk.own.remove_file(NAME).and_then(|()| desk.own.sync()).context("failed to remove the journal")?;
    litter(desk)?;
    Ok(Outcome::Back { tx, warnings })
}

/// Whether the first recipe file names the transaction.
fn is_committed(journal: &Journal) -> bool {
    let first = journal.packages.first().and_then(|p| Recipe::load(&p.recipe).ok());
    first.is_some_and(|recipe| recipe.state.tx.as_deref() == Some(&journal.tx))
}

/// Whether there is nothing at all in a place.
fn is_gone(path: &std::path::Path) -> bool {
    path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Whether its stage is in the history already. Nothing could be put back from there; and whatever recipe files say by now, they had been
/// written: somebody has replaced them since.
fn is_kept(desk: &Desk, journal: &Journal) -> anyhow::Result<bool> {
    let kept = desk.own.stat(&format!("{HISTORY}/{}", journal.tx));
    Ok(kept.context("failed to examine the history")?.is_some())
}

/// What comes after the commit.
///
/// # Errors
/// The disk does not take it; a later recovery will do the rest.
pub(super) fn finish(desk: &Desk, journal: &Journal) -> anyhow::Result<()> {
    let unwritten = if is_kept(desk, journal)? { &[] } else { &journal.packages[..] };
    for (i, package) in unwritten.iter().enumerate() {
        let committed =
            Recipe::load(&package.recipe).is_ok_and(|r| r.state.tx.as_deref() == Some(&journal.tx));
        if committed || i == 0 {
            commit::clean(&package.recipe, &journal.tx)?;
        } else if !is_gone(&package.recipe) {
            commit::write(&package.recipe, &package.state, &journal.tx)?;
        } else if let Some(text) = db::recipe(&desk.own, &package.name, &journal.tx)? {
            // The transaction is committed: what it installed needs a recipe file.
            let path = &package.recipe;
            let text = package.state.splice(&text).map_err(|e| located(path, &text, &e))?;
            commit::create(path, &text, &journal.tx)?;
            tell(&format!("{} was removed meanwhile; it is there again", path.display()));
        }
    }
    for path in &journal.leaving {
        desk.prefix
            .remove_empty(path)
            .with_context(|| format!("failed to remove the empty directory {path}"))?;
    }
    let own = &desk.own;
    let history = own.make(HISTORY, 0o755).context("failed to open the history")?;
    match rename(own, &journal.stage(), &history, &journal.tx, RenameFlags::NOREPLACE) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => drop(history.make(&journal.tx, 0o755)?),
        done => done.context("failed to keep what was replaced")?,
    }
    show(&history, &journal.tx).context("failed to let others see what was done")?;
    history.sync().context("failed to sync the history")?;
    let kept = format!("{HISTORY}/{}/{NAME}", journal.tx);
    let ino = |path: &str| own.stat(path).map(|stat| stat.map(|stat| stat.st_ino));
    let moved = match rename(own, NAME, own, &kept, RenameFlags::NOREPLACE) {
        // After a power cut it may have both names.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && ino(NAME)? == ino(&kept)? => {
            own.remove_file(NAME)
        }
        moved => moved,
    };
    moved.context("failed to remove the journal")?;
    own.sync().context("failed to sync")?;
    prune(desk, &history)?;
    litter(desk)
}

/// Everybody may know what was done, but only the owner what was replaced: it may have been a secret.
fn show(history: &Dir, tx: &str) -> std::io::Result<()> {
    let set = |path: &str, mode| -> std::io::Result<()> {
        Ok(rustix::fs::fchmod(history.sub(path)?, Mode::from_raw_mode(mode))?)
    };
    for kept in ["old", "new"] {
        match set(&format!("{tx}/{kept}"), 0o700) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    set(tx, 0o755)
}

/// Forgets the oldest transactions: what they replaced, and the records of it.
fn prune(desk: &Desk, history: &Dir) -> anyhow::Result<()> {
    let all = history.names()?;
    for old in &all[..all.len().saturating_sub(KEPT)] {
        if let Ok(file) = history.read(&format!("{old}/{NAME}"))
            && let Ok(journal) = serde_json::from_reader::<_, Journal>(file)
        {
            for package in &journal.packages {
                package.from_tx.iter().try_for_each(|tx| db::forget(&desk.own, &package.name, tx))?;
            }
        }
        history.remove_tree(old.as_bytes())?;
    }
    Ok(())
}

/// Stage and build directories belong to nobody when no transaction is open.
pub(super) fn litter(desk: &Desk) -> anyhow::Result<()> {
    for name in [STAGE, BUILD, HOME] {
        desk.own.remove_tree(name.as_bytes())?;
    }
    desk.own.remove_file(UNFINISHED).context("failed to remove an unfinished journal")?;
    desk.own.remove_file(edit::UNFINISHED).context("failed to remove an unfinished note")?;
    Ok(())
}

/// Directories above files that go, deepest first; those directly in the prefix stay.
pub(super) fn leaving<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all: std::collections::BTreeSet<_> =
        paths.flat_map(parents).filter(|dir| dir.contains('/')).map(str::to_owned).collect();
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|dir| std::cmp::Reverse(dir.matches('/').count()));
    all
}
