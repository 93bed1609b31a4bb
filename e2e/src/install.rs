//! An installation as a person makes it: boot the disc, type what the guide says, take the disc out, boot the disk.
//!
//! ISO + [`Layout`] + guide -> a machine with an installed system, in phases of their own: each leaves its artefacts in
//! `DIR/PHASE`. UEFI variables and disks stay from phase to phase, as in one computer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use common::cmd::Cmd;

use crate::accel::Accel;
use crate::boot::{self, COMMAND, SETTLE};
use crate::compare::{self, Image, Mount};
use crate::console::Answer;
use crate::disk::{Disk, Partition};
use crate::expected::{Listed, names};
use crate::guide::{Guide, Step};
use crate::layout::{Layout, PASSPHRASE};
use crate::qemu::{Machine, Medium};
use crate::vm::Vm;

/// The longest command of the guide, `recstrap`, under emulation.
const STEP: Duration = Duration::from_secs(900);
/// MiB of a disk; the files are sparse.
const DISK: u64 = 8 << 10;

/// Names in a computer's directory: the firmware's memory, and the TPM's.
const VARIABLES: &str = "variables.fd";
const TPM: &str = "tpm";

/// Root's password and the user's, for whoever types the guide.
pub const PASSWORD: &str = "correct horse";
/// The user that the guide makes.
pub const USER: &str = "me";

/// What the commands of the guide ask.
const ANSWERS: &[Answer<'_>] = &[
    Answer { asked: "New password: ", typed: PASSWORD },
    Answer { asked: "Retype new password: ", typed: PASSWORD },
    Answer { asked: "(Type 'yes' in capital letters): ", typed: "YES" },
    Answer { asked: "Enter passphrase for /dev/vda2: ", typed: PASSPHRASE },
    Answer { asked: "Verify passphrase: ", typed: PASSPHRASE },
];

/// One computer: its disks, its firmware's memory, and the disc for it.
#[derive(Debug)]
pub struct Computer {
    layout: Layout,
    iso: PathBuf,
    dir: PathBuf,
    /// Its disks.
    pub disks: Vec<Disk>,
    accel: Accel,
    served: Option<u16>,
    parameters: String,
    tpm: bool,
}

