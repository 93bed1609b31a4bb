//! The payload: files -> cpio (newc, or rpm's stripped form for files of 4 GiB and more) -> compressed bytes.
//!
//! Both digests rpm wants are taken on the way: of the archive and of what is stored.

use std::io::{self, Write};

use common::hash::Sha256;
use sha2::Digest;

use super::{Compression, Content};

/// One archive member.
pub(super) struct Member<'a> {
    pub(super) name: Vec<u8>,
    pub(super) index: u32,
    pub(super) inode: u32,
    pub(super) mode: u32,
    pub(super) nlink: u32,
    pub(super) mtime: u32,
    pub(super) device: (u32, u32),
    /// What follows the header: empty for all names of a hard link but the last.
    pub(super) data: Data<'a>,
}

/// Content of a member.
pub(super) enum Data<'a> {
    None,
    Target(&'a [u8]),
    File(&'a Content),
}

/// A finished payload.
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub(super) digest: Sha256,
    /// SHA-256 and size of the archive before compression.
    pub(super) archive_digest: Sha256,
    pub(super) archive_size: u64,
}

/// Writes and compresses an archive.
pub(super) fn write(members: &[Member], stripped: bool, compression: Compression) -> io::Result<Payload> {
    let mut archive = Archive { out: Encoder::new(compression)?, hasher: sha2::Sha256::new(), size: 0 };
    for member in members {
        archive.member(member, stripped)?;
    }
    archive.newc(b"TRAILER!!!", &[0; 11], 1)?;
    let bytes = archive.out.finish()?;
    Ok(Payload {
        digest: Sha256::of(&bytes),
        bytes,
        archive_digest: Sha256(archive.hasher.finalize().into()),
        archive_size: archive.size,
    })
}

struct Archive {
    out: Encoder,
    hasher: sha2::Sha256,
    size: u64,
}

impl Archive {
    fn member(&mut self, m: &Member, stripped: bool) -> io::Result<()> {
        let len = match m.data {
            Data::None => 0,
            Data::Target(target) => target.len() as u64,
            Data::File(content) => content.len(),
        };
        if stripped {
            // rpm's own form: everything but the file's index in the header is left out.
            self.write_all(format!("07070X{:08x}", m.index).as_bytes())?;
            self.pad()?;
        } else {
            // Larger files make the archive stripped, so 32 bits are enough here.
            let len = u32::try_from(len).map_err(io::Error::other)?;
            let (major, minor) = m.device;
            self.newc(&m.name, &[m.inode, m.mode, 0, 0, m.nlink, m.mtime, len, 0, 0, major, minor], 0)?;
        }
        match m.data {
            Data::None => Ok(()),
            Data::Target(target) => self.write_all(target),
            Data::File(Content::Bytes(bytes)) => self.write_all(bytes),
            Data::File(&Content::Fill { byte, len }) => {
                io::copy(&mut io::Read::take(io::repeat(byte), len), self).map(drop)
            }
        }?;
        self.pad()
    }

    /// A "new ASCII" header (cpio(5)): eleven numbers, then the length of the name, then a checksum of 0.
    fn newc(&mut self, name: &[u8], fields: &[u32; 11], trailer: u32) -> io::Result<()> {
        let mut fields = *fields;
        fields[4] += trailer; // rpm writes nlink 1 for the trailer
        let mut header = String::from("070701");
        for field in fields.into_iter().chain([name.len() as u32 + 1, 0]) {
            header.push_str(&format!("{field:08x}"));
        }
        self.write_all(header.as_bytes())?;
        self.write_all(name)?;
        self.write_all(&[0])?;
        self.pad()
    }

    fn pad(&mut self) -> io::Result<()> {
        let n = self.size.wrapping_neg() % 4;
        self.write_all(&[0; 3][..n as usize])
    }
}

impl Write for Archive {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write_all(buf)?;
        self.hasher.update(buf);
        self.size += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Encoder {
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Xz(liblzma::write::XzEncoder<Vec<u8>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(compression: Compression) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match compression {
            Compression::Zstd(level) => Self::Zstd(zstd::Encoder::new(out, level)?),
            Compression::Xz(level) => Self::Xz(liblzma::write::XzEncoder::new(out, level)),
            Compression::Gzip(level) => {
                Self::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::new(level)))
            }
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(e) => e.finish(),
            Self::Xz(e) => e.finish(),
            Self::Gzip(e) => e.finish(),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(e) => e.write(buf),
            Self::Xz(e) => e.write(buf),
            Self::Gzip(e) => e.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
