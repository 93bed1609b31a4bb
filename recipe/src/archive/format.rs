//! Names of formats, as recipes and files call them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;

use anyhow::{Context, bail};

/// How the bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Plain,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
    /// bzip2.
    Bzip2,
}

/// What is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A tar archive.
    Tar,
    /// A zip archive; it packs by itself.
    Zip,
    /// One file.
    Single,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What is in it.
    pub shape: Shape,
    /// How it is packed.
    pub packing: Packing,
    /// The ending that says so.
    ending: &'static str,
}

const fn format(ending: &'static str, shape: Shape, packing: Packing) -> Format {
    Format { shape, packing, ending }
}

/// All formats by their names; longer endings come first.
pub const NAMES: &[Format] = &[
    format("tar.gz", Shape::Tar, Packing::Gzip),
    format("tar.xz", Shape::Tar, Packing::Xz),
    format("tar.zst", Shape::Tar, Packing::Zstd),
    format("tar.bz2", Shape::Tar, Packing::Bzip2),
    format("tgz", Shape::Tar, Packing::Gzip),
    format("txz", Shape::Tar, Packing::Xz),
    format("tzst", Shape::Tar, Packing::Zstd),
    format("tbz2", Shape::Tar, Packing::Bzip2),
    format("tbz", Shape::Tar, Packing::Bzip2),
    format("tb2", Shape::Tar, Packing::Bzip2),
    format("crate", Shape::Tar, Packing::Gzip),
    format("tar", Shape::Tar, Packing::Plain),
    format("zip", Shape::Zip, Packing::Plain),
    format("whl", Shape::Zip, Packing::Plain),
    format("gz", Shape::Single, Packing::Gzip),
    format("xz", Shape::Single, Packing::Xz),
    format("zst", Shape::Single, Packing::Zstd),
    format("bz2", Shape::Single, Packing::Bzip2),
    format("bare", Shape::Single, Packing::Plain),
];

/// Endings of what is packed in formats that are not among these.
const OTHERS: &[&str] =
    &["7z", "rar", "lz", "lzma", "lz4", "lzo", "br", "z", "tlz", "taz", "cab", "cpio", "deb", "rpm"];

/// How a file is packed, by its first bytes: the name of a format.
#[must_use]
pub fn packed(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, ..] => Some("tar.gz"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("tar.xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("tar.zst"),
        [b'B', b'Z', b'h', ..] => Some("tar.bz2"),
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        _ => None,
    }
}

impl Format {
    /// The format of this name.
    ///
    /// # Errors
    /// There is none; the error lists all.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let found = NAMES.iter().find(|f| f.ending == name).copied();
        found.with_context(|| format!("expected one of {}, found {name:?}", all()))
    }

    /// The format of a file by its name, where nothing of the file says that it is packed otherwise.
    ///
    /// # Errors
    /// Its name ends as those of other formats do, or says nothing, but its first bytes do.
    pub fn of(name: &str, file: &File) -> anyhow::Result<Self> {
        let format = Self::of_file(name);
        if !format.is_bare() {
            return Ok(format);
        }
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        if let Some(other) = OTHERS.iter().find(|other| ending.as_deref() == Some(other)) {
            bail!("{name} is packed as {other}, which is none of {}", all());
        }
        let mut head = [0; 8];
        let len = file.read_at(&mut head, 0).with_context(|| format!("failed to read {name}"))?;
        match packed(&head[..len]) {
            Some(found) => bail!("{name} is not called so, but looks like a {found} file"),
            None => Ok(format),
        }
    }

    /// Whether nothing is packed.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.shape == Shape::Single && self.packing == Packing::Plain
    }

    /// The format that a file's name ends in; one that ends in none is bare.
    #[must_use]
    pub fn of_file(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let ends = |f: &&Format| name.strip_suffix(f.ending).is_some_and(|rest| rest.ends_with('.'));
        NAMES.iter().find(ends).copied().unwrap_or(format("bare", Shape::Single, Packing::Plain))
    }

    /// What the file in it is called: without the ending.
    #[must_use]
    pub fn single_name<'a>(&self, name: &'a str) -> &'a str {
        name.strip_suffix(self.ending).and_then(|n| n.strip_suffix('.')).unwrap_or(name)
    }
}

fn all() -> String {
    NAMES.iter().map(|f| f.ending).collect::<Vec<_>>().join(", ")
}

impl Packing {
    /// The unpacked bytes.
    pub(super) fn reader<'a>(self, file: &'a File) -> anyhow::Result<Box<dyn Read + 'a>> {
        let file = BufReader::with_capacity(128 << 10, file);
        Ok(match self {
            Self::Plain => Box::new(file),
            // Several members behind each other are one file, for every packer.
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(file).context("failed to begin to unpack")?),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        })
    }
}
