//! Options -> every path `recipe` uses. Nobody joins strings elsewhere.
//!
//! ```text
//! PREFIX/share/recipes/NAME.rhai   recipes, which hold their state
//! /usr/share/recipe/recipes        those that came with the system: copied there when something is changed for the first time
//! PREFIX/.recipe/                  lock, journal, stage, build, db, history: see TEAM/0015
//! CACHE/                           downloads
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::cli::{Mark, code};

use crate::dir::Dir;
use crate::exit;

/// What the command line and the environment say of places.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `-R`: root of another system.
    pub sysroot: Option<PathBuf>,
    /// `-p`: the prefix, as it is called in that system.
    pub prefix: Option<PathBuf>,
    /// `-r`: directory of recipes.
    pub recipes: Option<PathBuf>,
    /// `--cache`.
    pub cache: Option<PathBuf>,
}

/// All places.
#[derive(Debug, Clone)]
pub struct Places {
    /// Root of the system that is installed into; `/` for this one.
    pub sysroot: PathBuf,
    /// The prefix inside that system: what stands in `installed_files`, and what programs see.
    pub prefix: PathBuf,
    /// Directory of recipes, as a path of this system.
    pub recipes: PathBuf,
    /// Recipes that came with the system; none where the user has said where his are.
    pub defaults: Option<PathBuf>,
    /// Downloads.
    pub cache: PathBuf,
}

impl Places {
    /// Fills in what was not said.
    ///
    /// # Errors
    /// There is no home directory, or a path is not usable.
    pub fn new(wanted: Wanted) -> anyhow::Result<Self> {
        let root = rustix::process::geteuid().is_root();
        let home = || {
            let home = std::env::var_os("HOME").map(PathBuf::from).filter(|h| h.is_absolute());
            home.context("HOME is not set").hint("say where packages go with --prefix").exit(code::USAGE)
        };
        let sysroot = absolute(wanted.sysroot.unwrap_or_else(|| "/".into()))?;
        let prefix = match wanted.prefix {
            Some(prefix) if sysroot == Path::new("/") => absolute(prefix)?,
            Some(prefix) => prefix,
            None if root || sysroot != Path::new("/") => "/usr/local".into(),
            None => home()?.join(".local"),
        };
        let absolute_prefix = || {
            ensure!(prefix.is_absolute(), "expected an absolute prefix, found {}", prefix.display());
            in_text("prefix", &prefix)
        };
        absolute_prefix().exit(code::USAGE)?;
        let inside = |path: &Path| sysroot.join(path.strip_prefix("/").unwrap_or(path));
        let defaults = wanted.recipes.is_none().then(|| inside(Path::new(DEFAULTS)));
        let recipes = match wanted.recipes {
            Some(dir) => absolute(dir)?,
            None => inside(&prefix).join(RECIPES),
        };
        in_text("directory of recipes", &recipes).exit(code::USAGE)?;
        let cache = match wanted.cache {
            Some(dir) => absolute(dir)?,
            None if root => inside(Path::new("/var/cache/recipe")),
            None => match std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|d| d.is_absolute()) {
                Some(dir) => dir.join("recipe"),
                None => home()?.join(".cache/recipe"),
            },
        };
        Ok(Self { sysroot, prefix, recipes, defaults, cache })
    }

    /// The prefix as a path of this system, for messages and for reading.
    #[must_use]
    pub fn prefix_here(&self) -> PathBuf {
        self.sysroot.join(self.prefix.strip_prefix("/").unwrap_or(&self.prefix))
    }

    /// Opens the prefix; what is missing of it is made.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn open_prefix(&self) -> anyhow::Result<Dir> {
        let dir = match self.sysroot == Path::new("/") {
            true => Dir::ensure(&self.prefix),
            false => Dir::ensure_in_root(&self.sysroot, &self.prefix),
        };
        dir.with_context(|| format!("cannot use the prefix {}", self.prefix_here().display()))
    }

    /// The path of an installed file as it stands in `installed_files`.
    #[must_use]
    pub fn installed(&self, relative: &str) -> String {
        format!("{}/{relative}", self.prefix.to_string_lossy().trim_end_matches('/'))
    }

    /// The other way round; none for a file outside of the prefix.
    #[must_use]
    pub fn relative<'a>(&self, installed: &'a str) -> Option<&'a str> {
        let rest = installed.strip_prefix(self.prefix.to_string_lossy().trim_end_matches('/'))?;
        rest.strip_prefix('/').filter(|rest| crate::dir::check(rest).is_ok())
    }

    /// Whether a path below the prefix is where we keep our own, recipes included: no package has anything there.
    #[must_use]
    pub fn is_own(&self, path: &str) -> bool {
        let below = |dir: &Path| Path::new(path).starts_with(dir);
        let recipes = self.recipes.strip_prefix(self.prefix_here()).ok();
        is_own(path) || recipes.is_some_and(|dir| !dir.as_os_str().is_empty() && below(dir))
    }

    /// The directory that recipes are read from. As long as a user has none they are those that came with the system; the first
    /// change copies these ([`crate::shelf::open`]).
    #[must_use]
    pub fn shelf(&self) -> &Path {
        let is_missing =
            || matches!(self.recipes.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound);
        match &self.defaults {
            Some(defaults) if is_missing() && defaults.is_dir() => defaults,
            _ => &self.recipes,
        }
    }

    /// Where the recipe of this name is, or would be.
    #[must_use]
    pub fn recipe(&self, name: &str) -> PathBuf {
        self.shelf().join(format!("{name}.rhai"))
    }
}

/// Where a system has the recipes that it comes with.
const DEFAULTS: &str = "/usr/share/recipe/recipes";

/// The directory of a prefix's own bookkeeping.
pub const OWN: &str = ".recipe";

/// Where recipes are in a prefix, if nobody said otherwise.
const RECIPES: &str = "share/recipes";

/// As [`Places::is_own`], for the usual places.
#[must_use]
pub fn is_own(path: &str) -> bool {
    [OWN, RECIPES].iter().any(|dir| Path::new(path).starts_with(dir))
}

/// What the journal and the states of recipes name must be text.
fn in_text(what: &str, path: &Path) -> anyhow::Result<()> {
    ensure!(path.to_str().is_some(), "expected a {what} in UTF-8, found {}", path.display());
    Ok(())
}

fn absolute(path: PathBuf) -> anyhow::Result<PathBuf> {
    std::path::absolute(&path)
        .with_context(|| format!("cannot use the path {}", path.display()))
        .exit(exit::NOT_FOUND)
}