impl Computer {
    /// A new computer with empty disks; everything of it is in `dir`, which is emptied first.
    ///
    /// # Errors
    /// The files cannot be made, or there is no QEMU.
    pub fn new(layout: &Layout, iso: &Path, dir: &Path) -> anyhow::Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(dir).with_context(|| format!("failed to empty {}", dir.display()))?;
        }
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        let disk = |number: u8| {
            let disk = Disk::create(&dir.join(format!("disk{number}.raw")), DISK)?;
            anyhow::Ok(disk.bus(layout.bus).sector(layout.sector))
        };
        Ok(Self {
            layout: layout.clone(),
            iso: iso.to_owned(),
            dir: dir.to_owned(),
            disks: (0..layout.disks).map(disk).collect::<anyhow::Result<_>>()?,
            accel: Accel::probe()?,
            served: None,
            parameters: String::new(),
            tpm: false,
        })
    }

    /// Another computer that is in the state this one is in, in `dir`, which is emptied first.
    ///
    /// # Errors
    /// The files cannot be copied.
    pub fn copy(&self, dir: &Path) -> anyhow::Result<Self> {
        let copy = Self::new(&self.layout, &self.iso, dir)?;
        self.save(&copy.dir)?;
        Ok(Self { tpm: self.tpm, ..copy })
    }

    /// A computer in `dir`, which is emptied first, in the state that another one of the same layout [saved](Self::save).
    ///
    /// # Errors
    /// The files cannot be copied.
    pub fn restored(layout: &Layout, iso: &Path, dir: &Path, saved: &Path) -> anyhow::Result<Self> {
        let computer = Self::new(layout, iso, dir)?;
        let computer = Self { tpm: saved.join(TPM).exists(), ..computer };
        for name in computer.kept() {
            copy_sparse(&saved.join(name), &computer.dir)?;
        }
        Ok(computer)
    }

    /// Copies what it keeps without power to the directory `dir`: disks, UEFI variables, the TPM's memory. It must be off or paused.
    ///
    /// # Errors
    /// The files cannot be copied.
    pub fn save(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        self.kept().into_iter().try_for_each(|name| copy_sparse(&self.dir.join(name), dir))
    }

    /// Names of what it keeps without power, in its directory. The firmware's memory is there from the first start on.
    fn kept(&self) -> Vec<PathBuf> {
        let disks = self.disks.iter().filter_map(|disk| disk.image.file_name()).map(PathBuf::from);
        let tpm = self.tpm.then(|| PathBuf::from(TPM));
        disks.chain([PathBuf::from(VARIABLES)]).chain(tpm).collect()
    }

    /// From its first start on it has a TPM 2.0.
    #[must_use]
    pub fn with_tpm(self) -> Self {
        Self { tpm: true, ..self }
    }

    /// How its disks are laid out.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// From its next start on it reaches this port of the host, as port 80 of [`SERVED`](crate::qemu::SERVED).
    pub fn serve(&mut self, port: u16) {
        self.served = Some(port);
    }

    /// Kernel parameters besides those of the UKI, see [`Machine::parameters`].
    #[must_use]
    pub fn parameters(mut self, words: &str) -> Self {
        words.clone_into(&mut self.parameters);
        self
    }

    /// Boots the disc to its root prompt.
    ///
    /// # Errors
    /// It does not get there.
    pub fn boot_disc(&self, phase: &str) -> anyhow::Result<Vm> {
        let machine = self.machine().disc(Medium::Optical, &self.iso);
        let mut vm = Vm::start(&machine, &self.dir.join(phase))?;
        boot::live(&mut vm)?;
        Ok(vm)
    }

    /// Boots without the disc to the question for a name.
    ///
    /// # Errors
    /// It does not get there.
    pub fn boot_disk(&self, phase: &str) -> anyhow::Result<Vm> {
        let mut vm = Vm::start(&self.machine(), &self.dir.join(phase))?;
        boot::wait(&mut vm, boot::LOGIN, self.layout.asked)?;
        vm.reached("login")?;
        Ok(vm)
    }

    /// Types the guide's steps up to and with `last`; ends with the first command that fails.
    ///
    /// # Errors
    /// Names the step, its line in the guide, the command and its output.
    pub fn follow(&self, vm: &mut Vm, guide: &Guide, last: Option<&str>) -> anyhow::Result<()> {
        let mut steps = guide.steps(self.layout.guide)?;
        if let Some(last) = last {
            let at = steps.iter().position(|step| step.name == last);
            steps.truncate(at.with_context(|| format!("the guide has no step {last}"))? + 1);
        }
        self.type_steps(vm, &steps)
    }

    /// Types steps of the guide; ends with the first command that fails.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn type_steps(&self, vm: &mut Vm, steps: &[Step]) -> anyhow::Result<()> {
        for step in steps {
            for command in step.commands()? {
                let typed = self.type_command(vm, step, &command);
                typed.with_context(|| {
                    format!("line {} of the installation guide, step {}", step.line, step.name)
                })?;
            }
            vm.reached(&step.name)?;
        }
        Ok(())
    }

    /// Compares the root on each disk with the image; only what is listed, here or in the layout, may differ.
    ///
    /// # Errors
    /// Something else differs, or the root cannot be mounted.
    pub fn compare(&self, image: &Image, lists: &[&[Listed]]) -> anyhow::Result<()> {
        let expected: Vec<_> = names(lists).into_iter().chain(names(&[self.layout.differs])).collect();
        for disk in &self.disks {
            let found = image.differences(disk, self.layout.place, &self.dir.join("root"))?;
            compare::only(&found, &expected).with_context(|| disk.image.display().to_string())?;
        }
        Ok(())
    }

    /// Mounts the root on the first disk, writable, for as long as what is returned lives.
    ///
    /// # Errors
    /// There is none, or the kernel refuses.
    pub fn mount_root(&self) -> anyhow::Result<Mount> {
        let disk = self.disks.first().context("a computer without disks")?;
        let Partition { offset, size } = self.layout.place.on(disk)?;
        let options = format!("loop,offset={offset},sizelimit={size}");
        Mount::new(&disk.image, &options, &self.dir.join("root"))
    }

    /// Takes all kernels off its EFI system partition.
    ///
    /// # Errors
    /// There is no such partition, or none in it.
    pub fn without_kernel(&self) -> anyhow::Result<()> {
        Cmd::new("mdeltree").args(["-i", &self.esp()?, "::EFI/Linux"]).read().map(drop)
    }

    fn type_command(&self, vm: &mut Vm, step: &Step, command: &str) -> anyhow::Result<()> {
        let first = self.disks.first().map(|disk| disk.node(0)).unwrap_or_default();
        let mut words = command.split_whitespace();
        match (words.next(), words.count()) {
            // The one thing every reader changes.
            (Some("DISK=/dev/vda"), 0) => vm.console.check(&format!("DISK={first}"), COMMAND).map(drop),
            // These leave the shell we are in.
            (Some("recchroot"), 1) | (Some("exit"), 0) => vm.console.change_shell(command, COMMAND),
            (Some("reboot"), 0) => {
                vm.console.send("reboot\n")?;
                vm.wait_for_reboot(SETTLE)
            }
            _ => {
                let answers = if step.asks { ANSWERS } else { &[] };
                let started = Instant::now();
                let ended = vm.console.run_answering(command, answers, STEP)?;
                if ended.status != 0 {
                    bail!(
                        "`{command}` exited with {} after {} s:\n{}",
                        ended.status,
                        started.elapsed().as_secs(),
                        ended.output
                    );
                }
                Ok(())
            }
        }
    }

    fn machine(&self) -> Machine {
        let machine = Machine::new(self.accel).isolated().variables(&self.variables());
        let machine = machine.serve(self.served).parameters(&self.parameters);
        let machine = machine.tpm(self.tpm.then(|| self.dir.join(TPM)));
        self.disks.iter().fold(machine, Machine::disk)
    }

    /// mtools' name of the EFI system partition of its first disk.
    pub(crate) fn esp(&self) -> anyhow::Result<String> {
        let disk = self.disks.first().context("a computer without disks")?;
        Ok(format!("{}@@{}", disk.image.display(), disk.partition(1)?.offset))
    }

    /// The file of the firmware's memory.
    pub(crate) fn variables(&self) -> PathBuf {
        self.dir.join(VARIABLES)
    }
}

/// Copies a file or a directory into `dir`, without its holes, sharing its blocks where the file system can.
fn copy_sparse(from: &Path, dir: &Path) -> anyhow::Result<()> {
    let cp = Cmd::new("cp").args(["--recursive", "--sparse=always", "--reflink=auto"]);
    cp.arg(from).arg(dir).read().map(drop)
}
