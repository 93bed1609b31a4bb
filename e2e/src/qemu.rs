//! The QEMU command line of a machine.

use std::path::{Path, PathBuf};

use common::cmd::Cmd;

use crate::accel::Accel;
use crate::disk::Disk;
use crate::firmware::Firmware;
use crate::tpm;

/// QEMU for the one architecture we build.
pub const QEMU: &str = "qemu-system-x86_64";

/// What the machine shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// A VGA card nobody looks at but screenshots; the caller wires the serial line.
    Headless,
    /// No VGA card at all; the caller wires the serial line.
    None,
    /// Serial line and monitor on this terminal.
    Terminal,
    /// A window.
    Window,
}

/// An address of QEMU's user network that nobody else has.
pub const SERVED: &str = "10.0.2.100";

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
    disks: Vec<Disk>,
    variables: Option<PathBuf>,
    parameters: String,
    isolated: bool,
    served: Option<u16>,
    tpm: Option<PathBuf>,
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
            variables: None,
            parameters: String::new(),
            isolated: false,
            served: None,
            tpm: None,
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

    /// Attaches a writable disk.
    #[must_use]
    pub fn disk(mut self, disk: &Disk) -> Self {
        self.disks.push(disk.clone());
        self
    }

    /// Keeps UEFI variables in this file, made at the first start. Without it each start finds the firmware new.
    #[must_use]
    pub fn variables(mut self, file: &Path) -> Self {
        self.variables = Some(file.to_owned());
        self
    }

    /// Kernel parameters besides those in the UKI, as its stub takes them from SMBIOS (systemd-stub(7); not under Secure Boot).
    #[must_use]
    pub fn parameters(mut self, words: &str) -> Self {
        words.clone_into(&mut self.parameters);
        self
    }

    /// The guest gets an address but reaches nothing outside (tests).
    #[must_use]
    pub fn isolated(mut self) -> Self {
        self.isolated = true;
        self
    }

    /// Port 80 of [`SERVED`] is this port of the host's loopback interface, also for an isolated guest.
    #[must_use]
    pub fn serve(mut self, port: impl Into<Option<u16>>) -> Self {
        self.served = port.into();
        self
    }

    /// Has a TPM 2.0 whose memory is in this directory; without one there is none.
    #[must_use]
    pub fn tpm(mut self, dir: impl Into<Option<PathBuf>>) -> Self {
        self.tpm = dir.into();
        self
    }

    /// Where the memory of its TPM is.
    pub(crate) fn tpm_dir(&self) -> Option<&Path> {
        self.tpm.as_deref()
    }

    /// The command; `state` is where UEFI variables go that nobody keeps, and where the TPM listens ([`tpm_socket`]).
    ///
    /// The disc is started first. Nothing is said of the disks: the firmware's own boot entries decide, as on a real
    /// computer.
    ///
    /// # Errors
    /// There is no firmware on this host, or its variables cannot be written.
    pub fn command(&self, state: &Path) -> anyhow::Result<Cmd> {
        let firmware = Firmware::find()?;
        let vars = self.variables.clone().unwrap_or_else(|| state.join("OVMF_VARS.fd"));
        if !vars.exists() {
            firmware.new_variables(&vars)?;
        }
        let (accel, cpu, smp) = match self.accel {
            Accel::Kvm => ("kvm", "host", "2"),
            // EL10 is built for x86-64-v3, which qemu64, the default CPU, is not.
            Accel::Tcg => ("tcg,thread=single", "max", "1"),
        };
        let restrict = if self.isolated { ",restrict=on" } else { "" };
        // A command for each connection; a character device would serve one only.
        let served = |port| format!(",guestfwd=tcp:{SERVED}:80-cmd:socat STDIO TCP:127.0.0.1:{port}");
        let served = self.served.map(served).unwrap_or_default();
        let mut cmd = Cmd::new(QEMU)
            .args(["-name", "levitateos", "-machine", "q35", "-accel", accel, "-cpu", cpu, "-smp", smp])
            .args(["-m", &self.memory.to_string(), "-nodefaults"])
            .args(["-vga", if self.display == Display::None { "none" } else { "std" }])
            .arg("-drive")
            .arg(format!("if=pflash,unit=0,format=raw,readonly=on,file={}", escaped(&firmware.code)))
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=raw,file={}", escaped(&vars)))
            .args(["-device", "virtio-rng-pci"])
            .args([
                "-netdev",
                &format!("user,id=net0{restrict}{served}"),
                "-device",
                "virtio-net-pci,netdev=net0,romfile=",
            ]);
        if !self.parameters.is_empty() {
            let value = self.parameters.replace(',', ",,");
            cmd = cmd.arg("-smbios");
            cmd = cmd.arg(format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={value}"));
        }
        match self.display {
            Display::Headless | Display::None => cmd = cmd.args(["-display", "none"]),
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
                    .args(["-device", "ide-cd,bus=ide.0,drive=disc,bootindex=1"]),
                Medium::Usb => cmd
                    .arg("-drive")
                    .arg(format!("if=none,id=disc,readonly=on,format=raw,file={file}"))
                    .args([
                        "-device",
                        "nec-usb-xhci,id=disc-usb",
                        "-device",
                        "usb-storage,bus=disc-usb.0,drive=disc,bootindex=1",
                    ]),
                Medium::Virtio => cmd
                    .arg("-drive")
                    .arg(format!("if=none,id=disc,readonly=on,format=raw,file={file}"))
                    .args(["-device", "virtio-blk-pci,drive=disc,bootindex=1"]),
            };
        }
        if self.tpm.is_some() {
            cmd = cmd.args(tpm::options(&tpm_socket(state)));
        }
        for (number, disk) in self.disks.iter().enumerate() {
            cmd = cmd.args(disk.options(number));
        }
        Ok(cmd)
    }
}

/// The socket of a machine's TPM.
pub(crate) fn tpm_socket(state: &Path) -> PathBuf {
    state.join("tpm")
}

/// A path as a value in QEMU's comma-separated options: commas are doubled.
pub(crate) fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
