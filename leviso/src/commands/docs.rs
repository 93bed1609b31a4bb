//! `leviso docs DIR`: man pages and completions of leviso and recuki, generated from the command lines' own definitions.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use crate::cli::Cli;

/// Writes `share/man/man*/*` and the completions of bash, zsh and fish where packages put them.
pub(crate) fn docs(dir: &Path) -> anyhow::Result<()> {
    let man = made(dir.join("share/man/man1"))?;
    clap_mangen::generate_to(Cli::command(), &man)
        .with_context(|| format!("failed to write man pages to {}", man.display()))?;
    completions(Cli::command(), dir)?;

    let recuki = leviso::recuki::cli::command();
    let mut page = Vec::new();
    let version = format!("LevitateOS {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(recuki.clone()).section("8").source(version).manual("LevitateOS");
    man.render(&mut page).context("failed to write the man page of recuki")?;
    common::fs::write_atomic(&dir.join("share/man/man8/recuki.8"), &page)?;
    completions(recuki, dir)
}

fn completions(mut command: clap::Command, dir: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    for (shell, sub) in [
        (Shell::Bash, "share/bash-completion/completions"),
        (Shell::Zsh, "share/zsh/site-functions"),
        (Shell::Fish, "share/fish/vendor_completions.d"),
    ] {
        let to = made(dir.join(sub))?;
        generate_to(shell, &mut command, &name, &to)
            .with_context(|| format!("failed to write completions to {}", to.display()))?;
    }
    Ok(())
}

fn made(dir: PathBuf) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    Ok(dir)
}
