//! Completion by the program itself: the shell's script calls it with `COMPLETE=SHELL`, and gets words.
//!
//! command line so far -> candidates. Options and commands come from clap's definition, names from [`NAMES`]: recipes from the
//! names of their files, installed packages from the records of the prefix, and then from the recipes these name. So one
//! look at a directory of ten thousand recipes is all that is read. `-r`, `-p` and `-R` are considered where they were
//! typed. Nothing is ever an error here: what cannot be read has no candidates.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::dir::Dir;
use crate::lockfile::Lockfile;
use crate::places::{OWN, Places, Wanted};
use crate::recipe::Recipe;
use crate::tx::history::History;
use crate::{db, shelf};

/// The variable by which a shell asks.
const VARIABLE: &str = "COMPLETE";

/// What an argument names.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Recipes,
    Installed,
    Outdated,
    Locked,
    Helpers,
    Transactions,
    Versions,
}

/// Commands, their arguments, and what these name.
const NAMES: &[(&str, &str, Kind)] = &[
    ("install", "names", Kind::Recipes),
    ("upgrade", "names", Kind::Outdated),
    ("remove", "names", Kind::Installed),
    ("info", "names", Kind::Recipes),
    ("files", "names", Kind::Installed),
    ("check", "names", Kind::Installed),
    ("why", "name", Kind::Installed),
    ("tree", "name", Kind::Recipes),
    ("impact", "name", Kind::Installed),
    ("mark", "names", Kind::Installed),
    ("pin", "packages", Kind::Installed),
    ("unpin", "names", Kind::Installed),
    ("update", "names", Kind::Recipes),
    ("helpers", "name", Kind::Helpers),
    ("lint", "files", Kind::Recipes),
    ("history", "tx", Kind::Transactions),
    ("undo", "tx", Kind::Transactions),
    ("rollback", "name", Kind::Installed),
    ("rollback", "version", Kind::Versions),
    ("lock", "names", Kind::Recipes),
    ("fetch", "names", Kind::Locked),
    ("run", "name", Kind::Recipes),
    ("review", "name", Kind::Recipes),
    ("diff", "name", Kind::Recipes),
    ("trust", "names", Kind::Recipes),
    ("untrust", "names", Kind::Recipes),
    ("edit", "name", Kind::Recipes),
];

/// Adds to a definition what its arguments name.
#[must_use]
pub fn with_names(mut command: Command) -> Command {
    for (name, argument, kind) in NAMES {
        let completer = ArgValueCompleter::new(|word: &OsStr| candidates(*kind, word));
        command = command.mut_subcommand(name, |sub| sub.mut_arg(argument, |arg| arg.add(completer)));
    }
    command
}

/// Answers a shell that asks, which ends the process or is `true`; does nothing if none does.
#[must_use]
pub fn answer(command: fn() -> Command) -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    // Without HOME the standard library would ask NSS for it, which a static program must not (xtask's check of packages).
    if std::env::var_os("HOME").is_some_and(|home| !home.is_empty()) {
        let command = move || {
            let command = hide_aliases(command());
            if wants_option() { command } else { without_options(without_values(command)) }
        };
        CompleteEnv::with_factory(command).var(VARIABLE).bin("recipe").completer("recipe").complete();
    }
    true
}

/// Whether the word that is completed begins as an option does. Bash and zsh say which word it is; for fish it is the last.
fn wants_option() -> bool {
    let words: Vec<_> = std::env::args_os().skip_while(|arg| arg != "--").skip(1).collect();
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    let word = words.get(index.unwrap_or(words.len().saturating_sub(1)));
    word.is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"))
}

/// An option whose value stands behind `=` has none in the next word: what is typed there is a name.
fn without_values(command: Command) -> Command {
    let flag = |arg: Arg| match arg.is_require_equals_set() {
        true => {
            let long = arg.get_long().map(|long| &*long.to_owned().leak());
            let flag = Arg::new(arg.get_id().clone()).short(arg.get_short()).action(ArgAction::SetTrue);
            flag.long(long)
        }
        false => arg,
    };
    let command = command.mut_args(flag);
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| command.mut_subcommand(name, without_values))
}

/// Who has typed nothing yet means a name: a list of all options would hide it.
fn without_options(command: Command) -> Command {
    let hidden = |arg: Arg| if arg.is_positional() { arg } else { arg.hide(true) };
    let command = command.disable_help_flag(true).disable_version_flag(true).mut_args(hidden);
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| command.mut_subcommand(name, without_options))
}

/// Other names of a command are completed for who begins one, and not offered beside it: clap keeps one candidate a command,
/// and that would be the first in the alphabet.
fn hide_aliases(command: Command) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let hide = |sub: Command| {
        // clap wants them for good; the process ends with its answer.
        let aliases: Vec<&'static str> =
            sub.get_all_aliases().map(|alias| &*alias.to_owned().leak()).collect();
        sub.visible_alias(None).aliases(aliases)
    };
    names.iter().fold(command, |command, name| command.mut_subcommand(name, hide))
}

