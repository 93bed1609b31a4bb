//! Mounts, starts the command, watches over it, leaves nothing behind.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use anyhow::Context;
use common::cli::{Mark, tell};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open, pidfd_send_signal,
    set_child_subreaper, set_parent_process_death_signal,
};

use super::loaders::Watch;
use super::mounts::{Mounts, make_mount_point};
use super::plan::{FAILED, Plan, Role};
use super::processes::{Membership, parent};
use super::root::Root;
use super::signals::{Ended, Signals};

/// The hidden role.
pub(super) fn main(args: Vec<OsString>) -> anyhow::Result<u8> {
    let (plan, command) = Plan::from_args(args)?;
    let mut signals = Signals::collect()?;
    let session = Pid::from_raw(plan.parent).filter(|_| !plan.unprivileged);
    let session = session.map(|pid| pidfd_open(pid, PidfdFlags::empty())).transpose();
    let session = session.context("failed to find the session")?;
    // In a PID namespace we are process 1: with us all others end. Without one they have to be looked for. CONT: TERM would
    // wait until someone continues us, should we be stopped.
    let death = if plan.unprivileged { Signal::KILL } else { Signal::CONT };
    set_parent_process_death_signal(Some(death)).context("failed to tie the guard to its session")?;
    if parent() != Some(plan.parent) {
        return Ok(FAILED);
    }
    set_child_subreaper(Some(getpid())).context("failed to become the reaper of the session")?;

    let root = open(&plan)?;
    let mut mounts =
        if plan.unprivileged { Mounts::unprivileged(&root)? } else { Mounts::privileged(&root)? };
    if !plan.keep_resolv_conf {
        mounts.resolv_conf(&root)?;
    }
    let watch = (!plan.unprivileged).then(|| Watch::start(&root, mounts.efivars, &command));

    let ended = run(&plan, &command, &mut signals, session.as_ref())?;
    if !plan.unprivileged {
        let session = Membership::new(&plan.outside, &[plan.parent]).context("failed to read /proc")?;
        report_ended(&session);
    }
    watch.into_iter().flat_map(|w| w.finish(&root)).for_each(|w| tell(&format!("warning: {w}")));
    mounts.unmount().iter().for_each(|w| tell(&format!("warning: {w}")));
    Ok(ended.exit_code())
}

/// Ends what the command left running, and says so.
pub(super) fn report_ended(session: &Membership) {
    let (ended, left) = session.end_all();
    if !ended.is_empty() {
        tell(&format!("note: ended what was still running in there: {}", ended.join(", ")));
    }
    if !left.is_empty() {
        tell(&format!("warning: these processes could not be ended: {}", left.join(", ")));
    }
}

/// The target as a mount point.
fn open(plan: &Plan) -> anyhow::Result<Root> {
    let root = Root::open(&plan.root)?;
    if root.is_mount_point()? {
        return Ok(root);
    }
    make_mount_point(&root)?;
    // Again: the first descriptor is of what lies below the new mount.
    Root::open(&plan.root)
}

fn run(
    plan: &Plan,
    command: &[OsString],
    signals: &mut Signals,
    session: Option<&OwnedFd>,
) -> anyhow::Result<Ended> {
    let mut inner = plan.clone();
    inner.parent = getpid().as_raw_nonzero().get();
    let mut process = Role::Enter.command(inner.to_args(command)?);
    let child = process.current_dir(&plan.root).spawn();
    let child = child.context("failed to start recchroot again").hint("is /proc mounted?")?;
    let child = Pid::from_child(&child);
    // In a PID namespace the parent is not visible, and its end is ours.
    let orphaned = || !plan.unprivileged && getppid().is_none_or(|p| p.as_raw_nonzero().get() != plan.parent);
    // The session is stopped, not this process: it must see the session's end at any time. (The signal that tells it could
    // come just before a stop, which would then be for good.) In a PID namespace the session is out of reach: go on.
    let stop = || {
        _ = match session {
            Some(session) => pidfd_send_signal(session, Signal::STOP),
            None => kill_process(child, Signal::CONT),
        };
    };
    signals.wait_for(child, orphaned, stop)
}
