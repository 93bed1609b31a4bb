//! Extended attributes: behind the inode, or in an area shared by all inodes, to which numbers there point.
//!
//! Bounds: an inode's own attributes have 256 KiB at most, and 255 shared ones of 64 KiB each.

use common::listing::Xattr;

use super::error::{Error, corrupt, unsupported};
use super::format::{u16_at, u32_at};
use super::{Image, Inode};

/// Size of the header before shared numbers and entries.
pub(super) const HEADER: u64 = 12;
/// Size of an entry without name and value.
const ENTRY: usize = 4;
/// The name's prefix is one of the image's own.
const LONG_PREFIX: u8 = 0x80;

/// Reads an inode's attributes.
pub(super) fn read(image: &Image, inode: &Inode) -> Result<Vec<Xattr>, Error> {
    if inode.xattrs_len == 0 {
        return Ok(Vec::new());
    }
    let mut body = vec![0; inode.xattrs_len as usize];
    image.source.fill(inode.xattrs_at, &mut body, "attributes")?;
    let at = |offset: usize| inode.xattrs_at + offset as u64;

    let mut out = Vec::new();
    let shared = usize::from(body[4]);
    let mut offset = HEADER as usize + shared * 4;
    if offset > body.len() {
        return Err(corrupt(format!("{shared} shared attributes in {} bytes", body.len()), at(4)));
    }
    for number in body[HEADER as usize..offset].chunks_exact(4) {
        let at = image.sb.shared_xattr_at(u32_at(number, 0));
        let head: [u8; ENTRY] = image.source.array(at, "a shared attribute")?;
        let mut entry = vec![0; entry_len(&head)];
        image.source.fill(at, &mut entry, "a shared attribute")?;
        out.push(parse(&entry, at)?);
    }
    while offset < body.len() {
        let rest = &body[offset..];
        let len = if rest.len() < ENTRY { ENTRY } else { entry_len(rest) };
        let entry = rest.get(..len).ok_or_else(|| {
            corrupt(format!("an attribute of {len} bytes, where {} are left", rest.len()), at(offset))
        })?;
        out.push(parse(entry, at(offset))?);
        offset += len.next_multiple_of(4);
    }
    out.sort();
    if let Some(twice) = out.windows(2).find(|w| w[0].0 == w[1].0) {
        let name = String::from_utf8_lossy(&twice[0].0).into_owned();
        return Err(corrupt(format!("the attribute {name} is there twice"), inode.xattrs_at));
    }
    Ok(out)
}

/// Bytes of the entry that starts with `head`.
fn entry_len(head: &[u8]) -> usize {
    ENTRY + usize::from(head[0]) + usize::from(u16_at(head, 2))
}

/// An entry, which is as long as its header says.
fn parse(entry: &[u8], at: u64) -> Result<Xattr, Error> {
    let (rest, value) = entry[ENTRY..].split_at(usize::from(entry[0]));
    let index = entry[1];
    let (prefix, whole): (&[u8], bool) = match index {
        1 => (b"user.", false),
        2 => (b"system.posix_acl_access", true),
        3 => (b"system.posix_acl_default", true),
        4 => (b"trusted.", false),
        6 => (b"security.", false),
        _ if index & LONG_PREFIX != 0 => return Err(unsupported("long prefixes of attribute names")),
        _ => return Err(corrupt(format!("an attribute with the unknown prefix {index}"), at)),
    };
    if rest.is_empty() != whole || rest.contains(&0) {
        return Err(corrupt("an attribute's name is empty, too long or has a NUL byte", at));
    }
    let name = [prefix, rest].concat();
    if name.len() > 255 {
        return Err(corrupt("an attribute's name exceeds 255 bytes", at));
    }
    Ok((name.into(), value.into()))
}
