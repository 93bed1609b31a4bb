//! `recipe which`: command -> its file in PATH, and whose that is.

use std::path::PathBuf;
use std::process::ExitCode;

use common::cli::tell;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde_json::json;

use super::owns::{Owner, Owners};
use super::{Settings, output};
use crate::dir::{self, Dir};
use crate::exit;

/// Runs it. Exit code [`exit::NOT_FOUND`] if a command is not there. With `-R`, PATH is looked up in that system.
///
/// # Errors
/// The recipes or the base's list cannot be read.
pub fn run(settings: &Settings, commands: &[String]) -> anyhow::Result<ExitCode> {
    let owners = Owners::read(settings)?;
    let mut found = Vec::new();
    let mut missing = false;
    for command in commands {
        let Some(path) = look_up(settings, command) else {
            tell(&format!("{command} is not in PATH"));
            missing = true;
            continue;
        };
        let (path, owners) = owners.of(&path)?;
        found.push((command, path, owners.into_iter().next()));
    }
    if settings.json {
        let all = found.iter().map(|(command, path, owner)| {
            let (package, from) = (owner.as_ref().and_then(Owner::package), owner.as_ref().map(Owner::from));
            json!({ "command": command, "path": path, "package": package, "from": from })
        });
        output::json_of("commands", &all.collect::<Vec<_>>())?;
    } else {
        for (_, path, owner) in &found {
            let owner = owner.as_ref().map_or("belongs to no package".to_owned(), ToString::to_string);
            output::line(format!("{path}: {owner}"))?;
        }
    }
    Ok(if missing { exit::NOT_FOUND.into() } else { ExitCode::SUCCESS })
}

/// The first file of this name that can be run; links are followed as the system would that it is in.
fn look_up(settings: &Settings, command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").filter(|_| !command.contains('/'))?;
    let root = Dir::open(&settings.places.sysroot).ok()?;
    let inside = |dir: PathBuf| Some(dir.strip_prefix("/").ok()?.join(command));
    let can_run = |path: &PathBuf| {
        let (flags, how) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT);
        let file = rustix::fs::openat2(&root, path, flags, Mode::empty(), how);
        let stat = file.and_then(|file| rustix::fs::fstat(&file));
        stat.is_ok_and(|stat| dir::kind(&stat).is_file() && stat.st_mode & 0o111 != 0)
    };
    let found = std::env::split_paths(&path).filter_map(inside).find(can_run)?;
    Some(settings.places.sysroot.join(found))
}
