//! The ISO boots under UEFI to a root prompt, and the system there is the one we built.
//!
//! One boot serves all checks of the running system: it takes about a minute and a half under emulation. The disc is
//! the newest ISO, LEVITATE_ISO, or built by `cargo xtask iso` when there is none.

use anyhow::ensure;
use cheat_test::cheat_aware;
use e2e::accel::Accel;
use e2e::boot::{self, COMMAND, SETTLE};
use e2e::qemu::{Machine, Medium};
use e2e::vm::Vm;

use crate::disc;

#[cheat_aware(
    protects = "the ISO boots to a root prompt with every service running",
    severity = "CRITICAL",
    cheats = [
        "accept `degraded` from systemctl is-system-running",
        "mask the units that fail instead of mending them",
        "boot another kernel or root file system than the disc's own",
        "take the echo of a command for its output"
    ],
    consequence = "people write the disc to a stick, boot it, and have no shell to install from",
    sabotage = ["live-unit-fails"]
)]
#[test]
fn boots_to_a_running_system() -> anyhow::Result<()> {
    let mut vm = start("boot-optical", Medium::Optical, 2048)?;
    boot::settled(&mut vm.console)?;
    let c = &mut vm.console;

    let root = c.check("findmnt --noheadings --output FSTYPE /", COMMAND)?;
    ensure!(root == "overlay", "expected / to be an overlay, found {root:?}");
    let lower = c.check("findmnt --noheadings --output FSTYPE,OPTIONS /run/levitate/rootfs", COMMAND)?;
    ensure!(lower.starts_with("erofs"), "expected an EROFS below /, found {lower:?}");

    let image =
        c.check("stat -L -c %s /run/levitate/image /run/levitate/medium/live/rootfs.erofs", COMMAND)?;
    let same = image.split_once('\n').is_some_and(|(link, file)| link == file);
    ensure!(same, "/run/levitate/image is not the disc's image: {image:?}");
    c.check("cmp /run/levitate/manifest.json /run/levitate/medium/live/manifest.json", COMMAND)?;

    // The image holds exactly one kernel; the running one must be it.
    let kernel = c.check("uname -r", COMMAND)?;
    let modules = c.check("ls /usr/lib/modules", COMMAND)?;
    ensure!(kernel == modules, "running kernel {kernel:?}, but the image has {modules:?}");

    // What the build made, no boot makes again.
    let again =
        "ldconfig systemd-hwdb-update systemd-journal-catalog-update systemd-sysusers systemd-update-done";
    let ran = c.check(&format!("systemctl show -P ConditionResult {again} | sort -u"), COMMAND)?;
    ensure!(ran == "no", "expected none of {again} to run, found {ran:?}");

    let os = c.check("cat /etc/os-release", COMMAND)?;
    let says = |line: &str| os.lines().any(|l| l.replace('"', "") == line);
    ensure!(says("NAME=LevitateOS") && says("ID=levitateos"), "/etc/os-release is not ours:\n{os}");

    boot::network(c)?;

    let login = c.check("whoami; tty", COMMAND)?;
    ensure!(login == "root\n/dev/ttyS0", "expected root on ttyS0, found {login:?}");
    let tty1 = c.check("ps --no-headers -o user,comm -t tty1", COMMAND)?;
    ensure!(
        tty1.lines().any(|l| l.starts_with("root") && l.ends_with("bash")),
        "no root shell on tty1, but {tty1:?}"
    );
    let shown = c.check("cat /dev/vcs1", COMMAND)?;
    ensure!(
        shown.contains("automatic login") && shown.contains("Welcome to LevitateOS"),
        "tty1 shows {shown:?}"
    );
    vm.reached("checked")?;

    let picture = vm.screenshot("tty1")?;
    ensure!(
        picture.lit > 2000,
        "only {} pixels of the screen are lit, see {}",
        picture.lit,
        picture.path.display()
    );

    vm.console.send("systemctl poweroff\n")?;
    vm.wait_for_power_off(SETTLE)?;
    vm.reached("off")
}

#[cheat_aware(
    protects = "1 GiB of RAM is enough for the live system, from a USB stick",
    severity = "HIGH",
    cheats = ["give the machine more memory", "stop waiting before the services have started"],
    consequence = "small machines and small virtual machines cannot be installed"
)]
#[test]
fn boots_from_a_usb_stick_with_1_gib() -> anyhow::Result<()> {
    let mut vm = start("boot-usb-1g", Medium::Usb, 1024)?;
    boot::settled(&mut vm.console)?;
    let total = vm.console.check("awk '/^MemTotal/ { print $2 }' /proc/meminfo", COMMAND)?;
    ensure!(total.parse::<u64>()? < 1024 * 1024, "expected at most 1 GiB of RAM, found {total} KiB");
    let free = vm.console.check("awk '/^MemAvailable/ { print $2 }' /proc/meminfo", COMMAND)?;
    ensure!(free.parse::<u64>()? > 100 * 1024, "only {free} KiB of RAM are left");
    vm.reached("checked")
}

/// Powers a machine on with the ISO and waits for the root prompt on the serial console.
fn start(name: &str, medium: Medium, memory: u32) -> anyhow::Result<Vm> {
    let machine = Machine::new(Accel::probe()?).memory(memory).disc(medium, &disc::iso()?).isolated();
    let mut vm = Vm::start(&machine, &testkit::target().join("e2e").join(name))?;
    boot::live(&mut vm)?;
    Ok(vm)
}
