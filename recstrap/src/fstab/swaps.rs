//! /proc/swaps -> active swap areas.

use anyhow::{Context, bail};

use super::escape::unmangle;
use super::mounts::relative;

/// One active swap area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Swap {
    /// Device, or path of the file as it is seen here.
    pub(super) path: String,
    pub(super) is_file: bool,
    /// What `pri=` was; the kernel numbers those without one downwards from -1 (-2).
    pub(super) priority: i32,
    /// The file was removed while it is used.
    pub(super) is_deleted: bool,
}

impl Swap {
    /// Where the area is here. For a device that was turned on in a chroot the kernel shows its path through the /dev
    /// of that.
    pub(super) fn device_path(&self, root: &str) -> String {
        let inside = relative(&self.path, root).filter(|inside| !self.is_file && inside.starts_with("/dev/"));
        inside.unwrap_or_else(|| self.path.clone())
    }
}

/// How the kernel marks a file that has no name any more (blank included, escaped in the file).
const DELETED: &str = "\\040(deleted)";

/// Parses /proc/swaps. A kernel without swap has no such file: then the text is empty.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Swap>> {
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(header) if header.starts_with("Filename") => {}
        Some(other) => {
            bail!("failed to parse /proc/swaps: expected the header `Filename ...`, found `{other}`")
        }
    }
    lines
        .map(|line| swap(line).with_context(|| format!("failed to parse the line `{line}` of /proc/swaps")))
        .collect()
}

fn swap(line: &str) -> anyhow::Result<Swap> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let [path, kind, _size, _used, priority] = fields[..] else {
        bail!("expected 5 fields, found {}", fields.len());
    };
    Ok(Swap {
        path: unmangle(path.trim_end_matches(DELETED)),
        is_file: kind == "file",
        priority: priority.parse().with_context(|| format!("`{priority}` is not a priority"))?,
        is_deleted: path.ends_with(DELETED),
    })
}
