//! The serial console: everything is logged; waits have deadlines; commands give output and exit status.
//!
//! Commands are framed by markers that do not appear in what is typed (the shell joins their halves), so the echo of
//! the command line is never taken for its output.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How many lines of the console an error shows.
const TAIL_LINES: usize = 40;

/// How long a person takes to read a question. Programs that print one and turn echo off only then (cryptsetup) throw
/// away what was typed in between.
const READING: Duration = Duration::from_secs(1);

/// What has arrived so far, as a person would read it.
#[derive(Debug, Default)]
struct Heard {
    text: Vec<u8>,
    escape: Escape,
    closed: bool,
}

/// Where in a terminal control sequence (ECMA-48) the last byte left us.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// In a control sequence (CSI): ends with a byte of `@`..=`~`.
    Csi,
    /// In a string (OSC, DCS): ends with BEL or with ESC and one more byte.
    String,
}

impl Heard {
    /// Adds raw bytes without carriage returns, NULs and control sequences, which may be cut anywhere.
    fn push(&mut self, raw: &[u8]) {
        for &byte in raw {
            self.escape = match (self.escape, byte) {
                (Escape::None | Escape::String, 0x1b) => Escape::Begun,
                (Escape::None, b'\r' | 0) => Escape::None,
                (Escape::None, _) => {
                    self.text.push(byte);
                    Escape::None
                }
                (Escape::Begun, b'[') => Escape::Csi,
                (Escape::Begun, b']' | b'P') => Escape::String,
                // Intermediate bytes, as in `ESC ( B`: one more follows.
                (Escape::Begun, b' '..=b'/') => Escape::Begun,
                (Escape::Begun, _) | (Escape::Csi, b'@'..=b'~') | (Escape::String, 0x07) => Escape::None,
                (inside, _) => inside,
            };
        }
    }
}

/// The guest's serial console.
#[derive(Debug)]
pub struct Console {
    stream: UnixStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    /// Everything before this offset was already waited for.
    seen: usize,
    commands: u32,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit status of the shell command.
    pub status: i32,
    /// Its stdout and stderr, without carriage returns, escape sequences and surrounding blank lines.
    pub output: String,
}

/// What is typed when a program asks.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The end of the question, as it appears.
    pub asked: &'a str,
    /// The answer, without the newline.
    pub typed: &'a str,
}

