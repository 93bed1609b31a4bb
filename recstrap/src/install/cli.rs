//! What can be typed, and what is printed.
//!
//! stdout has data only: findings of `--check`, or with `--json` one document. Everything else goes to stderr.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use common::cli::{Mark, code, tell};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Serialize;

use super::control::Control;
use super::preflight::refusal::{Refusal, TABLE};
use super::preflight::target::Content;
use super::preflight::{self, Ready, Request};
use super::progress::Progress;
use super::record::Record;
use super::{Done, Settings, advice, exit};

/// Installs LevitateOS to a mounted directory.
///
/// Unpacks the live system's image to TARGET, where the new root file system is mounted, reads everything back and
/// compares it. Only then it is done; until then the target has a file /.recstrap-incomplete. After a failure or an
/// interruption the same command starts over. What is mounted below TARGET (boot, efi, home) belongs to it.
#[derive(Debug, Parser)]
#[command(name = "recstrap", version, after_long_help = codes())]
struct Cli {
    /// Where the new root file system is mounted.
    target: PathBuf,
    /// Only say whether TARGET can be installed to; change nothing.
    #[arg(long)]
    check: bool,
    /// Image to install instead of the live system's own.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Manifest of the image [default: manifest.json beside the image].
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Install an image without a manifest: nothing then proves that it is the right one.
    #[arg(long, conflicts_with = "manifest")]
    no_manifest: bool,
    /// Install though TARGET is no mount point, or is not empty: what is in it is deleted first.
    #[arg(long)]
    force: bool,
    /// Leave what is in /home of TARGET as it is.
    #[arg(long)]
    keep_home: bool,
    /// Leave out names that match, and what is in such directories (`usr/share/doc/*`; `**` matches slashes, too).
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Do not read back what was written.
    #[arg(long)]
    no_verify: bool,
    /// Threads [default: as many as there are processors].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Parses the command line and does what it says.
///
/// # Errors
/// Whatever is printed as `error:`.
pub fn run() -> anyhow::Result<ExitCode> {
    Cli::parse().run()
}

/// The command line as a value: man page and completions are made from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Exit codes and refusals, for `--help` and the man page.
fn codes() -> String {
    let exits = exit::TABLE.iter().map(|(code, what)| format!("  {code:<5}{what}\n"));
    let refusals = TABLE.iter().map(|(code, forced, what)| {
        let forced = if *forced { " (--force overrides it)" } else { "" };
        format!("  {code:<5}{what}{forced}\n")
    });
    let parts = ["Exit codes:\n".to_owned()].into_iter().chain(exits);
    let parts = parts.chain(["\nRefusals of a target (exit code 10):\n".to_owned()]).chain(refusals);
    parts.collect::<String>().trim_end().to_owned()
}

/// What `--json` prints when an installation was tried.
#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "result")]
enum Report<'r> {
    Installed {
        target: String,
        names: u64,
        bytes: u64,
        seconds: BTreeMap<&'static str, f64>,
        record: &'r Record,
    },
    Failed {
        target: String,
        exit: u8,
        error: String,
        seconds: BTreeMap<&'static str, f64>,
    },
}

impl Cli {
    fn run(self) -> anyhow::Result<ExitCode> {
        let control = Control::with_signals()?;
        let mut progress = Progress::new(self.quiet);
        let request = Request {
            target: self.target.clone(),
            image: self.image.clone(),
            manifest: self.manifest.clone(),
            no_manifest: self.no_manifest,
            force: self.force,
            keep_home: self.keep_home,
            excludes: globs(&self.exclude).exit(code::USAGE)?,
        };
        if !self.check {
            progress.phase("check", 0);
        }
        let ready = match preflight::check(&request, &control)? {
            Ok(ready) => ready,
            Err(refusals) => {
                progress.finish();
                return self.refused(&refusals);
            }
        };
        self.tell(&ready, &progress);
        if self.check {
            if self.json {
                line("[]");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let settings =
            Settings { jobs: self.jobs(), verify: !self.no_verify, excludes: self.exclude.clone() };
        let done = super::run(&ready, &settings, &control, &mut progress);
        self.report(done, &progress.finish())
    }

    fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, usize::from)
    }

    /// Findings are data when they were asked for, and messages otherwise.
    fn refused(&self, refusals: &[Refusal]) -> anyhow::Result<ExitCode> {
        if self.json {
            line(&serde_json::to_string_pretty(refusals)?);
        }
        for refusal in refusals.iter().filter(|_| !self.json || !self.check) {
            let text = format!("{}: {refusal}\nhint: {}", refusal.code(), refusal.hint());
            if self.check { line(&text) } else { tell(&text) }
        }
        Ok(ExitCode::from(exit::REFUSED))
    }

    /// What is no refusal, but should not go unnoticed.
    fn tell(&self, ready: &Ready, progress: &Progress) {
        let target = ready.root.path.display();
        match ready.content {
            Content::Interrupted => progress.tell(&format!(
                "{target} holds an interrupted installation: what is there is deleted, and it starts over"
            )),
            Content::Installed | Content::Other(_) => {
                progress.tell(&format!("--force: what is in {target} is deleted"));
            }
            Content::Empty => {}
        }
        if ready.manifest.is_none() {
            progress.tell("--no-manifest: nothing proves that this is the right image");
        }
        for difference in super::record::differences(&ready.plan) {
            if !Ready::is_asked_for(difference.why) {
                progress.tell(&format!(
                    "not installed as it is in the image: /{}: {}",
                    difference.path, difference.why
                ));
            }
        }
    }

    fn report(
        &self,
        done: anyhow::Result<Done>,
        seconds: &BTreeMap<&'static str, f64>,
    ) -> anyhow::Result<ExitCode> {
        let target = self.target.display().to_string();
        let seconds = seconds.clone();
        match done {
            Ok(Done { record, names, bytes }) => {
                if !self.quiet {
                    let verified =
                        if record.tree.target.is_some() { "verified" } else { "not verified (--no-verify)" };
                    let took = seconds.values().sum::<f64>();
                    let bytes = indicatif::BinaryBytes(bytes);
                    tell(&format!("recstrap: installed: {names} names, {bytes} in {took:.1} s, {verified}"));
                }
                if self.json {
                    let report = Report::Installed { target, names, bytes, seconds, record: &record };
                    line(&serde_json::to_string_pretty(&report)?);
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(e) => {
                if self.json {
                    let exit = common::cli::exit_code(&e);
                    let report = Report::Failed { target, exit, error: format!("{e:#}"), seconds };
                    line(&serde_json::to_string_pretty(&report)?);
                }
                let hint = common::cli::hint_of(&e).map_or(String::new(), |hint| format!("{hint}; "));
                let hint = format!("{hint}{}", advice(&e));
                Err(e).hint(hint)
            }
        }
    }
}

/// Patterns over paths from the target's root; a slash in front of one changes nothing.
fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let text = pattern.trim_start_matches('/').trim_end_matches('/');
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        set.add(glob.with_context(|| format!("--exclude {pattern} is no pattern"))?);
    }
    set.build().context("the patterns of --exclude are too large together")
}

#[expect(clippy::print_stdout, reason = "what was asked for is data")]
fn line(text: &str) {
    println!("{text}");
}
