//! `recipe hash`: files -> digests, in the form of sha256sum, sha512sum and b3sum, so that their `-c` reads it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
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
    files: Vec<PathBuf>,
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
        let context = || format!("failed to read {}", name.display());
        let name = name.as_os_str();
        match digest(name, options.algorithm).with_context(context) {
            Ok(digest) if settings.json => {
                all.push(json!({ "file": name.to_string_lossy(), "digest": digest }));
            }
            Ok(digest) => std::io::stdout().write_all(&line(&digest, name.as_encoded_bytes()))?,
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

fn digest(name: &OsStr, algorithm: Algorithm) -> anyhow::Result<String> {
    let reader: Box<dyn Read> = match name.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => {
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

/// A name with a line break must not look like two lines: a backslash in front says that it is escaped. A name is bytes.
fn line(digest: &str, name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in name {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            byte => escaped.push(*byte),
        }
    }
    let mark: &[u8] = if escaped == name { b"" } else { b"\\" };
    [mark, digest.as_bytes(), b"  ", &escaped, b"\n"].concat()
}
