//! The twins: what is wrong with each, where it must be noticed, and what must be said there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use common::cmd::Cmd;

use super::{Disc, Twin, Wrong};
use crate::disc;
use crate::install::{Computer, USER};
use crate::matrix::Phase;

/// A unit that fails, as a credential for systemd-debug-generator(8):
/// `[Service]`, `Type=oneshot`, `ExecStart=/bin/false`.
const BROKEN_UNIT: &str = "systemd.wants=broken.service systemd.set_credential_binary=systemd.extra-unit.broken.service:W1NlcnZpY2VdClR5cGU9b25lc2hvdApFeGVjU3RhcnQ9L2Jpbi9mYWxzZQo=";

/// A package that says that it is installed, and is not.
const CLAIM: &str = r#"cat >> /usr/local/share/recipes/ripgrep.rhai <<'END'
let installed = true;
let installed_version = "14.1.0";
let installed_files = [
    "/usr/local/bin/rg",
];
END"#;

pub(super) const TWINS: &[Twin] = &[
    Twin {
        name: "disc-cut-short",
        what: Wrong::Disc(cut_short),
        phase: Phase::Disc,
        says: "the firmware finds nothing to start",
    },
    Twin {
        name: "disc-without-a-library",
        what: Wrong::Disc(without_a_library),
        phase: Phase::Disc,
        says: "NetworkManager.service",
    },
    Twin {
        name: "disc-with-a-wrong-bit",
        what: Wrong::Disc(wrong_bit),
        phase: Phase::Install,
        says: "`recstrap /mnt` exited with 11 ",
    },
    Twin {
        name: "unit-broken",
        what: Wrong::Parameters(BROKEN_UNIT),
        phase: Phase::Disc,
        says: "broken.service",
    },
    Twin {
        name: "directory-left-out",
        what: Wrong::Root(leave_out),
        phase: Phase::Compare,
        says: "usr/share/zoneinfo",
    },
    Twin {
        name: "file-with-a-wrong-bit",
        what: Wrong::Root(flip),
        phase: Phase::Compare,
        says: "usr/bin/less",
    },
    Twin {
        name: "kernel-missing",
        what: Wrong::Computer(Computer::without_kernel),
        phase: Phase::Boot,
        says: "the boot stopped in the boot loader",
    },
    Twin {
        name: "kernel-tampered",
        what: Wrong::Computer(tampered_kernel),
        phase: Phase::Boot,
        says: "the initramfs is damaged",
    },
    Twin {
        name: "fstab-wrong-uuid",
        what: Wrong::Root(wrong_uuid),
        phase: Phase::Checks,
        says: "failed units",
    },
    Twin {
        name: "unfinished",
        what: Wrong::Root(unfinished),
        phase: Phase::Compare,
        says: ".recstrap-incomplete",
    },
    Twin {
        name: "boot-entry-missing",
        what: Wrong::Computer(new_firmware),
        phase: Phase::Checks,
        says: "the firmware did not start the entry",
    },
    Twin {
        name: "password-wrong",
        what: Wrong::Root(wrong_password),
        phase: Phase::Checks,
        says: "Login incorrect",
    },
    Twin {
        name: "recipe-claims-installed",
        what: Wrong::Typed(CLAIM),
        phase: Phase::Checks,
        says: "recipe check",
    },
];

/// A download or a copy that was interrupted within the root file system: the boot loader lies behind it, so the firmware is the first to
/// notice.
fn cut_short(disc: &Disc<'_>, copy: &Path) -> anyhow::Result<()> {
    std::fs::copy(disc.iso, copy)?;
    let (offset, size) = disc::extent(disc.iso, common::layout::ROOTFS_PATH)?;
    File::options().write(true).open(copy)?.set_len(offset + size / 2)?;
    Ok(())
}

fn wrong_bit(disc: &Disc<'_>, copy: &Path) -> anyhow::Result<()> {
    disc::damaged(disc.iso, copy)
}

/// In the directory of a library its name gets another last letter: what needs it does not find it.
fn without_a_library(disc: &Disc<'_>, copy: &Path) -> anyhow::Result<()> {
    const NAME: &str = "libndp.so.0";
    std::fs::copy(disc.iso, copy)?;
    let root = &disc.image.dir();
    let found =
        Cmd::new("find").arg(root.join("usr")).args(["-name", NAME, "-printf", "/usr/%P\n"]).read()?;
    let path = found.lines().next().with_context(|| format!("the image has no {NAME}"))?;
    let dir = path.trim_end_matches(NAME).trim_end_matches('/');
    let dump = Cmd::new("dump.erofs").args(["-e", &format!("--path={dir}")]).arg(disc.image.file()).read()?;
    let file = File::options().read(true).write(true).open(copy)?;
    let (image, _) = disc::extent(disc.iso, common::layout::ROOTFS_PATH)?;
    for (offset, length) in extents(&dump)? {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, image + offset)?;
        if let Some(at) = bytes.windows(NAME.len()).position(|w| w == NAME.as_bytes()) {
            return Ok(file.write_all_at(b"x", image + offset + (at + NAME.len() - 1) as u64)?);
        }
    }
    bail!("{NAME} is in no extent of {dir}:\n{dump}")
}

