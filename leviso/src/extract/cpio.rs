//! Payload archives: which file's content is where. newc (`070701`), with checksums (`070702`), and rpm's stripped
//! form (`07070X`), where the header knows everything but the order.
//!
//! The parser gives back only file numbers and byte ranges inside the archive. Formats: cpio(5) "New ASCII Format" and
//! <https://rpm.org/docs/4.19.x/manual/format_v4.html> "Payload".

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, bail, ensure};

use super::files::{File, Kind};

/// rpm's own limit for names in an archive (lib/cpio.c).
const MAX_NAME: usize = 4096;
const TRAILER: &[u8] = b"TRAILER!!!";
const NEWC_HEADER: usize = 110;
const STRIPPED_HEADER: usize = 14;

/// For each file of the list, in its order, where its content is: regular files only. For hard links the content is
/// with one name of the set, and every name gets its range.
///
/// # Errors
/// The archive is malformed, or does not hold exactly what the list says.
pub(crate) fn locate(archive: &[u8], files: &[File]) -> anyhow::Result<Vec<Option<Range<usize>>>> {
    let by_path: BTreeMap<&[u8], usize> = files.iter().enumerate().map(|(i, f)| (&f.path[..], i)).collect();
    let last_links = last_of_sets(files);
    let mut seen: Vec<Option<Range<usize>>> = vec![None; files.len()];
    let mut at = 0;
    loop {
        let magic = archive.get(at..at + 6).context("the archive ends without a trailer")?;
        let (index, size, data) = match magic {
            b"070701" | b"070702" => {
                let (name, size, data) = newc(archive, at)?;
                if name == TRAILER {
                    break;
                }
                let path = absolute(name);
                let shown = || String::from_utf8_lossy(&path).into_owned();
                let index = *by_path.get(&path[..]).with_context(|| {
                    format!("the archive holds {}, which the header does not list", shown())
                })?;
                (index, size, data)
            }
            b"07070X" => {
                let digits = archive.get(at + 6..at + STRIPPED_HEADER).context("the archive is cut short")?;
                let index = hex(digits)? as usize;
                let file = files.get(index).with_context(|| format!("there is no file number {index}"))?;
                let size = stripped_size(file, index, &last_links);
                (index, size, (at + STRIPPED_HEADER).next_multiple_of(4))
            }
            other => bail!("unknown archive magic {:?}", String::from_utf8_lossy(other)),
        };
        let file = &files[index];
        let shown = String::from_utf8_lossy(&file.path);
        let size = usize::try_from(size).with_context(|| format!("{shown} is too large"))?;
        let end = data.checked_add(size).filter(|end| *end <= archive.len());
        let end = end.with_context(|| format!("the archive ends inside {shown}"))?;
        ensure!(seen[index].is_none(), "the archive holds {shown} twice");
        check_size(file, &archive[data..end])?;
        seen[index] = Some(data..end);
        at = end.next_multiple_of(4);
    }
    share_links(files, &mut seen)?;
    for (file, range) in files.iter().zip(&mut seen) {
        let shown = String::from_utf8_lossy(&file.path);
        match (&file.kind, &range) {
            (Kind::Regular { .. }, Some(r)) if !file.ghost => ensure!(
                r.len() as u64 == file.size,
                "{shown} has {} bytes in the archive and {} in the header",
                r.len(),
                file.size
            ),
            (Kind::Regular { .. }, None) if !file.ghost => bail!("{shown} is not in the archive"),
            _ => *range = None,
        }
    }
    Ok(seen)
}

/// Name without its NUL, size and start of the data of the entry at `at`.
fn newc(archive: &[u8], at: usize) -> anyhow::Result<(&[u8], u64, usize)> {
    let header = archive.get(at..at + NEWC_HEADER).context("the archive is cut short")?;
    // magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    let field = |i: usize| hex(&header[6 + 8 * i..14 + 8 * i]);
    let (size, name_size) = (u64::from(field(6)?), field(11)? as usize);
    ensure!((1..=MAX_NAME).contains(&name_size), "a name in the archive has {name_size} bytes");
    let start = at + NEWC_HEADER;
    let name = archive.get(start..start + name_size).context("the archive is cut short")?;
    let (nul, name) = name.split_last().context("a name in the archive is empty")?;
    ensure!(*nul == 0 && !name.contains(&0), "a name in the archive does not end where it says");
    Ok((name, size, (start + name_size).next_multiple_of(4)))
}

