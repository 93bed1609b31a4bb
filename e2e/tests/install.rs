//! LevitateOS is installed as docs/guide/install.md says, word for word, and boots from the disk.
//!
//! One installation serves all checks: two boots and the copying take about five minutes under emulation. Other layouts
//! of disks are `cargo xtask e2e --matrix`.

mod disc;

use std::path::Path;

use anyhow::{Context, ensure};
use cheat_test::cheat_aware;
use e2e::boot::{self, SETTLE};
use e2e::compare::{self, Difference};
use e2e::guide::Guide;
use e2e::install::Computer;
use e2e::installed::{self, Identity};
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
    let live = Identity::of(&mut vm.console)?;
    computer.follow(&mut vm, &guide()?, None)?;
    drop(vm);
    let disk = &computer.disks[0].image;
    let found = compare("the disk after the installation", &iso, disk, &dir)?;
    nothing_else(&found, SETTINGS)?;

    let mut vm = computer.boot_disk("2-first-boot")?;
    installed::log_in(&mut vm.console)?;
    vm.reached("root shell")?;
    installed::check(&mut vm.console, &layout::MAIN, &live)?;
    vm.reached("checked")?;
    vm.console.send("systemctl poweroff\n")?;
    vm.wait_for_power_off(SETTLE)?;
    vm.reached("off")?;
    let found = compare("the disk after the first boot", &iso, disk, &dir)?;
    nothing_else(&found, &["etc/**", "home/**", "root/**", "var/**", "lost+found"])
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
