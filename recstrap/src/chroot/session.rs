//! What the user started: checks the target, makes the namespaces, starts the guard and waits for it.

use std::ffi::OsString;

use anyhow::{Context, bail};
use common::cli::{Mark, tell};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, Signal, geteuid, getpid, kill_process, set_child_subreaper};
use rustix::thread::UnshareFlags;

use super::account::{self, Account};
use super::cli::Cli;
use super::guard::report_ended;
use super::plan::{Plan, Role};
use super::processes::{Membership, mount_namespace};
use super::root::Root;
use super::signals::{Ended, Signals};
use super::userns;

/// Shells that are tried when the account has none.
const SHELLS: &[&str] = &["/bin/bash", "/bin/sh"];

/// Does what the command line says; returns the exit code.
pub(super) fn run(cli: Cli) -> anyhow::Result<u8> {
    if !cli.unprivileged && !geteuid().is_root() {
        return Err(anyhow::anyhow!("changing the root directory needs root"))
            .hint("run it as root, or with -N in a user namespace");
    }
    let root = Root::open(&cli.root)?;
    root.warnings()?.iter().for_each(|w| tell(&format!("warning: {w}")));
    let text = |file| root.text(file).map(Option::unwrap_or_default);
    let user = cli.user.as_deref().unwrap_or("root");
    let mut account = account::resolve(user, &text("etc/passwd")?, &text("etc/group")?)?;
    let command = if cli.command.is_empty() { vec![shell(&root, &account)?] } else { cli.command };
    if let [shell] = command.as_slice()
        && account.shell.is_none()
    {
        account.shell = shell.to_str().map(str::to_owned);
    }
    let mut plan = Plan {
        path: search_path(&root),
        root: root.path,
        account,
        keep_resolv_conf: cli.keep_resolv_conf,
        unprivileged: cli.unprivileged,
        may_set_groups: true,
        parent: 0,
        outside: mount_namespace().context("failed to read /proc/self/ns/mnt").hint("is /proc mounted?")?,
    };

    let mut signals = Signals::collect()?;
    if plan.unprivileged {
        plan.may_set_groups = userns::enter()?;
    } else {
        unshare(UnshareFlags::NEWNS)?;
    }
    // Mounts that are made outside later are seen inside, never the other way round.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)
        .context("failed to separate the mounts")?;
    set_child_subreaper(Some(getpid())).context("failed to become the reaper of the session")?;
    plan.parent = own_pid()?;
    let guard = Role::Guard.command(plan.to_args(&command)?).spawn();
    let guard = Pid::from_child(&guard.context("failed to start recchroot again").hint("is /proc mounted?")?);
    // Only somebody from outside stops the guard; what is to continue it reaches us first.
    let stop = || _ = kill_process(getpid(), Signal::STOP);
    let ended = signals.wait_for(guard, || false, stop)?;
    if let Ended::Signal(signal) = ended {
        tell(&format!("warning: the process that watches over the command was ended by signal {signal}"));
        if !plan.unprivileged {
            report_ended(&Membership::new(&plan.outside, &[]).context("failed to read /proc")?);
        }
    }
    Ok(ended.exit_code())
}

/// unshare(2). The one flag that makes it dangerous (FILES) is not used here.
#[expect(deprecated, reason = "the replacement is unsafe because of UnshareFlags::FILES alone")]
pub(super) fn unshare(flags: UnshareFlags) -> anyhow::Result<()> {
    rustix::thread::unshare(flags).context("failed to make a namespace").hint(
        "does the kernel allow it? See /proc/sys/user and, for -N, kernel.unprivileged_userns_clone and AppArmor",
    )
}

/// The shell that is started without a command.
fn shell(root: &Root, account: &Account) -> anyhow::Result<OsString> {
    let tried = account.shell.as_deref().into_iter().chain(SHELLS.iter().copied());
    let mut tried = tried.filter(|s| root.is_program(s.trim_start_matches('/')));
    match tried.next() {
        Some(shell) => Ok(shell.into()),
        None => bail!("no shell in {}: looked for {}", root.path.display(), SHELLS.join(" and ")),
    }
}

/// Where commands are in the target, whatever the running system's PATH says.
fn search_path(root: &Root) -> String {
    let usual = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];
    // Where /bin is a link to /usr/bin it need not be searched twice.
    let own = |dir: &&str| dir.starts_with("usr/") || root.mount_point(dir).is_ok();
    usual.iter().copied().filter(own).map(|dir| format!("/{dir}")).collect::<Vec<_>>().join(":")
}

/// Our number in the mounted /proc.
fn own_pid() -> anyhow::Result<i32> {
    let link = std::fs::read_link("/proc/self").context("failed to read /proc/self")?;
    link.to_string_lossy().parse().context("/proc/self is no number")
}
