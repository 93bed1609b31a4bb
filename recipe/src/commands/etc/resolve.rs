//! One configuration file: both texts -> one, in its place, and nothing beside it any more.
//!
//! Not a transaction: one file changes, and each step is whole by itself. First both texts are kept and the record says what will
//! become of them; then the file is exchanged atomically; then the one beside it goes. Whoever is stopped in between does the
//! rest by doing it again, and `undo` finds both texts whenever it was.

use std::io::Write;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use rustix::fs::{Gid, Mode, RenameFlags, Stat, Uid};

use super::waiting::{Both, File, dir_read, merged};
use crate::db;
use crate::dir::{Dir, rename, split};
use crate::exit;
use crate::merge::{Merged, marked};
use crate::pristine;
use crate::stage::{Resolved, What};
use crate::tx::Desk;
use crate::tx::config::beside;

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Both changes; with marks where they contradict each other, or not at all.
    Merge { marks: bool },
    /// The package's.
    Accept,
    /// The user's.
    Keep,
    /// Both files again.
    Undo,
}

/// What came of it.
pub(super) enum Outcome {
    /// It is done; in words.
    Done(String),
    /// The same, and nothing undoes it.
    Final(String),
    /// It is not; why.
    Refused(String),
}

/// Does it.
///
/// # Errors
/// The file is being changed by somebody else, or cannot be written.
pub(super) fn resolve(desk: &Desk, file: &File, how: How, dry_run: bool) -> anyhow::Result<Outcome> {
    if how == How::Undo {
        return undo(desk, file).map(|()| Outcome::Done("as it was".to_owned()));
    }
    let Some((both, merged)) = merged(&desk.prefix, &desk.own, file)? else {
        if how == How::Keep {
            return keep_what_is_no_file(desk, file, dry_run);
        }
        return Ok(Outcome::Refused("one of both is not a file".to_owned()));
    };
    let (result, words) = match (how, merged) {
        (How::Accept, _) => (both.theirs.clone(), "the package's".to_owned()),
        (How::Keep | How::Undo, _) => (both.ours.clone(), "yours".to_owned()),
        (How::Merge { .. }, Merged::Clean(text)) => (text, "merged".to_owned()),
        (How::Merge { marks: true }, Merged::Conflicts(text, count)) => (text, places(count)),
        (How::Merge { marks: true }, Merged::NoBase) => match marked(b"", &both.ours, &both.theirs) {
            Merged::Conflicts(text, count) => (text, places(count)),
            other => return Ok(Outcome::Refused(other.words().to_owned())),
        },
        (How::Merge { .. }, Merged::Conflicts(_, count)) => {
            let text = format!("{count} changes contradict the package's; --write-conflicts marks them");
            return Ok(Outcome::Refused(text));
        }
        (How::Merge { .. }, other) => return Ok(Outcome::Refused(other.words().to_owned())),
    };
    if !dry_run {
        write(desk, file, &both, &result)?;
    }
    Ok(Outcome::Done(words))
}

/// A link of the user's stays; the package's file beside it goes.
fn keep_what_is_no_file(desk: &Desk, file: &File, dry_run: bool) -> anyhow::Result<Outcome> {
    let new = beside(file.path());
    let Ok(theirs) = dir_read(&desk.prefix, &new) else {
        let shown = desk.places.installed(&new);
        return Ok(Outcome::Refused(format!("{shown} is not a file")));
    };
    if !dry_run {
        Stage::new(desk)?.take_away(&new, &theirs)?;
    }
    Ok(Outcome::Final("yours".to_owned()))
}

fn places(count: usize) -> String {
    format!("merged, with marks in {count} places")
}

fn write(desk: &Desk, file: &File, both: &Both, result: &[u8]) -> anyhow::Result<()> {
    let (path, name) = (file.path(), &file.record.name);
    let keep = |text: &[u8]| pristine::write(&desk.own, name, &file.tx, text);
    // Who was stopped behind the exchange does it again: what the user had is not what was put there.
    let stopped = file.entry().resolved.as_ref().filter(|before| before.result == Sha256::of(&both.ours));
    let resolved = (|| {
        Ok::<_, std::io::Error>(Resolved {
            ours: stopped.map_or_else(|| keep(&both.ours), |before| Ok(before.ours))?,
            theirs: keep(&both.theirs)?,
            result: Sha256::of(result),
        })
    })();
    let resolved = resolved.context("failed to keep both texts")?;
    let mut record = file.record.clone();
    record.files[file.at].resolved = Some(resolved);
    db::rewrite(&desk.own, &file.tx, &record)?;
    let stage = Stage::new(desk)?;
    if result != both.ours {
        let stat = desk.prefix.stat(path)?.context("it is gone")?;
        stage.exchange(path, &both.ours, result, &stat)?;
    }
    stage.take_away(&beside(path), &both.theirs)
}

