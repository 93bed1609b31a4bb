//! labrepo: makes the lab, a signed RPM repository from the Debian packages that the host's apt can download.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use labrepo::lab::{self, Report, Summary};

/// Makes the lab: a real, signed RPM repository from Debian packages, for development and tests
#[derive(Debug, Parser)]
#[command(version)]
enum Cli {
    /// Make or renew the lab in a directory
    Build(Build),
}

#[derive(Debug, clap::Args)]
struct Build {
    /// Where the lab goes: DIR/repo, DIR/RPM-GPG-KEY-lab, DIR/fingerprint
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where apt's lists and the .deb files go [default: OUT/cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Fetch the package lists even if they are less than a day old
    #[arg(long)]
    update: bool,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    json: bool,
    /// Report no progress
    #[arg(short, long)]
    quiet: bool,
}

fn main() -> ExitCode {
    common::cli::run_main(|| {
        let Cli::Build(args) = Cli::parse();
        let cache = args.cache.unwrap_or_else(|| args.out.join("cache"));
        let report = Report::new(args.quiet || args.json);
        let summary = lab::build(&args.out, &cache, args.update, &report)?;
        for name in &summary.unaccounted {
            report.message(&format!("nobody has looked at what the maintainer script of {name} does"));
        }
        let text = if args.json { json(&summary)? } else { line(&summary) };
        writeln!(std::io::stdout(), "{text}").context("failed to print the summary")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn json(summary: &Summary) -> anyhow::Result<String> {
    serde_json::to_string(summary).context("failed to write the summary as JSON")
}

fn line(s: &Summary) -> String {
    let (megabytes, dir) = (s.size / 1_000_000, s.dir.display());
    let made = s.converted;
    format!(
        "{dir}: {} packages, {megabytes} MB, {made} made in {:.1} s, key {}",
        s.packages, s.seconds, s.fingerprint
    )
}
