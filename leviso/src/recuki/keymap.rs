//! The keyboard at the passphrase prompt: the system's own.
//!
//! DIR/etc/vconsole.conf -> /etc/levitate/keymap of the initramfs, as busybox's loadkmap reads it; made by the system's own
//! loadkeys, which knows where its keymaps are. Without a KEYMAP nothing is added, and the keys are those of a US keyboard.

use std::path::Path;

use anyhow::{Context, ensure};
use common::cmd::Cmd;

use crate::initramfs::{Entries, Entry};

/// vconsole.conf(5).
const CONFIG: &str = "etc/vconsole.conf";
/// Where /init looks for it.
const KEYMAP: &str = "etc/levitate/keymap";
/// What a keymap for loadkmap begins with.
const MAGIC: &[u8] = b"bkeymap";

/// Adds the system's keymap to what goes into the initramfs; its name, if there is one.
///
/// # Errors
/// vconsole.conf cannot be read, or names a keymap that loadkeys does not make.
pub fn add(root: &Path, files: &mut Entries) -> anyhow::Result<Option<String>> {
    let path = root.join(CONFIG);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("failed to read {}", path.display())),
    };
    let Some(name) = keymap(&text) else { return Ok(None) };
    let bytes = binary(root, &name)
        .with_context(|| format!("failed to make the keymap {name}, which {} names", path.display()))?;
    files.insert(KEYMAP.to_owned(), Entry::File(0o644, bytes));
    Ok(Some(name))
}

/// The value of the last KEYMAP=; none for the kernel's own keymap, which is a US one.
fn keymap(config: &str) -> Option<String> {
    let value = config.lines().rev().find_map(|line| line.trim().strip_prefix("KEYMAP="))?;
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value).trim();
    // A name, never an option or a path out of the keymaps.
    let is_name = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b));
    let is_kernels = matches!(value, "" | "us" | "@kernel");
    (is_name && !is_kernels && !value.starts_with('-')).then(|| value.to_owned())
}

fn binary(root: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let args = ["--quiet", "--unicode", "--bkeymap", name];
    let cmd = match root == Path::new("/") {
        true => Cmd::new("loadkeys").args(args),
        false => Cmd::new("chroot").arg(root).arg("loadkeys").args(args),
    };
    let out = cmd.output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "`{}` failed ({}): {}", cmd.display(), out.status, said.trim());
    ensure!(out.stdout.starts_with(MAGIC), "`{}` printed no keymap: {}", cmd.display(), said.trim());
    Ok(out.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keymap_is_a_name_and_the_last_one_counts() {
        let of = |text: &str| keymap(text);
        assert_eq!(of("FONT=eurlatgr\nKEYMAP=de-nodeadkeys\n").as_deref(), Some("de-nodeadkeys"));
        assert_eq!(of("KEYMAP=\"fr\"\n  KEYMAP='pl2'").as_deref(), Some("pl2"));
        for none in [
            "",
            "#KEYMAP=de",
            "KEYMAP=",
            "KEYMAP=us",
            "KEYMAP=@kernel",
            "KEYMAP=../x",
            "KEYMAP=-C",
            "XKBLAYOUT=de",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
