//! A TPM 2.0 for a machine: swtpm, a program beside QEMU that keeps the TPM's memory in a directory.
//!
//! Directory, socket -> a running TPM. What it keeps without power stays in the directory; PCRs begin anew with each start. It is ended
//! with its machine, by process id.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::cmd::Cmd;

use crate::group::Group;
use crate::qemu::escaped;

/// The program.
pub const SWTPM: &str = "swtpm";
/// How long it may take to open its socket.
const START: Duration = Duration::from_secs(10);

/// Whether this host can give machines a TPM.
#[must_use]
pub fn is_there() -> bool {
    common::cmd::which(SWTPM).is_some()
}

/// A TPM that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Tpm {
    _group: Group,
}

impl Tpm {
    /// Starts one whose memory is in `dir`, made if it is not there: a new TPM.
    pub(crate) fn start(dir: &Path, socket: &Path, log: &Path) -> anyhow::Result<Self> {
        ensure_there()?;
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        let cmd = Cmd::new(SWTPM)
            .args(["socket", "--tpm2", "--terminate", "--tpmstate", &format!("dir={}", dir.display())])
            .args(["--ctrl", &format!("type=unixio,path={}", socket.display())])
            .args(["--log", "level=5"])
            .under("setpriv", &["--pdeathsig", "KILL", "--"]);
        let output = File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
        let stderr = output.try_clone().context("failed to share swtpm's log")?;
        let mut group = Group::spawn(cmd.std().stdin(Stdio::null()).stdout(output).stderr(stderr))
            .with_context(|| format!("failed to start `{}`", cmd.display()))?;
        let until = Instant::now() + START;
        while !socket.exists() {
            let ended = group.wait(Duration::from_millis(20)).context("failed to wait for swtpm")?;
            let said = || std::fs::read_to_string(log).unwrap_or_default();
            ensure!(ended.is_none(), "`{}` ended at once; it said:\n{}", cmd.display(), said());
            ensure!(Instant::now() < until, "swtpm opened no socket; it said:\n{}", said());
        }
        Ok(Self { _group: group })
    }
}

fn ensure_there() -> anyhow::Result<()> {
    let missing = || anyhow::anyhow!("{SWTPM}, which is the TPM of a virtual machine, is not installed");
    let found = if is_there() { Ok(()) } else { Err(missing()) };
    found.hint("install the Debian package swtpm; `cargo xtask doctor` knows it")
}

/// QEMU's options for the one that listens on `socket`.
pub(crate) fn options(socket: &Path) -> [String; 6] {
    [
        "-chardev".to_owned(),
        format!("socket,id=tpm,path={}", escaped(socket)),
        "-tpmdev".to_owned(),
        "emulator,id=tpm0,chardev=tpm".to_owned(),
        "-device".to_owned(),
        "tpm-crb,tpmdev=tpm0".to_owned(),
    ]
}
