//! What can be typed, and which of the three processes this one is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use common::cli::tell;

use super::plan::{FAILED, Role};
use super::{enter, guard, session, userns};

/// Runs a command in the root of another system, with everything mounted that it needs.
///
/// /proc, /sys, /dev, /run and /tmp are there, EFI variables can be written, name resolution works. All mounts live in a
/// namespace of their own: they are gone when the command has ended, and so are mounts made by the command.
#[derive(Debug, Parser)]
#[command(
    name = "recchroot",
    version,
    after_help = "Without a command: the user's shell in the target, else /bin/bash, else /bin/sh.",
    after_long_help = "Without a command: the user's shell in the target, else /bin/bash, else /bin/sh.\n\
        \n\
        Exit codes: the command's own; 128+N when signal N ended it; 125 recchroot itself failed (also for a wrong \
        command line), 126 the command is there but cannot be started, 127 there is no such command"
)]
pub(super) struct Cli {
    /// Run as this user of the target (names or numbers), with his groups and home
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,
    /// Leave the target's /etc/resolv.conf alone (otherwise the running system's is seen there, read-only)
    #[arg(short = 'r', long = "keep-resolv-conf")]
    pub(super) keep_resolv_conf: bool,
    /// Work as an ordinary user, in a user namespace: no EFI variables, few devices
    #[arg(short = 'N', long)]
    pub(super) unprivileged: bool,
    /// Root directory of the other system
    #[arg(value_name = "ROOT")]
    pub(super) root: PathBuf,
    /// Command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<OsString>,
}

/// Parses the command line and does what it says. Failures of our own are printed here and become 125, not the common
/// codes: those could be taken for the command's.
///
/// # Errors
/// None; the signature is that of the other programs.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args_os();
    let role = args.next().as_deref().and_then(Role::of);
    let status = match role {
        Some(Role::Guard) => guard::main(args.collect()),
        Some(Role::Enter) => enter::main(args.collect()),
        Some(Role::MapIds) => userns::map_ids(args.collect()),
        None => match Cli::try_parse() {
            Ok(cli) => session::run(cli),
            Err(e) => {
                let code = if e.use_stderr() { FAILED } else { 0 };
                // Nothing can be done when the help cannot be printed.
                let _ = e.print();
                Ok(code)
            }
        },
    };
    Ok(ExitCode::from(status.unwrap_or_else(|e| {
        tell(&common::cli::report(&e));
        FAILED
    })))
}

/// The command line as a value: man page and completions are made from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
