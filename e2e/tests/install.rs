//! LevitateOS is installed as docs/guide/install.md says, word for word, and boots from the disk.
//!
//! One installation serves all checks: two boots and the copying take about five minutes under emulation. Other layouts
//! of disks are `cargo xtask e2e --matrix`.

mod disc;
#[path = "disc/damaged.rs"]
mod damaged;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use cheat_test::cheat_aware;
use common::cmd::Cmd;
use e2e::boot::{self, COMMAND, SETTLE};
use e2e::compare::{self, Difference};
use e2e::disk;
use e2e::guide::Guide;
use e2e::install::Computer;
use e2e::installed;
use e2e::layout;

/// What the guide's commands write, and nothing else may differ from the image before the first boot.
const SETTINGS: &[&str] = &[
    "etc/fstab",
    "etc/hostname",
    "etc/locale.conf",
    "etc/localtime",
    "etc/group",
    "etc/group-",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/passwd",
    "etc/passwd-",
    "etc/shadow",
    "etc/shadow-",
    "etc/subgid",
    "etc/subgid-",
    "etc/subuid",
    "etc/subuid-",
    "etc/.pwd.lock",
    "home/me/**",
    // by which name the boot loader knows the system; `bootctl install` writes it
    "etc/kernel",
    "etc/kernel/entry-token",
    // what was typed in recchroot
    "root/.bash_history",
    // the directory below the ESP, which recstrap cannot see
    "efi",
    // ext4's own
    "lost+found",
    // recstrap's record
    "var/lib/levitate/**",
];

#[cheat_aware(
    protects = "who types the installation guide gets a system that boots to a login, whole and his own",
    severity = "CRITICAL",
    cheats = [
        "type other commands than the guide's, or go on after one that failed",
        "leave the disc in, or let the firmware's fallback path start what `bootctl install` did not register",
        "log in by an automatic login instead of the password that was set",
        "accept failed units or `degraded`",
        "list whole directories of the image as expected to differ",
        "keep the +3 in the UKI's name and call it counted"
    ],
    consequence = "people erase their disk for a system that does not start, or starts once"
)]
#[test]
fn the_guide_installs_a_system_that_boots() -> anyhow::Result<()> {
    let iso = disc::iso()?;
    let dir = testkit::target().join("e2e/install");
    let computer = Computer::new(&layout::MAIN, &iso, &dir)?;

    let mut vm = computer.boot_disc("1-disc")?;
    boot::settled(&mut vm.console)?;
    computer.follow(&mut vm, &guide()?, None)?;
    drop(vm);
    let disk = &computer.disks[0].image;
    let found = compare("the disk after the installation", &iso, disk, &dir)?;
    nothing_else(&found, SETTINGS)?;

    without_a_kernel(&computer, &dir)?;
    unfinished(&computer, &dir)?;

    let mut vm = computer.boot_disk("2-first-boot")?;
    installed::log_in(&mut vm.console)?;
    vm.reached("root shell")?;
    installed::check(&mut vm.console, &layout::MAIN)?;
    vm.reached("checked")?;
    vm.console.send("systemctl poweroff\n")?;
    vm.wait_for_power_off(SETTLE)?;
    vm.reached("off")
}

#[cheat_aware(
    protects = "a disc with a single wrong bit is not installed from, and what was begun is not taken for a system",
    severity = "CRITICAL",
    cheats = [
        "damage the disc where it does not boot any more, so that the shell is never reached",
        "take any failure of any command for the refusal",
        "have recstrap trust a digest that it computes from the damaged image"
    ],
    consequence = "a worn-out stick gives a system that breaks months later"
)]
#[test]
fn a_damaged_disc_is_not_installed_from() -> anyhow::Result<()> {
    let dir = testkit::target().join("e2e/install-damaged");
    let iso = damaged::disc(&disc::iso()?, &testkit::target().join("e2e/damaged.iso"))?;
    let computer = Computer::new(&layout::MAIN, &iso, &dir)?;
    let mut vm = computer.boot_disc("1-disc")?;
    let Err(error) = computer.follow(&mut vm, &guide()?, Some("install")) else {
        bail!("recstrap installed from a damaged disc")
    };
    let error = format!("{error:#}");
    ensure!(
        error.contains("step install") && error.contains("`recstrap /mnt` exited with 11 "),
        "expected recstrap to refuse the image, found: {error}"
    );
    let marker = format!("test -e /mnt/{}", common::layout::INCOMPLETE_MARKER);
    vm.console.check(&marker, COMMAND).context("what was begun is not marked").map(drop)
}

