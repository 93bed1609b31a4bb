//! The EROFS image: [`Tree`] in, one file out; read-only, compressed, mountable by Linux 5.15 and newer.
//!
//! ```text
//! options   what to write: algorithm, cluster size, label, uuid
//! support   what the image's own kernel can read, from its configuration
//! inventory Tree -> numbered inodes: owners resolved, links counted, names and attributes checked
//! pack      one piece of a file -> clusters of whole blocks, and a tail (cluster rules, lz4 fills blocks exactly)
//! data      all pieces, in parallel, in order, to the file
//! index     where each 4 KiB of a compressed file lies
//! dir       directory blocks        xattr    attributes behind an inode
//! place     a place for every inode: holes left by one are filled by others
//! meta      inodes, indexes, tails and directories, to the file; the superblock last
//! format    the bytes on disk       lz4      the only foreign code
//! ```
//!
//! ```text
//! block 0     1 KiB of zeros, superblock, compression parameters
//! 1..         file data in the order of the tree: the blocks of one file follow each other
//! then        directory blocks
//! then        metadata: inodes with attributes, indexes, inlined tails. At the end, because only then all sizes are
//!             known and nothing has to be written twice
//! ```
//!
//! Invariants: the same tree and options give the same bytes on any number of threads; memory is bounded by the
//! metadata plus one batch of file data; nothing outside the tree (clock, environment, host) gets in.
//! Format: Linux Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h, <https://erofs.docs.kernel.org>.

mod data;
mod dir;
mod format;
mod index;
mod inventory;
mod lz4;
mod meta;
mod options;
mod pack;
mod place;
mod support;
mod xattr;

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use anyhow::Context;
use common::cli::Mark;
use common::hash::HashingReader;
use common::hash::Sha256;

use crate::exit;
use crate::progress::Progress;
use crate::tree::Tree;

pub use options::{Algorithm, Options};
pub use support::Support;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Size of the image in bytes, a multiple of 4096.
    pub bytes: u64,
    /// Inodes of all kinds.
    pub inodes: u64,
    /// Regular files stored compressed.
    pub compressed: u64,
    /// Regular files with content that are stored as they are: it did not shrink, or compression is off.
    pub stored: u64,
    /// Bytes of all regular files before compression, each inode once.
    pub content: u64,
    /// Volume UUID.
    pub uuid: [u8; 16],
    /// SHA-256 of the whole image.
    pub digest: Sha256,
}

/// Writes `tree` as an EROFS image over whatever `out` holds. Not synced: the caller commits the file.
///
/// # Errors
/// The tree cannot be stored: an owner still goes by name (`exit::SYSTEM`), or a name, link target, device number or
/// attribute is beyond what the format holds (`exit::IMAGE`). Or `out` cannot be written; a full disk stays an
/// `io::Error` in the chain.
pub fn write(
    tree: &Tree,
    out: &mut File,
    options: &Options,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    options.check()?;
    let inventory = inventory::take(tree)?;
    let failed = || "failed to write the EROFS image";
    out.set_len(0).and_then(|()| out.seek(SeekFrom::Start(0))).with_context(failed).exit(exit::IMAGE)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &mut *out);
    writer.write_all(&[0; format::BLOCK]).with_context(failed).exit(exit::IMAGE)?;

    let data = data::write(&inventory, options, &mut writer, progress)?;
    let super_block = meta::write(&inventory, &data, options, &mut writer)?;
    writer.flush().with_context(failed).exit(exit::IMAGE)?;
    drop(writer);

    out.seek(SeekFrom::Start(0))
        .and_then(|_| out.write_all(&super_block.block()))
        .and_then(|()| out.seek(SeekFrom::Start(0)))
        .with_context(failed)
        .exit(exit::IMAGE)?;
    let mut reader = HashingReader::new(&mut *out);
    std::io::copy(&mut reader, &mut std::io::sink())
        .context("failed to read the EROFS image back")
        .exit(exit::IMAGE)?;
    let (digest, bytes) = reader.finish();
    Ok(Report {
        bytes,
        inodes: inventory.inodes.len() as u64,
        compressed: data.compressed,
        stored: data.stored,
        content: data.content,
        uuid: super_block.uuid,
        digest,
    })
}
