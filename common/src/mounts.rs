//! /proc/self/mountinfo -> what is mounted where (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The kernel's number for it, as statx(2) gives it too.
    pub id: u64,
    /// The mount it lies on.
    pub parent: u64,
    /// Device number of its files: major, minor.
    pub dev: (u32, u32),
    /// Where it is mounted.
    pub point: PathBuf,
    /// Options of this mount (not of the file system).
    pub flags: String,
    /// Type of file system.
    pub fstype: String,
    /// What is mounted, as the file system says it.
    pub source: PathBuf,
    /// Options of the file system (not of the mount).
    pub options: String,
}

/// All mounts this process sees, in the order they were made.
///
/// # Errors
/// /proc is not there, or is not Linux's.
pub fn read() -> anyhow::Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text = std::fs::read(path).with_context(|| format!("failed to read {path}"))?;
    parse(&text).with_context(|| format!("{path} has a line that is none"))
}

/// Mounts below `dir`, where it is visible: a later mount at the same point hides an earlier one.
#[must_use]
pub fn below<'m>(mounts: &'m [Mount], dir: &Path) -> Vec<&'m Mount> {
    let mut found: Vec<&Mount> = Vec::new();
    for mount in mounts.iter().filter(|m| m.point != dir && m.point.starts_with(dir)) {
        found.retain(|m| !m.point.starts_with(&mount.point));
        found.push(mount);
    }
    found
}

/// The same from the text of that file. `None`: a line is none of it.
#[must_use]
pub fn parse(text: &[u8]) -> Option<Vec<Mount>> {
    text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(parse_line).collect()
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let dash = words.iter().position(|w| *w == b"-")?;
    let text = |at: usize| String::from_utf8(unescape(words.get(at)?)).ok();
    let path = |at: usize| Some(PathBuf::from(OsString::from_vec(unescape(words.get(at)?))));
    let dev = text(2)?;
    let (major, minor) = dev.split_once(':')?;
    Some(Mount {
        id: text(0)?.parse().ok()?,
        parent: text(1)?.parse().ok()?,
        dev: (major.parse().ok()?, minor.parse().ok()?),
        point: path(4)?,
        flags: text(5)?,
        fstype: text(dash + 1)?,
        source: path(dash + 2)?,
        options: String::from_utf8_lossy(words.get(dash + 3).copied().unwrap_or_default()).into_owned(),
    })
}

/// Undoes the kernel's `\040` for space, tab, newline, backslash.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.get(..3)).flatten();
        let value = octal.and_then(|o| u8::from_str_radix(std::str::from_utf8(o).ok()?, 8).ok());
        out.push(value.unwrap_or(byte));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_escapes_undone() {
        let text = b"36 35 98:0 /r /mnt/a\\040b rw master:1 shared:2 - ext4 /dev/sda1 rw,errors=continue\n\
                     37 36 0:31 / /mnt/a\\040b/c\\134 rw - btrfs none rw\n";
        let mounts = parse(text).unwrap();
        assert_eq!((mounts[0].id, mounts[0].dev, mounts[0].fstype.as_str()), (36, (98, 0), "ext4"));
        assert_eq!((mounts[1].parent, mounts[1].flags.as_str()), (36, "rw"));
        assert_eq!(mounts[0].point, Path::new("/mnt/a b"));
        assert_eq!(mounts[0].options, "rw,errors=continue");
        assert_eq!(mounts[1].point, Path::new("/mnt/a b/c\\"));
        assert_eq!(below(&mounts, Path::new("/mnt/a b")), [&mounts[1]]);
        assert!(parse(b"36 35 98:0 /r /mnt\n").is_none());
    }

    #[test]
    fn a_later_mount_hides_what_is_under_it() {
        let mount = |id, point: &str| Mount {
            id,
            parent: 0,
            flags: "rw".into(),
            dev: (8, 1),
            point: point.into(),
            fstype: "ext4".into(),
            source: "/dev/sda1".into(),
            options: String::new(),
        };
        let mounts = [mount(1, "/mnt"), mount(2, "/mnt/boot/efi"), mount(3, "/mnt/boot"), mount(4, "/mnt2")];
        assert_eq!(below(&mounts, Path::new("/mnt")), [&mounts[2]]);
    }
}
