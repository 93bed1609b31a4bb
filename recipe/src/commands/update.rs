//! `recipe update`: what `check_update()` of recipes says -> their new `version`, and nothing else of the files.
//!
//! Servers are asked while nothing is locked, so that nobody waits for them. The lock is taken to write: a file that is not what it was when
//! it was read, but for its state, is left alone.
//!
//! - [`digests`]: what a file of the old version was held to
//! - [`report`]: what came of it, as text and JSON

mod digests;
mod report;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use common::cli::{Mark, code, exit_code, tell};

use super::Settings;
use crate::code::Code;
use crate::crew;
use crate::exit;
use crate::recipe::{Recipe, with_text};
use crate::shelf;
use crate::state::{State, located, quote};
use crate::text;
use crate::tx::{self, Desk, make};
use crate::upstream::is_announcement;
use crate::version::compare;
use crate::voice::held::held;
use crate::voice::progress::Tasks;
use crate::voice::summary::several;
use digests::{Digests, Stale};
use report::Report;

/// How many recipes are asked at the same time, if nobody says it. They wait for servers most of the time.
const JOBS: NonZero<usize> = NonZero::new(8).unwrap();

/// How long it is waited at least for who works when the answers are there: to ask all again takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options.
#[derive(Debug, Args)]
pub struct Options {
    /// Names of recipes; default: all that have `check_update()`.
    names: Vec<String>,
    /// Download the new files, and put their digests where those of the old ones stand: this trusts the servers.
    #[arg(long)]
    hash: bool,
    /// How many recipes are asked at the same time.
    #[arg(short, long, default_value_t = JOBS)]
    jobs: NonZero<usize>,
    /// Say what would happen; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What a recipe said: the newest version, and all that it said meanwhile.
struct Answer {
    newest: anyhow::Result<Newest>,
    said: Vec<String>,
}

/// A recipe with its text, and the version that is to come, if there is a newer one.
struct Newest {
    recipe: Recipe,
    text: String,
    to: Option<String>,
}

/// A recipe that has a new version.
struct Update {
    recipe: Recipe,
    /// Its text when it was asked.
    text: String,
    to: String,
    digests: Digests,
    warnings: Vec<String>,
}

/// Runs it. One recipe that fails does not keep the others from it.
///
/// # Errors
/// There is no network, a recipe that is named is not found, or it is interrupted.
pub fn run(settings: &Settings, options: &Options) -> anyhow::Result<ExitCode> {
    if settings.offline {
        return Err(anyhow::anyhow!("what versions there are can only be asked for with a network"))
            .exit(exit::FETCH)
            .hint("without --offline it is");
    }
    // A new version is in no lock file yet.
    let settings = Settings { locked: false, ..settings.clone() };
    if !options.dry_run {
        // Whoever may not write, or has to wait, knows it before anybody is asked.
        drop(settings.desk()?);
    }
    let desk = settings.desk_or_look(true)?;
    let (mut recipes, errors) = shelf::named_or_all(&settings.places, &options.names, shelf::load)?;
    let mut seen = BTreeSet::new();
    recipes.retain(|recipe| seen.insert(recipe.path.clone()));
    let mut all = Report::default();
    for error in errors {
        all.fail("", error);
    }
    let mut updates = Vec::new();
    let answers = ask(&desk, options.jobs, &recipes);
    for (recipe, answer) in recipes.into_iter().zip(answers) {
        desk.interrupt.check()?;
        let Some(answer) = answer else {
            if !options.names.is_empty() {
                tell(&format!("{} has no check_update()", recipe.name));
            }
            all.skipped.push(recipe.name);
            continue;
        };
        answer.said.iter().for_each(|line| tell(line));
        match answer.newest.and_then(|newest| update(&desk, options, newest)) {
            Ok(Some(update)) => updates.push(update),
            Ok(None) => all.current.push(recipe.name),
            Err(e) if exit_code(&e) == code::INTERRUPTED => return Err(e),
            Err(e) => all.fail(&recipe.name, e.context(format!("failed to update {}", recipe.name))),
        }
    }
    drop(desk);
    if !options.dry_run && !updates.is_empty() {
        updates = write(&settings, updates, &mut all)?;
    }
    for warning in updates.iter().flat_map(|update| &update.warnings) {
        tell(&format!("warning: {warning}"));
    }
    all.updates = updates;
    all.print(!options.dry_run, settings.json)
}

/// Changes the recipes; those that were.
fn write(settings: &Settings, updates: Vec<Update>, all: &mut Report) -> anyhow::Result<Vec<Update>> {
    let settings = Settings { wait: settings.wait.max(PATIENCE), ..settings.clone() };
    let desk = settings
        .desk()
        .with_context(|| format!("found {}, but wrote none", several(updates.len(), "new version")))?;
    let mut done = Vec::new();
    for update in updates {
        let Update { recipe, to, digests, .. } = &update;
        let written = tx::edit(&desk, recipe, |text| {
            unchanged(&update, text)?;
            edited(recipe, text, to, digests)
        });
        match written {
            Ok(()) => done.push(update),
            Err(e) => all.fail(&recipe.name, e.context(format!("failed to update {}", recipe.name))),
        }
    }
    Ok(done)
}

/// Whether a recipe says what it said when it was asked. What is installed of it may be something else by now.
fn unchanged(update: &Update, text: &str) -> anyhow::Result<()> {
    let says = |text: &str| State::default().splice(text).ok();
    if text == update.text || says(text).is_some_and(|now| Some(now) == says(&update.text)) {
        return Ok(());
    }
    let Recipe { name, path, .. } = &update.recipe;
    Err(anyhow::anyhow!("{} was changed while servers were asked, and is left as it is", path.display()))
        .exit(exit::CONFLICT)
        .hint(format!("`recipe update {name}` asks again"))
}

/// Asks all that have `check_update()`, each in a thread: its engine lives and dies there.
fn ask(desk: &Desk, jobs: NonZero<usize>, recipes: &[Recipe]) -> Vec<Option<Answer>> {
    let total = recipes.iter().filter(|recipe| recipe.has("check_update")).count();
    let progress = Tasks::new(total, "recipes");
    let answer = |recipe: &Recipe| {
        let (newest, said) = recipe.has("check_update").then(|| held(|| asked(desk, recipe)))?;
        Some(Answer { newest, said })
    };
    let mut number = 0;
    crew::each(jobs, recipes, answer, |at, answer| {
        // What ^C broke off is one error, said by who asked.
        if answer.is_some() && !desk.interrupt.is_set() {
            number += 1;
            progress.named(&recipes[at].name, (number, total));
        }
    })
}

/// Asks a recipe.
fn asked(desk: &Desk, recipe: &Recipe) -> anyhow::Result<Newest> {
    desk.interrupt.check()?;
    let (recipe, text) = with_text(&recipe.path)?;
    let to = newest(desk, &recipe, &text)?;
    let to = to.filter(|to| compare(to, &recipe.version).is_gt() && !announces(to, &recipe.version));
    Ok(Newest { recipe, text, to })
}

/// What is to be changed of a recipe, if something is.
fn update(desk: &Desk, options: &Options, newest: Newest) -> anyhow::Result<Option<Update>> {
    let Newest { recipe, text, to } = newest;
    let Some(to) = to else { return rehashed(desk, options, recipe, text) };
    // What would be refused is seen before anything is downloaded.
    let new = edited(&recipe, &text, &to, &Digests::new())?;
    let digests = match options.hash && !options.dry_run {
        true => digests::ask(desk, &recipe, &new)?,
        false => Digests::new(),
    };
    let mut warnings = warnings(&recipe, &text, &digests, options);
    if let Some(pin) = recipe.pinned.as_ref().filter(|pin| !pin.accepts(&to)) {
        warnings.push(format!("{} is pinned to {pin}: `recipe upgrade` leaves {to} out", recipe.name));
    }
    Ok(Some(Update { recipe, text, to, digests, warnings }))
}

/// As [`update`], of a recipe that is named and has the newest version: its digests may still be those of the file before.
fn rehashed(desk: &Desk, options: &Options, recipe: Recipe, text: String) -> anyhow::Result<Option<Update>> {
    if !options.hash || options.dry_run || options.names.is_empty() {
        return Ok(None);
    }
    let digests = digests::ask(desk, &recipe, &text)?;
    if digests.iter().all(|(old, new)| old == new) {
        return Ok(None);
    }
    let (to, warnings) = (recipe.version.clone(), vec![unvouched(&recipe.name)]);
    Ok(Some(Update { recipe, text, to, digests, warnings }))
}

/// What its `check_update()` says.
fn newest(desk: &Desk, recipe: &Recipe, text: &str) -> anyhow::Result<Option<String>> {
    let code = Code::new(recipe.clone(), text.to_owned())?;
    desk.trusts(&code)?;
    let program = make::program(desk, &Desk::new_tx(), &code, None)?;
    let found = program.run("check_update")?;
    if found.is_unit() {
        return Ok(None);
    }
    let found = found
        .into_string()
        .map_err(|kind| anyhow::anyhow!("expected check_update() to give a version or (), found {kind}"))
        .exit(exit::RECIPE)?;
    let found = found.trim();
    // As the recipe writes it: addresses are made of it.
    let digit = |text: &&str| text.starts_with(|c: char| c.is_ascii_digit());
    let plain = found.strip_prefix('v').filter(digit).filter(|_| digit(&recipe.version.as_str()));
    let version = plain.unwrap_or(found);
    let fits =
        !version.is_empty() && !version.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
    if !fits || !version.contains(|c: char| c.is_ascii_digit()) {
        return Err(anyhow::anyhow!("expected check_update() to give a version or (), found {version:?}"))
            .exit(exit::RECIPE);
    }
    Ok(Some(version.to_owned()))
}

/// Whether a version only announces another one, as 1.1-rc1 does 1.1: rpm's order, by which such versions are compared, has it behind that.
fn announces(version: &str, other: &str) -> bool {
    let rest = version.strip_prefix(other).map(|rest| rest.trim_start_matches(['-', '.', '~', '_', '+']));
    rest.is_some_and(is_announcement)
}

/// A recipe's text with another version, and other digests.
fn edited(recipe: &Recipe, text: &str, to: &str, digests: &Digests) -> anyhow::Result<String> {
    let path = &recipe.path;
    let here = |e| located(path, text, &e);
    let version = text::field(text, "pkg", "version").map_err(here).exit(exit::RECIPE)?;
    let version = version
        .with_context(|| format!("{} has no literal `version` in `pkg`", path.display()))
        .exit(exit::RECIPE)?;
    let other = (to != recipe.version).then(|| (version.span.clone(), quote(to)));
    let mut edits: Vec<_> = other.into_iter().collect();
    for literal in text::strings(text).map_err(here).exit(exit::RECIPE)? {
        let old = literal.text.trim().to_ascii_lowercase();
        let new = digests.get(&old).filter(|new| **new != old && literal.span != version.span);
        edits.extend(new.map(|new| (literal.span, quote(new))));
    }
    let new = text::replace(text, &edits).map_err(here).exit(exit::RECIPE)?;
    let check = Recipe::parse(&new, path)?;
    ensure!(check.version == to, "the new version does not fit into {}", path.display());
    Ok(new)
}

fn unvouched(name: &str) -> String {
    format!("{name}: its digests are now those of what the servers sent; nobody else vouches for them")
}

/// What in a recipe still belongs to the old version.
fn warnings(recipe: &Recipe, text: &str, digests: &Digests, options: &Options) -> Vec<String> {
    let (name, old) = (&recipe.name, &recipe.version);
    let mut all = Vec::new();
    if digests.iter().any(|(old, new)| old != new) {
        all.push(unvouched(name));
    }
    for Stale { place, text, what } in digests::stale(text) {
        let place = format!("{}:{place}: this {what}", recipe.path.display());
        match (digests.contains_key(&text), options.hash) {
            (true, _) => {}
            _ if what == "commit" => all.push(format!("{place} is still that of {old}")),
            (false, true) if options.dry_run => {}
            (false, true) => all.push(format!("{place} was not asked for here, and is still that of {old}")),
            (false, false) => all.push(format!(
                "{place} is still that of {old}: put in the one that its makers publish, else the new file is \
                 refused; `recipe update --hash` would have taken the server's word for it"
            )),
        }
    }
    all
}
