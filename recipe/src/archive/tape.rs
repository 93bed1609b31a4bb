//! tar in all its dialects, read by the tar crate; what it says goes through the sink's gate.

use std::io::Read;

use anyhow::{Context, bail};
use tar::EntryType;

use super::sink::{Sink, show};

pub(super) fn unpack(reader: &mut dyn Read, sink: &mut Sink<'_>) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(reader);
    let mut any = false;
    for entry in archive.entries().context("this is not a tar archive")? {
        let mut entry =
            entry.context(if any { "the archive is damaged" } else { "this is not a tar archive" })?;
        any = true;
        let name = entry.path_bytes().into_owned();
        let header = entry.header();
        let mode = header.mode().unwrap_or(0o644);
        let time = header.mtime().ok().and_then(|t| i64::try_from(t).ok());
        match header.entry_type() {
            // Very old archives call a directory a file whose name ends in a slash.
            EntryType::Regular if name.ends_with(b"/") => sink.dir(&name)?,
            EntryType::Directory => sink.dir(&name)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                sink.file(&name, mode, time, &mut entry)?;
            }
            kind @ (EntryType::Symlink | EntryType::Link) => {
                let target =
                    entry.link_name_bytes().with_context(|| format!("{} links to nothing", show(&name)))?;
                let target = target.into_owned();
                if kind == EntryType::Link {
                    sink.hardlink(&name, &target)?;
                } else {
                    sink.symlink(&name, &target)?;
                }
            }
            // Comments, like git's commit.
            EntryType::XGlobalHeader => {}
            kind => bail!("{} is neither file nor directory nor link ({kind:?})", show(&name)),
        }
    }
    anyhow::ensure!(any, "the archive is empty");
    Ok(())
}
