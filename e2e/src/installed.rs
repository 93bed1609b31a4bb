//! What must be true in a system that was installed, asked at its own serial console after the first boot.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::boot::{self, COMMAND};
use crate::console::{Answer, Console};
use crate::install::{PASSWORD, USER};
use crate::layout::Layout;

/// What makes a running system this one and no other; of the disc's system, nothing of it may be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// /etc/machine-id.
    pub machine_id: String,
    /// The public halves of sshd's host keys, one a line.
    pub host_keys: String,
    /// Release of the running kernel.
    pub kernel: String,
}

impl Identity {
    /// Asks a system for it.
    ///
    /// # Errors
    /// It has none.
    pub fn of(console: &mut Console) -> anyhow::Result<Self> {
        let machine_id = console.check("cat /etc/machine-id", COMMAND)?;
        ensure!(
            machine_id.len() == 32 && machine_id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{machine_id:?} is no machine id"
        );
        let host_keys = console.check("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_*_key.pub", COMMAND)?;
        ensure!(host_keys.contains("ssh-ed25519 "), "there is no host key of sshd, but {host_keys:?}");
        Ok(Self { machine_id, host_keys, kernel: console.check("uname -r", COMMAND)? })
    }
}

/// Logs in at the prompt as the guide's user and becomes root by sudo; what the disc does by itself, must not work.
///
/// # Errors
/// A password is refused.
pub fn log_in(console: &mut Console) -> anyhow::Result<()> {
    console.login(USER, PASSWORD, COMMAND)?;
    console.check("stty cols 500", COMMAND)?;
    let who = console.check("id --user --name; tty", COMMAND)?;
    ensure!(who == format!("{USER}\n/dev/ttyS0"), "expected {USER} on ttyS0, found {who:?}");
    let answer = [Answer { asked: "Password: ", typed: PASSWORD }];
    let su = console.run_answering("su --login --command 'id --user'", &answer, COMMAND)?;
    ensure!(su.status == 0 && su.output.ends_with('0'), "root's password does not work: {su:?}");
    let without = console.run("sudo --non-interactive true", COMMAND)?;
    ensure!(without.status != 0, "sudo asks for no password");
    console.send("sudo --login\n")?;
    let asks = format!("password for {USER}: ");
    let answer = [Answer { asked: &asks, typed: PASSWORD }];
    console.wait_answering(&["# "], &answer, Instant::now() + COMMAND).context("sudo gives no root shell")?;
    boot::tame(console)
}

/// The system is the installed one: all units run, the right root, started by the entry of `bootctl install`. Needs a
/// root shell.
///
/// # Errors
/// Something is not true.
pub fn check(c: &mut Console, layout: &Layout) -> anyhow::Result<()> {
    boot::settled(c)?;
    root(c, layout)?;
    firmware(c)?;
    boot_counting(c)
}

/// What else the guide promises, and what is special about the layout. Needs a root shell.
///
/// # Errors
/// Something is not true.
pub fn details(c: &mut Console, layout: &Layout, live: &Identity) -> anyhow::Result<()> {
    fresh(c, live)?;
    boot::network(c)?;
    let journal = c.check("journalctl --boot --quiet --no-pager --header | grep '^File path'", COMMAND)?;
    ensure!(journal.contains("/var/log/journal/"), "the journal is not kept: {journal}");
    let settings = c.check("uname -n; readlink /etc/localtime; localectl | grep -o LANG=.*", COMMAND)?;
    ensure!(
        settings == "levitate\n../usr/share/zoneinfo/Europe/Amsterdam\nLANG=C.UTF-8",
        "the settings of the guide are not in force: {settings}"
    );
    // Nothing is installed yet, and no recipe may say otherwise.
    c.check("recipe check", COMMAND)?;
    for proof in layout.proofs {
        c.check(proof, COMMAND)?;
    }
    Ok(())
}

