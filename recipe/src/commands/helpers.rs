//! `recipe helpers`: the functions that recipes can call, from their table.

use std::process::ExitCode;

use common::cli::Mark;
use serde_json::json;

use super::{Settings, output};
use crate::engine::PHASES;
use crate::engine::helpers::{Group, Helper, MAKING, table};
use crate::exit;
use crate::shelf::similar;

/// Runs it.
///
/// # Errors
/// There is no helper of this name.
pub fn run(settings: &Settings, name: Option<&str>, markdown: bool) -> anyhow::Result<ExitCode> {
    if markdown {
        output::line(page().trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<&Helper> = table().filter(|h| name.is_none_or(|n| h.name == n)).collect();
    if let Some(name) = name.filter(|_| chosen.is_empty()) {
        let missing = Err(anyhow::anyhow!("there is no helper {name:?}")).exit(exit::NOT_FOUND);
        return match similar(name, table().map(|h| h.name)) {
            Some(other) => missing.hint(format!("did you mean {other}?")),
            None => missing.hint("`recipe helpers` shows all"),
        };
    }
    if settings.json {
        let all: Vec<_> = chosen
            .iter()
            .map(
                |h| json!({ "name": h.name, "usage": h.usage.lines().collect::<Vec<_>>(), "about": h.about, "phases": h.phases }),
            )
            .collect();
        output::json_of("helpers", &all)?;
        return Ok(ExitCode::SUCCESS);
    }
    for helper in chosen {
        output::line(helper.usage)?;
        output::line(format!("    {}{}\n", helper.about, restricted(helper)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where it can be called, as a sentence behind what it does; none where that is as of most.
fn restricted(helper: &Helper) -> String {
    match helper.phases {
        [] => " Also at the top level.".to_owned(),
        phases if phases == MAKING => String::new(),
        phases if phases == PHASES => " In every phase.".to_owned(),
        _ => format!(" Only in {}.", helper.where_to()),
    }
}

/// docs/reference/helpers.md.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Helpers\n\nThe functions that recipes can call. This page is made from the table in \
         `recipe/src/engine/helpers.rs` by\n`recipe helpers --markdown`; a test compares them.\n\nHelpers fail where they can have \
         no effect: unless they say\nsomething else, they can be called in `acquire`, `build` and `install`. A failing helper ends the phase, unless the recipe\ncatches it: \
         `try { ... } catch (e) { print(e); }`. All of Rhai's own functions can be used, but `eval`.\n",
    );
    for (group, title) in Group::ALL {
        out.push_str(&format!("\n## {title}\n"));
        for helper in table().filter(|h| h.group == *group) {
            out.push_str(&format!(
                "\n### {}\n\n    {}\n\n{}{}\n",
                helper.name,
                helper.usage.replace('\n', "\n    "),
                helper.about,
                restricted(helper)
            ));
        }
    }
    out
}
