//! What can be typed: clap's types, and from them the settings that commands work with.
//!
//! - [`mistakes`]: what is said of what cannot be understood

mod mistakes;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{self, Settings};
use crate::exit;
use crate::interrupt::Interrupt;
use crate::places::{Places, Wanted};

/// The package manager whose packages are code, and whose state is the file.
///
/// A recipe is a Rhai program, NAME.rhai. What is installed of it stands in the same file.
#[derive(Debug, Parser)]
#[command(name = "recipe", version, after_help = after_help(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Directory of the recipes; default: PREFIX/share/recipes.
    #[arg(short, long, global = true, value_name = "DIR", env = "RECIPE_PATH")]
    recipes: Option<PathBuf>,
    /// Where packages go; default: /usr/local for root, ~/.local else.
    #[arg(short, long, global = true, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Root of another system to install into.
    #[arg(short = 'R', long, global = true, value_name = "DIR")]
    sysroot: Option<PathBuf>,
    /// Where downloads are kept; default: /var/cache/recipe for root, ~/.cache/recipe else.
    #[arg(long, global = true, value_name = "DIR", env = "RECIPE_CACHE")]
    cache: Option<PathBuf>,
    /// Use only what was downloaded before.
    #[arg(long, global = true)]
    offline: bool,
    /// Make packages only as recipe.lock says: from these recipes and these files.
    #[arg(long, global = true)]
    locked: bool,
    /// Install only recipes that are trusted as they are (`recipe trust`).
    #[arg(long, global = true, env = "RECIPE_REQUIRE_TRUST", value_parser = clap::builder::FalseyValueParser::new())]
    require_trust: bool,
    /// Wait so long for another recipe that is at work.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Print JSON on stdout.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    voice: crate::voice::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install packages, all of them or none.
    #[command(visible_alias = "add")]
    Install(commands::install::Options),
    /// Install what recipes have in another version than is installed, all of it or nothing.
    #[command(visible_alias = "up")]
    Upgrade(commands::upgrade::Options),
    /// Remove packages, all of them or none.
    #[command(visible_aliases = ["rm", "uninstall"])]
    Remove(commands::remove::Options),
    /// List recipes with their versions and what is installed of them.
    #[command(visible_alias = "ls")]
    List(commands::list::Options),
    /// Find recipes by words in their names and descriptions.
    #[command(visible_alias = "find")]
    Search(commands::search::Options),
    /// List what is installed in another version than its recipe has.
    Outdated,
    /// Show what a recipe says of itself.
    Info {
        /// Names or files of recipes.
        #[arg(required = true)]
        names: Vec<OsString>,
    },
    /// List the installed files of packages.
    Files {
        /// Names of packages.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Show which package a file belongs to, or all that have a directory, also if it is one of the base.
    Owns {
        /// Paths of files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Show where commands are found in PATH, and which package they belong to.
    Which {
        /// Names of commands.
        #[arg(required = true)]
        commands: Vec<String>,
    },
    /// Compare installed files with what was installed; without names those of all packages.
    Check {
        /// Names of packages.
        names: Vec<String>,
    },
    /// Find what is wrong with the prefix, the recipes and the system, and say what can be done.
    Doctor,
    /// Explain why a package is there: who needs it, up to what was asked for.
    Why {
        /// Name of a package.
        name: String,
    },
    /// Show what a package needs, or would need.
    #[command(visible_alias = "deps")]
    Tree {
        /// Name of a package, or name or file of a recipe.
        name: OsString,
        /// Show what needs it.
        #[arg(long)]
        reverse: bool,
    },
    /// Show what would be affected if an installed package went, or became what its recipe has now.
    Impact {
        /// Name of a package.
        name: String,
    },
    /// List packages that came for others which are gone.
    Orphans,
    /// Remove packages that came for others which are gone.
    Autoremove {
        /// Say what would happen; change nothing.
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Change why packages are there.
    Mark {
        /// The reason.
        reason: commands::needs::Reason,
        /// Names of packages.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Keep packages at their versions, or at those that a condition allows.
    Pin(commands::pin::Options),
    /// Allow every version of packages again.
    Unpin {
        /// Names of packages.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Ask recipes for newer versions, and write these into them; installs nothing.
    Update(commands::update::Options),
    /// Write a recipe: an empty one, or one that is made from an archive, a program or a release.
    New(commands::new::Options),
    /// Show the functions that recipes can call.
    Helpers {
        /// Only this one.
        name: Option<String>,
        /// As a page of the reference.
        #[arg(long, hide = true)]
        markdown: bool,
    },
    /// Check recipe files without running them; without names all of them.
    Lint {
        /// Names or files of recipes.
        files: Vec<OsString>,
    },
    /// Print digests of files, as sha256sum does.
    Hash(commands::hash::Options),
    /// Open a recipe in your editor ($VISUAL, $EDITOR), and look for mistakes afterwards.
    Edit {
        /// Name or file of a recipe.
        name: OsString,
    },
    /// Show what a recipe can do, and what of it the installed version could not.
    Review {
        /// Name or file of a recipe.
        name: OsString,
    },
    /// Show how a recipe differs from what is installed of it.
    Diff {
        /// Name of a package.
        name: String,
    },
    /// Write down that you reviewed recipes: they may change, but not do more.
    Trust(commands::trust::Options),
    /// Forget that recipes were reviewed.
    Untrust {
        /// Names of recipes.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// List what was done: transactions that are kept, the last one first.
    History(commands::history::Options),
    /// Undo a transaction: what it installed goes, what it replaced or removed comes back.
    Undo(commands::undo::Options),
    /// Bring back a version of a package that was installed before.
    Rollback(commands::undo::RollbackOptions),
    /// Bring this prefix to what the recipe files say: install what they say is installed, but is not here.
    SyncState(commands::sync::Options),
    /// Merge configuration files that were changed here and by their package.
    Etc(commands::etc::Options),
    /// Run a program of a package without installing it.
    Run(commands::run::Options),
    /// Write down what packages are made from, so that `--locked` makes the same ones elsewhere.
    Lock(commands::lock::Options),
    /// Download what the lock file says, so that `--locked --offline` works later.
    Fetch(commands::fetch::Options),
    /// Look at what was downloaded, or remove what nobody needs of it.
    Cache {
        /// What to do.
        #[command(subcommand)]
        action: commands::cache::Action,
    },
    /// End what an interrupted run left. Every command that changes something does so too.
    Repair,
}

/// Runs the program.
///
/// # Errors
/// Whatever the command fails with; the exit code is in it.
pub fn run() -> anyhow::Result<ExitCode> {
    if let Some(code) = crate::confine::role() {
        return Ok(code);
    }
    if crate::complete::answer(command) {
        return Ok(ExitCode::SUCCESS);
    }
    let matches = Cli::command().color(color()).try_get_matches();
    let matches = matches.unwrap_or_else(|e| mistakes::explain(e, Cli::command()).exit());
    let Cli { command, global } = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let interrupt = Interrupt::install()?;
    let Global { recipes, prefix, sysroot, cache, offline, locked, require_trust, wait, json, voice } =
        global;
    crate::voice::set_up(voice, json);
    let places = Places::new(Wanted { sysroot, prefix, recipes, cache })?;
    let settings =
        Settings { places, offline, locked, require_trust, wait: Duration::from_secs(wait), json, interrupt };
    match command {
        Command::Install(options) => commands::install::run(&settings, &options),
        Command::Upgrade(options) => commands::upgrade::run(&settings, &options),
        Command::Remove(options) => commands::remove::run(&settings, &options),
        Command::List(options) => commands::list::run(&settings, &options),
        Command::Search(options) => commands::search::run(&settings, &options),
        Command::Outdated => commands::list::run(&settings, &commands::list::Options::outdated()),
        Command::Info { names } => commands::info::run(&settings, &names),
        Command::Files { names } => commands::files::run(&settings, &names),
        Command::Owns { paths } => commands::owns::run(&settings, &paths),
        Command::Which { commands } => commands::which::run(&settings, &commands),
        Command::Check { names } => commands::check::run(&settings, &names),
        Command::Doctor => commands::doctor::run(&settings),
        Command::Lint { files } => commands::lint::run(&settings, &files),
        Command::Why { name } => commands::needs::why(&settings, &name),
        Command::Tree { name, reverse } => commands::needs::tree(&settings, &name, reverse),
        Command::Impact { name } => commands::impact::run(&settings, &name),
        Command::Orphans => commands::needs::orphans(&settings),
        Command::Autoremove { dry_run } => commands::remove::autoremove(&settings, dry_run),
        Command::Mark { reason, names } => commands::needs::mark(&settings, reason, &names),
        Command::Pin(options) => commands::pin::run(&settings, &options),
        Command::Unpin { names } => commands::pin::unpin(&settings, &names),
        Command::Update(options) => commands::update::run(&settings, &options),
        Command::New(options) => commands::new::run(&settings, &options),
        Command::Helpers { name, markdown } => commands::helpers::run(&settings, name.as_deref(), markdown),
        Command::Hash(options) => commands::hash::run(&settings, &options),
        Command::Edit { name } => commands::edit::run(&settings, &name),
        Command::Review { name } => commands::review::review(&settings, &name),
        Command::Diff { name } => commands::review::diff(&settings, &name),
        Command::Trust(options) => commands::trust::trust(&settings, &options),
        Command::Untrust { names } => commands::trust::untrust(&settings, &names),
        Command::History(options) => commands::history::run(&settings, &options),
        Command::Undo(options) => commands::undo::undo(&settings, &options),
        Command::Rollback(options) => commands::undo::rollback(&settings, &options),
        Command::SyncState(options) => commands::sync::run(&settings, &options),
        Command::Etc(options) => commands::etc::run(&settings, &options),
        Command::Run(options) => commands::run::run(&settings, &options),
        Command::Lock(options) => commands::lock::run(&settings, &options),
        Command::Fetch(options) => commands::fetch::run(&settings, &options),
        Command::Cache { action } => commands::cache::run(&settings, &action),
        Command::Repair => commands::repair::run(&settings),
    }
}

/// The definition of the command line, for the manual and completions.
#[must_use]
pub fn command() -> clap::Command {
    crate::complete::with_names(Cli::command())
}

/// `--color`, looked for before the command line is understood: its errors and help have colours, too.
fn color() -> ColorChoice {
    // Paths may be no text.
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let args: Vec<_> = args.take_while(|arg| arg != "--").collect();
    let after = args.iter().position(|arg| arg == "--color").and_then(|at| args.get(at + 1));
    let value = args.iter().find_map(|arg| arg.strip_prefix("--color=")).or(after.map(String::as_str));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// What no option says; the others name their variable themselves.
const ENVIRONMENT: &str = "\
Environment:
  SSL_CERT_FILE, SSL_CERT_DIR   certificates of those whom https trusts, instead of the system's
  https_proxy, http_proxy, all_proxy, no_proxy
                                proxies of downloads, and hosts for which there is none";

fn after_help() -> String {
    let codes: String = exit::TABLE.iter().map(|(code, what)| format!("\n  {code:<4} {what}")).collect();
    format!("{ENVIRONMENT}\n\nExit codes:{codes}")
}
