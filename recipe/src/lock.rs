//! Who works here: a lock of the prefix and of the recipes' directory, held until it is dropped.
//!
//! flock(2), so that a dead holder holds nothing. The file says who holds it; nobody removes it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cli::Mark;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::exit;
use crate::interrupt::{Interrupt, PAUSE};

const NAME: &str = "lock";
/// How many words of a command are shown.
const WORDS: usize = 12;

/// The right to change a prefix and its recipes.
#[derive(Debug)]
pub struct Lock {
    _prefix: File,
    _recipes: Dir,
}

impl Lock {
    /// Takes both locks; waits at most so long, and not beyond ^C.
    ///
    /// # Errors
    /// Somebody else holds one (exit code [`exit::LOCKED`]), it cannot be opened, or a signal came.
    pub fn take(own: &Dir, recipes: Dir, wait: Duration, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let context = || format!("failed to open {}/{NAME}", own.path.display());
        let file = rustix::fs::openat(own, NAME, flags, Mode::from_raw_mode(0o644)).with_context(context)?;
        let mut file = File::from(file);
        let until = Instant::now() + wait;
        hold(&file, until, interrupt, || {
            let mut holder = String::new();
            let _ =
                file.try_clone().and_then(|mut f| f.rewind().and_then(|()| f.read_to_string(&mut holder)));
            let holder = holder.trim();
            format!("{} is in use{}{holder}", own.path.display(), if holder.is_empty() { "" } else { " by " })
        })?;
        hold(&recipes, until, interrupt, || {
            format!("{} is in use by a recipe with another prefix", recipes.path.display())
        })?;
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let holder = format!("process {} ({})\n", std::process::id(), command(words));
        // Only for people; the lock itself is the kernel's.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Self { _prefix: file, _recipes: recipes })
    }
}

/// Who works in a prefix, as the lock's file says, if he is alive. Takes no lock.
#[must_use]
pub fn holder(own: &Dir) -> Option<String> {
    let text = own.read(NAME).and_then(std::io::read_to_string).ok()?;
    let (pid, program) = text.trim().strip_prefix("process ")?.split_once(" (")?;
    let program = program.strip_suffix(')')?;
    // His number may be another's by now.
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.parse::<u32>().ok()?)).ok()?;
    let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|b| *b == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    (command(words) == program).then(|| text.trim().to_owned())
}

/// Whether somebody else than this process works in a prefix.
#[must_use]
pub fn is_anothers(own: &Dir) -> bool {
    holder(own).is_some_and(|who| !who.starts_with(&format!("process {} ", std::process::id())))
}

/// A command as people see it who wait for it: options may stand before what it does, but all of a long list of names says nothing more.
fn command(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<_> = words.map(|word| word.replace(char::is_control, "?")).collect();
    let rest = words.len().saturating_sub(WORDS);
    words.truncate(WORDS);
    let more = if rest > 0 { " ..." } else { "" };
    format!("{}{more}", words.join(" "))
}

fn hold(
    what: impl AsFd,
    until: Instant,
    interrupt: &Interrupt,
    who: impl Fn() -> String,
) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        match flock(what.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                if !told {
                    common::cli::tell(&format!("waiting: {}", who()));
                    told = true;
                }
                interrupt.sleep(PAUSE)?;
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(anyhow::anyhow!("{}", who()))
                    .exit(exit::LOCKED)
                    .hint("wait until it has finished; --wait SECONDS does so");
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e).context("failed to lock"),
        }
    }
}