/// The same disk with no kernel on it does not start; the error says how far it got.
fn without_a_kernel(computer: &Computer, dir: &Path) -> anyhow::Result<()> {
    let twin = computer.copy(&dir.join("twin-without-kernel"))?;
    let disk = &twin.disks[0].image;
    let esp = format!("{}@@{}", disk.display(), disk::partition(disk, 1)?.offset);
    Cmd::new("mdeltree").args(["-i", &esp, "::EFI/Linux"]).read()?;
    let error = does_not_boot(&twin)?;
    // systemd-boot offers the firmware's setup, all that is left, and resets the machine to get there.
    ensure!(error.contains("the boot stopped in the boot loader: "), "the error does not say where: {error}");
    Ok(())
}

/// The same disk as an installation in full swing left it does not start; it says so on the serial line.
fn unfinished(computer: &Computer, dir: &Path) -> anyhow::Result<()> {
    let twin = computer.copy(&dir.join("twin-unfinished"))?;
    let disk = &twin.disks[0].image;
    let root = format!("{}?offset={}", disk.display(), disk::partition(disk, 2)?.offset);
    let marker = format!("write /dev/null {}", common::layout::INCOMPLETE_MARKER);
    // Fails with exit status 0; that the boot ends is the proof.
    Cmd::new("debugfs").args(["-w", "-R", &marker, &root]).read()?;
    let error = does_not_boot(&twin)?;
    ensure!(error.contains("the boot ended in the initramfs: "), "the error does not say where: {error}");
    ensure!(
        error.contains("The installation of this system was not finished") && error.contains("recstrap"),
        "the system does not say why it does not start: {error}"
    );
    Ok(())
}

fn does_not_boot(twin: &Computer) -> anyhow::Result<String> {
    match twin.boot_disk("boot") {
        Ok(_) => bail!("it reached a login"),
        Err(e) => Ok(format!("{e:#}")),
    }
}

fn guide() -> anyhow::Result<Guide> {
    let file = testkit::workspace().join("docs/guide/install.md");
    Guide::parse(&common::fs::read_to_string(&file)?).with_context(|| file.display().to_string())
}

/// The differences between the image and the root partition, or none where we may not mount.
fn compare(what: &str, iso: &Path, disk: &Path, dir: &Path) -> anyhow::Result<Vec<Difference>> {
    if !testkit::is_root() {
        testkit::skip(what, "comparing it with the image needs mounts, which need root");
        return Ok(Vec::new());
    }
    for tool in ["rsync", "sfdisk", "xorriso"] {
        let _ = testkit::oracle(tool);
    }
    // /usr alone is most of the image: fewer names are no comparison.
    let found = compare::image_with_disk(iso, disk, 2, dir)?;
    ensure!(found.iter().any(|d| d.path == "etc/fstab"), "fstab does not differ: nothing was compared");
    Ok(found)
}

fn nothing_else(found: &[Difference], expected: &[&str]) -> anyhow::Result<()> {
    let unexpected = compare::unexpected(found, expected);
    let lines = unexpected.iter().take(40).map(|d| format!("  {} {}", d.change, d.path));
    let lines = lines.collect::<Vec<_>>().join("\n");
    ensure!(
        unexpected.is_empty(),
        "{} names differ from the image that should not (as rsync --itemize-changes shows them):\n{lines}",
        unexpected.len()
    );
    Ok(())
}
