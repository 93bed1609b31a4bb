//! `recipe info`: what recipes say of themselves.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{Settings, output};
use crate::shelf;

/// Runs it.
///
/// # Errors
/// A recipe is not found or wrong.
pub fn run(settings: &Settings, names: &[OsString]) -> anyhow::Result<ExitCode> {
    let load = |name: &OsString| shelf::load(&settings.places, name);
    let recipes = names.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    if settings.json {
        output::json_of("recipes", &recipes)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (i, r) in recipes.iter().enumerate() {
        if i > 0 {
            output::line("")?;
        }
        let path = r.path.display().to_string();
        let pinned = r.pinned.as_ref().map(ToString::to_string).unwrap_or_default();
        let (deps, build_deps) = (r.deps.join(", "), r.build_deps.join(", "));
        let phases: Vec<_> = crate::engine::PHASES.iter().filter(|p| r.has(p)).copied().collect();
        let phases = phases.join(", ");
        let state = match (&r.state.version, r.state.at, r.state.installed) {
            (Some(version), at, true) => {
                let why = if r.state.as_dep { ", because something needed it" } else { "" };
                let when = at.and_then(output::date).map(|date| format!(" on {date}")).unwrap_or_default();
                format!("{version}{when}{why}")
            }
            _ if r.claim.is_some() => "no, though its file says so".to_owned(),
            _ => "no".to_owned(),
        };
        let size = r.state.files.len().to_string();
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let (description, homepage, license) =
            (optional(&r.description), optional(&r.homepage), optional(&r.license));
        let rows = [
            ["name:", r.name.as_str()],
            ["version:", &r.version],
            ["description:", &description],
            ["homepage:", &homepage],
            ["license:", &license],
            ["needs:", &deps],
            ["to build:", &build_deps],
            ["installed:", &state],
            ["pinned:", &pinned],
            ["files:", if r.state.installed { &size } else { "" }],
            ["phases:", &phases],
            ["recipe:", &path],
        ];
        let rows: Vec<_> = rows.into_iter().filter(|[_, value]| !value.is_empty()).collect();
        output::columns(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}
