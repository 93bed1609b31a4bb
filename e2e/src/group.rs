//! A child in a process group of its own, so that a test ends whatever it started.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Dropping it ends the group.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) Child);

impl Group {
    pub(crate) fn spawn(cmd: &mut Command) -> std::io::Result<Self> {
        Ok(Self(cmd.process_group(0).spawn()?))
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile; then there is nothing to do.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}
