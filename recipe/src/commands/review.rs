//! `recipe review` and `recipe diff`: what a recipe can do, and what of it is new, known without running it.

use std::ffi::OsStr;
use std::process::ExitCode;

use common::cli::Mark;
use serde_json::json;

use super::{Settings, output};
use crate::code::Code;
use crate::dir::Dir;
use crate::engine::capability::Capabilities;
use crate::exit;
use crate::merge;
use crate::places::OWN;
use crate::recipe::Recipe;
use crate::shelf;
use crate::state::{self, State};
use crate::text::without;
use crate::trust::{self, Standing, Trust};

/// Runs `recipe review`.
///
/// # Errors
/// There is no such recipe, it is not Rhai, or what is known of it cannot be read.
pub fn review(settings: &Settings, name: &OsStr) -> anyhow::Result<ExitCode> {
    let code = Code::load(&shelf::find(&settings.places, name)?)?;
    let can = trust::capabilities(&code)?;
    let own = own(settings);
    let before = before(own.as_ref(), &code.recipe)?;
    let trust = Trust::of(own.as_ref(), false)?;
    let (standing, more) = match trust.standing(&code, &can)? {
        Standing::Unknown => ("no", Vec::new()),
        Standing::Reviewed => ("yes", Vec::new()),
        Standing::Changed => ("changed", Vec::new()),
        Standing::Grown(more) => ("grown", more),
    };
    let digest = format!("sha256:{}", code.digest()?);
    let recipe = &code.recipe;
    if settings.json {
        output::json_of_all([
            ("name", recipe.name.clone().into()),
            ("version", recipe.version.clone().into()),
            ("installed", recipe.installed_version().into()),
            ("digest", digest.into()),
            ("trusted", standing.into()),
            ("grown", more.into()),
            ("capabilities", list(&can, before.as_ref().map(|b| &b.1)).into()),
            ("gone", before.as_ref().map_or_else(Vec::new, |(_, old)| gone(old, &can)).into()),
        ])?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{} {}, {}", recipe.name, recipe.version, recipe.path.display()))?;
    output::line(format!("digest:    {digest}"))?;
    output::line(format!(
        "trusted:   {}",
        match standing {
            "changed" => "it was; changed since, and can do no more than then".to_owned(),
            "grown" => format!("it was; now it can do more: {}", more.join("; ")),
            other => other.to_owned(),
        }
    ))?;
    output::line(format!("installed: {}", recipe.installed_version().unwrap_or("no")))?;
    let mut rows = Vec::new();
    for (what, at) in can.iter() {
        let is_new = before.as_ref().is_some_and(|(_, old)| !old.has(what));
        rows.push([if is_new { "+" } else { " " }, what.kind.word(), what.name.as_str(), at]);
    }
    if let Some((_, old)) = &before {
        let gone = old.iter().filter(|(what, _)| !can.has(what));
        rows.extend(gone.map(|(what, _)| ["-", what.kind.word(), what.name.as_str(), ""]));
    }
    output::columns(&rows)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `recipe diff`.
///
/// # Errors
/// As [`review`], or the package is not installed (exit code [`exit::NOT_FOUND`]).
pub fn diff(settings: &Settings, name: &str) -> anyhow::Result<ExitCode> {
    let code = Code::load(&shelf::find(&settings.places, name)?)?;
    let can = trust::capabilities(&code)?;
    let Some((old, could)) = before(own(settings).as_ref(), &code.recipe)? else {
        return Err(anyhow::anyhow!(
            "there is nothing to compare with: {} is not installed",
            code.recipe.name
        ))
        .exit(exit::NOT_FOUND)
        .hint(format!("`recipe review {}` shows what it does", code.recipe.name));
    };
    let text = text(&old, &code)?;
    if settings.json {
        let new: Vec<_> =
            can.beyond(&could).map(|(what, at)| json!({ "what": what.to_string(), "at": at })).collect();
        output::json_of_all([
            ("diff", text.into()),
            ("new", new.into()),
            ("gone", gone(&could, &can).into()),
        ])?;
        return Ok(ExitCode::SUCCESS);
    }
    if !text.is_empty() {
        output::line(text.trim_end())?;
    }
    for (what, at) in can.beyond(&could) {
        output::line(format!("new: {what}, {at}"))?;
    }
    for what in gone(&could, &can) {
        output::line(format!("gone: {what}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Our own directory of the prefix, if something was ever done there.
pub(super) fn own(settings: &Settings) -> Option<Dir> {
    Dir::open(&settings.places.prefix_here()).and_then(|prefix| prefix.sub(OWN)).ok()
}

fn before(own: Option<&Dir>, recipe: &Recipe) -> anyhow::Result<Option<(Code, Capabilities)>> {
    own.map_or(Ok(None), |own| trust::installed(own, recipe))
}

fn list(can: &Capabilities, before: Option<&Capabilities>) -> Vec<serde_json::Value> {
    let entry = |(what, at): (&crate::engine::capability::Capability, &str)| {
        let is_new = before.map(|old| !old.has(what));
        json!({ "kind": what.kind.word(), "name": what.name, "at": at, "new": is_new })
    };
    can.iter().map(entry).collect()
}

fn gone(old: &Capabilities, new: &Capabilities) -> Vec<String> {
    old.iter().filter(|(what, _)| !new.has(what)).map(|(what, _)| what.to_string()).collect()
}

/// The differences of all texts, as `diff -u` writes them; without the state.
fn text(old: &Code, new: &Code) -> anyhow::Result<String> {
    let version = |code: &Code| format!("{}.rhai {}", code.recipe.name, code.recipe.version);
    // Both get the block of the state, then both lose it: the comment above it is no difference.
    let plain = |text: &str| {
        let with = State::default().splice(text)?;
        without(&with, &state::NAMES)
    };
    let plain = |text: &str| plain(text).map_err(|e| anyhow::anyhow!("{}", e.message));
    let mut out = unified(&version(old), &plain(&old.text)?, &version(new), &plain(&new.text)?);
    let names: std::collections::BTreeSet<_> = old.libraries.keys().chain(new.libraries.keys()).collect();
    for name in names {
        let of = |code: &Code| code.libraries.get(name).cloned().unwrap_or_default();
        let title = format!("lib/{name}.rhai");
        out.push_str(&unified(&title, &of(old), &title, &of(new)));
    }
    Ok(out)
}

fn unified(old_title: &str, old: &str, new_title: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let patch = merge::unified((old_title, old.as_bytes()), (new_title, new.as_bytes()));
    String::from_utf8_lossy(&patch).into_owned()
}
