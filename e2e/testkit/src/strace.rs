//! strace(1) as a driver: what system calls a good run makes, and a run in which one of them fails or kills.
//!
//! What must be known of it (each point was a green run that tested nothing):
//! - ordinals (`when=N`) count per name and, with -f, per thread: the first thread whose Nth call it is meets it;
//! - without -f only the main thread is seen, so its calls can be met exactly; killing it kills all of them;
//! - `--seccomp-bpf` with a signal injects nothing: never used here;
//! - only the log (`(INJECTED)`) or the status (killed by SIGKILL) proves that something was injected.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use common::cmd::Cmd;

/// A system call of a good run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Made by the main thread.
    pub main: bool,
    /// Its name.
    pub name: String,
    /// The how-manieth of that name in its thread, from 1.
    pub nth: u32,
    /// As strace shows it, with paths of descriptors.
    pub line: String,
}

/// Which call is attacked, and how.
#[derive(Debug, Clone)]
pub struct Injection {
    /// Name of the call; several: `fsync,syncfs`.
    pub name: String,
    /// `signal=KILL`, `error=EIO`, `retval=0`.
    pub action: String,
    /// `3`, `3+` (this one and all after it); empty: every one.
    pub when: String,
    /// Only the main thread's calls.
    pub main: bool,
    /// Only calls on this file.
    pub path: Option<PathBuf>,
}

/// How an attacked run ended.
#[derive(Debug)]
pub struct Attacked {
    /// The program's own status: strace hands it on.
    pub status: ExitStatus,
    /// Log lines of what was injected.
    pub injected: Vec<String>,
    /// What the program said.
    pub stderr: String,
}

impl Attacked {
    /// Whether SIGKILL really ended it.
    pub fn killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

/// The calls of a run that must succeed.
pub fn trace(cmd: &Cmd, log: &Path) -> Vec<Call> {
    let strace = crate::oracle("strace").to_string_lossy().into_owned();
    let log_arg = log.to_string_lossy();
    let cmd = cmd.clone().under(&strace, &["-f", "-y", "-s0", "-esignal=none", "-o", &log_arg, "--"]);
    let out = cmd.output().expect("strace starts");
    assert!(
        out.status.success(),
        "a run without an attack ends with {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    parse(&String::from_utf8_lossy(&std::fs::read(log).expect("strace's log")))
}

fn parse(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut counts: HashMap<(&str, String), u32> = HashMap::new();
    let mut main = None;
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let main = *main.get_or_insert(pid);
        // What is resumed, a signal or an end was counted when it began, or is no call.
        let Some((name, _)) = rest.split_once('(') else { continue };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let nth = counts.entry((pid, name.to_owned())).or_default();
        *nth += 1;
        calls.push(Call { main: pid == main, name: name.to_owned(), nth: *nth, line: rest.to_owned() });
    }
    calls
}

/// Runs a command under attack.
pub fn attack(cmd: &Cmd, injection: &Injection, log: &Path) -> Attacked {
    let strace = crate::oracle("strace").to_string_lossy().into_owned();
    let Injection { name, action, when, .. } = injection;
    let when = if when.is_empty() { String::new() } else { format!(":when={when}") };
    let mut args = vec!["-y".to_owned(), "-s0".to_owned(), "-esignal=none".to_owned()];
    args.extend(["-o".to_owned(), log.to_string_lossy().into_owned()]);
    args.extend([format!("-etrace={name}"), format!("-einject={name}:{action}{when}")]);
    args.extend((!injection.main).then(|| "-f".to_owned()));
    args.extend(injection.path.iter().flat_map(|p| ["-P".to_owned(), p.to_string_lossy().into_owned()]));
    args.push("--".to_owned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let out = cmd.clone().under(&strace, &args).output().expect("strace starts");
    let text = std::fs::read(log).expect("strace's log");
    let text = String::from_utf8_lossy(&text);
    let injected = text.lines().filter(|l| l.contains("(INJECTED)")).map(str::to_owned).collect();
    Attacked { status: out.status, injected, stderr: String::from_utf8_lossy(&out.stderr).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name_and_thread() {
        let log = "7 openat(AT_FDCWD</>, \"a\") = 3</a>\n8 openat(1, \"b\" <unfinished ...>\n7 openat(1) = 2\n\
                   8 <... openat resumed>) = 4\n7 --- SIGCHLD {} ---\n7 +++ exited with 0 +++\n";
        let calls: Vec<_> = parse(log).into_iter().map(|c| (c.main, c.nth)).collect();
        assert_eq!(calls, [(true, 1), (false, 1), (true, 2)]);
    }
}
