//! `recipe run`: a program of a package, without installing it.
//!
//! The package and what it needs are installed into a prefix of their own in the cache ([`crate::room`]), by the way that everything
//! is installed; then this process becomes the program. So its exit status, signals and the terminal are its own, and
//! nothing is left to be tidied up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use common::cli::{Mark, code, tell};
use common::cmd::Cmd;
use common::hash::Sha256;
use serde_json::json;

use super::install::{self, Why};
use super::{Settings, lock, output, review};
use crate::base::Base;
use crate::code::Code;
use crate::db;
use crate::dir::Dir;
use crate::exit;
use crate::lockfile::{self, Lockfile};
use crate::pin;
use crate::places::Places;
use crate::recipe::Recipe;
use crate::room::{self, Beside, Room};
use crate::shelf;
use crate::state::{self, State};
use crate::text::{SyntaxError, Top};
use crate::trust::Trust;
use crate::voice::summary::Row;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Name of a recipe, or path of a recipe file.
    // The place is said, since clap moves an argument to the end that completion is added to.
    #[arg(index = 1)]
    name: OsString,
    /// Which of its programs; default: the one called like the package, or the only one.
    #[arg(long, value_name = "PROGRAM")]
    bin: Option<String>,
    /// Say what would be made and run; make and run nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// What the program is given, behind `--`.
    #[arg(index = 2, last = true)]
    args: Vec<OsString>,
}

/// Runs it. Comes back only if it fails.
///
/// # Errors
/// The package cannot be made, has no such program, or that cannot be started.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    if settings.places.sysroot != Path::new("/") {
        return Err(anyhow::anyhow!("programs of another system cannot be run")).exit(code::USAGE);
    }
    let recipe = shelf::load(&settings.places, &options.name)?;
    // What is installed is not made again.
    if recipe.installed_version() == Some(&recipe.version) {
        let program = choose(&recipe, &settings.places, options.bin.as_deref())?;
        if options.dry_run {
            return foretell(settings, &recipe, &BTreeMap::new(), Some(&program));
        }
        return become_it(settings, &program, &settings.places.prefix, options);
    }
    // Desks set it for what packages have; the program has the user's.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let all = lock::closure(&settings.places, &Base::of(&settings.places.sysroot), vec![recipe.clone()])?;
    let all = all.into_iter().map(|(name, recipe)| Ok((name, Code::load(&recipe.path)?)));
    let all = all.collect::<anyhow::Result<_>>()?;
    trusted(settings, &all)?;
    let name = format!("{}-{}-{}", recipe.name, recipe.version, key(settings, &all)?);
    let program = |room: &Room| {
        let places = places(settings, room);
        choose(&shelf::load(&places, &recipe.name)?, &places, options.bin.as_deref())
    };
    if options.dry_run {
        return match Room::made(&settings.places.cache, &name)? {
            Some(room) => foretell(settings, &recipe, &BTreeMap::new(), Some(&program(&room)?)),
            None => foretell(settings, &recipe, &all, None),
        };
    }
    let make = |room: &Room| make(settings, room, &recipe, &all);
    let room = Room::ready(&settings.places.cache, &name, &settings.interrupt, make)?;
    let program = program(&room)?;
    room.hand_on().context("failed to leave the lock to the program")?;
    rustix::process::umask(umask);
    become_it(settings, &program, &room.prefix(), options)
}

