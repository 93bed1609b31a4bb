//! zip, its central directory read by the zip crate; what it says goes through the sink's gate.

use std::fs::File;
use std::io::{BufReader, Read};

use anyhow::{Context, bail};

use super::sink::{Sink, show};

/// The longest target of a symlink.
const MAX_TARGET: u64 = 4096;

pub(super) fn unpack(file: &File, sink: &mut Sink<'_>) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).context("this is not a zip archive")?;
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).context("the archive is damaged")?;
        let name = entry.name_raw().to_owned();
        if name.contains(&b'\\') {
            bail!("{} has a backslash in it", show(&name));
        }
        let mode = entry.unix_mode().unwrap_or(0o644);
        match mode & 0o170_000 {
            0o120_000 => {
                let mut target = Vec::new();
                entry.by_ref().take(MAX_TARGET).read_to_end(&mut target).context("the archive is damaged")?;
                sink.symlink(&name, &target)?;
            }
            0o040_000 => sink.dir(&name)?,
            0 | 0o100_000 if name.ends_with(b"/") => sink.dir(&name)?,
            0 | 0o100_000 => sink.file(&name, mode, None, &mut entry)?,
            _ => bail!("{} is neither file nor directory nor link", show(&name)),
        }
    }
    Ok(())
}
