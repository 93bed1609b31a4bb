//! The disc that tests boot: LEVITATE_ISO, the newest one, or one that `cargo xtask iso` builds when there is none.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use common::cmd::Cmd;

/// The disc to boot; the tests of a binary share one, also when it has to be built first.
pub(crate) fn iso() -> anyhow::Result<PathBuf> {
    static ISO: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut iso = ISO.lock().unwrap_or_else(PoisonError::into_inner);
    if iso.is_none() {
        *iso = Some(find_iso()?);
    }
    iso.clone().context("there is no ISO")
}

fn find_iso() -> anyhow::Result<PathBuf> {
    if let Some(iso) = std::env::var_os("LEVITATE_ISO") {
        return Ok(iso.into());
    }
    let dir = testkit::target().join("iso");
    if let Some(iso) = e2e::newest_iso(&dir)? {
        return Ok(iso);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["xtask", "iso"])
        .dir(testkit::workspace())
        .run()
        .context("there is no ISO to boot")?;
    e2e::newest_iso(&dir)?.with_context(|| format!("`cargo xtask iso` left no ISO in {}", dir.display()))
}

/// A copy of a disc with the last bit of its root file system changed: nothing that boots ever reads it.
#[allow(dead_code, reason = "not every test that boots a disc wants a bad one")]
pub(crate) fn damaged(iso: &Path, copy: &Path) -> anyhow::Result<PathBuf> {
    Cmd::new("cp").arg(iso).arg(copy).read()?;
    let (offset, size) = extent(iso, common::layout::ROOTFS_PATH)?;
    let file = File::options().read(true).write(true).open(copy)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + size - 1)?;
    file.write_all_at(&[byte[0] ^ 1], offset + size - 1)?;
    Ok(copy.to_owned())
}

/// First byte and size of a file of a disc.
fn extent(iso: &Path, path: &str) -> anyhow::Result<(u64, u64)> {
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
