//! `recipe etc`: configuration files that were changed here and by their package, and one text out of both.

mod resolve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use common::cli::{Mark, tell};
use serde_json::{Value, json};

use self::resolve::{How, Outcome};
use super::{Settings, output};
use crate::db::{self, Record};
use crate::dir::{self, Dir};
use crate::exit;
use crate::merge::{self, Merged, merge};
use crate::places::{OWN, Places};
use crate::pristine;
use crate::shelf;
use crate::stage::{Entry, What, examine};
use crate::tx::config::beside;

/// What to do; default: list.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// List files beside which an upgrade put the package's, and whether both can be merged.
    List,
    /// Show how the package's differ from yours.
    Diff {
        /// Paths of configuration files; default: all that are waiting.
        paths: Vec<PathBuf>,
    },
    /// Put both changes into the file, where they do not contradict each other.
    Merge {
        /// Paths of configuration files; default: all that are waiting.
        paths: Vec<PathBuf>,
        /// Write also what contradicts, with marks around both.
        #[arg(long, visible_alias = "force")]
        write_conflicts: bool,
        /// Say what would be done; change nothing.
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Take the package's.
    Accept {
        /// Paths of configuration files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Keep yours.
    Keep {
        /// Paths of configuration files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Bring back both, as they were before one of these.
    Undo {
        /// Paths of configuration files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    action: Option<Action>,
}

/// A configuration file of an installed package.
struct File {
    /// The transaction that installed it.
    tx: String,
    record: Record,
    /// Which of the record's files it is.
    at: usize,
    /// Its path, as the system sees it that it is in.
    shown: String,
}

impl File {
    fn entry(&self) -> &Entry {
        &self.record.files[self.at]
    }

    fn path(&self) -> &str {
        &self.entry().path
    }
}

/// Both files, and what the user's was made from.
struct Both {
    ours: Vec<u8>,
    theirs: Vec<u8>,
    base: Option<Vec<u8>>,
}

/// Runs it.
///
/// # Errors
/// A file is not waiting (exit code [`exit::NOT_FOUND`]), or cannot be merged (exit code [`exit::CONFLICT`]).
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    match options.action.clone().unwrap_or(Action::List) {
        Action::List => list(settings),
        Action::Diff { paths } => diff(settings, &paths),
        Action::Merge { paths, write_conflicts, dry_run } => {
            change(settings, &paths, How::Merge { marks: write_conflicts }, dry_run)
        }
        Action::Accept { paths } => change(settings, &paths, How::Accept, false),
        Action::Keep { paths } => change(settings, &paths, How::Keep, false),
        Action::Undo { paths } => change(settings, &paths, How::Undo, false),
    }
}

fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Some((prefix, own)) = look(&settings.places)? else { return print_list(settings, &[], &[]) };
    let files = waiting(&settings.places, &prefix, &own)?;
    let words = |file: &File| -> anyhow::Result<_> { Ok(merged(&prefix, &own, file)?.1) };
    let merged = files.iter().map(words).collect::<anyhow::Result<Vec<_>>>()?;
    print_list(settings, &files, &merged)
}

fn print_list(settings: &Settings, files: &[File], merged: &[Option<Merged>]) -> anyhow::Result<ExitCode> {
    let words = |m: &Option<Merged>| m.as_ref().map_or("is not a file", Merged::words);
    let all = files.iter().zip(merged);
    if settings.json {
        let all = all.map(|(file, merged)| {
            json!({
                "path": file.shown, "new": beside(&file.shown), "package": file.record.name, "version": file.record.version,
                "clean": matches!(merged, Some(Merged::Clean(_))), "state": words(merged),
            })
        });
        output::json_of("files", &all.collect::<Vec<Value>>())?;
    } else {
        let rows: Vec<_> = all
            .map(|(file, m)| [&*file.shown, &*file.record.name, &*file.record.version, words(m)])
            .collect();
        output::columns(&rows)?;
        if files.is_empty() {
            tell("no configuration file is waiting");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn diff(settings: &Settings, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let found = look(&settings.places)?;
    let files = match &found {
        Some((prefix, own)) => waiting(&settings.places, prefix, own)?,
        None => Vec::new(),
    };
    let files = select(&settings.places, files, paths, "has no other version of its package beside it")?;
    let mut diffs = Vec::new();
    for file in &files {
        let Some((prefix, _)) = &found else { continue };
        let (shown, new) = (&file.shown, beside(&file.shown));
        let read = |path: &str| {
            let bytes = dir_read(prefix, path);
            bytes.with_context(|| format!("failed to read {}", settings.places.installed(path)))
        };
        let (ours, theirs) = (read(file.path())?, read(&beside(file.path()))?);
        let text = merge::diff((shown, &ours), (&new, &theirs));
        diffs.push(text.unwrap_or_else(|| format!("Binary files {shown} and {new} differ\n").into_bytes()));
    }
    if settings.json {
        let all = files.iter().zip(&diffs).map(|(f, d)| json!({ "path": f.shown, "diff": String::from_utf8_lossy(d) }));
        output::json_of("files", &all.collect::<Vec<Value>>())?;
    } else {
        use std::io::Write;
        diffs.iter().try_for_each(|text| std::io::stdout().write_all(text))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn change(settings: &Settings, paths: &[PathBuf], how: How, dry_run: bool) -> anyhow::Result<ExitCode> {
    let desk = settings.desk()?;
    let files = match how {
        How::Undo => configs(&desk.places, &desk.own)?.into_iter().filter(|f| f.entry().resolved.is_some()).collect(),
        _ => waiting(&desk.places, &desk.prefix, &desk.own)?,
    };
    let what = match how {
        How::Undo => "was not merged, accepted or kept since its package was changed",
        _ => "has no other version of its package beside it",
    };
    let files = select(&desk.places, files, paths, what)?;
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for file in &files {
        let outcome = resolve::resolve(&desk, file, how, dry_run);
        match outcome.with_context(|| format!("{} stays as it is", file.shown))? {
            Outcome::Done(words) => done.push(json!({ "path": file.shown, "result": words })),
            Outcome::Refused(words) => refused.push(json!({ "path": file.shown, "result": words })),
        }
    }
    if settings.json {
        output::json_of_all([("done", (!dry_run).into()), ("files", [&done[..], &refused].concat().into())])?;
    } else {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        done.iter().try_for_each(|v| output::line(format!("{}: {}", text(v, "path"), text(v, "result"))))?;
        for v in &refused {
            let path = text(v, "path");
            tell(&format!("{path}: {}; `recipe etc diff {path}` shows how they differ", text(v, "result")));
        }
        if !(done.is_empty() || dry_run || matches!(how, How::Undo)) {
            tell("`recipe etc undo PATH` brings back both files");
        }
    }
    if files.is_empty() {
        tell("no configuration file is waiting");
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { exit::CONFLICT.into() })
}

/// The prefix and our own directory in it; none if nothing was ever installed.
fn look(places: &Places) -> anyhow::Result<Option<(Dir, Dir)>> {
    let path = places.prefix_here();
    match Dir::open(&path).and_then(|prefix| prefix.sub(OWN).map(|own| (prefix, own))) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).with_context(|| format!("failed to open {}", path.display())),
    }
}

/// All configuration files of installed packages.
fn configs(places: &Places, own: &Dir) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for recipe in shelf::all(places)?.0.into_iter().filter(|r| r.state.installed) {
        let (Some(record), Some(tx)) = (db::installed(own, &recipe)?, recipe.state.tx) else { continue };
        let at = record.files.iter().enumerate().filter(|(_, entry)| entry.config);
        let file = |(at, entry): (usize, &Entry)| File {
            tx: tx.clone(),
            record: record.clone(),
            at,
            shown: places.installed(&entry.path),
        };
        files.extend(at.map(file));
    }
    Ok(files)
}

/// Those of them that have the package's beside them. A file of that name which we did not put there is none.
fn waiting(places: &Places, prefix: &Dir, own: &Dir) -> anyhow::Result<Vec<File>> {
    let mut files = configs(places, own)?;
    let mut failed = None;
    files.retain(|file| {
        let path = beside(file.path());
        let is_there = |path: &str| matches!(prefix.stat(path), Ok(Some(_)));
        if !is_there(&path) || !is_there(file.path()) {
            return false;
        }
        let sha256 = |what| match what {
            Some(What::File { sha256, .. }) => Some(sha256),
            _ => None,
        };
        match examine(prefix, &path) {
            Ok(there) => {
                let shipped = sha256(Some(file.entry().what.clone()));
                there.is_some() && (file.entry().pending.is_some() || sha256(there) == shipped)
            }
            Err(e) => {
                failed.get_or_insert(e);
                false
            }
        }
    });
    failed.map_or(Ok(files), Err)
}

/// Those that were asked for; all if none were.
fn select(places: &Places, files: Vec<File>, paths: &[PathBuf], what: &str) -> anyhow::Result<Vec<File>> {
    if paths.is_empty() {
        return Ok(files);
    }
    let mut chosen = std::collections::BTreeSet::new();
    for path in paths {
        let absolute = std::path::absolute(path).context("cannot use this path")?;
        let here = |file: &&File| {
            let file = places.sysroot.join(file.shown.trim_start_matches('/'));
            is_same(&absolute, &file) || is_same(&absolute, Path::new(&beside(&file.to_string_lossy())))
        };
        let found = files.iter().find(here).map(|file| file.shown.clone());
        let missing = || format!("{} {what}", path.display());
        let hint = "`recipe etc` lists the configuration files that wait for something to be done";
        chosen.insert(found.with_context(missing).exit(exit::NOT_FOUND).hint(hint)?);
    }
    Ok(files.into_iter().filter(|file| chosen.contains(&file.shown)).collect())
}

/// Whether two paths name the same file, by links on the way too; the file itself is not followed.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    a == b || (a.file_name() == b.file_name() && real(a).is_some() && real(a) == real(b))
}

fn dir_read(dir: &Dir, path: &str) -> anyhow::Result<Vec<u8>> {
    let is_file = dir.stat(path)?.is_some_and(|stat| dir::kind(&stat).is_file());
    anyhow::ensure!(is_file, "it is not a file");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut dir.read(path)?, &mut bytes)?;
    Ok(bytes)
}

/// Both files, and what a merge gives; none if one of them is no file.
fn merged(prefix: &Dir, own: &Dir, file: &File) -> anyhow::Result<(Option<Both>, Option<Merged>)> {
    let new = beside(file.path());
    let is_file = |path: &str| -> std::io::Result<bool> {
        Ok(prefix.stat(path)?.is_some_and(|stat| dir::kind(&stat).is_file()))
    };
    if !is_file(file.path())? || !is_file(&new)? {
        return Ok((None, None));
    }
    let base = pristine::base(file.entry(), true).filter(|_| file.entry().pending.is_some());
    let base = base.map(|sha256| pristine::read(own, &file.record.name, &sha256)).transpose()?.flatten();
    let both = Both { ours: dir_read(prefix, file.path())?, theirs: dir_read(prefix, &new)?, base };
    let merged = merge(both.base.as_deref(), &both.ours, &both.theirs);
    Ok((Some(both), Some(merged)))
}
