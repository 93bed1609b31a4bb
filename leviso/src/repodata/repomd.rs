//! repomd.xml: which metadata files there are, and their digests.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, bail};
use common::hash::Sha256;

use super::xml::{Item, Xml, append};

/// More kinds of metadata than anybody publishes.
const MAX_DATA: usize = 256;

/// A parsed repomd.xml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repomd {
    /// `<revision>`: usually seconds since 1970; empty if absent.
    pub revision: String,
    /// The metadata files by type (`primary`, `filelists`, `updateinfo`, ...).
    pub data: BTreeMap<String, RepoData>,
}

/// One metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoData {
    /// Path relative to the repository's base: no `..`, not absolute.
    pub location: String,
    /// Digest of the file as it is served.
    pub checksum: Checksum,
    /// Digest of its decompressed content, where given.
    pub open_checksum: Option<Checksum>,
    /// Size as served, bytes, where given.
    pub size: Option<u64>,
    /// Size decompressed, bytes, where given.
    pub open_size: Option<u64>,
}

/// A digest of metadata. Weaker ones (sha1, md5) are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(sum) => write!(f, "sha256:{sum}"),
            Self::Sha512(sum) => {
                f.write_str("sha512:")?;
                sum.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl Checksum {
    /// From the names and hex digits of repodata and metalinks.
    ///
    /// # Errors
    /// Another algorithm than `sha256` and `sha512`, or not that many hex digits.
    pub fn parse(algorithm: &str, hex: &str) -> anyhow::Result<Self> {
        match algorithm {
            "sha256" => Ok(Self::Sha256(hex.parse()?)),
            "sha512" if hex.len() == 128 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                let mut sum = [0; 64];
                for (i, byte) in sum.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)?;
                }
                Ok(Self::Sha512(sum))
            }
            "sha512" => bail!("expected 128 hex digits of a SHA-512, found {hex:?}"),
            other => bail!("expected a sha256 or sha512 checksum, found {other:?}"),
        }
    }
}

impl Repomd {
    /// Parses repomd.xml. Of several entries of one type the first counts.
    ///
    /// # Errors
    /// It is not repomd.xml, names a weak checksum or a place outside the repository; exit code
    /// [`crate::exit::VERIFY`]. Names the byte, not the repository: the caller does.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut out = Self { revision: String::new(), data: BTreeMap::new() };
        let mut draft = Draft::default();
        // The element whose text is being read; only leaves have text.
        let mut text: Option<String> = None;
        let mut leaf = String::new();
        let mut root = false;
        Xml::new(bytes).read("repomd.xml", |item| {
            match item {
                Item::Open(tag) => {
                    match (tag.depth, tag.name()) {
                        (1, "repomd") => root = true,
                        (1, other) => bail!("expected <repomd>, found <{other}>"),
                        (2, "data") => draft = Draft { kind: tag.need("type")?, ..Draft::default() },
                        (3, "location") => draft.location = tag.need("href")?,
                        (3, "checksum") => draft.algorithm = tag.need("type")?,
                        (3, "open-checksum") => draft.open_algorithm = tag.need("type")?,
                        _ => {}
                    }
                    leaf = format!("{}/{}", tag.depth, tag.name());
                    text = Some(String::new());
                }
                Item::Text(piece) => {
                    if let Some(text) = &mut text {
                        append(text, piece)?;
                    }
                }
                Item::Close(depth) => {
                    if let Some(text) = text.take() {
                        let text = text.trim();
                        match leaf.as_str() {
                            "2/revision" => out.revision = text.to_owned(),
                            "3/checksum" => draft.checksum = text.to_owned(),
                            "3/open-checksum" => draft.open_checksum = text.to_owned(),
                            "3/size" => draft.size = Some(text.parse().context("bad <size>")?),
                            "3/open-size" => draft.open_size = Some(text.parse().context("bad <open-size>")?),
                            _ => {}
                        }
                    }
                    if depth == 2 && !draft.kind.is_empty() {
                        let (kind, data) = std::mem::take(&mut draft).finish()?;
                        out.data.entry(kind).or_insert(data);
                        if out.data.len() > MAX_DATA {
                            bail!("more than {MAX_DATA} kinds of metadata");
                        }
                    }
                }
                Item::End if !root => bail!("it is empty"),
                Item::End => {}
            }
            Ok(())
        })?;
        Ok(out)
    }
}

/// A `<data>` element being read.
#[derive(Default)]
struct Draft {
    kind: String,
    location: String,
    algorithm: String,
    checksum: String,
    open_algorithm: String,
    open_checksum: String,
    size: Option<u64>,
    open_size: Option<u64>,
}

impl Draft {
    fn finish(self) -> anyhow::Result<(String, RepoData)> {
        let checksum = Checksum::parse(&self.algorithm, &self.checksum)
            .with_context(|| format!("bad checksum of {}", self.kind))?;
        let open_checksum = (!self.open_algorithm.is_empty())
            .then(|| Checksum::parse(&self.open_algorithm, &self.open_checksum))
            .transpose()
            .with_context(|| format!("bad open-checksum of {}", self.kind))?;
        let location = super::primary::check_location(&self.location)?.to_owned();
        let data = RepoData { location, checksum, open_checksum, size: self.size, open_size: self.open_size };
        Ok((self.kind, data))
    }
}
