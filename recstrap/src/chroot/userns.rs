//! `-N`: a user namespace in which the caller is root.
//!
//! Only a process outside may fill the id maps. It is started before (the hidden role), waits for a byte and does it: with
//! the ranges of /etc/subuid and /etc/subgid through newuidmap(1) and newgidmap(1) where the user has some, else the
//! caller alone is mapped, to root.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::{Context, bail};
use common::cli::tell;
use common::cmd::{Cmd, which};
use rustix::process::{getegid, geteuid, getppid};
use rustix::thread::UnshareFlags;

use super::plan::Role;
use super::session::unshare;

/// Exit code of the helper: only the caller is mapped.
const ALONE: u8 = 10;

/// Moves this process into new user and mount namespaces, its children into a PID namespace. Whether groups can be set.
pub(super) fn enter() -> anyhow::Result<bool> {
    let mut helper = Role::MapIds.command(Vec::new());
    let mut helper = helper.stdin(Stdio::piped()).spawn().context("failed to start recchroot again")?;
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWPID)?;
    let stdin = helper.stdin.take();
    stdin.context("no pipe to the helper")?.write_all(b"!").context("failed to talk to the helper")?;
    match helper.wait().context("failed to wait for the helper")?.code() {
        Some(0) => Ok(true),
        Some(code) if code == i32::from(ALONE) => {
            tell(
                "warning: only root is mapped: files of other users belong to nobody in there (no range in /etc/subuid)",
            );
            Ok(false)
        }
        _ => bail!("failed to fill the id maps of the user namespace"),
    }
}

/// The hidden role: fills the maps of the parent's namespace as soon as it has one.
pub(super) fn map_ids(_: Vec<OsString>) -> anyhow::Result<u8> {
    let Some(parent) = getppid().map(|p| p.as_raw_nonzero().get()) else { bail!("no parent") };
    let mut byte = [0];
    std::io::stdin().read_exact(&mut byte).context("the session went away")?;
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let write = |file: &str, text: &str| {
        let path = format!("/proc/{parent}/{file}");
        std::fs::write(&path, text).with_context(|| format!("failed to write {path}"))
    };
    if uid == 0 {
        // All ids as they are: root may.
        write("uid_map", "0 0 4294967295")?;
        write("gid_map", "0 0 4294967295")?;
        return Ok(0);
    }
    let name = common::fs::read_to_string("/etc/passwd".as_ref())?;
    let name = user_name(&name, uid).unwrap_or_default().to_owned();
    let range = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        range_of(&text, &name, uid).filter(|_| which("newuidmap").is_some() && which("newgidmap").is_some())
    };
    if let (Some(uids), Some(gids)) = (range("/etc/subuid"), range("/etc/subgid")) {
        for (program, own, (start, count)) in [("newuidmap", uid, uids), ("newgidmap", gid, gids)] {
            let map = ["0".to_owned(), own.to_string(), "1".to_owned(), "1".to_owned()];
            let args =
                [parent.to_string()].into_iter().chain(map).chain([start.to_string(), count.to_string()]);
            Cmd::new(program).args(args).run()?;
        }
        return Ok(0);
    }
    write("setgroups", "deny")?;
    write("uid_map", &format!("0 {uid} 1"))?;
    write("gid_map", &format!("0 {gid} 1"))?;
    Ok(ALONE)
}

fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then_some(name)
    })
}

/// The first range of a user in subuid(5): `NAME-OR-NUMBER:START:COUNT`.
fn range_of(text: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let who = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        ((!name.is_empty() && who == name) || who == uid.to_string()).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let text = "other:1:2\nann:100000:65536\n1001:300000:10\n";
        assert_eq!(range_of(text, "ann", 1000), Some((100_000, 65536)));
        assert_eq!(range_of(text, "bob", 1001), Some((300_000, 10)));
        assert_eq!(range_of(text, "", 1000), None);
    }
}
