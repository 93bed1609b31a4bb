//! LevitateOS is installed as docs/guide/install.md says, word for word, and boots from the disk.
//!
//! One installation serves all checks: three boots and the copying take about six minutes under emulation. Other layouts
//! of disks are `cargo xtask e2e --matrix`.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use cheat_test::cheat_aware;
use common::cmd::Cmd;
use e2e::boot::{self, SETTLE};
use e2e::compare::Image;
use e2e::expected::{self, Listed};
use e2e::guide::Guide;
use e2e::install::Computer;
use e2e::installed;
use e2e::layout;
use e2e::vm::Vm;

use crate::disc;
use crate::release::Release;

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
    consequence = "people erase their disk for a system that does not start, or starts once",
    sabotage = ["install-without-a-file"]
)]
#[test]
fn the_guide_installs_a_system_that_boots() -> anyhow::Result<()> {
    let iso = disc::iso()?;
    let dir = testkit::target().join("e2e/install");
    let mut computer = Computer::new(&layout::MAIN, &iso, &dir)?;

    let mut vm = computer.boot_disc("1-disc")?;
    boot::settled(&mut vm.console)?;
    computer.follow(&mut vm, &guide()?, None).context(
        "`cargo xtask e2e --keep` installs in phases, and `--from PHASE` runs the one that failed again",
    )?;
    drop(vm);
    let image = image(&iso, &dir)?;
    compare("the disk after the installation", image.as_ref(), &computer, &[expected::INSTALLED])?;

    without_a_kernel(&computer, &dir)?;
    unfinished(&computer, &dir)?;

    let release = Release::serve(&dir)?;
    computer.serve(release.port()?);
    let mut vm = computer.boot_disk("2-first-boot")?;
    installed::log_in(&mut vm.console)?;
    vm.reached("root shell")?;
    installed::check(&mut vm.console, &layout::MAIN)?;
    vm.reached("checked")?;
    release.install(&mut vm.console)?;
    vm.reached("package installed")?;
    power_off(&mut vm)?;
    let lists = [expected::INSTALLED, expected::FIRST_BOOT, expected::PACKAGE];
    compare("the disk after the first boot", image.as_ref(), &computer, &lists)?;

    let mut vm = computer.boot_disk("3-second-boot")?;
    installed::log_in(&mut vm.console)?;
    boot::settled(&mut vm.console)?;
    release.undo(&mut vm.console)?;
    vm.reached("package gone")?;
    power_off(&mut vm)?;
    let lists = [expected::INSTALLED, expected::FIRST_BOOT, expected::UNDONE];
    compare("the disk after the undoing", image.as_ref(), &computer, &lists)
}

fn power_off(vm: &mut Vm) -> anyhow::Result<()> {
    vm.console.send("systemctl poweroff\n")?;
    vm.wait_for_power_off(SETTLE)?;
    vm.reached("off")
}

/// The same disk with no kernel on it does not start; the error says how far it got.
fn without_a_kernel(computer: &Computer, dir: &Path) -> anyhow::Result<()> {
    let twin = computer.copy(&dir.join("twin-without-kernel"))?;
    twin.without_kernel()?;
    let error = does_not_boot(&twin)?;
    // systemd-boot offers the firmware's setup, all that is left, and resets the machine to get there.
    ensure!(error.contains("the boot stopped in the boot loader: "), "the error does not say where: {error}");
    Ok(())
}

/// The same disk as an installation in full swing left it does not start; it says so on the serial line.
fn unfinished(computer: &Computer, dir: &Path) -> anyhow::Result<()> {
    let twin = computer.copy(&dir.join("twin-unfinished"))?;
    let disk = &twin.disks[0];
    let root = format!("{}?offset={}", disk.image.display(), disk.partition(2)?.offset);
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

pub(crate) fn guide() -> anyhow::Result<Guide> {
    let file = testkit::workspace().join("docs/guide/install.md");
    Guide::parse(&common::fs::read_to_string(&file)?).with_context(|| file.display().to_string())
}

/// The image on the disc, or none where we may not mount.
fn image(iso: &Path, dir: &Path) -> anyhow::Result<Option<Image>> {
    if !testkit::is_root() {
        return Ok(None);
    }
    for tool in ["rsync", "partx", "xorriso"] {
        let _ = testkit::oracle(tool);
    }
    Image::of_disc(iso, dir).map(Some)
}

fn compare(
    what: &str,
    image: Option<&Image>,
    computer: &Computer,
    expected: &[&[Listed]],
) -> anyhow::Result<()> {
    let Some(image) = image else {
        testkit::skip(what, "comparing it with the image needs mounts, which need root");
        return Ok(());
    };
    computer.compare(image, expected).with_context(|| what.to_owned())
}
