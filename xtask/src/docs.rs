//! `cargo xtask docs`: manual pages and shell completions of the tools that users run, into target/dist/share.
//!
//! They are made from the command lines' own definitions. leviso writes its own and recuki's (nothing here
//! should compile leviso's library); for recstrap's three and recipe it is done here.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap_complete::Shell;
use common::cmd::Cmd;

use crate::paths::Paths;
use crate::{cargo, doctor};

/// Programs that write their own: `PROGRAM docs DIR`.
const WRITERS: &[&str] = &["leviso"];

/// Where completions are installed, below share.
const SHELLS: &[(Shell, &str)] = &[
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// Writes all of it below target/dist and returns that directory.
pub(crate) fn docs(paths: &Paths) -> anyhow::Result<PathBuf> {
    let out = paths.target.join("dist");
    for tool in WRITERS {
        let binary = cargo::release(paths, tool)?;
        Cmd::new(binary).arg("docs").arg(&out).run()?;
    }
    for command in
        [recstrap::install::cli::command(), recstrap::fstab::cli::command(), recstrap::chroot::cli::command()]
    {
        write(&command, 8, &out).with_context(|| format!("failed to document {}", command.get_name()))?;
    }
    write(&recipe::cli::command(), 1, &out).context("failed to document recipe")?;
    // recipe answers its completions itself: it knows the names of recipes and packages.
    for (shell, path) in recipe::complete::SCRIPTS {
        common::fs::write_atomic(&out.join("share").join(path), &recipe::complete::script(shell, "recipe")?)?;
    }
    Ok(out)
}

/// As [`docs`], and says where.
pub(crate) fn run(paths: &Paths) -> anyhow::Result<()> {
    let out = docs(paths)?;
    doctor::eprintln_step(&format!("wrote {}", out.display()));
    Ok(())
}

/// The files of one program, relative to `dir`: its manual page and its completions.
pub(crate) fn files(program: &str, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let man = [1, 8].map(|section| PathBuf::from(format!("share/man/man{section}/{program}.{section}")));
    let man: Vec<_> = man.into_iter().filter(|page| dir.join(page).exists()).collect();
    ensure!(
        man.len() == 1,
        "expected one manual page of {program} in {}, found {}",
        dir.display(),
        man.len()
    );
    let names = [program.to_owned(), format!("_{program}"), format!("{program}.fish")];
    // bash-completion looks for NAME and for NAME.bash.
    let names = [format!("{}.bash", names[0]), names[1].clone(), names[2].clone()];
    let completions =
        SHELLS.iter().zip(names).map(|((_, sub), name)| Path::new("share").join(sub).join(name));
    Ok(man.into_iter().chain(completions).collect())
}

/// One program's manual page and completions.
fn write(command: &clap::Command, section: u8, out: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let man = clap_mangen::Man::new(command.clone())
        .section(section.to_string())
        .source(format!("LevitateOS {}", env!("CARGO_PKG_VERSION")))
        .manual("LevitateOS");
    let mut page = Vec::new();
    man.render(&mut page)?;
    common::fs::write_atomic(&out.join(format!("share/man/man{section}/{name}.{section}")), &page)?;
    for (shell, sub) in SHELLS {
        let dir = out.join("share").join(sub);
        std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
        clap_complete::generate_to(*shell, &mut command.clone(), &name, &dir)?;
    }
    Ok(())
}
