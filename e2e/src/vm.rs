//! A running machine: QEMU in a process group of its own, the serial console, QMP, and a directory of artefacts
//! (`console.log`, `qemu.log`, `tpm.log` where there is a TPM, screenshots, `timings.json`).
//!
//! Dropping it ends the process group, whatever the test was doing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::cmd::Cmd;
use serde::Serialize;

use crate::console::Console;
use crate::group::Group;
use crate::qemu::{Machine, tpm_socket};
use crate::qmp::{Qmp, Screenshot};
use crate::tpm::Tpm;

/// How long QEMU may take to open its sockets.
const START: Duration = Duration::from_secs(30);

/// A machine that runs until it is dropped.
#[derive(Debug)]
pub struct Vm {
    /// Its serial console.
    pub console: Console,
    /// Its control socket.
    pub qmp: Qmp,
    group: Group,
    artefacts: PathBuf,
    started: Instant,
    steps: Vec<Step>,
    /// Ended behind QEMU, which it serves.
    _tpm: Option<Tpm>,
    /// UEFI variables and sockets; removed with the machine.
    _state: tempfile::TempDir,
}

/// One line of `timings.json`.
#[derive(Debug, Clone, Serialize)]
struct Step {
    name: String,
    /// Seconds since power on.
    at: f64,
}

impl Vm {
    /// Powers a machine on; artefacts go to `artefacts`, which is emptied first.
    ///
    /// # Errors
    /// QEMU does not start.
    pub fn start(machine: &Machine, artefacts: &Path) -> anyhow::Result<Self> {
        if artefacts.exists() {
            std::fs::remove_dir_all(artefacts)
                .with_context(|| format!("failed to empty {}", artefacts.display()))?;
        }
        std::fs::create_dir_all(artefacts)
            .with_context(|| format!("failed to create {}", artefacts.display()))?;
        // Unix socket paths are limited to 107 bytes: a short temporary directory, not the artefacts'.
        let state = tempfile::tempdir().context("failed to make a directory for the machine's state")?;
        let (serial, control) = (state.path().join("serial"), state.path().join("qmp"));
        let listen = |path: &Path| format!("unix:{},server=on,wait=off", path.display());
        let tpm = machine.tpm_dir();
        let tpm = tpm.map(|dir| Tpm::start(dir, &tpm_socket(state.path()), &artefacts.join("tpm.log")));
        let tpm = tpm.transpose()?;
        let cmd: Cmd = machine.command(state.path())?;
        // `wait=on` for the serial line: QEMU starts the guest once we listen, so not a byte is lost.
        let cmd = cmd.args(["-serial", &format!("unix:{},server=on,wait=on", serial.display())]);
        let cmd = cmd.args(["-qmp", &listen(&control), "-no-reboot"]);
        // Ctrl-C and SIGKILL end this process without running Drop; the kernel then ends QEMU.
        let cmd = cmd.under("setpriv", &["--pdeathsig", "KILL", "--"]);
        let log = artefacts.join("qemu.log");
        let output = File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
        common::fs::write_atomic(&artefacts.join("command"), format!("{}\n", cmd.display()).as_bytes())?;
        let stderr = output.try_clone().context("failed to share QEMU's log")?;
        let group = Group::spawn(cmd.std().stdin(Stdio::null()).stdout(output).stderr(stderr))
            .with_context(|| format!("failed to start `{}`", cmd.display()))?;
        let said =
            || format!("QEMU did not start; it said:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
        let console = Console::connect(&serial, &artefacts.join("console.log"), START).with_context(said)?;
        let qmp = Qmp::connect(&control, START).with_context(said)?;
        Ok(Self {
            console,
            qmp,
            group,
            artefacts: artefacts.to_owned(),
            started: Instant::now(),
            steps: Vec::new(),
            _tpm: tpm,
            _state: state,
        })
    }

    /// Notes that a step is reached and writes `timings.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn reached(&mut self, step: &str) -> anyhow::Result<()> {
        self.steps.push(Step { name: step.to_owned(), at: self.started.elapsed().as_secs_f64() });
        let json = serde_json::to_vec_pretty(&self.steps).context("failed to encode the timings")?;
        common::fs::write_atomic(&self.artefacts.join("timings.json"), &json)
    }

    /// Saves the VGA screen as `NAME.png` among the artefacts.
    ///
    /// # Errors
    /// QEMU is gone or cannot write it.
    pub fn screenshot(&mut self, name: &str) -> anyhow::Result<Screenshot> {
        self.qmp.screenshot(&self.artefacts.join(format!("{name}.png")))
    }

    /// Where its artefacts are.
    #[must_use]
    pub fn artefacts(&self) -> &Path {
        &self.artefacts
    }

    /// Seconds since power on.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Waits for the guest to power off.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.wait_for_end("reboot: Power down", limit)
    }

    /// Waits for the guest to restart, which ends the machine: whoever wants it on again starts it anew, so that he can
    /// take the disc out meanwhile.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub fn wait_for_reboot(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.wait_for_end("reboot: Restarting system", limit)
    }

    /// With -no-reboot a crash of the guest ends QEMU as well: the kernel's last words tell them apart.
    fn wait_for_end(&mut self, last_words: &str, limit: Duration) -> anyhow::Result<()> {
        let ended = self.group.wait(limit).context("failed to wait for QEMU")?;
        let status = ended.with_context(|| {
            format!(
                "the machine was still on after {} s; last lines:\n{}",
                limit.as_secs(),
                self.console.tail()
            )
        })?;
        ensure!(status.success(), "QEMU ended with {status}");
        self.console.wait_for(last_words, Duration::from_secs(5)).map(drop)
    }
}
