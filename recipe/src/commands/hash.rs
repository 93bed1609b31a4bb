//! `recipe hash`: files -> digests, in the form of sha256sum, sha512sum and b3sum, so that their `-c` reads it.

use std::fs::File;
use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use common::cli::{report, tell};
use common::hash::Sha256;
use serde_json::json;

use super::{Settings, output};
use crate::exit;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Files; `-` is the standard input.
    #[arg(required = true)]
    files: Vec<String>,
    /// Which digest.
    #[arg(short, long, value_enum, default_value_t = Algorithm::Sha256)]
    algorithm: Algorithm,
}

/// What recipes can check (`verify_sha256`, `verify_sha512`, `verify_blake3`).
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Algorithm {
    Sha256,
    Sha512,
    Blake3,
}

/// Runs it. Every file is tried.
///
/// # Errors
/// A file cannot be read (exit code [`exit::NOT_FOUND`]).
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for name in &options.files {
        match digest(name, options.algorithm).with_context(|| format!("failed to read {name}")) {
            Ok(digest) if settings.json => all.push(json!({ "file": name, "digest": digest })),
            Ok(digest) => output::line(line(&digest, name))?,
            Err(e) => {
                tell(&report(&e));
                code = exit::NOT_FOUND.into();
            }
        }
    }
    if settings.json {
        let algorithm = format!("{:?}", options.algorithm).to_lowercase();
        output::json_of_all([("algorithm", algorithm.into()), ("files", all.into())])?;
    }
    Ok(code)
}

fn digest(name: &str, algorithm: Algorithm) -> anyhow::Result<String> {
    let reader: Box<dyn Read> = match name {
        "-" => Box::new(std::io::stdin().lock()),
        name => {
            let file = File::open(name)?;
            ensure!(!file.metadata()?.is_dir(), "it is a directory");
            Box::new(file)
        }
    };
    Ok(match algorithm {
        Algorithm::Sha256 => Sha256::of_reader(reader)?.0.to_string(),
        Algorithm::Blake3 => blake3::Hasher::new().update_reader(reader)?.finalize().to_hex().to_string(),
        Algorithm::Sha512 => crate::digest::sha512(reader)?,
    })
}

/// A name with a line break must not look like two lines: a backslash in front says that it is escaped.
fn line(digest: &str, name: &str) -> String {
    let escaped = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == name { "" } else { "\\" };
    format!("{mark}{digest}  {escaped}")
}
