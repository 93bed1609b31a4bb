//! `recipe fetch`: the files of recipe.lock -> the cache.

use std::num::NonZero;
use std::process::ExitCode;

use anyhow::Context;
use common::cli::Mark;

use super::{Settings, output};
use crate::exit;
use crate::fetch::{Fetcher, many::JOBS, store};
use crate::lockfile::{Lockfile, NAME, Package};
use crate::shelf::similar;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Names of packages of the lock file; default: all of them.
    names: Vec<String>,
    /// How many files are downloaded at the same time.
    #[arg(short, long, default_value_t = JOBS)]
    jobs: NonZero<usize>,
    /// Say what would be downloaded; download nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it. Needs no lock of the prefix: the cache has its own.
///
/// # Errors
/// There is no lock file, a package is not in it, or a file cannot be had as it is in it.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let lockfile = Lockfile::read(&settings.places.recipes, true)?.unwrap_or_default();
    for name in &options.names {
        lockfile.get(name).with_context(|| format!("{name} is not in {NAME}")).exit(exit::LOCKFILE).hint(
            match similar(name, lockfile.packages.iter().map(|p| p.name.as_str())) {
                Some(other) => format!("did you mean {other}?"),
                None => format!("`recipe lock {name}` puts it there"),
            },
        )?;
    }
    let named = |name: &String| options.names.is_empty() || options.names.contains(name);
    let mut files: Vec<_> =
        lockfile.packages.iter().filter(|p| named(&p.name)).flat_map(Package::downloads).collect();
    files.sort_by(|a, b| a.url.cmp(&b.url));
    files.dedup();
    if options.dry_run {
        let cached = store::list(&settings.places.cache)?;
        files.retain(|file| !cached.iter().any(|item| item.is(file)));
        let urls: Vec<_> = files.iter().map(|file| &file.url).collect();
        return if settings.json { output::json_of("urls", &urls) } else { lines(&urls) }
            .map(|()| ExitCode::SUCCESS);
    }
    let fetcher = Fetcher::new(&settings.places.cache, settings.offline, settings.interrupt.clone());
    let (all, results) = (files.len(), fetcher.all(options.jobs, &files));
    settings.interrupt.check()?;
    let (mut downloads, mut failed) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(download) => downloads.push(download),
            Err(e) => failed.push(e),
        }
    }
    if settings.json {
        output::json_of("files", &downloads)?;
    } else {
        lines(&downloads.iter().map(|d| d.path.display().to_string()).collect::<Vec<_>>())?;
    }
    let count = failed.len();
    match failed.into_iter().next() {
        None => Ok(ExitCode::SUCCESS),
        Some(first) if count > 1 => Err(first).with_context(|| format!("{count} of {all} files failed")),
        Some(first) => Err(first),
    }
}

fn lines(all: &[impl AsRef<str>]) -> anyhow::Result<()> {
    all.iter().try_for_each(output::line)
}
