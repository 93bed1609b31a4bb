//! recchroot on real firmware: a boot loader that was installed and that no boot entry points at is worth a warning.

use anyhow::ensure;
use cheat_test::cheat_aware;
use e2e::boot::{self, COMMAND};
use e2e::install::Computer;
use e2e::layout;

use crate::disc;
use crate::guide::guide;

/// The live system's own root as a target, writable, with the guide's ESP.
const TARGET: &[&str] = &[
    "mkdir -p /new /layer && mount -t tmpfs tmpfs /layer && mkdir /layer/upper /layer/work",
    "mount -t overlay -o lowerdir=/run/levitate/rootfs,upperdir=/layer/upper,workdir=/layer/work overlay /new",
    "mkdir -p /new/efi && mount --bind /mnt/efi /new/efi",
];

/// As systemd #36174 and #39002 leave it: the loader is there, its entry is not, and the exit code is 0.
const WITHOUT_ENTRY: &str = r#"recchroot /new sh -c 'bootctl install && for n in $(efibootmgr | sed -n "/systemd-boot/s/^Boot\([0-9A-F]*\).*/\1/p"); do efibootmgr -q -B -b $n; done' 2>&1"#;

const WARNING: &str =
    "/EFI/systemd/systemd-bootx64.efi was installed, but no boot entry of the firmware points at it";

#[cheat_aware(
    protects = "a boot loader that the firmware will not start is not taken for an installed one",
    severity = "HIGH",
    cheats = [
        "print the warning whenever bootctl was run",
        "look at bootctl's output instead of the firmware's variables"
    ],
    consequence = "the computer starts the old system, or none, after an installation without an error"
)]
#[test]
fn a_loader_without_an_entry_is_told() -> anyhow::Result<()> {
    let dir = testkit::target().join("e2e/boot-entry");
    let computer = Computer::new(&layout::MAIN, &disc::iso()?, &dir)?;
    let mut vm = computer.boot_disc("disc")?;
    boot::settled(&mut vm.console)?;
    computer.follow(&mut vm, &guide()?, Some("mount"))?;
    for command in TARGET {
        vm.console.check(command, COMMAND)?;
    }
    let said = vm.console.check(WITHOUT_ENTRY, COMMAND)?;
    ensure!(said.contains(WARNING), "expected a warning, found {said}");
    ensure!(said.contains("efibootmgr --create"), "expected what to do, found {said}");
    vm.reached("warned")?;

    let said =
        vm.console.check("rm -r /new/efi/EFI/systemd && recchroot /new bootctl install 2>&1", COMMAND)?;
    ensure!(!said.contains("no boot entry"), "expected no warning, found {said}");
    let entries = vm.console.check("efibootmgr", COMMAND)?;
    ensure!(entries.contains("systemd-boot"), "expected an entry, found {entries}");
    vm.reached("entry made")
}
