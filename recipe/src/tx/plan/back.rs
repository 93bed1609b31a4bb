//! What a transaction replaced although it belonged to no package -> steps that bring it back when that is undone.
//!
//! It is the same file, by another name of its inode: owner, times and attributes are as they were.

use anyhow::Context;
use rustix::fs::{AtFlags, linkat};

use super::Planner;
use crate::dir::{is_blocked, is_denied, parents, split};
use crate::stage::What;
use crate::tx::history::History;
use crate::tx::journal::{Journal, Step};
use crate::tx::restore::here;

impl Planner<'_> {
    /// Brings back what a transaction had replaced, where its place is free then. Comes behind all that goes and all that comes.
    ///
    /// # Errors
    /// The prefix or the history cannot be examined.
    pub fn give_back(&mut self, undone: &Journal, history: &History) -> anyhow::Result<()> {
        for (path, kept, what) in undone.replaced() {
            let shown = self.desk.places.installed(path);
            let kept = format!("{}/{kept}", undone.tx);
            let context = || format!("failed to bring back {shown}");
            let step = self.back(path, &kept, what, history).with_context(context)?;
            self.notes.push(match step {
                Ok(true) => format!("{shown}: what was there before comes back"),
                Ok(false) => format!(
                    "{shown}: what was there before comes back, if it is still kept: only the owner of the prefix can see that"
                ),
                Err(why) => format!("{shown}: what was there before does not come back: {why}"),
            });
        }
        Ok(())
    }

    /// One of them: whether it was seen, which only the owner can; or why it does not come.
    fn back(
        &mut self,
        path: &str,
        kept: &str,
        what: &What,
        history: &History,
    ) -> anyhow::Result<Result<bool, &'static str>> {
        if self.coming.iter().any(|c| c.made.listing.entries.iter().any(|entry| entry.path == path)) {
            return Ok(Err("a package installs something there"));
        }
        match self.desk.prefix.stat(path) {
            Ok(Some(_)) if !self.released.contains(path) => return Ok(Err("something else is there now")),
            Err(e) if is_blocked(&e) => return Ok(Err("something else is there now")),
            other => drop(other?),
        }
        let is_seen = match here(&history.dir, kept) {
            Err(e) if self.desk.only_looks() && is_denied(&e) => false,
            found => match found? {
                Some(found) if found == *what => true,
                _ => return Ok(Err("it is not kept any more")),
            },
        };
        for dir in parents(path) {
            self.dir(dir)?;
        }
        let staged = format!("back/{path}");
        if self.desk.only_looks() {
            let path = path.to_owned();
            self.puts.push(Step::Create { staged, path, ino: 0, nobodys: Some(what.clone()) });
            return Ok(Ok(is_seen));
        }
        let (from, into) = (split(kept), split(&staged));
        let stage = self.desk.own.make(&format!("{}/{}", self.journal.stage(), into.0), 0o755)?;
        linkat(&history.dir.sub(from.0)?, from.1, &stage, into.1, AtFlags::empty())?;
        let stat = stage.stat(into.1)?.context("it is gone")?;
        self.given.push((staged.clone(), matches!(what, What::File { .. })));
        self.puts.push(Step::Create {
            staged,
            path: path.to_owned(),
            ino: stat.st_ino,
            nobodys: Some(what.clone()),
        });
        Ok(Ok(is_seen))
    }
}