/// `./usr/bin/x` (rpm), `/usr/bin/x` and `usr/bin/x` (others) -> `/usr/bin/x`.
fn absolute(name: &[u8]) -> Vec<u8> {
    let name = name.strip_prefix(b".").filter(|n| n.is_empty() || n[0] == b'/').unwrap_or(name);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    [b"/", name].concat()
}

/// Stripped entries carry no size: content follows regular files (for hard links only the last name of the set) and
/// symlinks.
fn stripped_size(file: &File, index: usize, last_links: &BTreeMap<usize, usize>) -> u64 {
    match &file.kind {
        Kind::Regular { links: Some(set), .. } if last_links.get(set) != Some(&index) => 0,
        Kind::Regular { .. } => file.size,
        Kind::Symlink(target) => target.len() as u64,
        _ => 0,
    }
}

fn check_size(file: &File, data: &[u8]) -> anyhow::Result<()> {
    let shown = || String::from_utf8_lossy(&file.path).into_owned();
    match &file.kind {
        Kind::Regular { .. } => {
            let allowed = data.len() as u64 == file.size
                || (data.is_empty() && matches!(file.kind, Kind::Regular { links: Some(_), .. }));
            ensure!(
                allowed,
                "{} has {} bytes in the archive and {} in the header",
                shown(),
                data.len(),
                file.size
            );
        }
        Kind::Symlink(target) => {
            ensure!(data == &target[..], "the target of {} differs between archive and header", shown());
        }
        _ => ensure!(data.is_empty(), "{} is no regular file but has content", shown()),
    }
    Ok(())
}

fn last_of_sets(files: &[File]) -> BTreeMap<usize, usize> {
    let members = files.iter().enumerate().filter_map(|(i, f)| match f.kind {
        Kind::Regular { links: Some(set), .. } => Some((set, i)),
        _ => None,
    });
    members.collect()
}

/// Gives every name of a hard link set the range of the one that has content.
fn share_links(files: &[File], seen: &mut [Option<Range<usize>>]) -> anyhow::Result<()> {
    let mut content: BTreeMap<usize, (usize, Range<usize>)> = BTreeMap::new();
    let set_of = |file: &File| match file.kind {
        Kind::Regular { links: Some(set), .. } => Some(set),
        _ => None,
    };
    for (i, (file, range)) in files.iter().zip(&*seen).enumerate() {
        let (Some(set), Some(range)) = (set_of(file), range) else { continue };
        if !range.is_empty() || !content.contains_key(&set) {
            content.insert(set, (i, range.clone()));
        }
    }
    for (file, range) in files.iter().zip(seen) {
        let Some((with, shared)) = set_of(file).and_then(|set| content.get(&set)) else { continue };
        ensure!(
            same_inode(file, &files[*with]),
            "{} and {} are one inode with different attributes",
            String::from_utf8_lossy(&file.path),
            String::from_utf8_lossy(&files[*with].path)
        );
        if range.is_some() {
            *range = Some(shared.clone());
        }
    }
    Ok(())
}

fn same_inode(a: &File, b: &File) -> bool {
    (a.size, a.mode, a.mtime, &a.user, &a.group, &a.kind, &a.caps)
        == (b.size, b.mode, b.mtime, &b.user, &b.group, &b.kind, &b.caps)
}

fn hex(digits: &[u8]) -> anyhow::Result<u32> {
    let digit = |b: &u8| char::from(*b).to_digit(16).context("the archive has a number that is not hex");
    digits.iter().try_fold(0u32, |n, b| Ok(n << 4 | digit(b)?))
}

#[cfg(test)]
mod tests;
