//! A person's terminal: a program on a pseudo-terminal, what it writes read by a terminal emulator (vt100), and answers typed.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Child;

use common::cmd::Cmd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(120).unwrap();
/// What has not come by then never will: a test that fails instead of one that hangs.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A program on a terminal of its own.
pub struct Terminal {
    /// The program.
    pub child: Child,
    master: std::fs::File,
    emulator: vt100::Parser,
    /// Every screen that was seen, in order.
    pub screens: Vec<String>,
    /// Everything that was written.
    pub bytes: Vec<u8>,
}

impl Terminal {
    /// Starts a program. The terminal can draw, whatever the test's own says.
    ///
    /// # Panics
    /// There is no terminal, or it does not start.
    #[must_use]
    pub fn start(cmd: &Cmd) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("sized");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
        let slave = || std::fs::OpenOptions::new().read(true).write(true).open(&name).expect("opened");
        let mut command = cmd.clone().env("TERM", "xterm").std();
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("it starts");
        let emulator = vt100::Parser::new(ROWS, COLUMNS, 0);
        Self { child, master: master.into(), emulator, screens: Vec::new(), bytes: Vec::new() }
    }

    /// Reads until the screen has all of this.
    ///
    /// # Panics
    /// It ends before, or is silent for a minute.
    #[track_caller]
    pub fn wait_for(&mut self, texts: &[&str]) -> String {
        self.wait_until(|screen| texts.iter().all(|text| screen.contains(text)))
    }

    /// Reads until the screen is so.
    ///
    /// # Panics
    /// As [`Terminal::wait_for`].
    #[track_caller]
    pub fn wait_until(&mut self, is_so: impl Fn(&str) -> bool) -> String {
        loop {
            let now = self.screen();
            if is_so(&now) {
                return now;
            }
            assert!(self.read(), "it ended like this:\n{now}");
        }
    }

    /// Types.
    ///
    /// # Panics
    /// Nobody reads.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("typed");
    }

    /// Waits for its end: exit code, and what stands on the screen then.
    ///
    /// # Panics
    /// It is silent for a minute.
    pub fn end(mut self) -> Ended {
        while self.read() {}
        let code = self.child.wait().expect("it ends").code();
        Ended { code, last: self.screen(), screens: self.screens, bytes: self.bytes }
    }

    fn screen(&self) -> String {
        // Rows, not lines: what fills its row to the last column is no longer line for that.
        let rows = self.emulator.screen().rows(0, COLUMNS.get());
        let rows: Vec<_> = rows.map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Reads once; whether there was something.
    fn read(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&PATIENCE)).expect("polled");
        assert!(ready > 0, "nothing more comes:\n{}", self.screen());
        let mut buffer = [0; 4096];
        // EIO: the other side is closed.
        let n = self.master.read(&mut buffer).unwrap_or(0);
        self.bytes.extend_from_slice(&buffer[..n]);
        // Byte by byte: what stood there for a moment was seen, too.
        for byte in &buffer[..n] {
            self.emulator.process(std::slice::from_ref(byte));
            let now = self.screen();
            if self.screens.last() != Some(&now) {
                self.screens.push(now);
            }
        }
        n > 0
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What stands on the screen.
    pub last: String,
    /// Every screen that was seen, in order.
    pub screens: Vec<String>,
    /// Everything that was written.
    pub bytes: Vec<u8>,
}

impl Ended {
    /// It must have ended with this code.
    ///
    /// # Panics
    /// It has not.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.last);
        self
    }
}
