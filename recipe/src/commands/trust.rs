//! `recipe trust` and `recipe untrust`: what somebody has reviewed is written down, or forgotten.

use std::process::ExitCode;

use anyhow::ensure;
use common::cli::Mark;
use serde_json::json;

use super::{Settings, output};
use crate::code::Code;
use crate::exit;
use crate::shelf;
use crate::trust::{Standing, Trust, capabilities};
use crate::voice::note;

/// Options of `recipe trust`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Names of recipes; without any: say which are trusted.
    names: Vec<String>,
    /// Only if the recipe has this digest: the one that `recipe review` showed.
    #[arg(long, value_name = "sha256:HEX", requires = "names")]
    digest: Option<String>,
    /// From now on, whether only trusted recipes are installed in this prefix.
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    require: Option<bool>,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// Runs `recipe trust`.
///
/// # Errors
/// There is no such recipe, it has another digest (exit code [`exit::TRUST`]), or the file cannot be written.
pub fn trust(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    if options.names.is_empty() && options.require.is_none() {
        return list(settings);
    }
    for name in &options.names {
        shelf::find(&settings.places, name)?;
    }
    let desk = settings.desk()?;
    let mut trust = Trust::read(&desk.own)?;
    trust.require = options.require.unwrap_or(trust.require);
    let mut done = Vec::new();
    for name in &options.names {
        let code = Code::load(&shelf::find(&settings.places, name)?)?;
        let digest = format!("sha256:{}", code.digest()?);
        if let Some(wanted) = &options.digest {
            let same = || -> anyhow::Result<()> {
                ensure!(
                    *wanted == digest,
                    "{name} is not what was reviewed\n  expected {wanted}\n  found    {digest}"
                );
                Ok(())
            };
            same().exit(exit::TRUST)?;
        }
        let can = capabilities(&code)?;
        let more = match trust.standing(&code, &can)? {
            Standing::Grown(more) => more,
            _ => Vec::new(),
        };
        trust.put(&code, &can)?;
        done.push((code.recipe.name, code.recipe.version, digest, more));
    }
    trust.write(&desk.own)?;
    if settings.json {
        let entry = |(name, version, digest, more): &(_, _, _, _)| json!({ "name": name, "version": version, "digest": digest, "new": more });
        let all: Vec<_> = done.iter().map(entry).collect();
        output::json_of_all([("require", trust.require.into()), ("trusted", all.into())])?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, version, digest, more) in &done {
        output::line(format!("{name} {version} {digest}"))?;
        more.iter().try_for_each(|what| output::line(format!("  new: {what}")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is trusted, as it was reviewed.
fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let trust = Trust::of(super::review::own(settings).as_ref(), settings.require_trust)?;
    if settings.json {
        let entry = |(name, digest)| json!({ "name": name, "version": null, "digest": digest, "new": [] });
        let all: Vec<_> = trust.reviewed().map(entry).collect();
        output::json_of_all([("require", trust.require.into()), ("trusted", all.into())])?;
        return Ok(ExitCode::SUCCESS);
    }
    trust.reviewed().try_for_each(|(name, digest)| output::line(format!("{name} {digest}")))?;
    note(match (trust.reviewed().next(), trust.require) {
        (None, false) => "nothing is trusted, and everything may be installed",
        (None, true) => "nothing is trusted, and nothing is installed",
        (Some(_), true) => "nothing else is installed",
        (Some(_), false) => "everything else may be installed, too",
    });
    Ok(ExitCode::SUCCESS)
}

/// Runs `recipe untrust`.
///
/// # Errors
/// A recipe was not trusted (exit code [`exit::NOT_FOUND`]), or the file cannot be written.
pub fn untrust(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let desk = settings.desk()?;
    let mut trust = Trust::read(&desk.own)?;
    for name in names {
        if !trust.remove(name) {
            return Err(anyhow::anyhow!("{name} is not trusted")).exit(exit::NOT_FOUND);
        }
    }
    trust.write(&desk.own)?;
    if settings.json {
        output::json_of("untrusted", &names)?;
    }
    Ok(ExitCode::SUCCESS)
}