/// Says what would be made, and which program would run, where that is known before it is made.
fn foretell(
    settings: &Settings,
    recipe: &Recipe,
    made: &BTreeMap<String, Code>,
    program: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let row = |code: &Code| Row {
        name: code.recipe.name.clone(),
        to: Some(code.recipe.version.clone()),
        why: (code.recipe.name != recipe.name).then(|| "dependency".to_owned()),
        ..Row::default()
    };
    let rows: Vec<_> = made.values().map(row).collect();
    if settings.json {
        output::json_of_all([("plan", install::plan_json(&rows)), ("program", json!(program))])?;
    } else {
        install::print_plan(&rows, false)?;
        program.map_or(Ok(()), |program| output::line(program.display().to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the user's prefix lets these recipes run: the room's knows nothing of what he trusts.
fn trusted(settings: &Settings, all: &BTreeMap<String, Code>) -> anyhow::Result<()> {
    let trust = Trust::of(review::own(settings).as_ref(), settings.require_trust)?;
    for code in all.values() {
        if let Some(note) = trust.check(code)? {
            tell(&note);
        }
    }
    Ok(())
}

/// What is made from the same is the same: with `--locked` also what it may be made from.
fn key(settings: &Settings, all: &BTreeMap<String, Code>) -> anyhow::Result<String> {
    let lockfile = Lockfile::read(&settings.places.recipes, settings.locked)?.filter(|_| settings.locked);
    let mut text = format!("recipe {}\n", env!("CARGO_PKG_VERSION"));
    for (name, code) in all {
        text.push_str(&format!("{name} {} {}\n", code.recipe.version, code.digest()?));
        if let Some(lockfile) = &lockfile {
            let sources = lockfile.require(code)?.sources();
            sources.for_each(|s| text.push_str(&format!("  {} {} {}\n", s.url, s.sha256, s.size)));
        }
    }
    Ok(Sha256::of(text.as_bytes()).to_string()[..16].to_owned())
}

/// The paths of a room.
fn places(settings: &Settings, room: &Room) -> Places {
    Places { prefix: room.prefix(), recipes: room.recipes(), ..settings.places.clone() }
}

/// Fills a room; the files beside the recipes that went into it.
fn make(
    settings: &Settings,
    room: &Room,
    recipe: &Recipe,
    all: &BTreeMap<String, Code>,
) -> anyhow::Result<Vec<Beside>> {
    settings.interrupt.check()?;
    tell(&format!("{} {} is made, to be run once it is", recipe.name, recipe.version));
    let recipes = Dir::ensure(&room.recipes())?;
    copy(settings, &recipes, all)
        .with_context(|| format!("failed to copy recipes to {}", recipes.path.display()))?;
    // What may run was asked of the user's own prefix.
    let settings = Settings { places: places(settings, room), require_trust: false, ..settings.clone() };
    let mut desk = settings.desk()?;
    let parent = |recipe: &Recipe| recipe.path.parent().map(Path::to_owned).unwrap_or_default();
    desk.beside = all.iter().map(|(name, code)| (name.clone(), parent(&code.recipe))).collect();
    // stdout is the program's.
    let wanted = shelf::load(&desk.places, &recipe.name)?;
    let coming = install::foresee(&desk, vec![wanted], Why::Asked, false)?;
    install::quietly(&desk, &[], coming, &[], &mut Vec::new(), false)?;
    let mut beside = Vec::new();
    for recipe in shelf::every(&desk.places)?.iter().filter(|r| r.state.installed) {
        for source in db::installed(&desk.own, recipe)?.into_iter().flat_map(|record| record.sources) {
            if let Some(file) = source.url.strip_prefix(db::BESIDE) {
                let path = desk.beside.get(&recipe.name).map(|dir| dir.join(file)).unwrap_or_default();
                beside.push(Beside { path: std::path::absolute(path)?, sha256: source.sha256 });
            }
        }
    }
    Ok(beside)
}

/// Writes recipes, with nothing installed, their libraries and the lock file: what was looked at, whatever the files say by now.
fn copy(settings: &Settings, to: &Dir, all: &BTreeMap<String, Code>) -> anyhow::Result<()> {
    let mut libraries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, Code { recipe, text, libraries: of_it, .. }) in all {
        let text = bare(text).map_err(|e| state::located(&recipe.path, text, &e))?;
        room::put(to, &format!("{name}.rhai"), text.as_bytes())?;
        for (library, text) in of_it {
            let (file, bytes) = (format!("{library}.rhai"), text.clone().into_bytes());
            if libraries.get(&file).is_some_and(|other| *other != bytes) {
                return Err(anyhow::anyhow!(
                    "there are two libraries {file}, one beside {name} and another one elsewhere"
                ))
                .exit(exit::RECIPE);
            }
            libraries.insert(file, bytes);
        }
    }
    if !libraries.is_empty() {
        let lib = to.make("lib", 0o755)?;
        libraries.iter().try_for_each(|(file, bytes)| room::put(&lib, file, bytes))?;
    }
    let lock = settings.places.recipes.join(lockfile::NAME);
    if lock.exists() {
        room::put(to, lockfile::NAME, &std::fs::read(lock)?)?;
    }
    Ok(())
}

/// A recipe's text with nothing installed. All of the rest stays in its line and column, as errors name them: the state comes last.
fn bare(text: &str) -> Result<String, SyntaxError> {
    let mut bare = text.to_owned();
    let is_state = |name: &str| state::NAMES.contains(&name) && name != pin::NAME;
    for old in Top::of(text)?.lets.iter().rev().filter(|l| is_state(&l.name)) {
        let blank = text[old.span.clone()].chars().map(|c| if c.is_control() { c } else { ' ' });
        bare.replace_range(old.span.clone(), &blank.collect::<String>());
    }
    bare.push_str("\nlet installed = false;\n");
    State::default().splice(&bare)
}

/// The program that is meant.
fn choose(recipe: &Recipe, places: &Places, bin: Option<&str>) -> anyhow::Result<PathBuf> {
    if !recipe.state.installed {
        let found = anyhow::anyhow!("{} is there by other means, as its is_installed() says", recipe.name);
        return Err(found).exit(exit::NOT_FOUND).hint("`recipe which COMMAND` shows where");
    }
    let mut programs = BTreeMap::new();
    for file in &recipe.state.files {
        let name = places.relative(file).and_then(|p| p.strip_prefix("bin/").or(p.strip_prefix("sbin/")));
        let can_run = |path: &Path| {
            use std::os::unix::fs::PermissionsExt;
            path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        if let Some(name) = name.filter(|n| !n.contains('/') && can_run(Path::new(file))) {
            programs.entry(name).or_insert_with(|| PathBuf::from(file));
        }
    }
    let only = || (programs.len() == 1).then(|| programs.values().next()).flatten();
    let found = match bin {
        Some(bin) => programs.get(bin),
        None => programs.get(recipe.name.as_str()).or_else(only),
    };
    if let Some(found) = found {
        return Ok(found.clone());
    }
    let names: Vec<_> = programs.keys().copied().collect();
    let (error, hint) = match (bin, &names[..]) {
        (_, []) => {
            (format!("{} has no programs", recipe.name), "a program is a file in bin or sbin".to_owned())
        }
        (Some(bin), names) => (
            format!("{} has no program {bin:?}", recipe.name),
            format!("its programs are {}", names.join(", ")),
        ),
        (None, names) => (
            format!("{} has several programs", recipe.name),
            format!("--bin says which: {}", names.join(", ")),
        ),
    };
    Err(anyhow::anyhow!("{error}")).exit(exit::NOT_FOUND).hint(hint)
}

/// This process becomes the program.
fn become_it(
    settings: &Settings,
    program: &Path,
    prefix: &Path,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    settings.interrupt.check()?;
    let in_front = |name: &str, dirs: &[&str]| {
        let dirs = dirs.iter().map(|dir| prefix.join(dir)).filter(|dir| dir.is_dir());
        let old = std::env::var_os(name).filter(|old| !old.is_empty());
        std::env::join_paths(dirs.chain(old.iter().flat_map(std::env::split_paths)))
            .with_context(|| format!("cannot add {} to {name}", prefix.display()))
    };
    let mut cmd = Cmd::new(program).args(options.args.iter().cloned()).keep_locale();
    cmd = cmd.env("PATH", in_front("PATH", &["bin", "sbin"])?);
    let libraries = in_front("LD_LIBRARY_PATH", &["lib", "lib64"])?;
    if *prefix != *settings.places.prefix && !libraries.is_empty() {
        cmd = cmd.env("LD_LIBRARY_PATH", libraries);
    }
    let error = cmd.std().exec();
    Err(error).with_context(|| format!("failed to run {}", program.display()))
}
