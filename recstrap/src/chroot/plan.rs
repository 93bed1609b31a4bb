//! What one process of recchroot tells the next: its role by argv[0], a [`Plan`] as JSON, the command as it was typed.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use common::cmd::Cmd;
use serde::{Deserialize, Serialize};

use super::account::Account;

/// Exit code when recchroot itself failed (as env(1), chroot(1) and others have it).
pub(super) const FAILED: u8 = 125;
/// Exit code when the command is there and cannot be started.
pub(super) const CANNOT_START: u8 = 126;
/// Exit code when there is no such command.
pub(super) const NOT_FOUND: u8 = 127;

/// Which process this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Mounts and watches over the command.
    Guard,
    /// Becomes the command.
    Enter,
    /// Waits outside of the user namespace and fills its id maps.
    MapIds,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Guard => "recchroot-guard",
            Self::Enter => "recchroot-enter",
            Self::MapIds => "recchroot-map-ids",
        }
    }

    /// The role that argv[0] names.
    pub(super) fn of(argv0: &OsStr) -> Option<Self> {
        [Self::Guard, Self::Enter, Self::MapIds].into_iter().find(|r| argv0 == r.name())
    }

    /// This program once more, in this role; arguments follow.
    pub(super) fn command(self, args: Vec<OsString>) -> Command {
        let mut command = Cmd::new("/proc/self/exe").args(args).keep_locale().std();
        command.arg0(self.name());
        command
    }
}

/// Everything that was decided by the session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The target, absolute and without symlinks.
    pub(super) root: PathBuf,
    /// Whom the command runs as.
    pub(super) account: Account,
    /// `-r`.
    pub(super) keep_resolv_conf: bool,
    /// `-N`.
    pub(super) unprivileged: bool,
    /// Supplementary groups can be set (not in a user namespace of our own making).
    pub(super) may_set_groups: bool,
    /// Search path inside.
    pub(super) path: String,
    /// The process that started this one, in the numbers of the running system's /proc.
    pub(super) parent: i32,
    /// The mount namespace that the session came from, as /proc/PID/ns/mnt shows it.
    pub(super) outside: PathBuf,
}

impl Plan {
    /// The arguments for a [`Role`]: the plan, then the command.
    pub(super) fn to_args(&self, command: &[OsString]) -> anyhow::Result<Vec<OsString>> {
        let json = serde_json::to_string(self).context("failed to hand on the plan")?;
        Ok(std::iter::once(json.into()).chain(command.iter().cloned()).collect())
    }

    /// The plan and the command again.
    pub(super) fn from_args(args: Vec<OsString>) -> anyhow::Result<(Self, Vec<OsString>)> {
        let mut args = args.into_iter();
        let json = args.next().unwrap_or_default();
        let plan = serde_json::from_slice(json.as_encoded_bytes())
            .context("this role is for recchroot itself, not for users")?;
        Ok((plan, args.collect()))
    }
}
