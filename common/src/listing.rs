//! A file tree as text, and its digest: how leviso says what is in an image and recstrap proves that it is on the disk.
//!
//! One line a name, in the form of mtree(5), behind a line `#mtree`. The order is that of a walk: a directory before
//! what is in it, the names of a directory in byte order, each subdirectory's names right after it. The first line is
//! the root, `.`; its own name counts for nothing. Everything a file system keeps is in the line, but access and change
//! times and the numbers of inodes:
//!
//! ```text
//! ./usr/bin/ping type=file mode=0755 uid=0 gid=0 time=1700000000.000000000 size=90736 sha256digest=9f... \
//!     xattr.security.capability=0100000200200000...
//! ```
//!
//! (in one line). A file with several names has all of it in each line; those after the first end with `hardlink=` and
//! the first name. Attributes come in byte order of their names, values as hex digits. Bytes of names and targets that
//! are not printable ASCII, and space, `#`, `=` and `\`, are `\ooo` (octal), which bsdtar reads too.

use std::io::{self, Write};

use sha2::Digest;

use crate::hash::Sha256;

/// An extended attribute: full name (`security.capability`), value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// One name of a tree. Entries that are equal have equal lines; a symlink's mode is in no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path from the root, without a slash in front; empty for the root itself.
    pub path: &'a [u8],
    /// What it is.
    pub kind: Kind<'a>,
    /// Permission bits, 0..=0o7777. Symlinks: 0o777, whatever the file system says.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Its nanoseconds.
    pub mtime_nsec: u32,
    /// Extended attributes: full name, value; sorted by name.
    pub xattrs: &'a [Xattr],
    /// The first name of the same inode, where this is a later one.
    pub hardlink: Option<&'a [u8]>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Digest of the content.
        sha256: Sha256,
    },
    /// A symbolic link and its target.
    Symlink(&'a [u8]),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The first line of every listing.
const SIGNATURE: &[u8] = b"#mtree\n";

/// Writes a listing line by line and hashes it; `io::sink()` for the digest alone.
pub struct Listing<W> {
    out: W,
    hasher: sha2::Sha256,
}

impl<W: Write> Listing<W> {
    /// Begins a listing.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut listing = Self { out, hasher: sha2::Sha256::new() };
        listing.put(SIGNATURE)?;
        Ok(listing)
    }

    /// Adds a name; the caller keeps the order of the walk.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn push(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.put(&line(entry))
    }

    /// Adds a name by its [`line`], made elsewhere (by another thread).
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn push_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.put(line)
    }

    /// The digest of all lines, and the writer.
    pub fn finish(self) -> (Sha256, W) {
        (Sha256(self.hasher.finalize().into()), self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

/// The line of one name, with its newline.
#[must_use]
pub fn line(entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(b'.');
    if !entry.path.is_empty() {
        out.push(b'/');
        escape(entry.path, &mut out);
    }
    let kind = match entry.kind {
        Kind::Dir => "dir",
        Kind::File { .. } => "file",
        Kind::Symlink(_) => "link",
        Kind::Char(..) => "char",
        Kind::Block(..) => "block",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    };
    let mode = if matches!(entry.kind, Kind::Symlink(_)) { 0o777 } else { entry.mode };
    let (uid, gid, mtime, nsec) = (entry.uid, entry.gid, entry.mtime, entry.mtime_nsec);
    put(&mut out, format_args!(" type={kind} mode={mode:04o} uid={uid} gid={gid} time={mtime}.{nsec:09}"));
    match &entry.kind {
        Kind::File { size, sha256 } => {
            put(&mut out, format_args!(" size={size} sha256digest={sha256}"));
        }
        Kind::Symlink(target) => {
            out.extend(b" link=");
            escape(target, &mut out);
        }
        Kind::Char(major, minor) | Kind::Block(major, minor) => {
            put(&mut out, format_args!(" device=linux,{major},{minor}"));
        }
        Kind::Dir | Kind::Fifo | Kind::Socket => {}
    }
    for (name, value) in entry.xattrs {
        out.extend(b" xattr.");
        escape(name, &mut out);
        out.push(b'=');
        value.iter().for_each(|byte| put(&mut out, format_args!("{byte:02x}")));
    }
    if let Some(first) = entry.hardlink {
        out.extend(b" hardlink=./");
        escape(first, &mut out);
    }
    out.push(b'\n');
    out
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes everything");
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && !matches!(byte, b'#' | b'=' | b'\\') {
            out.push(byte);
        } else {
            put(out, format_args!("\\{byte:03o}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8]) -> Entry<'_> {
        Entry {
            path,
            kind: Kind::File { size: 3, sha256: Sha256::of(b"abc") },
            mode: 0o4755,
            uid: 0,
            gid: 7,
            mtime: 5,
            mtime_nsec: 6,
            xattrs: &[],
            hardlink: None,
        }
    }

    #[test]
    fn lines_hold_everything_and_names_cannot_forge_one() {
        let xattrs = [(b"user.a b"[..].into(), b"\x01\xff"[..].into())];
        let hostile = Entry { xattrs: &xattrs, hardlink: Some(b"x"), ..entry(b"a\nb #=\\\xff") };
        let digest = Sha256::of(b"abc");
        assert_eq!(
            String::from_utf8(line(&hostile)).unwrap(),
            format!(
                "./a\\012b\\040\\043\\075\\134\\377 type=file mode=4755 uid=0 gid=7 time=5.000000006 size=3 \
                 sha256digest={digest} xattr.user.a\\040b=01ff hardlink=./x\n"
            )
        );
        let root = Entry { kind: Kind::Dir, ..entry(b"") };
        assert_eq!(line(&root), b". type=dir mode=4755 uid=0 gid=7 time=5.000000006\n");
        let link = Entry { kind: Kind::Symlink(b"to"), mode: 0o644, ..entry(b"l") };
        assert!(line(&link).ends_with(b"mode=0777 uid=0 gid=7 time=5.000000006 link=to\n"));
        let device = Entry { kind: Kind::Char(1, 3), ..entry(b"null") };
        assert!(line(&device).ends_with(b" device=linux,1,3\n"));
    }

    #[test]
    fn the_digest_is_that_of_the_text() {
        let mut listing = Listing::new(Vec::new()).unwrap();
        listing.push(&entry(b"a")).unwrap();
        let (digest, text) = listing.finish();
        assert_eq!(digest, Sha256::of(&text));
        assert!(text.starts_with(b"#mtree\n./a "));
    }
}
