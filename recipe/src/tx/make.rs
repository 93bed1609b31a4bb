//! A recipe -> a staged package: its phases, run in a build directory of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use anyhow::Context as _;
use common::cli::Mark;

use super::desk::Desk;
use super::journal::{BUILD, HOME, STAGE};
use crate::claims::Books;
use crate::code::{Code, Origin};
use crate::db::Source;
use crate::engine::{Cage, Context, Program, Ran};
use crate::exit;
use crate::places::OWN;
use crate::recipe::Recipe;
use crate::stage::{self, Listing, What};

/// A staged package.
pub struct Made {
    /// Its recipe, with all that can run of it.
    pub code: Code,
    /// What it will install.
    pub listing: Listing,
    /// Of these files what will be installed is not the package's, but what somebody had made of them; this is the package's.
    pub changed: BTreeMap<String, What>,
    /// What was downloaded.
    pub sources: Vec<Source>,
    /// Programs that were run for it.
    pub programs: Vec<Ran>,
    /// What users should know.
    pub notes: Vec<String>,
    /// Whether its recipe's state is what [`super::retake`] has made of the records.
    pub retaken: bool,
    /// For `post_install`.
    pub program: Rc<Program>,
}

/// What came of it.
pub enum Outcome {
    /// It is ready.
    Made(Box<Made>),
    /// Its own `is_installed()` says that it is there already, though not by us.
    Present(Box<Recipe>),
}

/// Where a package of a transaction is staged, below our own directory.
#[must_use]
pub fn staged(tx: &str, name: &str) -> String {
    format!("{STAGE}/{tx}/new/{name}")
}

/// Runs the phases of a recipe until it is staged.
///
/// # Errors
/// The recipe is wrong, not trusted, or not as locked, or one of its phases fails.
pub fn make(desk: &Desk, tx: &str, path: &Path) -> anyhow::Result<Outcome> {
    let mut code = Code::load(path)?;
    if let Some(dir) = desk.beside.get(&code.recipe.name) {
        code.origin = Origin::CopyOf(dir.clone());
    }
    let books = Books::open(&desk.places)?;
    code.recipe = books.settle(code.recipe)?;
    let name = code.recipe.name.clone();
    // By no other means, if it is by ours, whatever its file says.
    let was_installed = code.recipe.state.installed || books.lost(&name)?.is_some();
    desk.trusts(&code)?;
    let locked = match &desk.lockfile {
        Some(lockfile) if desk.locked => Some(lockfile.require(&code)?.sources().collect()),
        Some(lockfile) => {
            lockfile.warn(&code)?;
            None
        }
        None => None,
    };
    let program = program(desk, tx, &code, locked)?;
    if !was_installed && program.has("is_installed") {
        let there = program.run("is_installed")?;
        if there
            .as_bool()
            .map_err(|t| anyhow::anyhow!("expected is_installed() to be true or false, found {t}"))
            .exit(exit::RECIPE)?
        {
            return Ok(Outcome::Present(Box::new(code.recipe)));
        }
    }
    for phase in ["acquire", "build", "install"].into_iter().filter(|p| program.has(p)) {
        let _shown = crate::voice::progress::phase(&name, phase);
        program.run(phase).map(drop).with_context(|| format!("{phase} of {name} failed"))?;
    }
    let context = program.context().borrow();
    let mut listing = stage::list(&context.stage).with_context(|| format!("cannot install {name}"))?;
    for entry in &mut listing.entries {
        entry.config = context.configs.contains(&entry.path);
    }
    let mut paths = listing.entries.iter().map(|entry| &entry.path).chain(&listing.dirs);
    if let Some(own) = paths.find(|path| desk.places.is_own(path)) {
        return Err(anyhow::anyhow!("{} belongs to recipe itself", desk.places.installed(own)))
            .with_context(|| format!("cannot install {name}"))
            .exit(exit::RECIPE);
    }
    if listing.entries.is_empty() {
        return Err(anyhow::anyhow!("{name} installs no files"))
            .exit(exit::RECIPE)
            .hint("its install() has to call a helper like install_bin");
    }
    let sources = context.downloads.iter();
    let sources = sources.map(|d| Source { url: d.url.clone(), sha256: d.sha256, size: d.size });
    let sources = sources.chain(context.also_used.iter().cloned()).collect();
    let programs = context.programs.clone();
    drop(context);
    Ok(Outcome::Made(Box::new(Made {
        code,
        listing,
        changed: BTreeMap::new(),
        sources,
        programs,
        notes: Vec::new(),
        retaken: false,
        program: Rc::new(program),
    })))
}

/// A fresh directory that nobody else looks into, and that is gone with the desk.
///
/// # Errors
/// It cannot be made.
pub fn scratch(desk: &Desk, tx: &str) -> anyhow::Result<crate::dir::Dir> {
    let bench = desk.bench()?;
    let made = bench.make(BUILD, 0o700).and_then(|_| bench.make(&format!("{BUILD}/{tx}"), 0o700));
    made.with_context(|| format!("failed to create {}/{BUILD}", bench.path.display()))
}

/// A recipe's code with fresh directories to work in; `locked` are the only files it may be made from.
///
/// # Errors
/// The recipe has mistakes, or the directories cannot be made.
pub fn program(desk: &Desk, tx: &str, code: &Code, locked: Option<Vec<Source>>) -> anyhow::Result<Program> {
    let (recipe, bench) = (&code.recipe, desk.bench()?);
    let open = |path: &str| {
        // Nobody else looks into what is not finished.
        let top = path.split('/').take(2).collect::<Vec<_>>().join("/");
        bench
            .make(&top, 0o700)
            .and_then(|_| bench.make(path, 0o755))
            .with_context(|| format!("failed to create {}/{path}", bench.path.display()))
    };
    let places = &desk.places;
    let real = desk.own.path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut hidden = vec![places.prefix.join(OWN), places.recipes.clone()];
    hidden.extend(places.recipes.strip_prefix(&real).ok().map(|below| places.prefix.join(below)));
    let cage = Cage { network: recipe.allow.iter().any(|a| a == "network-in-build"), prefix: real, hidden };
    let context = Context {
        package: recipe.name.clone(),
        phase: None,
        build: open(&format!("{BUILD}/{tx}/{}", recipe.name))?,
        home: open(&format!("{HOME}/{tx}/{}", recipe.name))?,
        cwd: String::new(),
        stage: open(&staged(tx, &recipe.name))?,
        prefix: desk.places.prefix.clone(),
        beside: desk
            .beside
            .get(&recipe.name)
            .cloned()
            .unwrap_or_else(|| recipe.path.parent().unwrap_or(Path::new(".")).to_owned()),
        cage,
        fetcher: desk.fetcher.clone(),
        anew: desk.anew,
        downloads: Vec::new(),
        also_used: Vec::new(),
        programs: Vec::new(),
        locked,
        granted: Default::default(),
        rehash: None,
        configs: Vec::new(),
        interrupt: desk.interrupt.clone(),
    };
    Program::new(code.clone(), context)
}
