//! What a program prints and how it ends; until the deadline, or until a signal comes.

use std::collections::VecDeque;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use common::cli::Mark;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::outer::code;
use super::{FAILED, OURS};
use crate::interrupt::Interrupt;
use crate::voice::live::Live;

/// How much of what was printed an error shows.
const LINES: usize = 40;
const TAIL: usize = 16 << 10;
/// The longest output that becomes a string of a recipe.
const MAX_OUTPUT: usize = 8 << 20;
/// How long a program may run, seconds; RECIPE_DEADLINE says otherwise.
const DEADLINE: u64 = 4 * 3600;

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status, as a shell says it.
    pub status: u8,
    /// Its standard output, if that was asked for.
    pub output: Vec<u8>,
    /// The last lines of what it printed.
    pub tail: String,
}

pub(super) fn wait(mut child: Child, mixed: PipeReader, interrupt: &Interrupt) -> anyhow::Result<Ended> {
    let result = read(&mut child, mixed, interrupt);
    if result.is_err() {
        // The rest dies with it.
        let _ = child.kill();
    }
    let status = child.wait().context("failed to wait for a program")?;
    let (output, tail) = result?;
    let status = code(status);
    if status == FAILED
        && let Some((_, why)) = tail.rsplit_once(OURS)
    {
        return Err(anyhow::anyhow!("cannot confine programs: {}", why.trim())).hint(
            "programs run in namespaces of their own; are these allowed here? docs/reference/confinement.md says what is needed",
        );
    }
    Ok(Ended { status, output, tail })
}

fn read(
    child: &mut Child,
    mut mixed: PipeReader,
    interrupt: &Interrupt,
) -> anyhow::Result<(Vec<u8>, String)> {
    let seconds = std::env::var("RECIPE_DEADLINE").ok().and_then(|s| s.parse().ok()).unwrap_or(DEADLINE);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut stdout = child.stdout.take();
    let (mut output, mut tail, mut live) = (Vec::new(), VecDeque::new(), Live::default());
    let mut open = true;
    let mut buffer = vec![0; 64 << 10];
    let pause = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    loop {
        interrupt.check()?;
        if Instant::now() >= end {
            bail!("still running after {seconds} s");
        }
        if !open && stdout.is_none() {
            if child.try_wait().context("failed to wait for a program")?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        let mut fds = Vec::new();
        if open {
            fds.push(PollFd::from_borrowed_fd(mixed.as_fd(), PollFlags::IN));
        }
        if let Some(stdout) = &stdout {
            fds.push(PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).context("failed to wait for a program"),
        }
        let ready: Vec<bool> = fds.iter().map(|f| !f.revents().is_empty()).collect();
        let first = open;
        if first && ready[0] {
            let n = mixed.read(&mut buffer).context("failed to read what a program prints")?;
            open = n > 0;
            live.feed(&buffer[..n]);
            tail.extend(&buffer[..n]);
            let over = tail.len().saturating_sub(TAIL);
            tail.drain(..over);
        }
        if let Some(pipe) = &mut stdout
            && ready[usize::from(first)]
        {
            let n = pipe.read(&mut buffer).context("failed to read what a program prints")?;
            output.extend_from_slice(&buffer[..n]);
            if output.len() > MAX_OUTPUT {
                bail!("printed more than {MAX_OUTPUT} bytes");
            }
            if n == 0 {
                stdout = None;
            }
        }
    }
    let tail = String::from_utf8_lossy(tail.make_contiguous()).into_owned();
    let lines: Vec<&str> = tail.lines().collect();
    Ok((output, lines[lines.len().saturating_sub(LINES)..].join("\n")))
}
