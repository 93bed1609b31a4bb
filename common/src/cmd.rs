//! The one door to subprocesses.
//!
//! Every command runs with stdin closed, a C.UTF-8 locale (if not told otherwise) and an error that shows a line one
//! can paste into a shell, its exit status and the tail of its stderr. `clippy.toml` forbids `Command::new` elsewhere.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, bail};

/// How much of a failed command's stderr an error shows, bytes: enough for the last messages, not a screenful.
const STDERR_TAIL: usize = 2048;

/// A command that has not run yet.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    /// Nothing: not inherited.
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
    keep_locale: bool,
}

impl Cmd {
    /// A command without arguments; `program` is looked up on PATH.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), dir: None, keep_locale: false }
    }

    /// The same command started by another program: `under("setpriv", &["--pdeathsig", "KILL", "--"])`.
    #[must_use]
    pub fn under(mut self, program: &str, args: &[&str]) -> Self {
        let inner = std::mem::replace(&mut self.program, program.into());
        let args = args.iter().map(OsString::from).chain([inner]).collect::<Vec<_>>();
        self.args.splice(0..0, args);
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable on top of the inherited environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), Some(value.into())));
        self
    }

    /// Does not let the command inherit one variable.
    #[must_use]
    pub fn without_env(mut self, key: impl Into<OsString>) -> Self {
        self.env.push((key.into(), None));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Leaves the locale as the user has it: for programs that speak to him and not to us.
    #[must_use]
    pub fn keep_locale(mut self) -> Self {
        self.keep_locale = true;
        self
    }

    /// The command as one line that can be pasted into a shell.
    #[must_use]
    pub fn display(&self) -> String {
        let set = self.env.iter().filter_map(|(k, v)| Some((k, v.as_ref()?)));
        let words = set.map(|(k, v)| format!("{}={}", k.to_string_lossy(), quote(v)));
        let words = words.chain(std::iter::once(quote(&self.program)));
        words.chain(self.args.iter().map(|a| quote(a))).collect::<Vec<_>>().join(" ")
    }

    /// Runs it with its output on our stdout and stderr; fails unless it exits 0.
    ///
    /// # Errors
    /// The program cannot be started, or exits other than 0.
    pub fn run(&self) -> anyhow::Result<()> {
        let status = self.status()?;
        self.check(status, &[])
    }

    /// Runs it with its output on our stdout and stderr and returns its status.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn status(&self) -> anyhow::Result<ExitStatus> {
        self.std().stdin(Stdio::null()).status().with_context(|| self.cannot_start())
    }

    /// Runs it on our own terminal (stdin too) and returns its status: for programs a person talks to.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn interactive(&self) -> anyhow::Result<ExitStatus> {
        self.std().status().with_context(|| self.cannot_start())
    }

    /// Runs it with its output captured and returns status, stdout and stderr, whatever the status.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn output(&self) -> anyhow::Result<Output> {
        self.std().stdin(Stdio::null()).output().with_context(|| self.cannot_start())
    }

    /// Runs it with its output captured and returns its stdout; fails unless it exits 0.
    ///
    /// # Errors
    /// The program cannot be started, exits other than 0, or prints what is not UTF-8.
    pub fn read(&self) -> anyhow::Result<String> {
        let out = self.output()?;
        self.check(out.status, &out.stderr)?;
        String::from_utf8(out.stdout)
            .with_context(|| format!("`{}` printed what is not UTF-8", self.display()))
    }

    /// The `std` command, for callers that need pipes or a process group of their own.
    #[must_use]
    pub fn std(&self) -> Command {
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let mut cmd = Command::new(&self.program);
        cmd.args(&self.args);
        if !self.keep_locale {
            cmd.env("LC_ALL", "C.UTF-8").env_remove("LANGUAGE");
        }
        for (key, value) in &self.env {
            match value {
                Some(value) => cmd.env(key, value),
                None => cmd.env_remove(key),
            };
        }
        if let Some(dir) = &self.dir {
            cmd.current_dir(dir);
        }
        cmd
    }

    fn check(&self, status: ExitStatus, stderr: &[u8]) -> anyhow::Result<()> {
        if status.success() {
            return Ok(());
        }
        let tail = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(STDERR_TAIL)..]);
        let tail = tail.trim();
        let sep = if tail.is_empty() { "" } else { "\n" };
        bail!("`{}` failed ({status}){sep}{tail}", self.display());
    }

    fn cannot_start(&self) -> String {
        format!("failed to start `{}` (is it installed and on PATH?)", self.display())
    }
}

/// Where PATH has `program`, if anywhere.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps fsck, mkfs and friends in sbin, which an ordinary user's PATH leaves out.
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|dir| dir.join(program)).find(|p| p.is_file())
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_a_line_to_paste_the_status_and_stderr() {
        let cmd = Cmd::new("sh").args(["-c", "echo broken >&2; exit 3", "it's"]);
        let err = cmd.read().unwrap_err().to_string();
        assert_eq!(err, "`sh -c 'echo broken >&2; exit 3' 'it'\\''s'` failed (exit status: 3)\nbroken");
    }

    #[test]
    fn a_variable_is_set_or_kept_from_the_command() {
        let cmd =
            Cmd::new("sh").args(["-c", "echo ${HOME-none} ${A-none}"]).without_env("HOME").env("A", "b");
        assert_eq!(cmd.read().unwrap(), "none b\n");
        assert_eq!(cmd.display(), "A=b sh -c 'echo ${HOME-none} ${A-none}'");
    }

    #[test]
    fn a_missing_program_says_so() {
        let err = Cmd::new("no-such-program-here").run().unwrap_err().to_string();
        assert_eq!(err, "failed to start `no-such-program-here` (is it installed and on PATH?)");
    }
}
