//! What can be typed, and what is printed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use super::preflight;

/// Exit code when the target is refused.
const REFUSED: u8 = 10;

/// Installs LevitateOS to a mounted directory. This version only checks whether it could.
#[derive(Debug, Parser)]
#[command(
    name = "recstrap",
    version,
    after_long_help = "Exit codes: 0 the target can be installed to, 2 wrong command line, 10 refused (E01..E08)"
)]
struct Cli {
    /// Where the new root file system is mounted.
    target: PathBuf,
    /// Check the target and change nothing.
    #[arg(long, required = true)]
    check: bool,
    /// Print JSON on stdout.
    #[arg(long)]
    json: bool,
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

impl Cli {
    fn run(self) -> anyhow::Result<ExitCode> {
        let refusals = preflight::check(&self.target);
        if self.json {
            line(&serde_json::to_string_pretty(&refusals)?);
        } else {
            refusals.iter().for_each(|r| line(&format!("{}: {r}\nhint: {}", r.code(), r.hint())));
        }
        Ok(if refusals.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }
}

#[expect(clippy::print_stdout, reason = "the findings are the data")]
fn line(text: &str) {
    println!("{text}");
}