/// Puts both files back.
fn undo(desk: &Desk, file: &File) -> anyhow::Result<()> {
    let (path, name) = (file.path(), &file.record.name);
    let resolved = file.entry().resolved.clone().context("there is nothing to undo")?;
    let text = |sha256: &Sha256| {
        pristine::read(&desk.own, name, sha256)?
            .context("what it was is not kept any more")
            .exit(exit::NOT_FOUND)
    };
    let (ours, theirs) = (text(&resolved.ours)?, text(&resolved.theirs)?);
    let now = dir_read(&desk.prefix, path)?;
    // Whoever stopped in between has not changed it yet.
    if ![resolved.result, resolved.ours].contains(&Sha256::of(&now)) {
        return Err(anyhow::anyhow!("it was changed since")).exit(exit::CONFLICT);
    }
    let new = beside(path);
    let stat = desk.prefix.stat(path)?.context("it is gone")?;
    let stage = Stage::new(desk)?;
    match desk.prefix.stat(&new)? {
        None => stage.create(&new, &theirs, &package_stat(file, &stat))?,
        Some(_) if dir_read(&desk.prefix, &new)? == theirs => {}
        Some(_) => {
            return Err(anyhow::anyhow!("something else is at {}", desk.places.installed(&new)))
                .exit(exit::CONFLICT);
        }
    }
    if now != ours {
        stage.exchange(path, &now, &ours, &stat)?;
    }
    let mut record = file.record.clone();
    record.files[file.at].resolved = None;
    db::rewrite(&desk.own, &file.tx, &record)
}

/// Owner of the user's file, mode of the package's.
fn package_stat(file: &File, ours: &Stat) -> Stat {
    let mut stat = *ours;
    if let What::File { mode, .. } = file.entry().what {
        stat.st_mode = mode;
    }
    stat
}

/// Where files are made whole before they get their names. What is left in it is litter of an interrupted run.
struct Stage<'a> {
    desk: &'a Desk,
    dir: Dir,
}

impl<'a> Stage<'a> {
    fn new(desk: &'a Desk) -> anyhow::Result<Self> {
        let path = format!("stage/{}/etc", Desk::new_tx());
        let top = desk.own.make("stage", 0o700).and_then(|_| desk.own.make(&path, 0o700));
        Ok(Self { desk, dir: top.context("failed to open the stage")? })
    }

    /// Writes a file with the owner and the mode of another.
    fn fill(&self, name: &str, text: &[u8], stat: &Stat) -> anyhow::Result<()> {
        let mut file = self.dir.create(name.as_bytes(), 0o600)?;
        file.write_all(text)?;
        let owner = (stat.st_uid, stat.st_gid);
        if rustix::fs::fstat(&file).is_ok_and(|now| (now.st_uid, now.st_gid) != owner) {
            rustix::fs::fchown(&file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        Ok(file.sync_all()?)
    }

    /// Puts a text in the place of another, if that is still there.
    fn exchange(&self, path: &str, old: &[u8], new: &[u8], stat: &Stat) -> anyhow::Result<()> {
        let prefix = &self.desk.prefix;
        self.fill("ours", new, stat)?;
        rename(&self.dir, "ours", prefix, path, RenameFlags::EXCHANGE)?;
        if dir_read(&self.dir, "ours").ok().as_deref() != Some(old) {
            rename(&self.dir, "ours", prefix, path, RenameFlags::EXCHANGE)?;
            return Err(anyhow::anyhow!("somebody changed it meanwhile")).exit(exit::CONFLICT);
        }
        Ok(prefix.sub(split(path).0)?.sync()?)
    }

    fn create(&self, path: &str, text: &[u8], stat: &Stat) -> anyhow::Result<()> {
        self.fill("theirs", text, stat)?;
        rename(&self.dir, "theirs", &self.desk.prefix, path, RenameFlags::NOREPLACE)?;
        Ok(self.desk.prefix.sub(split(path).0)?.sync()?)
    }

    /// Removes a file, if it still is what it was.
    fn take_away(&self, path: &str, text: &[u8]) -> anyhow::Result<()> {
        let prefix = &self.desk.prefix;
        rename(prefix, path, &self.dir, "theirs", RenameFlags::NOREPLACE)?;
        if dir_read(&self.dir, "theirs").ok().as_deref() != Some(text) {
            rename(&self.dir, "theirs", prefix, path, RenameFlags::NOREPLACE)?;
            let shown = self.desk.places.installed(path);
            ensure!(false, "{shown} was changed meanwhile");
        }
        Ok(prefix.sub(split(path).0)?.sync()?)
    }
}