/// `   0:        0..   36864 |   36864 :   52006912..  52043776 |   36864` -> where each extent lies, and its length.
fn extents(dump: &str) -> anyhow::Result<Vec<(u64, usize)>> {
    let parse = |line: &str| {
        let physical = line.rsplit_once(" : ")?.1;
        let (range, length) = physical.split_once('|')?;
        Some((range.split_once("..")?.0.trim().parse().ok()?, length.trim().parse().ok()?))
    };
    let found: Vec<_> = dump.lines().filter_map(parse).collect();
    ensure!(!found.is_empty(), "expected extents, found:\n{dump}");
    Ok(found)
}

fn leave_out(root: &Path) -> anyhow::Result<()> {
    Ok(std::fs::remove_dir_all(root.join("usr/share/zoneinfo/Africa"))?)
}

/// One bit of a program, with its times as they were: only its content tells.
fn flip(root: &Path) -> anyhow::Result<()> {
    let path = root.join("usr/bin/less");
    let times = std::fs::metadata(&path)?;
    let times = std::fs::FileTimes::new().set_accessed(times.accessed()?).set_modified(times.modified()?);
    disc::flip(&path, 4096)?;
    Ok(File::options().write(true).open(&path)?.set_times(times)?)
}

/// A UKI with 64 KiB of noise in the middle, where the kernel or its initramfs is.
fn tampered_kernel(computer: &Computer) -> anyhow::Result<()> {
    let esp = computer.esp()?;
    let list = Cmd::new("mdir").args(["-i", &esp, "-b", "::EFI/Linux"]).read()?;
    let name = list.lines().find(|l| l.ends_with(".efi")).context("no UKI is installed")?;
    let copy = computer.disks[0].image.with_extension("efi");
    Cmd::new("mcopy").args(["-i", &esp, "-n", name]).arg(&copy).read()?;
    let file = File::options().write(true).open(&copy)?;
    let noise: Vec<u8> =
        (0..64 << 10_u32).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    file.write_all_at(&noise, 4 << 20)?;
    Cmd::new("mcopy").args(["-i", &esp, "-o"]).arg(&copy).arg(name).read().map(drop)
}

/// What knows of no boot entry starts the fallback, which works; but nothing was registered.
fn new_firmware(computer: &Computer) -> anyhow::Result<()> {
    Ok(std::fs::remove_file(computer.variables())?)
}

fn wrong_uuid(root: &Path) -> anyhow::Result<()> {
    let path = root.join("etc/fstab");
    let text = common::fs::read_to_string(&path)?;
    let uuid = |line: &&str| line.starts_with("UUID=") && line.split_whitespace().nth(1) == Some("/");
    let line = text.lines().find(uuid).with_context(|| format!("no / by UUID in {text}"))?;
    let rest = line.split_once(char::is_whitespace).context("an entry of fstab has fields")?.1;
    Ok(std::fs::write(
        &path,
        text.replace(line, &format!("UUID=00000000-0000-4000-8000-000000000000 {rest}")),
    )?)
}

fn unfinished(root: &Path) -> anyhow::Result<()> {
    Ok(std::fs::write(root.join(common::layout::INCOMPLETE_MARKER), "")?)
}

/// The hash of another password.
fn wrong_password(root: &Path) -> anyhow::Result<()> {
    let path = root.join("etc/shadow");
    let text = common::fs::read_to_string(&path)?;
    let line =
        text.lines().find(|l| l.starts_with(&format!("{USER}:"))).context("the user has a password")?;
    let fields: Vec<_> = line.split(':').collect();
    let hash = fields.get(1).context("an entry of shadow has fields")?;
    let last = if hash.ends_with('.') { "/" } else { "." };
    let other = format!("{}{last}", &hash[..hash.len() - 1]);
    Ok(std::fs::write(&path, text.replace(hash, &other))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_read_as_dump_erofs_prints_them() {
        let dump = "Path : /usr/lib\n Ext:   logical offset   |  length :     physical offset    |  length\n   \
                    0:        0..   36864 |   36864 :   52006912..  52043776 |   36864\n/usr/lib: 1 extents found\n";
        assert_eq!(extents(dump).unwrap(), [(52_006_912, 36_864)]);
        assert!(extents("nothing").is_err());
    }
}
