//! Becomes the command: chroot(2), user and groups, exec(2).

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;

use anyhow::Context;
use common::cli::{Mark, tell};
use common::cmd::Cmd;
use rustix::fs::{Gid, Uid};
use rustix::process::{Signal, chdir, chroot, getppid, set_parent_process_death_signal};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::plan::{CANNOT_START, FAILED, NOT_FOUND, Plan};

/// Variables whose values are paths of the running system and that would mislead programs in there.
const FOREIGN: &[&str] = &["LD_LIBRARY_PATH", "LD_PRELOAD", "TMPDIR", "OLDPWD", "BASH_ENV", "ENV"];

/// The hidden role. Returns only when it failed.
pub(super) fn main(args: Vec<OsString>) -> anyhow::Result<u8> {
    let (plan, command) = Plan::from_args(args)?;
    let [program, arguments @ ..] = command.as_slice() else { return Ok(FAILED) };
    // The guard started us with the target as working directory.
    chroot(".").with_context(|| format!("failed to enter {}", plan.root.display()))?;
    chdir("/").context("failed to change to / of the target")?;
    drop_ids(&plan)?;
    // After the ids: changing them clears it. The guard reaps us; without it nobody would.
    set_parent_process_death_signal(Some(Signal::KILL)).context("failed to tie the command to recchroot")?;
    if getppid().map_or(0, |p| p.as_raw_nonzero().get()) != plan.parent {
        return Ok(FAILED);
    }
    let mut process = Cmd::new(program).args(arguments).keep_locale().std();
    for name in FOREIGN {
        process.env_remove(name);
    }
    process.env("PATH", &plan.path);
    process.env("USER", &plan.account.name).env("LOGNAME", &plan.account.name);
    process.env("HOME", plan.account.home.as_deref().unwrap_or("/"));
    process.env("SHELL", plan.account.shell.as_deref().unwrap_or("/bin/sh"));
    let error = process.exec();
    tell(&format!("error: {}", explain(program, &error, &plan.path)));
    Ok(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { CANNOT_START })
}

fn explain(program: &OsStr, error: &std::io::Error, path: &str) -> String {
    let shown = program.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound if shown.contains('/') => {
            format!("the target has no {shown}, or not the interpreter or loader it needs")
        }
        ErrorKind::NotFound => {
            format!("the target has no command `{shown}`\nhint: it was looked for in {path}")
        }
        _ => format!("failed to start `{shown}` in the target: {error}"),
    }
}

fn drop_ids(plan: &Plan) -> anyhow::Result<()> {
    let account = &plan.account;
    let hint = "with -N only the ids of /etc/subuid and /etc/subgid can be had";
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    if plan.may_set_groups {
        let groups: Vec<_> = account.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        set_thread_groups(&groups).context("failed to set the groups").hint(hint)?;
    }
    // This process has one thread: what is set for it is set for all.
    set_thread_res_gid(gid, gid, gid)
        .with_context(|| format!("failed to become group {}", account.gid))
        .hint(hint)?;
    set_thread_res_uid(uid, uid, uid)
        .with_context(|| format!("failed to become user {}", account.uid))
        .hint(hint)
}
