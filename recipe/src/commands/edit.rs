//! `recipe edit`: a recipe in the user's editor, and a look for mistakes when that ends.
//!
//! Nothing is locked meanwhile: people think for hours, and whoever writes the state then keeps what the editor wrote.

use std::ffi::OsStr;
use std::process::ExitCode;

use anyhow::Context;
use common::cli::{Mark, tell};
use common::cmd::{Cmd, which};

use super::Settings;
use crate::code::Code;
use crate::engine::Program;
use crate::exit;
use crate::shelf;

/// Runs it.
///
/// # Errors
/// There is no such recipe, no editor, the editor fails, or the recipe has mistakes (exit code [`exit::RECIPE`]); what the editor
/// wrote stays in each case.
pub fn run(settings: &Settings, name: &OsStr) -> anyhow::Result<ExitCode> {
    shelf::find(&settings.places, name)?;
    // What is edited is the user's, not what came with the system.
    shelf::open(&settings.places)?;
    let path = shelf::find(&settings.places, name)?;
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let fallback = || which("vi").map(|_| "vi".to_owned());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).or_else(fallback);
    let editor =
        editor.context("there is no editor").exit(exit::NOT_FOUND).hint("VISUAL or EDITOR names one")?;
    // The variable may have arguments of its own, and quotes around them.
    let script = format!("{editor} \"$@\"");
    let status = Cmd::new("sh").args(["-c", &script, "sh"]).arg(&path).keep_locale().interactive()?;
    if !status.success() {
        return Err(anyhow::anyhow!(
            "the editor `{editor}` failed ({status}); {} is as it left it",
            path.display()
        ));
    }
    let checked = Code::load(&path).and_then(Program::lint);
    checked.exit(exit::RECIPE).hint(format!("`recipe edit {}` opens it again", name.display()))?;
    tell(&format!("{}: no mistakes", path.display()));
    Ok(ExitCode::SUCCESS)
}
