//! Places and the system: PATH, permissions, what interrupted runs left, the cache, the cage.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::Found;
use crate::confine;
use crate::dir::Dir;
use crate::interrupt::Interrupt;
use crate::lock;
use crate::places::{OWN, Places};
use crate::shelf;
use crate::tx::LEFTOVERS;

pub(super) fn path(places: &Places, found: &mut Found) {
    if places.sysroot != Path::new("/") {
        return;
    }
    let bin = places.prefix.join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = |dir: &Path| dir.canonicalize().ok();
    let is_bin = |dir: PathBuf| dir == bin || real(&dir).is_some_and(|dir| real(&bin) == Some(dir));
    if !std::env::split_paths(&path).any(is_bin) {
        let bin = bin.display().to_string();
        let hint = format!("add `export PATH=\"{bin}:$PATH\"` to your shell's profile");
        found.add("path", bin, "it is not in PATH: what is installed there is not found", hint);
    }
}

/// Whoever can write these decides what is installed, or what runs.
pub(super) fn permissions(places: &Places, found: &mut Found) {
    let prefix = places.prefix_here();
    let lib = places.recipes.join("lib");
    let mut all =
        vec![prefix.clone(), prefix.join(OWN), places.recipes.clone(), lib.clone(), places.cache.clone()];
    for dir in [&places.recipes, &lib] {
        all.extend(shelf::files(dir).unwrap_or_default());
    }
    for path in all {
        // What is not there is made with the right ones.
        let Ok(meta) = path.metadata() else { continue };
        let shown = path.display().to_string();
        others(&shown, &meta, found);
        if meta.is_dir() && !can_write(&path) {
            let hint = "run recipe as its owner, or choose another place: --prefix, --recipes, --cache";
            found.add("permissions", shown, "you cannot write there", hint);
        }
    }
}

fn others(shown: &str, meta: &std::fs::Metadata, found: &mut Found) {
    let me = rustix::process::geteuid();
    let (mode, owner, group) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
    let mut add = |problem: String, hint: String| found.add("permissions", shown, problem, hint);
    if mode & 0o002 != 0 {
        add(format!("everybody can change it (mode {mode:04o})"), format!("chmod o-w {shown}"));
    }
    if owner != 0 && owner != me.as_raw() {
        add(
            format!("it belongs to user {owner}, who can change it"),
            format!("chown {} {shown}", me.as_raw()),
        );
    }
    // Users often have a group of their own.
    if me.is_root() && mode & 0o020 != 0 && group != 0 {
        add(format!("group {group} can change it (mode {mode:04o})"), format!("chmod g-w {shown}"));
    }
}

fn can_write(dir: &Path) -> bool {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, dir, access, AtFlags::EACCESS).is_ok()
}

pub(super) fn interrupted(places: &Places, found: &mut Found) {
    let Ok(own) = Dir::open(&places.prefix_here().join(OWN)) else { return };
    let left = || -> Vec<&str> {
        LEFTOVERS.iter().copied().filter(|name| !matches!(own.stat(name), Ok(None))).collect()
    };
    // Twice: what is there because of somebody who works is gone when he is.
    if left().is_empty() || lock::holder(&own).is_some() {
        return;
    }
    for name in left() {
        let problem = match name {
            "journal.json" => "a transaction was interrupted: files may be half exchanged",
            _ => "an interrupted run left it",
        };
        found.add(
            "interrupted",
            own.path.join(name).display().to_string(),
            problem,
            "`recipe repair` ends it",
        );
    }
}

pub(super) fn cache(places: &Places, found: &mut Found) {
    let cache = &places.cache;
    // The nearest that is there: the rest is made below it.
    let Some(there) = cache.ancestors().find(|dir| dir.symlink_metadata().is_ok()) else { return };
    let problem = match there.metadata() {
        Ok(meta) if !meta.is_dir() => format!("{} is no directory", there.display()),
        Ok(_) if can_write(there) => return,
        Ok(_) => format!("{} cannot be written", there.display()),
        Err(e) => format!("{} cannot be examined: {e}", there.display()),
    };
    found.add(
        "cache",
        cache.display().to_string(),
        problem,
        "--cache DIR or RECIPE_CACHE says where downloads go",
    );
}

pub(super) fn confinement(interrupt: &Interrupt, found: &mut Found) {
    if let Err(e) = confine::probe(interrupt) {
        let hint = "recipes that run programs need namespaces: docs/reference/confinement.md says which";
        found.add("confinement", "programs of recipes", format!("{e:#}"), hint);
    }
    if rustix::process::geteuid().is_root() && !confine::has_account() {
        found.add(
            "account",
            confine::ACCOUNT,
            "there is no such user: programs of recipes run under a number that nobody has",
            format!(
                "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {}",
                confine::ACCOUNT
            ),
        );
    }
}
