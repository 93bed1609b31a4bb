//! Extended attributes behind an inode.
//!
//! Names are stored as a prefix number and the rest. All attributes are inline, in byte order of their full names:
//! sharing them between inodes would save little where few files have any.

use anyhow::{Context, bail, ensure};

use crate::tree::Xattrs;

/// Size of the header before the entries.
pub(super) const HEADER: usize = 12;

/// Prefix numbers; the first match counts, so whole names come before what they start with.
const PREFIXES: [(&[u8], u8, bool); 5] = [
    (b"system.posix_acl_access", 2, true),
    (b"system.posix_acl_default", 3, true),
    (b"user.", 1, false),
    (b"trusted.", 4, false),
    (b"security.", 6, false),
];

/// The bytes behind an inode, and their size in the inode's count: header and entries, or nothing.
///
/// # Errors
/// A name has no known prefix or is too long, or values are too large for the format.
pub(super) fn encode(xattrs: &Xattrs) -> anyhow::Result<(Vec<u8>, u16)> {
    if xattrs.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let mut out = vec![0; HEADER];
    for (name, value) in xattrs {
        let shown = || format!("extended attribute {}", String::from_utf8_lossy(name));
        let (index, rest) = split(name).with_context(shown)?;
        let name_len =
            u8::try_from(rest.len()).with_context(|| format!("{} has too long a name", shown()))?;
        let value_len =
            u16::try_from(value.len()).with_context(|| format!("{} is larger than 65535 bytes", shown()))?;
        out.extend_from_slice(&[name_len, index]);
        out.extend_from_slice(&value_len.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    // The count is one for the header and one for every four bytes behind it.
    let count = u16::try_from((out.len() - HEADER) / 4 + 1)
        .ok()
        .context("its extended attributes have more than 256 KiB in all")?;
    Ok((out, count))
}

fn split(name: &[u8]) -> anyhow::Result<(u8, &[u8])> {
    for (prefix, index, whole) in PREFIXES {
        if let Some(rest) = name.strip_prefix(prefix)
            && rest.is_empty() == whole
        {
            ensure!(!rest.contains(&0), "its name holds a NUL byte");
            return Ok((index, rest));
        }
    }
    bail!("its name starts with none of user., trusted., security. and is no POSIX ACL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_prefix_number_and_rest() {
        assert_eq!(split(b"security.capability").unwrap(), (6, &b"capability"[..]));
        assert_eq!(split(b"system.posix_acl_access").unwrap(), (2, &b""[..]));
        for bad in [&b"user."[..], b"system.posix_acl_accessories", b"system.data", b"other"] {
            assert!(split(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn entries_are_aligned_and_counted_in_words() {
        let xattrs = Xattrs::from([(b"user.ab"[..].into(), b"xyz"[..].into())]);
        let (bytes, count) = encode(&xattrs).unwrap();
        assert_eq!(&bytes[12..], b"\x02\x01\x03\0abxyz\0\0\0");
        assert_eq!((bytes.len(), count), (24, 4));
    }
}
