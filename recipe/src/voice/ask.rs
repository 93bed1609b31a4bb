//! The question before a transaction. It is asked only of a person: stdin and stderr are a terminal, and neither `--yes` nor
//! `--json` was given. Everybody else is taken at his word: a script that would wait for an answer is a script that hangs.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use common::cli::Mark;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::VOICE;
use crate::exit;
use crate::interrupt::Interrupt;

/// How often a question is repeated that has no clear answer.
const TIMES: usize = 3;
/// How often it is looked whether a signal came: one that comes right before the waiting would not end it.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Whether a question would be asked.
#[must_use]
pub fn is_asked() -> bool {
    VOICE.get().is_some_and(|v| !v.options.yes && !v.json)
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal()
}

/// Asks whether to go on, if somebody is there to be asked. `safe`: what the bare Return key means is no.
///
/// # Errors
/// The answer is no, or there is none (exit code [`exit::DECLINED`]); or a signal came.
pub fn proceed(safe: bool, interrupt: &Interrupt) -> anyhow::Result<()> {
    if !is_asked() {
        return Ok(());
    }
    let since = Instant::now();
    let result = ask(safe, interrupt);
    VOICE.get().into_iter().for_each(|voice| voice.waited(since.elapsed()));
    result
}

fn ask(safe: bool, interrupt: &Interrupt) -> anyhow::Result<()> {
    let choices = if safe { "[y/N]" } else { "[Y/n]" };
    for _ in 0..TIMES {
        super::above(|| {
            let mut err = std::io::stderr();
            err.write_all(format!("Proceed? {choices} ").as_bytes()).and_then(|()| err.flush())
        })?;
        // The end of the input is an answer that nobody gave.
        let Some(answer) = line(interrupt)? else { break };
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(()),
            "" if !safe => return Ok(()),
            "" | "n" | "no" => break,
            other => common::cli::tell(&format!("expected yes or no, found {other:?}")),
        }
    }
    Err(anyhow::anyhow!("not done, as you said; nothing was changed")).exit(exit::DECLINED)
}

/// A line of stdin; none at its end. A signal ends the waiting: std's reader would go on.
fn line(interrupt: &Interrupt) -> anyhow::Result<Option<String>> {
    let stdin = std::io::stdin();
    let mut bytes = Vec::new();
    loop {
        interrupt.check()?;
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, Some(&LOOK)) {
            Ok(1..) => {}
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        let mut buffer = [0; 256];
        // One read: a terminal gives a whole line at a time.
        let n = rustix::io::retry_on_intr(|| rustix::io::read(&stdin, &mut buffer))?;
        bytes.extend_from_slice(&buffer[..n]);
        match (n, bytes.contains(&b'\n')) {
            (0, _) if bytes.is_empty() => return Ok(None),
            (0, _) | (_, true) => return Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            _ => {}
        }
    }
}