/// The right file system is /, whole, and fstab describes what is mounted.
fn root(c: &mut Console, layout: &Layout) -> anyhow::Result<()> {
    let root = c.check("findmnt --noheadings --output FSTYPE,OPTIONS /", COMMAND)?;
    ensure!(
        root.starts_with(layout.root) && root.contains("rw"),
        "expected / to be {}, writable, found {root:?}",
        layout.root
    );
    let live = c.run("grep --word-regexp levitate.live /proc/cmdline", COMMAND)?;
    ensure!(live.status == 1, "this is the live system: {live:?}");
    let kernels = c.check("ls /usr/lib/modules", COMMAND)?;
    let running = c.check("uname -r", COMMAND)?;
    ensure!(running == kernels, "running kernel {running:?}, but the image has {kernels:?}");
    let fstab = c.check("findmnt --verify", COMMAND)?;
    ensure!(fstab.contains("no errors or warnings detected"), "fstab is not right:\n{fstab}");
    c.check("findmnt --fstab --noheadings / | grep --quiet /", COMMAND).context("fstab does not have /")?;
    c.check("test ! -e /.recstrap-incomplete -a -s /var/lib/levitate/installed.json", COMMAND)
        .context("recstrap's record is not that of a finished installation")
        .map(drop)
}

/// The firmware started our boot loader by the entry that `bootctl install` made, not by the fallback path.
fn firmware(c: &mut Console) -> anyhow::Result<()> {
    let entries = c.check("efibootmgr", COMMAND)?;
    let current = entries.lines().find_map(|l| l.strip_prefix("BootCurrent: ")).context("no BootCurrent")?;
    let entry = entries.lines().find(|l| l.starts_with(&format!("Boot{current}"))).unwrap_or_default();
    let entry = entry.to_ascii_lowercase().replace('/', "\\");
    let esp = c.check("lsblk -no PARTUUID \"$(findmnt -nt vfat -o SOURCE \"$(bootctl -p)\")\"", COMMAND)?;
    ensure!(
        entry.contains(r"\efi\systemd\systemd-bootx64.efi") && entry.contains(&esp.to_ascii_lowercase()),
        "the firmware did not start the entry of `bootctl install` for partition {esp}:\n{entries}"
    );
    // What the boot loader says of itself.
    for (variable, expected) in [
        ("LoaderDevicePartUUID", esp.as_str()),
        ("LoaderImageIdentifier", r"\EFI\systemd\systemd-bootx64.efi"),
    ] {
        // efivarfs cannot seek, and tail would.
        let file = format!("/sys/firmware/efi/efivars/{variable}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
        let value = c.check(&format!("cat {file} | tail --bytes=+5 | tr --delete '\\0'"), COMMAND)?;
        ensure!(value.eq_ignore_ascii_case(expected), "expected {variable} to be {expected}, found {value}");
    }
    Ok(())
}

/// The first boot was good, so the counter is gone from the UKI's name, and no other UKI is there.
fn boot_counting(c: &mut Console) -> anyhow::Result<()> {
    let counted = c.check(
        "systemctl is-active systemd-bless-boot.service; /usr/lib/systemd/systemd-bless-boot status",
        COMMAND,
    )?;
    ensure!(counted == "active\ngood", "the boot was not counted as a good one: {counted:?}");
    let ukis = c.check("ls \"$(bootctl --print-boot-path)/EFI/Linux\"", COMMAND)?;
    let kernel = c.check("uname -r", COMMAND)?;
    // Versions of kernels may hold a `+` of their own.
    ensure!(ukis == format!("levitateos-{kernel}.efi"), "expected one UKI without a counter, found {ukis:?}");
    Ok(())
}

/// Nothing that tells systems apart came along from the disc.
fn fresh(c: &mut Console, live: &Identity) -> anyhow::Result<()> {
    let own = Identity::of(c)?;
    ensure!(own.machine_id != live.machine_id, "the machine id is the live system's");
    let copied: Vec<_> = own.host_keys.lines().filter(|k| live.host_keys.contains(k)).collect();
    ensure!(copied.is_empty(), "these host keys are the live system's: {copied:?}");
    ensure!(own.kernel == live.kernel, "the kernel is {}, the disc's is {}", own.kernel, live.kernel);
    let boots = c.check("journalctl --list-boots --quiet --no-pager | wc --lines", COMMAND)?;
    ensure!(boots == "1", "the journal knows {boots} boots of a system that was booted once");
    c.check("test ! -e /run/levitate/image", COMMAND)
        .context("files of the live system are in /run")
        .map(drop)
}
