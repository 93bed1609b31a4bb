//! `recipe fetch`: the files of recipe.lock -> the cache.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Context;
use common::cli::Mark;

use super::{Settings, output};
use crate::exit;
use crate::fetch::Fetcher;
use crate::lockfile::{Lockfile, NAME, Package};
use crate::shelf::similar;
use crate::voice::{note, progress::Files};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Names of packages of the lock file; default: all of them.
    names: Vec<String>,
    /// How many files are downloaded at the same time.
    #[arg(short, long, default_value = "4")]
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
        let urls: Vec<_> = files.iter().map(|file| &file.url).collect();
        return if settings.json { output::json_of("urls", &urls) } else { lines(&urls) }
            .map(|()| ExitCode::SUCCESS);
    }
    let (all, next) = (files.len(), AtomicUsize::new(0));
    let (send, receive) = mpsc::channel();
    let work = |send: mpsc::Sender<_>| {
        let fetcher = Fetcher::new(&settings.places.cache, settings.offline, settings.interrupt.clone());
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            // Nobody listens any more when the program ends.
            let _ = send.send((file.url.as_str(), fetcher.get(&file.url, Some(file.sha256))));
        }
    };
    let results = std::thread::scope(|scope| {
        for _ in 0..options.jobs.get().min(all) {
            let send = send.clone();
            scope.spawn(|| work(send));
        }
        drop(send);
        let progress = Files::new(all);
        let mut results = Vec::new();
        for (url, result) in receive {
            progress.one_more();
            results.push(result);
            note(&format!("[{}/{all}] {url}", results.len()));
        }
        results
    });
    let (mut downloads, mut failed) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(download) => downloads.push(download),
            Err(e) => failed.push(e),
        }
    }
    downloads.sort_by(|a, b| a.url.cmp(&b.url));
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
