//! The QEMU command line of a machine, and which accelerator really works here.

use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cmd::Cmd;

use crate::firmware::Firmware;

/// QEMU for the one architecture we build.
pub const QEMU: &str = "qemu-system-x86_64";

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

/// What the machine shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// A VGA card nobody looks at but screenshots; the caller wires the serial line.
    Headless,
    /// Serial line and monitor on this terminal.
    Terminal,
    /// A window.
    Window,
}

/// How the disc is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A SATA optical drive.
    Optical,
    /// A USB stick (the ISO written to it by dd).
    Usb,
    /// A virtio disk.
    Virtio,
}

/// A machine that is not running.
#[derive(Debug, Clone)]
pub struct Machine {
    accel: Accel,
    memory: u32,
    display: Display,
    disc: Option<(Medium, PathBuf)>,
    disks: Vec<PathBuf>,
    isolated: bool,
}

impl Machine {
    /// A machine with 2 GiB of RAM, a network and nothing to boot from.
    #[must_use]
    pub fn new(accel: Accel) -> Self {
        Self {
            accel,
            memory: 2048,
            display: Display::Headless,
            disc: None,
            disks: Vec::new(),
            isolated: false,
        }
    }

    /// RAM in MiB.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }

    /// What it shows.
    #[must_use]
    pub fn display(mut self, display: Display) -> Self {
        self.display = display;
        self
    }

    /// Puts the ISO into an optical drive.
    #[must_use]
    pub fn cdrom(self, iso: &Path) -> Self {
        self.disc(Medium::Optical, iso)
    }

    /// Attaches the ISO, read-only, to boot from.
    #[must_use]
    pub fn disc(mut self, medium: Medium, iso: &Path) -> Self {
        self.disc = Some((medium, iso.to_owned()));
        self
    }

    /// Attaches a qcow2 disk image, writable, virtio.
    #[must_use]
    pub fn disk(mut self, image: &Path) -> Self {
        self.disks.push(image.to_owned());
        self
    }

    /// The guest gets an address but reaches nothing outside (tests).
    #[must_use]
    pub fn isolated(mut self) -> Self {
        self.isolated = true;
        self
    }

    /// The command; `state` is where this machine's UEFI variables go.
    ///
    /// # Errors
    /// There is no firmware on this host, or `state` cannot be written.
    pub fn command(&self, state: &Path) -> anyhow::Result<Cmd> {
        let firmware = Firmware::find()?;
        let vars = firmware.fresh_vars(state)?;
        let (accel, cpu, smp) = match self.accel {
            Accel::Kvm => ("kvm", "host", "2"),
            // EL10 is built for x86-64-v3, which qemu64, the default CPU, is not.
            Accel::Tcg => ("tcg,thread=single", "max", "1"),
        };
        let restrict = if self.isolated { ",restrict=on" } else { "" };
        let mut cmd = Cmd::new(QEMU)
            .args(["-name", "levitateos", "-machine", "q35", "-accel", accel, "-cpu", cpu, "-smp", smp])
            .args(["-m", &self.memory.to_string(), "-nodefaults", "-vga", "std"])
            .arg("-drive")
            .arg(format!("if=pflash,unit=0,format=raw,readonly=on,file={}", escaped(&firmware.code)))
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=raw,file={}", escaped(&vars)))
            .args(["-device", "virtio-rng-pci"])
            .args([
                "-netdev",
                &format!("user,id=net0{restrict}"),
                "-device",
                "virtio-net-pci,netdev=net0,romfile=",
            ]);
        match self.display {
            Display::Headless => cmd = cmd.args(["-display", "none"]),
            Display::Terminal => cmd = cmd.args(["-nographic", "-serial", "mon:stdio"]),
            Display::Window => {
                cmd = cmd.args(["-display", "gtk", "-device", "qemu-xhci", "-device", "usb-tablet"]);
            }
        }
        if let Some((medium, iso)) = &self.disc {
            let file = escaped(iso);
            cmd = match medium {
                Medium::Optical => cmd
                    .arg("-drive")
                    .arg(format!("if=none,id=disc,media=cdrom,readonly=on,format=raw,file={file}"))
                    .args(["-device", "ide-cd,drive=disc,bootindex=1"]),
                Medium::Usb => cmd
                    .arg("-drive")
                    .arg(format!("if=none,id=disc,readonly=on,format=raw,file={file}"))
                    .args([
                        "-device",
                        "nec-usb-xhci,id=usb",
                        "-device",
                        "usb-storage,bus=usb.0,drive=disc,bootindex=1",
                    ]),
                Medium::Virtio => cmd
                    .arg("-drive")
                    .arg(format!("if=none,id=disc,readonly=on,format=raw,file={file}"))
                    .args(["-device", "virtio-blk-pci,drive=disc,bootindex=1"]),
            };
        }
        for (i, disk) in self.disks.iter().enumerate() {
            cmd = cmd
                .arg("-drive")
                .arg(format!("if=none,id=disk{i},format=qcow2,file={}", escaped(disk)))
                .args(["-device", &format!("virtio-blk-pci,drive=disk{i},bootindex={}", i + 2)]);
        }
        Ok(cmd)
    }
}

/// A path as a value in QEMU's comma-separated options: commas are doubled.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// A child in a process group of its own; dropping it ends the group.
#[derive(Debug)]
pub(crate) struct Group(pub(crate) Child);

impl Group {
    pub(crate) fn spawn(cmd: &mut std::process::Command) -> std::io::Result<Self> {
        Ok(Self(cmd.process_group(0).spawn()?))
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
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
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended meanwhile; then there is nothing to do.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}
