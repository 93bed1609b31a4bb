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
    let file = File::options().read(true).write(true).open(copy)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + size - 1)?;
    file.write_all_at(&[byte[0] ^ 1], offset + size - 1)?;
    Ok(())
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
