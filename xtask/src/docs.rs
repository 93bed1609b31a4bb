//! `cargo xtask docs`: manual pages and shell completions of the tools that users run, into target/dist/share.
//!
//! They are made from the command lines' own definitions. leviso writes its own and recuki's (nothing here
//! should compile leviso's library); for recstrap's three and recipe it is done here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap_complete::Shell;
use common::cmd::Cmd;

use crate::paths::Paths;
use crate::{cargo, doctor};

/// Programs that write their own: `PROGRAM docs DIR`.
const WRITERS: &[&str] = &["leviso"];

/// Sections of the manual: commands for everybody, and the administrator's.
const SECTIONS: &[u8] = &[1, 8];

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

/// The files of one program, relative to `dir`: its manual pages (PROGRAM and PROGRAM-COMMAND) and its completions.
pub(crate) fn files(program: &str, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut man = Vec::new();
    for section in SECTIONS {
        let of = Path::new("share/man").join(format!("man{section}"));
        man.extend(pages(program, *section, &dir.join(&of))?.into_iter().map(|page| of.join(page)));
    }
    let tops = SECTIONS.iter().map(|section| format!("{program}.{section}"));
    let tops = tops.filter(|top| man.iter().any(|page| page.ends_with(top))).count();
    ensure!(tops == 1, "expected one manual page of {program} in {}, found {tops}", dir.display());
    let names = [program.to_owned(), format!("_{program}"), format!("{program}.fish")];
    // bash-completion looks for NAME and for NAME.bash.
    let names = [format!("{}.bash", names[0]), names[1].clone(), names[2].clone()];
    let completions =
        SHELLS.iter().zip(names).map(|((_, sub), name)| Path::new("share").join(sub).join(name));
    Ok(man.into_iter().chain(completions).collect())
}

/// Names of a program's manual pages in a directory, sorted; none, if there is no such directory.
fn pages(program: &str, section: u8, dir: &Path) -> anyhow::Result<Vec<String>> {
    let context = || format!("failed to list {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(context)?,
    };
    let mut pages = Vec::new();
    for entry in entries {
        let page = entry.with_context(context)?.file_name().to_string_lossy().into_owned();
        let rest = page.strip_prefix(program).and_then(|rest| rest.strip_suffix(&format!(".{section}")));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
            pages.push(page);
        }
    }
    pages.sort_unstable();
    Ok(pages)
}

/// One program's manual pages and completions.
fn write(command: &clap::Command, section: u8, out: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let man = out.join(format!("share/man/man{section}"));
    // A command that is gone has no page any more.
    for page in pages(&name, section, &man)? {
        let page = man.join(page);
        std::fs::remove_file(&page).with_context(|| format!("failed to remove {}", page.display()))?;
    }
    // Nobody looks for recipe-help(1): each page names the others.
    let mut whole = command.clone().disable_help_subcommand(true);
    whole.build();
    write_pages(&whole, section, &man)?;
    for (shell, sub) in SHELLS {
        let dir = out.join("share").join(sub);
        std::fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
        clap_complete::generate_to(*shell, &mut command.clone(), &name, &dir)?;
    }
    Ok(())
}

/// The manual pages of a command and of its own commands, whose names begin with its name.
fn write_pages(command: &clap::Command, section: u8, man: &Path) -> anyhow::Result<()> {
    let page = clap_mangen::Man::new(command.clone())
        .section(section.to_string())
        .source(format!("LevitateOS {}", env!("CARGO_PKG_VERSION")))
        .manual("LevitateOS");
    let mut text = Vec::new();
    page.render(&mut text)?;
    common::fs::write_atomic(&man.join(page.get_filename()), &text)?;
    let mut commands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    commands.try_for_each(|sub| write_pages(sub, section, man))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page refers to below its own name: `recipe-cache(1)`.
    fn references(page: &str, program: &str) -> Vec<String> {
        let text = page.replace("\\-", "-");
        let words = text.split_whitespace().filter(|word| word.starts_with(&format!("{program}-")));
        let named = words.filter_map(|word| word.strip_suffix(')')?.split_once('('));
        named.map(|(name, section)| format!("{name}.{section}")).collect()
    }

    #[test]
    fn each_page_that_is_referred_to_is_there_and_installed() {
        let dir = tempfile::tempdir().unwrap();
        let man = dir.path().join("share/man/man1");
        std::fs::create_dir_all(&man).unwrap();
        std::fs::write(man.join("recipe-gone.1"), "of a command that is no more").unwrap();
        write(&recipe::cli::command(), 1, dir.path()).unwrap();
        let installed = files("recipe", dir.path()).unwrap();
        let pages: Vec<_> = installed.iter().filter(|file| file.starts_with("share/man")).collect();
        let mut all = 0;
        for page in &pages {
            for name in references(&std::fs::read_to_string(dir.path().join(page)).unwrap(), "recipe") {
                all += 1;
                assert!(pages.iter().any(|page| page.ends_with(&name)), "{page:?} refers to {name}");
            }
        }
        assert_eq!(all + 1, pages.len(), "each page but the first is referred to");
        let text = |name: &str| std::fs::read_to_string(man.join(name)).unwrap();
        assert!(
            text("recipe-install.1").contains("overwrite") && text("recipe-cache-clean.1").contains("all")
        );
        assert!(!man.join("recipe-gone.1").exists());
    }
}
