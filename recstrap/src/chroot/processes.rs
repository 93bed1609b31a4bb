//! The processes of a session: found in /proc, ended when the command has.
//!
//! There is no PID namespace that would do it (see the module's documentation), so a process belongs to the session when it
//! is in the session's mount namespace, or descends from us and is in one that was made from it (bwrap, unshare). We are
//! the subreaper: a process whose parent has ended becomes our child and cannot hide.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// How long a process has after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// How long after SIGKILL one that hangs in the kernel is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked again.
const PACE: Duration = Duration::from_millis(10);

/// How to tell the session's processes from others.
#[derive(Debug)]
pub(super) struct Membership {
    /// The session's mount namespace.
    inside: PathBuf,
    /// The mount namespace the session came from.
    outside: PathBuf,
    /// Processes of recchroot itself.
    ours: Vec<i32>,
}

/// The mount namespace of this process, as /proc shows it.
pub(super) fn mount_namespace() -> std::io::Result<PathBuf> {
    std::fs::read_link("/proc/self/ns/mnt")
}

/// One line of /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: i32,
}

impl Membership {
    /// For this process's namespace; `others` are processes of recchroot that must live.
    pub(super) fn new(outside: &Path, others: &[i32]) -> std::io::Result<Self> {
        let mut ours = others.to_vec();
        ours.push(getpid().as_raw_nonzero().get());
        Ok(Self { inside: mount_namespace()?, outside: outside.to_owned(), ours })
    }

    /// Ends all of them: TERM, then KILL. Returns the names of those that had to be ended, and of those that would not.
    pub(super) fn end_all(&self) -> (Vec<String>, Vec<String>) {
        let found = self.members();
        let names = found.iter().map(|(_, name)| name.clone()).collect();
        let start = Instant::now();
        let mut signals = [Signal::TERM, Signal::CONT].as_slice();
        let mut left = found;
        while !left.is_empty() && start.elapsed() < PATIENCE {
            for signal in signals {
                // Gone in the meantime is what we want.
                left.iter().for_each(|(pid, _)| _ = kill_process(*pid, *signal));
            }
            std::thread::sleep(PACE);
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            signals = if start.elapsed() < GRACE { &[] } else { &[Signal::KILL] };
            left = self.members();
        }
        (names, left.into_iter().map(|(_, name)| name).collect())
    }

    fn members(&self) -> Vec<(Pid, String)> {
        let all = all();
        let mut found = Vec::new();
        for (pid, stat) in &all {
            if self.ours.contains(pid) || "ZX".contains(stat.state) {
                continue;
            }
            let Ok(namespace) = std::fs::read_link(format!("/proc/{pid}/ns/mnt")) else { continue };
            let derived = namespace != self.outside && self.descends(*pid, &all);
            if namespace == self.inside || derived {
                found.extend(Pid::from_raw(*pid).map(|p| (p, stat.name.clone())));
            }
        }
        found
    }

    fn descends(&self, mut pid: i32, all: &BTreeMap<i32, Stat>) -> bool {
        let me = getpid().as_raw_nonzero().get();
        // A snapshot of a changing table: no more steps than it has lines, in case it shows a loop.
        for _ in 0..all.len() {
            match all.get(&pid) {
                Some(stat) if stat.parent == me => return true,
                Some(stat) => pid = stat.parent,
                None => return false,
            }
        }
        false
    }
}

fn all() -> BTreeMap<i32, Stat> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// `PID (NAME) STATE PPID ...`; the name may have parentheses and spaces in it.
fn parse(stat: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(stat);
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = tail.split_whitespace();
    Some(Stat { name, state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

/// The parent of this process in the numbers of the mounted /proc, also from within a PID namespace.
pub(super) fn parent() -> Option<i32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_read() {
        let expected = Stat { name: "a) b (c".to_owned(), state: 'S', parent: 42 };
        assert_eq!(parse(b"7 (a) b (c) S 42 7 7 0 -1"), Some(expected));
        assert_eq!(parse(b"7 (a"), None);
    }
}
