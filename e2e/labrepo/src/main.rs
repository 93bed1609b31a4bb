//! labrepo: makes the lab, a signed RPM repository from the Debian packages that the host's apt can download; and
//! packs trees of files as signed RPMs.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use labrepo::key::{Algorithm, SigningKey};
use labrepo::lab::{self, Report, Summary};
use labrepo::pack;

/// Makes signed RPM repositories: the lab, from Debian packages, for development and tests; and one from trees of files
#[derive(Debug, Parser)]
#[command(version)]
enum Cli {
    /// Make or renew the lab in a directory
    Build(Build),
    /// Make or renew a repository of packages from trees of files
    Pack(Pack),
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

#[derive(Debug, clap::Args)]
struct Pack {
    /// Descriptions of packages (TOML); the trees are beside them
    #[arg(required = true)]
    specs: Vec<PathBuf>,
    /// Where the repository goes: DIR/repo, DIR/RPM-GPG-KEY-ID, DIR/fingerprint
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Names the file of the certificate
    #[arg(long, default_value = "levitate")]
    id: String,
    /// The secret OpenPGP key to sign with, armored, without a passphrase [default: OUT/state/secret.asc, made when
    /// there is none]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    common::cli::run_main(|| match Cli::parse() {
        Cli::Build(args) => build(args),
        Cli::Pack(args) => pack_all(&args),
    })
}

fn build(args: Build) -> anyhow::Result<ExitCode> {
    let cache = args.cache.unwrap_or_else(|| args.out.join("cache"));
    let report = Report::new(args.quiet || args.json);
    let summary = lab::build(&args.out, &cache, args.update, &report)?;
    for name in &summary.unaccounted {
        report.message(&format!("nobody has looked at what the maintainer script of {name} does"));
    }
    let text = if args.json { json(&summary)? } else { line(&summary) };
    writeln!(std::io::stdout(), "{text}").context("failed to print the summary")?;
    Ok(ExitCode::SUCCESS)
}

fn pack_all(args: &Pack) -> anyhow::Result<ExitCode> {
    let key = match &args.key {
        Some(path) => SigningKey::load(path)?,
        None => {
            let state = args.out.join("state");
            std::fs::create_dir_all(&state)
                .with_context(|| format!("failed to create {}", state.display()))?;
            let name = format!("{} packages, built on this machine", args.id);
            let path = state.join("secret.asc");
            SigningKey::load_or_generate(&path, &name, KEY_TIME, Algorithm::Rsa3072)?
        }
    };
    let summary = pack::pack(&args.specs, &args.out, &args.id, &key)?;
    let text = if args.json {
        serde_json::to_string(&summary).context("failed to write the summary as JSON")?
    } else {
        let line =
            |p: &pack::Packed| format!("{}: {}", p.path.display(), if p.made { "made" } else { "as it was" });
        summary.packages.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    writeln!(std::io::stdout(), "{text}").context("failed to print the summary")?;
    Ok(ExitCode::SUCCESS)
}

/// A key that is made here is older than anything it will sign: 2020-01-01.
const KEY_TIME: u32 = 1_577_836_800;

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
