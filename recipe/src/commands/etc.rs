//! `recipe etc`: configuration files that were changed here and by their package, and one text out of both.

mod resolve;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use common::cli::tell;
use serde_json::{Value, json};

use self::resolve::{How, Outcome};
use self::waiting::{File, configs, dir_read, look, merged, select, waiting};
use super::{Settings, output};
use crate::exit;
use crate::merge::{self, Merged};
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
    let files = waiting(&settings.places, &prefix)?;
    let words =
        |file: &File| -> anyhow::Result<_> { Ok(merged(&prefix, &own, file)?.map(|(_, merged)| merged)) };
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
        Some((prefix, _)) => waiting(&settings.places, prefix)?,
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
        let all = files
            .iter()
            .zip(&diffs)
            .map(|(f, d)| json!({ "path": f.shown, "diff": String::from_utf8_lossy(d) }));
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
        How::Undo => configs(&desk.places)?.into_iter().filter(|f| f.entry().resolved.is_some()).collect(),
        _ => waiting(&desk.places, &desk.prefix)?,
    };
    let what = match how {
        How::Undo => "was not merged, accepted or kept since its package was changed",
        _ => "has no other version of its package beside it",
    };
    let files = select(&desk.places, files, paths, what)?;
    let (mut done, mut refused, mut undoable) = (Vec::new(), Vec::new(), false);
    for file in &files {
        let outcome = resolve::resolve(&desk, file, how, dry_run);
        match outcome.with_context(|| format!("{} stays as it is", file.shown))? {
            Outcome::Done(words) => {
                undoable = true;
                done.push(json!({ "path": file.shown, "result": words }));
            }
            Outcome::Final(words) => done.push(json!({ "path": file.shown, "result": words })),
            Outcome::Refused(words) => refused.push(json!({ "path": file.shown, "result": words })),
        }
    }
    if settings.json {
        let changed = !dry_run && !done.is_empty();
        output::json_of_all([("done", changed.into()), ("files", [&done[..], &refused].concat().into())])?;
    } else {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        done.iter().try_for_each(|v| output::line(format!("{}: {}", text(v, "path"), text(v, "result"))))?;
        for v in &refused {
            let path = text(v, "path");
            tell(&format!("{path}: {}; `recipe etc diff {path}` shows how they differ", text(v, "result")));
        }
        if undoable && !dry_run && !matches!(how, How::Undo) {
            tell("`recipe etc undo PATH` brings back both files");
        }
    }
    if files.is_empty() {
        tell("no configuration file is waiting");
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { exit::CONFLICT.into() })
}
