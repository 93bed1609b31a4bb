//! Single files of a package -> steps, or what is in their way.

use std::collections::BTreeSet;

use anyhow::Context;

use super::{Planner, Whose};
use crate::db::Record;
use crate::dir::{is_blocked, parents, split};
use crate::recipe::Recipe;
use crate::stage::{Entry, What, examine};
use crate::tx::apply::other_file_system;
use crate::tx::config;
use crate::tx::journal::Step;

impl Planner<'_> {
    /// Files of the installed version that are not in the new one.
    pub(super) fn release(
        &mut self,
        recipe: &Recipe,
        files: &[String],
        record: Option<&Record>,
        keep: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let prefix = &self.desk.prefix;
        for path in files.iter().filter(|f| !keep.contains(*f)) {
            let shown = self.desk.places.installed(path);
            self.conflicts.give_up(path);
            if self.desk.places.is_own(path) {
                self.notes.push(format!("{shown} is not removed: it belongs to recipe itself"));
                continue;
            }
            let stat = match prefix.stat(path) {
                Ok(stat) => stat,
                // Somebody put a link or a file where the directory was. Any other error is one.
                Err(e) if is_blocked(&e) => {
                    self.notes.push(format!("{shown} is not removed: {e}"));
                    continue;
                }
                Err(e) => return Err(e).with_context(|| format!("failed to examine {shown}")),
            };
            let Some(stat) = stat else {
                self.left.insert(path.clone());
                continue;
            };
            if crate::dir::kind(&stat).is_dir() {
                self.notes.push(format!("{shown} is not removed: it is a directory now"));
                continue;
            }
            if let Some(owner) = self.conflicts.of_base(path)? {
                self.notes.push(format!("{shown} is not removed: it belongs to the base ({owner})"));
                continue;
            }
            let before = record.and_then(|r| r.files.iter().find(|f| f.path == *path));
            if before.is_some_and(|b| b.config) {
                let stale = config::stale(self.desk, &recipe.name, path, before)?;
                self.released.extend(stale.iter().map(|step| step.path().to_owned()));
                self.journal.steps.extend(stale);
            }
            if let Some(before) = before.filter(|b| b.config)
                && examine(prefix, path)?.as_ref() != Some(&before.what)
            {
                self.kept.insert(path.clone(), before.clone());
                self.notes.push(format!("{shown} stays: you changed it"));
                continue;
            }
            if other_file_system(prefix, split(path).0)? {
                self.conflicts.add(path, "another file system is mounted there");
                continue;
            }
            let changed = self.changed(path, before)?;
            let kept = format!("old/{}/{path}", recipe.name);
            self.journal.steps.push(Step::Remove { path: path.clone(), kept, changed });
            self.released.insert(path.clone());
        }
        Ok(())
    }

    /// What puts a file into its place; none if it stays as it is.
    pub(super) fn put(
        &mut self,
        name: &str,
        entry: &Entry,
        whose: Whose,
        before: Option<&Entry>,
    ) -> anyhow::Result<Option<Step>> {
        let path = &entry.path;
        let shown = self.desk.places.installed(path);
        if self.conflicts.with_others(path, name) || self.conflicts.with_base(path)? {
            return Ok(None);
        }
        let prefix = &self.desk.prefix;
        let staged = format!("new/{name}/{path}");
        let create =
            |path: String| Step::Create { staged: staged.clone(), path, ino: entry.ino, nobodys: None };
        let stat = match prefix.stat(path) {
            Ok(stat) => stat.filter(|_| !self.released.contains(path)),
            Err(e) if is_blocked(&e) => {
                // Reported by its directory, unless that makes room.
                return Ok(parents(path).any(|p| self.released.contains(p)).then(|| create(path.clone())));
            }
            Err(e) => return Err(e).with_context(|| format!("failed to examine {shown}")),
        };
        if other_file_system(prefix, split(path).0)? {
            self.conflicts.add(path, "another file system is mounted there");
            return Ok(None);
        }
        let Some(stat) = stat else {
            if before.is_some_and(|b| b.config) {
                self.journal.steps.extend(config::stale(self.desk, name, path, before)?);
            }
            return Ok(Some(create(path.clone())));
        };
        if crate::dir::kind(&stat).is_dir() {
            let makes_room = self.makes_room(path, stat.st_mode & 0o7777)?;
            return Ok(makes_room.then(|| create(path.clone())));
        }
        if !whose.ours && self.conflicts.is_of_another(path, name)? {
            return Ok(None);
        }
        // What its package gives up, and somebody has changed, was made from what that had installed.
        let kept = self.kept.get(path).cloned().filter(|_| before.is_none());
        let before = before.or(kept.as_ref());
        if entry.config || before.is_some_and(|b| b.config) {
            let stage = self.journal.stage();
            let coming = config::Coming {
                name,
                entry,
                before,
                staged: &staged,
                stage: &stage,
                released: &self.released,
            };
            let put = config::put(self.desk, &coming, &mut self.conflicts, &mut self.notes)?;
            self.journal.steps.extend(put.stale);
            self.pending.extend(put.pending.map(|pending| (path.clone(), pending)));
            return Ok(put.step);
        }
        if whose.ours {
            let changed = self.changed(path, before)?;
            return Ok(Some(Step::Replace {
                staged,
                path: path.clone(),
                ino: entry.ino,
                changed,
                nobodys: None,
            }));
        }
        let now = examine(prefix, path).with_context(|| format!("failed to examine {shown}"))?;
        // A file of nobody that is already what comes, of a package that its recipe says is installed: its record was lost.
        let adopt = whose.claimed && now.as_ref() == Some(&entry.what);
        if !adopt && self.conflicts.with_present(path, name, &stat)? {
            return Ok(None);
        }
        let nobodys = now.filter(|_| !adopt);
        if nobodys.is_some() {
            self.notes.push(format!("{shown} belonged to no package; `recipe undo` brings it back"));
        }
        Ok(Some(Step::Replace { staged, path: path.clone(), ino: entry.ino, changed: None, nobodys }))
    }

    /// What an installed file is, if it is not what was installed. It goes all the same, but not silently.
    fn changed(&mut self, path: &str, before: Option<&Entry>) -> anyhow::Result<Option<What>> {
        let Some(before) = before else { return Ok(None) };
        let shown = self.desk.places.installed(path);
        let now = examine(&self.desk.prefix, path).with_context(|| format!("failed to examine {shown}"))?;
        let changed = now.filter(|now| *now != before.what);
        if changed.is_some() {
            self.notes
                .push(format!("{shown} was changed since it was installed; `recipe undo` brings it back"));
        }
        Ok(changed)
    }
}
