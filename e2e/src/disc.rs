//! Discs on the host: where a file of one lies, and bad copies of it for tests.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, bail};
use common::cmd::Cmd;

/// A copy of a disc with the last bit of its root file system changed: nothing that boots ever reads it.
///
/// # Errors
/// The disc has no root file system, or the copy cannot be made.
pub fn damaged(iso: &Path, copy: &Path) -> anyhow::Result<()> {
    std::fs::copy(iso, copy).with_context(|| format!("failed to copy {}", iso.display()))?;
    let (offset, size) = extent(iso, common::layout::ROOTFS_PATH)?;
    flip(copy, offset + size - 1)
}

/// Changes the lowest bit of one byte of a file: of all that can be wrong with it, the least.
///
/// # Errors
/// The file has no such byte, or cannot be written.
pub fn flip(path: &Path, offset: u64) -> anyhow::Result<()> {
    let context = || format!("failed to change byte {offset} of {}", path.display());
    let file = File::options().read(true).write(true).open(path).with_context(context)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).with_context(context)?;
    file.write_all_at(&[byte[0] ^ 1], offset).with_context(context)
}

/// First byte and size of a file of a disc.
///
/// # Errors
/// xorriso is missing, or does not find it in one piece.
pub fn extent(iso: &Path, path: &str) -> anyhow::Result<(u64, u64)> {
    let xorriso = Cmd::new("xorriso").arg("-indev").arg(iso);
    let report = xorriso.args(["-find", &format!("/{path}"), "-exec", "report_lba", "--"]).read()?;
    // "File data lba:  0 ,      371 ,   190116 ,  389355520 , '/live/rootfs.erofs'"
    let line = report.lines().find(|l| l.starts_with("File data lba:"));
    let numbers = line.map(|l| l.split(',').map(|n| n.trim().parse::<u64>()).collect::<Vec<_>>());
    match numbers.as_deref() {
        Some([_, Ok(block), _, Ok(size), _]) => Ok((block * 2048, *size)),
        _ => bail!("expected one extent of {path} in {}, found {report:?}", iso.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_and_no_other_is_changed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 4]).unwrap();
        flip(file.path(), 3).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), [7, 7, 7, 6]);
        flip(file.path(), 3).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), [7; 4]);
        assert!(format!("{:#}", flip(file.path(), 4).unwrap_err()).contains("byte 4 of "));
    }
}
