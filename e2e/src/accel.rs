//! How guest instructions are run, and which way really works on this host.

use std::fmt;
use std::io::Read;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;

use crate::group::Group;
use crate::qemu::{Display, Machine};

/// How long firmware may take to say something under KVM; it needs about one second where KVM works.
const PROBE: Duration = Duration::from_secs(10);

/// How guest instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation, one thread: with several, guest kernels crash on some hosts.
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

impl Accel {
    /// Finds out by running it: /dev/kvm may exist and not be able to start firmware (nested and paravirtual hosts).
    ///
    /// # Errors
    /// There is no QEMU or no firmware.
    pub fn probe() -> anyhow::Result<Self> {
        let kvm = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        if kvm.is_err() {
            return Ok(Self::Tcg);
        }
        let state = tempfile::tempdir().context("failed to make a directory for the probe")?;
        let machine = Machine::new(Self::Kvm).memory(256).display(Display::Headless);
        let cmd = machine.command(state.path())?.args(["-serial", "stdio", "-monitor", "none", "-no-reboot"]);
        let mut child =
            Group::spawn(cmd.std().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
                .with_context(|| format!("failed to start `{}`", cmd.display()))?;
        let (send, heard) = mpsc::channel();
        let serial = child.0.stdout.take().map(|pipe| (pipe, true).into_reader());
        let stderr = child.0.stderr.take().map(|pipe| (pipe, false).into_reader());
        for (mut pipe, is_serial) in serial.into_iter().chain(stderr) {
            let send = send.clone();
            std::thread::spawn(move || {
                let mut byte = [0; 64];
                if pipe.read(&mut byte).is_ok_and(|n| n > 0) {
                    // The receiver is gone once the probe has its answer.
                    let _ = send.send(is_serial);
                }
            });
        }
        drop(send);
        // Firmware talking on the serial line: it runs. Anything on stderr first, or silence: it does not.
        let runs = heard.recv_timeout(PROBE).unwrap_or(false);
        Ok(if runs { Self::Kvm } else { Self::Tcg })
    }
}

/// Both ends of a probe as one type.
trait IntoReader {
    fn into_reader(self) -> (Box<dyn Read + Send>, bool);
}

impl<R: Read + Send + 'static> IntoReader for (R, bool) {
    fn into_reader(self) -> (Box<dyn Read + Send>, bool) {
        (Box::new(self.0), self.1)
    }
}
