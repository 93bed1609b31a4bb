//! `leviso docs DIR`: man pages and completions, generated from the command line's own definition.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use crate::cli::Cli;

/// Writes `share/man/man1/*.1` and the completions of bash, zsh and fish where packages put them.
pub(crate) fn docs(dir: &Path) -> anyhow::Result<()> {
    let man = dir.join("share/man/man1");
    let shells = [
        (Shell::Bash, "share/bash-completion/completions"),
        (Shell::Zsh, "share/zsh/site-functions"),
        (Shell::Fish, "share/fish/vendor_completions.d"),
    ];
    let make = |dir: &Path| {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))
    };
    make(&man)?;
    let command = Cli::command();
    clap_mangen::generate_to(command.clone(), &man)
        .with_context(|| format!("failed to write man pages to {}", man.display()))?;
    for (shell, sub) in shells {
        let to = dir.join(sub);
        make(&to)?;
        generate_to(shell, &mut command.clone(), "leviso", &to)
            .with_context(|| format!("failed to write completions to {}", to.display()))?;
    }
    Ok(())
}
