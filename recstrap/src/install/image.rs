//! The live image: found, opened, walked into a plan, and hashed while it is read.
//!
//! In: a path, and what the manifest says. Out: an [`Opened`] image that is a [`Source`] of contents, and proof that the
//! file is the one of the manifest.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use common::layout;
use sha2::Digest;

use super::builder::Builder;
use super::control::Control;
use super::exit;
use super::manifest::Output;
use super::plan::{Fate, Node, What};
use super::source::{Sink, Source};
use crate::erofs::{Encoding, Extent, Image, Kind, Nid, Scratch};

/// How much is read at once for hashing.
const WINDOW: usize = 1 << 20;

/// LZ4 makes at most 255 bytes of one: what is packed nearly that well are equal bytes, zeros in all likelihood.
const HARDLY_DATA: u64 = 200;

/// An image, and the file it is.
#[derive(Debug)]
pub struct Opened {
    /// Where it was found.
    pub path: PathBuf,
    /// Size of the file.
    pub size: u64,
    file: File,
    image: Image,
}

/// Where image and manifest are, unless the command line says otherwise.
#[must_use]
pub fn places(image: Option<&Path>, manifest: Option<&Path>) -> (PathBuf, PathBuf) {
    let beside = |image: &Path| image.with_file_name("manifest.json");
    let manifest = match (manifest, image) {
        (Some(manifest), _) => manifest.to_owned(),
        (None, Some(image)) => beside(image),
        (None, None) => PathBuf::from(layout::LIVE_MANIFEST),
    };
    (image.unwrap_or(Path::new(layout::LIVE_IMAGE)).to_owned(), manifest)
}

impl Opened {
    /// Reads the superblock of an open file.
    ///
    /// # Errors
    /// It is no image, or none that can be read.
    pub fn new(path: &Path, file: File) -> anyhow::Result<Self> {
        // Not the metadata's size, which is 0 for a block device.
        let size = std::io::Seek::seek(&mut &file, std::io::SeekFrom::End(0))?;
        let image = Image::open(file.try_clone()?)?;
        Ok(Self { path: path.to_owned(), size, file, image })
    }

    /// All names, in listing order.
    ///
    /// # Errors
    /// The image is damaged or cannot be read.
    pub fn plan(&self, control: &Control) -> anyhow::Result<Builder> {
        let mut builder = Builder::default();
        // The directories from the root to the last name: length of the path, number of the node.
        let mut dirs: Vec<(usize, u32)> = Vec::new();
        let mut firsts = std::collections::HashMap::new();
        for name in self.image.walk() {
            control.check()?;
            let name = name?;
            let at = u32::try_from(builder.nodes.len()).context("the image has more names than fit")?;
            let slash = name.path.iter().rposition(|&b| b == b'/');
            while dirs.last().is_some_and(|(len, _)| *len > slash.unwrap_or(0)) {
                dirs.pop();
            }
            let parent = dirs.last().map_or(0, |(_, at)| *at);
            let inode = name.inode;
            let what = match inode.kind {
                Kind::Dir => What::Dir,
                Kind::File => What::File(inode.size),
                Kind::Symlink => What::Symlink(self.image.target(&inode)?.into()),
                Kind::Char(major, minor) => What::Char(major, minor),
                Kind::Block(major, minor) => What::Block(major, minor),
                Kind::Fifo => What::Fifo,
                Kind::Socket => What::Socket,
            };
            let first = name.first.is_some().then(|| firsts.get(&inode.nid).copied()).flatten();
            if inode.nlink > 1 && what != What::Dir {
                firsts.entry(inode.nid).or_insert(at);
            }
            if what == What::Dir {
                dirs.push((name.path.len(), at));
            }
            builder.nodes.push(Node {
                parent,
                name: name.path[slash.map_or(0, |s| s + 1)..].into(),
                id: inode.nid.0,
                what,
                mode: inode.mode,
                uid: inode.uid,
                gid: inode.gid,
                mtime: inode.mtime,
                nsec: inode.mtime_nsec,
                xattrs: self.image.xattrs(&inode)?.into(),
                first,
                fate: Fate::Install,
                place: 0,
                link_to: None,
            });
        }
        Ok(builder)
    }

    /// Bytes of a file that surely are no zeros that could stay holes.
    ///
    /// # Errors
    /// The image is damaged or cannot be read.
    pub fn data(&self, id: u64) -> anyhow::Result<u64> {
        let is_data = |e: &Extent| match e.encoding {
            Encoding::Hole => false,
            Encoding::Lz4 => e.stored.saturating_mul(HARDLY_DATA) > e.len,
            Encoding::Plain | Encoding::Interlaced => true,
        };
        let extents = self.image.extents(&self.image.inode(Nid(id))?)?;
        Ok(extents.iter().filter(is_data).map(|e| e.len).sum())
    }

    /// Hashes the whole file, ahead of those who decompress it, and compares with the manifest.
    ///
    /// # Errors
    /// It cannot be read, or is not what the manifest says.
    pub fn hash(&self, expected: Option<Output>, control: &Control) -> anyhow::Result<Sha256> {
        let mut buffer = vec![0; WINDOW];
        let mut hasher = sha2::Sha256::new();
        let mut at = 0;
        // Best effort: it only asks for more reading ahead.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential);
        loop {
            control.check()?;
            let n = self.file.read_at(&mut buffer, at);
            let n = n.with_context(|| format!("failed to read {} at offset {at}", self.path.display()));
            let n = n.exit(exit::IMAGE).hint(HINT)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            at += n as u64;
        }
        let found = Sha256(hasher.finalize().into());
        if let Some(expected) = expected {
            let same = || {
                ensure!(
                    (at, found) == (expected.size, expected.sha256),
                    "{} is damaged: its manifest says {} bytes with SHA-256 {}, found {at} bytes with {found}",
                    self.path.display(),
                    expected.size,
                    expected.sha256
                );
                Ok(())
            };
            same().exit(exit::IMAGE).hint(HINT)?;
        }
        Ok(found)
    }
}

/// What to do about a damaged image.
pub const HINT: &str = "write the disc's image to the medium again, or use another medium";

impl Source for Opened {
    type Scratch = Scratch;

    fn read(&self, id: u64, scratch: &mut Scratch, sink: &mut dyn Sink) -> anyhow::Result<()> {
        let damaged = |e: crate::erofs::Error| Err::<(), _>(e).exit(exit::IMAGE).hint(HINT).unwrap_err();
        let inode = self.image.inode(Nid(id)).map_err(damaged)?;
        let extents = self.image.extents(&inode).map_err(damaged)?;
        for extent in extents.iter() {
            if extent.encoding == Encoding::Hole {
                sink.hole(extent.len)?;
                continue;
            }
            sink.data(extent.len as usize, &mut |out| {
                self.image.fill_extent(&extent, scratch, out).map_err(damaged)
            })?;
        }
        Ok(())
    }
}
