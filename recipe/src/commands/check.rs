//! `recipe check`: installed files against what was installed.

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::{Settings, output};
use crate::dir::Dir;
use crate::places::OWN;
use crate::recipe::Recipe;
use crate::stage::{What, examine};
use crate::{claims, db, exit, shelf};

/// A difference.
#[derive(Debug, Serialize)]
struct Finding {
    package: String,
    path: String,
    problem: String,
}

/// Runs it. Exit code [`exit::INTEGRITY`] if something differs; config files may.
///
/// # Errors
/// A package is not installed, or cannot be examined.
pub fn run(settings: &Settings, names: &[String]) -> anyhow::Result<ExitCode> {
    let concerns = |r: &Recipe| r.state.installed || r.claim.is_some();
    let recipes = match names {
        [] => shelf::all(&settings.places)?.0.into_iter().filter(concerns).collect(),
        names => {
            let load = |name: &String| match shelf::load(&settings.places, name) {
                Ok(recipe) if recipe.claim.is_some() => Ok(recipe),
                _ => shelf::installed(&settings.places, name),
            };
            names.iter().map(load).collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut findings = Vec::new();
    let mut count = 0;
    for recipe in &recipes {
        count += recipe.state.files.len();
        package(settings, recipe, &mut findings)
            .with_context(|| format!("failed to check {}", recipe.name))?;
    }
    if settings.json {
        output::json_of("findings", &findings)?;
    } else {
        for f in &findings {
            output::line(format!("{}: {}: {}", f.package, f.path, f.problem))?;
        }
        crate::voice::note(&format!(
            "{count} files of {} packages, {} differ",
            recipes.len(),
            findings.len()
        ));
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { exit::INTEGRITY.into() })
}

fn package(settings: &Settings, recipe: &Recipe, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let mut add = |path: &str, problem: String| {
        findings.push(Finding { package: recipe.name.clone(), path: path.to_owned(), problem });
    };
    if recipe.claim.is_some() {
        let claim = recipe.claim.as_deref().and_then(|c| c.version.clone()).unwrap_or_default();
        add(
            "",
            format!("its recipe says that {claim} is installed, which is not true here; {}", claims::HINT),
        );
        if !recipe.state.installed {
            return Ok(());
        }
    }
    let prefix = settings.places.prefix_here();
    let prefix = Dir::open(&prefix).with_context(|| format!("failed to open {}", prefix.display()))?;
    let own = prefix.sub(OWN).ok();
    let record = own.map(|own| db::installed(&own, recipe)).transpose()?.flatten();
    if record.is_none() {
        add("", "there is no record of what was installed".to_owned());
    }
    for file in &recipe.state.files {
        let Some(path) = settings.places.relative(file) else {
            add(file, format!("it is outside of {}", settings.places.prefix.display()));
            continue;
        };
        let wanted = record.iter().flat_map(|r| &r.files).find(|e| e.path == path);
        match prefix.stat(path) {
            Ok(Some(_)) => {}
            Ok(None) => {
                add(file, "it is missing".to_owned());
                continue;
            }
            Err(e) => {
                add(file, format!("it cannot be examined: {e}"));
                continue;
            }
        }
        let Some(wanted) = wanted.filter(|w| !w.config) else { continue };
        match examine(&prefix, path)? {
            Some(found) if found == wanted.what => {}
            found => add(file, difference(&wanted.what, found.as_ref())),
        }
    }
    Ok(())
}

fn difference(wanted: &What, found: Option<&What>) -> String {
    match (wanted, found) {
        (What::File { sha256: a, .. }, Some(What::File { sha256: b, .. })) if a != b => {
            "its content has changed".to_owned()
        }
        (What::File { mode: a, .. }, Some(What::File { mode: b, .. })) => {
            format!("its mode is {b:04o}, not {a:04o}")
        }
        (What::Link { target: a }, Some(What::Link { target: b })) => format!("it leads to {b}, not to {a}"),
        (What::File { .. }, _) => "it is no file any more".to_owned(),
        (What::Link { .. }, _) => "it is no link any more".to_owned(),
    }
}