/// Shells, and where their scripts are installed below share.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("bash", "bash-completion/completions/recipe.bash"),
    ("zsh", "zsh/site-functions/_recipe"),
    ("fish", "fish/vendor_completions.d/recipe.fish"),
];

/// The script that makes a shell ask; `program` is what it calls.
///
/// # Errors
/// There is none for this shell.
pub fn script(shell: &str, program: &str) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let shell: &dyn EnvCompleter = match shell {
        "bash" => &Bash,
        "zsh" => &Zsh,
        "fish" => &Fish,
        other => return Err(std::io::Error::other(format!("there is no completion for {other}"))),
    };
    shell.write_registration(VARIABLE, "recipe", "recipe", program, &mut out)?;
    if shell.name() == "zsh" {
        // A file below site-functions is a function: the first time it is called it must complete, too.
        writeln!(out, "[ \"$funcstack[1]\" = _recipe ] && _clap_dynamic_completer_recipe")?;
    }
    Ok(out)
}

fn candidates(kind: Kind, word: &OsStr) -> Vec<CompletionCandidate> {
    let args: Vec<OsString> = std::env::args_os().collect();
    let Some(word) = word.to_str() else { return Vec::new() };
    if matches!(kind, Kind::Recipes) && word.contains('/') {
        let is_meant = |path: &Path| path.is_dir() || path.extension().is_some_and(|e| e == "rhai");
        return PathCompleter::any().filter(is_meant).complete(OsStr::new(word));
    }
    let names = places(&args).map(|places| names(kind, &places, &args)).unwrap_or_default();
    // What is on the line already is not meant again.
    let is_new = |name: &String| args.iter().all(|arg| arg != name.as_str()) || word == name;
    names
        .into_iter()
        .filter(|name| name.starts_with(word) && is_new(name))
        .map(CompletionCandidate::new)
        .collect()
}

fn names(kind: Kind, places: &Places, args: &[OsString]) -> Vec<String> {
    match kind {
        Kind::Recipes => {
            let files = shelf::files(places.shelf()).unwrap_or_default();
            files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
        }
        Kind::Installed => installed(places).into_iter().map(|recipe| recipe.name).collect(),
        Kind::Outdated => {
            installed(places).into_iter().filter(Recipe::is_outdated).map(|recipe| recipe.name).collect()
        }
        Kind::Locked => {
            let lockfile = Lockfile::read(&places.recipes, false).ok().flatten().unwrap_or_default();
            lockfile.packages.into_iter().map(|package| package.name).collect()
        }
        Kind::Helpers => crate::engine::helpers::table().map(|helper| helper.name.to_owned()).collect(),
        Kind::Transactions => {
            let history = own(places).and_then(|own| History::open(&own).ok()?);
            history.map(|h| h.newest_first().map(str::to_owned).collect()).unwrap_or_default()
        }
        Kind::Versions => versions(places, args),
    }
}

/// Versions of a package on the line that were installed before.
fn versions(places: &Places, args: &[OsString]) -> Vec<String> {
    let Some(own) = own(places) else { return Vec::new() };
    let of = |recipe: Recipe| {
        let records = db::all(&own, &recipe.name).unwrap_or_default();
        let others = records.into_iter().map(|(_, record)| record.version);
        // What was installed again is the same version.
        others.filter(|v| Some(v.as_str()) != recipe.installed_version()).collect::<BTreeSet<_>>()
    };
    let named = installed(places).into_iter().filter(|r| args.iter().any(|arg| *arg == *r.name));
    named.flat_map(of).collect()
}

/// Packages that have a record in the prefix and whose recipe says that they are installed.
fn installed(places: &Places) -> Vec<Recipe> {
    let mut names: Vec<_> = own(places).map(|own| db::names(&own)).unwrap_or_default();
    names.dedup_by(|a, b| a.0 == b.0);
    let load = |name: &str| Recipe::load(&places.recipe(name)).ok();
    names.iter().filter_map(|(name, _)| load(name)).filter(|recipe| recipe.state.installed).collect()
}

fn own(places: &Places) -> Option<Dir> {
    Dir::open(&places.prefix_here().join(OWN)).ok()
}

/// Places, as the line so far says.
fn places(args: &[OsString]) -> Option<Places> {
    let value = |short: &str, long: &str| {
        let assigned = format!("{long}=");
        args.iter().enumerate().rev().find_map(|(i, arg)| {
            let text = arg.to_str()?;
            if text == short || text == long {
                return args.get(i + 1).map(PathBuf::from);
            }
            text.strip_prefix(&assigned).map(PathBuf::from)
        })
    };
    let variable = std::env::var_os("RECIPE_PATH").map(PathBuf::from);
    let recipes = value("-r", "--recipes").or(variable);
    let (sysroot, prefix) = (value("-R", "--sysroot"), value("-p", "--prefix"));
    Places::new(Wanted { sysroot, prefix, recipes, cache: None }).ok()
}
