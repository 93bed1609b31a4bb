//! From power on to a prompt; and where there is none, how far the machine got.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::console::{Answer, Console};
use crate::vm::Vm;

/// From power on to a prompt; about 85 s under emulation on two cores.
pub const BOOT: Duration = Duration::from_secs(600);
/// A command at the prompt.
pub const COMMAND: Duration = Duration::from_secs(90);
/// Until every service has started or failed, or stopped.
pub const SETTLE: Duration = Duration::from_secs(300);

/// What the live system says on the serial line before its root prompt.
const LIVE: &str = "login: root (automatic login)";
/// What an installed system asks there.
pub const LOGIN: &str = "login: ";

/// The stages of a boot: what is on the serial console once it is reached, and its name. Later ones win.
const STAGES: &[(&str, &str)] = &[
    ("BdsDxe: ", "the firmware"),
    ("BdsDxe: starting ", "the boot loader"),
    ("EFI stub: ", "the kernel"),
    ("Run /init as init process", "the initramfs"),
    ("running in system mode", "systemd"),
    (LOGIN, "the login"),
];

/// What ends a boot for good; waiting longer would not help.
const DEAD_ENDS: &[(&str, &str)] = &[
    ("No bootable option or device was found", "the firmware finds nothing to start"),
    ("UEFI Interactive Shell", "the firmware finds nothing to start and opens its own shell"),
    ("!!!! X64 Exception", "the firmware crashed, or what it had started"),
    ("No loader found", "the boot loader finds nothing to start"),
    ("Initramfs unpacking failed", "the initramfs is damaged"),
    ("Kernel panic", "the kernel panicked"),
    ("levitate# ", "the initramfs gave up and opened a shell"),
    ("Press Enter for maintenance", "systemd went to its emergency shell"),
    ("Enter root password for system maintenance", "systemd went to its emergency shell"),
    ("Give root password for maintenance", "systemd went to its emergency shell"),
    ("Cannot open access to console", "systemd went to its emergency shell"),
];

/// Waits for `prompt`; questions on the way (a passphrase) are answered.
///
/// # Errors
/// The boot ends elsewhere, or nowhere within [`BOOT`]: says at which stage.
pub fn wait(vm: &mut Vm, prompt: &str, answers: &[Answer<'_>]) -> anyhow::Result<()> {
    let waited = arrive(&mut vm.console, prompt, answers, BOOT);
    if waited.is_err() {
        // What the screen shows tells more than the serial line where the kernel was not reached.
        let _ = vm.screenshot("stuck");
    }
    waited.with_context(|| format!("the machine's console and screen are in {}", vm.artefacts().display()))
}

fn arrive(
    console: &mut Console,
    prompt: &str,
    answers: &[Answer<'_>],
    limit: Duration,
) -> anyhow::Result<()> {
    let patterns: Vec<_> = std::iter::once(prompt).chain(DEAD_ENDS.iter().map(|(text, _)| *text)).collect();
    let arrived = console.wait_answering(&patterns, answers, Instant::now() + limit);
    match arrived {
        Ok((0, _)) => Ok(()),
        Ok((end, _)) => {
            // The lines that explain it often come just behind.
            std::thread::sleep(Duration::from_secs(2));
            bail!(
                "the boot ended in {}: {}; last lines:\n{}",
                stage(&console.text()),
                DEAD_ENDS[end - 1].1,
                console.tail()
            )
        }
        Err(e) => Err(e.context(format!("the boot stopped in {}", stage(&console.text())))),
    }
}

/// The stage a console log ends in.
#[must_use]
pub fn stage(console: &str) -> &'static str {
    STAGES.iter().rfind(|(text, _)| console.contains(text)).map_or("QEMU", |(_, name)| name)
}

/// From power on to the root prompt of the live system, ready for commands.
///
/// # Errors
/// As [`wait`].
pub fn live(vm: &mut Vm) -> anyhow::Result<()> {
    wait(vm, LIVE, &[])?;
    vm.console.wait_for("# ", COMMAND)?;
    tame(&mut vm.console)?;
    vm.reached("prompt")
}

/// After a login as root: no kernel messages in the middle of lines, no wrapped lines.
///
/// # Errors
/// This is no root shell.
pub fn tame(console: &mut Console) -> anyhow::Result<()> {
    console.check("stty cols 500; dmesg --console-off", COMMAND).map(drop)
}

/// Waits until every unit has started.
///
/// # Errors
/// One has failed (shows its journal), or they do not settle.
pub fn settled(console: &mut Console) -> anyhow::Result<()> {
    let state = console.run("systemctl is-system-running --wait", SETTLE)?;
    let failed = console.check("systemctl list-units --failed --no-legend --plain", COMMAND)?;
    ensure!(failed.is_empty(), "failed units:\n{failed}\n{}", why_failed(console, &failed));
    ensure!(state.output == "running", "expected the system to be running, found {:?}", state.output);
    Ok(())
}

/// NetworkManager has brought up the network by itself.
///
/// # Errors
/// There is no address of QEMU's network.
pub fn network(c: &mut Console) -> anyhow::Result<()> {
    let online = "nm-online --quiet --timeout=60 && nmcli --get-values IP4.ADDRESS device show";
    let address = c.check(online, COMMAND)?;
    // QEMU's user network is 10.0.2.0/24.
    ensure!(
        address.contains("10.0.2."),
        "NetworkManager has no address from QEMU's network, but {address:?}"
    );
    Ok(())
}

/// The end of the journal of each unit that failed.
fn why_failed(console: &mut Console, units: &str) -> String {
    let units = units.lines().filter_map(|l| l.split_whitespace().next());
    let journals =
        units.map(|u| console.run(&format!("journalctl --no-pager --lines=15 --unit={u}"), COMMAND));
    journals.map(|j| j.map_or_else(|e| e.to_string(), |j| j.output)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_the_furthest_one() {
        assert_eq!(stage(""), "QEMU");
        let firmware = "BdsDxe: loading Boot0001\nBdsDxe: failed to load Boot0001\n";
        assert_eq!(stage(firmware), "the firmware");
        let loader = format!("{firmware}BdsDxe: starting Boot0002 \"Linux Boot Manager\"\n");
        assert_eq!(stage(&loader), "the boot loader");
        assert_eq!(stage(&format!("{loader}EFI stub: Loaded initrd\n")), "the kernel");
    }
}