impl Console {
    /// Connects to QEMU's socket of the serial line and logs all that arrives to `log`.
    ///
    /// # Errors
    /// Nothing listens there, or the log cannot be made.
    pub fn connect(socket: &Path, log: &Path, limit: Duration) -> anyhow::Result<Self> {
        let stream = crate::qmp::connect(socket, limit)?;
        let mut log_file =
            File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let (mut reader, shared) = (stream.try_clone()?, Arc::clone(&heard));
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            loop {
                let n = reader.read(&mut buf).unwrap_or(0);
                // A log that cannot be written must not end the test: the text is in memory too.
                let _ = log_file.write_all(&buf[..n]);
                let mut heard = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(&buf[..n]);
                heard.closed = n == 0;
                shared.1.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        Ok(Self { stream, heard, seen: 0, commands: 0 })
    }

    /// Waits until `pattern` appears in what has not been waited for yet; returns what came before it.
    ///
    /// # Errors
    /// The deadline passes or the machine ends; the error shows the last lines.
    pub fn wait_for(&mut self, pattern: &str, limit: Duration) -> anyhow::Result<String> {
        self.wait_for_any(&[pattern], limit).map(|(_, before)| before)
    }

    /// Waits for whichever of the patterns comes first; returns its index, and what came before it.
    ///
    /// # Errors
    /// As [`Console::wait_for`].
    pub fn wait_for_any(&mut self, patterns: &[&str], limit: Duration) -> anyhow::Result<(usize, String)> {
        let started = Instant::now();
        let until = started + limit;
        let longest = patterns.iter().map(|p| p.len()).max().unwrap_or(0);
        let (lock, changed) = &*self.heard;
        let mut heard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing that begins before this offset is a match.
        let mut searched = self.seen;
        loop {
            let found = patterns.iter().enumerate().filter_map(|(index, pattern)| {
                find(&heard.text[searched..], pattern.as_bytes()).map(|at| (searched + at, index))
            });
            if let Some((at, index)) = found.min() {
                let before = String::from_utf8_lossy(&heard.text[self.seen..at]).into_owned();
                self.seen = at + patterns[index].len();
                return Ok((index, before));
            }
            searched = heard.text.len().saturating_sub(longest).max(self.seen);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || heard.closed {
                let why = if heard.closed { "the machine ended" } else { "the time was up" };
                bail!(
                    "waited {} s for {} on the console, but {why}; its last lines:\n{}",
                    started.elapsed().as_secs(),
                    patterns.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>().join(" or "),
                    tail(&heard.text)
                );
            }
            heard = changed.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types text, without a newline.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.stream.write_all(text.as_bytes()).context("failed to type on the serial console")
    }

    /// Runs a shell command at a prompt of bash and waits for it to end.
    ///
    /// # Errors
    /// It does not end within `limit`, or the console is not at a shell prompt.
    pub fn run(&mut self, command: &str, limit: Duration) -> anyhow::Result<Ended> {
        self.run_answering(command, &[], limit)
    }

    /// Runs a command that asks: whenever one of the texts appears, its answer is typed.
    ///
    /// # Errors
    /// As [`Console::run`].
    pub fn run_answering(
        &mut self,
        command: &str,
        answers: &[Answer<'_>],
        limit: Duration,
    ) -> anyhow::Result<Ended> {
        self.commands += 1;
        let n = self.commands;
        let until = Instant::now() + limit;
        // `@"@"` reaches the screen as `@@` only when the shell prints it.
        self.send(&format!("echo '@''@begin{n}'; {{ {command}\n}} 2>&1; echo \"@\"\"@end{n}:$?:\"\n"))?;
        let context = || format!("while running `{command}` at the console");
        self.wait_for(&format!("@@begin{n}\n"), limit).with_context(context)?;
        let end = format!("@@end{n}:");
        let output = self.wait_answering(&[&end], answers, until).with_context(context)?.1;
        let status = self.wait_for(":", limit).with_context(context)?;
        let status = status.parse().with_context(|| format!("{status:?} is not an exit status"))?;
        Ok(Ended { status, output: without_prompts(&output) })
    }

    /// Waits for one of the patterns, answering what is asked meanwhile; returns its index and all that came before.
    ///
    /// # Errors
    /// As [`Console::wait_for`].
    pub fn wait_answering(
        &mut self,
        patterns: &[&str],
        answers: &[Answer<'_>],
        until: Instant,
    ) -> anyhow::Result<(usize, String)> {
        let all: Vec<_> = patterns.iter().copied().chain(answers.iter().map(|a| a.asked)).collect();
        let mut output = String::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (index, before) = self.wait_for_any(&all, left)?;
            output.push_str(&before);
            let Some(asked) = index.checked_sub(patterns.len()) else { return Ok((index, output)) };
            output.push_str(all[index]);
            std::thread::sleep(READING);
            self.send(&format!("{}\n", answers[asked].typed))?;
        }
    }

    /// Types a line that starts another shell (or leaves one) and waits for the next root prompt.
    ///
    /// # Errors
    /// There is none within `limit`.
    pub fn change_shell(&mut self, line: &str, limit: Duration) -> anyhow::Result<()> {
        // What is typed must not be taken for the new prompt.
        self.send(&format!("{line}\n"))?;
        self.wait_for(&format!("{line}\n"), limit)?;
        self.wait_for("# ", limit).map(drop).with_context(|| format!("no root prompt after `{line}`"))
    }

    /// Logs in at a prompt that has just asked for a name.
    ///
    /// # Errors
    /// No shell prompt comes.
    pub fn login(&mut self, user: &str, password: &str, limit: Duration) -> anyhow::Result<()> {
        self.send(&format!("{user}\n"))?;
        self.wait_for("Password: ", limit)?;
        self.send(&format!("{password}\n"))?;
        let (prompt, _) = self.wait_for_any(&["Login incorrect", "$ ", "# "], limit)?;
        ensure!(prompt > 0, "{user} cannot log in with the password that was set:\n{}", self.tail());
        Ok(())
    }

    /// Runs a command that must succeed and returns its output.
    ///
    /// # Errors
    /// As [`Console::run`], or it exits other than 0.
    pub fn check(&mut self, command: &str, limit: Duration) -> anyhow::Result<String> {
        let Ended { status, output } = self.run(command, limit)?;
        if status != 0 {
            bail!("`{command}` at the console exited with {status}:\n{output}");
        }
        Ok(output)
    }

    /// Everything the console has shown so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).text)
            .into_owned()
    }

    /// The last lines of the console so far.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).text)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // The reading thread holds a second handle of the socket; without this it would never end.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// bash's continuation prompt is echoed between the lines of a command; it is not output.
fn without_prompts(output: &str) -> String {
    output.trim_start_matches("> ").trim_matches('\n').to_owned()
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_not_text() {
        let raw = b"\x1b[1;32mok\x1b[0m\r\n\x1b]0;title\x07do\x1b]8;;\x1b\\\x1b(Bne";
        for cut in 0..raw.len() {
            let mut heard = Heard::default();
            heard.push(&raw[..cut]);
            heard.push(&raw[cut..]);
            assert_eq!(String::from_utf8(heard.text).unwrap(), "ok\ndone", "cut at {cut}");
        }
    }

    /// A "guest" that echoes what is typed, then answers, with a kernel message in between.
    #[test]
    fn the_echo_of_a_command_is_not_its_output() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("serial");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let guest = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut typed = [0; 512];
            let n = stream.read(&mut typed).unwrap();
            stream.write_all(&typed[..n]).unwrap();
            stream.write_all(b"@@begin1\r\nhello\r\n[ 1.0] kernel says\r\n@@end1:7:\r\n# ").unwrap();
            // Wait until the test is over.
            let _ = stream.read(&mut typed);
        });
        let mut console = Console::connect(&socket, &dir.path().join("log"), Duration::from_secs(5)).unwrap();
        let ended = console.run("echo hello; (exit 7)", Duration::from_secs(5)).unwrap();
        assert_eq!(ended, Ended { status: 7, output: "hello\n[ 1.0] kernel says".into() });
        let err = console.wait_for("never", Duration::from_millis(100)).unwrap_err().to_string();
        assert!(err.contains("the time was up") && err.contains("kernel says"), "{err}");
        drop(console);
        guest.join().unwrap();
    }
}
