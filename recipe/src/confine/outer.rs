//! The process that makes the namespaces, and waits for what is in them.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anyhow::{Context, ensure};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, configure_capability_in_ambient_set, set_capabilities,
};

use super::{Order, again, inner, start};

/// What it is called.
pub(super) const NAME: &str = "recipe-outer";

pub(super) fn main(order: &Order) -> anyhow::Result<u8> {
    tie()?;
    setsid().context("failed to leave the session")?;
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if !order.network {
        flags |= UnshareFlags::NEWNET;
    }
    if order.owner.root {
        unshare(flags)?;
    } else {
        // Mounting is allowed in a user namespace of one's own; who runs there stays who he is.
        unshare(flags | UnshareFlags::NEWUSER)?;
        let write = |file: &str, text: String| {
            std::fs::write(file, text).with_context(|| format!("failed to write {file}"))
        };
        let (uid, gid) = (order.owner.uid, order.owner.gid);
        write("/proc/self/setgroups", "deny".to_owned())?;
        write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
        // The inner one mounts, and would have lost what it needs for that when it was started.
        let what = "failed to keep what mounting needs";
        let admin = CapabilitySet::SYS_ADMIN;
        set_capabilities(None, CapabilitySets { effective: admin, permitted: admin, inheritable: admin })
            .context(what)?;
        configure_capability_in_ambient_set(admin, true).context(what)?;
    }
    // The inner one sees by its standard input whether we are still there.
    let mut child = start(&mut again(inner::NAME), order)?;
    let held = child.stdin.take();
    let status = child.wait().context("failed to wait")?;
    drop(held);
    Ok(code(status))
}

/// Ends this process when its parent ends. The other end of standard input is the parent's, who may be gone already.
pub(super) fn tie() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("failed to tie processes together")?;
    let stdin = std::io::stdin();
    let mut fds = [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).context("failed to look for the parent")?;
    ensure!(!fds[0].revents().contains(rustix::event::PollFlags::HUP), "the parent is gone");
    Ok(())
}

/// A status as a shell would say it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// unshare(2). The one flag that makes it dangerous (FILES) is not used here.
#[expect(deprecated, reason = "the replacement is unsafe because of UnshareFlags::FILES alone")]
fn unshare(flags: UnshareFlags) -> anyhow::Result<()> {
    rustix::thread::unshare(flags).context("the kernel refuses new namespaces")
}
