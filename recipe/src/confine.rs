//! Programs of recipes, in a cage.
//!
//! [`Order`] -> [`Ended`]: what the program printed and how it ended. docs/reference/confinement.md says what it can see and do;
//! TEAM/0017 why.
//!
//! Three processes: `recipe` waits, reads what is printed and looks at the clock; `outer` makes the namespaces; `inner`, the
//! first process of the new PID namespace, makes the mounts, gives up what it may do, and starts the program. Each
//! dies with the one before it, and the kernel ends all of a PID namespace with its first process: nothing survives,
//! however `recipe` ends.

mod inner;
mod mounts;
mod outer;
mod owner;
mod wait;

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use common::cmd::Cmd;
use serde::{Deserialize, Serialize};

use crate::interrupt::Interrupt;
pub use owner::{ACCOUNT, Owner, give, has_account, take_back};
pub use wait::Ended;

/// Where programs see the build directory.
pub const BUILD: &str = "/build";
/// Where programs see their home while they build.
pub const HOME: &str = "/build-home";
/// Where programs see the stage: its content is at this path and the prefix, as DESTDIR has it.
pub const STAGE: &str = "/stage";
/// How `inner` and `outer` begin what they say of themselves.
const OURS: &str = "recipe cannot confine programs: ";
/// The status with which they end then.
const FAILED: u8 = 125;

/// A program that is to be run, and what it may see and do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory, as programs see it.
    pub cwd: String,
    /// The build directory, if it may be written.
    pub build: Option<PathBuf>,
    /// The home, where there is one.
    pub home: Option<PathBuf>,
    /// The stage, if it may be written.
    pub stage: Option<PathBuf>,
    /// The prefix where it is, and as programs see it; read-only.
    pub prefix: (PathBuf, PathBuf),
    /// What is hidden of what they could see otherwise.
    pub hidden: Vec<PathBuf>,
    /// Files and directories that can be read too, at their own paths.
    pub shown: Vec<PathBuf>,
    /// Whether there is a network.
    pub network: bool,
    /// Who runs it.
    pub owner: Owner,
}

/// Which of the processes this is, if it is none that a user started; its exit code then.
#[must_use]
pub fn role() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let role = match args.next()?.to_str()? {
        outer::NAME => outer::main,
        inner::NAME => inner::main,
        _ => return None,
    };
    Some(ExitCode::from(receive().and_then(|order| role(&order)).unwrap_or_else(|e| {
        common::cli::tell(&format!("{OURS}{e:#}"));
        FAILED
    })))
}

/// The order, from standard input: an argument may be no longer than 128 KiB. It stays open behind that, for as long as who gave it
/// is there.
fn receive() -> anyhow::Result<Order> {
    let mut json = Vec::new();
    std::io::stdin().lock().read_until(b'\n', &mut json).context("failed to read the order")?;
    ensure!(json.ends_with(b"\n"), "the order is cut off");
    serde_json::from_slice(&json).context("this is for recipe itself")
}

/// This program again, in another role.
fn again(name: &str) -> Command {
    let mut command = Cmd::new("/proc/self/exe").std();
    command.arg0(name).env_clear().stdin(Stdio::piped());
    command
}

/// Starts what [`again`] made. It reads the order before anything else, so that this waits for nothing; its standard input is left open.
fn start(command: &mut Command, order: &Order) -> anyhow::Result<Child> {
    let mut json = serde_json::to_vec(order).context("failed to write the order")?;
    json.push(b'\n');
    let mut child = command.spawn().context("failed to start recipe again")?;
    let handed = child.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(&json));
    if handed.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    handed.context("failed to hand on the order")?;
    Ok(child)
}

/// Runs a program. With `capture` its standard output is kept apart from what is shown when it fails.
///
/// # Errors
/// It cannot be confined or started, runs too long, or a signal came.
pub fn run(order: &Order, capture: bool, interrupt: &Interrupt) -> anyhow::Result<Ended> {
    let what = "failed to start recipe again";
    let (read, write) = std::io::pipe().context(what)?;
    let mut command = again(outer::NAME);
    command.stderr(write.try_clone().context(what)?);
    if capture {
        command.stdout(Stdio::piped());
    } else {
        command.stdout(write.try_clone().context(what)?);
    }
    drop(write);
    let child = start(&mut command, order)?;
    // Its ends of the pipes go with the command.
    drop(command);
    wait::wait(child, read, interrupt)
}

/// Whether programs can be confined here: runs one that does nothing.
///
/// # Errors
/// They cannot.
pub fn probe(interrupt: &Interrupt) -> anyhow::Result<()> {
    let usr = PathBuf::from("/usr");
    let order = Order {
        argv: vec!["true".to_owned()],
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: "/".to_owned(),
        build: None,
        home: None,
        stage: None,
        prefix: (usr.clone(), usr),
        hidden: Vec::new(),
        shown: Vec::new(),
        network: false,
        owner: Owner::find()?,
    };
    let ended = run(&order, false, interrupt)?;
    anyhow::ensure!(ended.status == 0, "`true` ended with status {}: {}", ended.status, ended.tail.trim());
    Ok(())
}
