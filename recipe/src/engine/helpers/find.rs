//! What a recipe calls a file -> where it lies in the build directory.

use std::fs::File;

use anyhow::{Context as _, bail};
use common::cli::Mark;

use super::acquire::last;
use crate::dir::{self, Dir};
use crate::engine::context::Context;
use crate::exit;
use crate::fetch::Download;

/// How many candidates an error names.
const SHOWN: usize = 8;
/// How deep names are looked for.
const DEPTH: usize = 12;

/// A file of the build directory: by its path, or by its name alone, if only one file below the current directory has it.
///
/// # Errors
/// There is none, or several (exit code [`exit::NOT_FOUND`]).
pub(super) fn file(context: &Context, word: &str) -> anyhow::Result<String> {
    let path = context.inside(word)?;
    let here = context.build.stat(&path).with_context(|| format!("failed to look for {word}"))?;
    if here.is_some_and(|s| !dir::kind(&s).is_dir()) {
        return Ok(path);
    }
    let mut found = Vec::new();
    if !word.contains('/') {
        let start = context.build.sub(&context.cwd)?;
        search(&start, &context.cwd, word, DEPTH, &mut found)?;
    }
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => {
            let names = context.build.sub(&context.cwd)?.utf8_names()?;
            let all = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            let what = if names.is_empty() { "nothing".to_owned() } else { all };
            Err(anyhow::anyhow!("there is no file {word:?}; found {what}")).exit(exit::NOT_FOUND)
        }
        many => {
            let all = many.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(anyhow::anyhow!("{} files are called {word:?}: {all}", many.len()))
                .exit(exit::NOT_FOUND)
                .hint("say which by its path")
        }
    }
}

/// As [`file`], opened. What was downloaded is there by the path that `download` gave, and the last of it, if it was never
/// unpacked, by its own name too.
///
/// # Errors
/// As [`file`]; it is not a regular file.
pub(super) fn open(context: &Context, word: &str) -> anyhow::Result<(String, File)> {
    let opened = |download: &Download| {
        let file = File::open(&download.path).with_context(|| format!("failed to open {word}"))?;
        Ok((download.name.clone(), file))
    };
    if let Some(download) = downloaded(context, word) {
        return opened(download);
    }
    let path = match file(context, word) {
        Err(e) => match last(context) {
            Ok(download) if download.name == word => return opened(download),
            _ => return Err(e),
        },
        Ok(path) => follow(context, path)?,
    };
    let file = context.build.read(&path).with_context(|| format!("failed to open {path}"))?;
    if !file.metadata().with_context(|| format!("failed to examine {path}"))?.is_file() {
        bail!("{path} is not a file");
    }
    Ok((path, file))
}

/// The name that a file has by itself, without the directories it is in.
pub(super) fn name<'a>(context: &'a Context, word: &'a str) -> &'a str {
    match downloaded(context, word) {
        Some(download) => &download.name,
        None => dir::split(word.trim_end_matches('/')).1,
    }
}

/// The download that a path is of, if it is one that `download` gave.
fn downloaded<'a>(context: &'a Context, word: &str) -> Option<&'a Download> {
    context.downloads.iter().rev().find(|download| download.path.to_string_lossy() == word)
}

/// A link of an archive to a file in it is as good as the file.
fn follow(context: &Context, mut path: String) -> anyhow::Result<String> {
    for _ in 0..8 {
        let stat = context.build.stat(&path)?.with_context(|| format!("{path} is not there"))?;
        if !dir::kind(&stat).is_symlink() {
            return Ok(path);
        }
        let target = context.build.link_target(&path)?;
        let (parent, _) = dir::split(&path);
        let mut parts: Vec<&str> = parent.split('/').filter(|p| !p.is_empty()).collect();
        for part in target.split('/') {
            match part {
                ".." if parts.pop().is_some() => {}
                "" if !target.starts_with('/') => {}
                "." => {}
                "" | ".." => bail!("{path} is a link that leads out of the build directory"),
                part => parts.push(part),
            }
        }
        path = parts.join("/");
    }
    bail!("{path} is a link to itself")
}

fn search(dir: &Dir, path: &str, name: &str, depth: usize, found: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in dir.utf8_names()? {
        let Some(stat) = dir.stat(&entry)? else { continue };
        let path = if path.is_empty() { entry.clone() } else { format!("{path}/{entry}") };
        let kind = dir::kind(&stat);
        if kind.is_dir() && depth > 0 {
            search(&dir.sub(&entry)?, &path, name, depth - 1, found)?;
        } else if entry == name && !kind.is_dir() {
            found.push(path);
        }
    }
    Ok(())
}
