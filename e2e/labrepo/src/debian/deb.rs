//! Reads a .deb: ar archive -> control fields, maintainer script, conffiles, files with content.
//!
//! Format: deb(5), deb-control(5). Everything is read into memory; the largest package of the lab has 110 MB.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::rpm::{Content, File, Kind};

/// A .deb in memory.
#[derive(Debug, Default)]
pub struct Deb {
    /// Fields of the control file; continuation lines joined with newlines.
    pub control: BTreeMap<String, String>,
    /// The postinst script, empty when there is none.
    pub postinst: String,
    /// Paths the package declares as configuration.
    pub conffiles: BTreeSet<Vec<u8>>,
    /// Files in archive order; `flags` are not set yet.
    pub files: Vec<File>,
    /// When it was built: the time of the ar members, seconds since 1970 UTC.
    pub built: u32,
}

impl Deb {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not a .deb.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("failed to read the package {}", path.display());
        let file = std::fs::File::open(path).with_context(context)?;
        Self::read(std::io::BufReader::new(file)).with_context(context)
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// It is not a .deb.
    pub fn read(input: impl Read) -> anyhow::Result<Self> {
        let mut deb = Self::default();
        let mut archive = ar::Archive::new(input);
        let (mut version, mut control, mut data) = (false, false, false);
        while let Some(member) = archive.next_entry() {
            let mut member = member.context("failed to read the ar archive")?;
            let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
            let name = name.trim_end_matches('/').to_owned();
            deb.built = u32::try_from(member.header().mtime()).unwrap_or(0);
            if name == "debian-binary" {
                let mut text = String::new();
                member.read_to_string(&mut text)?;
                version = text.starts_with("2.");
            } else if name.starts_with("control.tar") {
                deb.read_control(open(&name, &mut member)?).context("failed to read control.tar")?;
                control = true;
            } else if name.starts_with("data.tar") {
                deb.read_data(open(&name, &mut member)?).context("failed to read data.tar")?;
                data = true;
            }
        }
        if !(version && control && data) {
            bail!("expected a Debian package of format 2, found another archive");
        }
        Ok(deb)
    }

    /// A field of the control file.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.control.get(name).map_or("", String::as_str)
    }

    fn read_control(&mut self, input: impl Read) -> anyhow::Result<()> {
        let mut archive = tar::Archive::new(input);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut text = || -> anyhow::Result<String> {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            };
            match name.trim_start_matches("./") {
                "control" => self.control = fields(&text()?),
                "postinst" => self.postinst = text()?,
                "conffiles" => {
                    let text = text()?;
                    let paths = text.lines().map(str::trim).filter(|l| l.starts_with('/'));
                    self.conffiles = paths.map(|l| l.as_bytes().to_vec()).collect();
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_data(&mut self, input: impl Read) -> anyhow::Result<()> {
        let mut archive = tar::Archive::new(input);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = absolute(&entry.path_bytes());
            let link = entry.link_name_bytes().unwrap_or_default().into_owned();
            let header = entry.header();
            let device = || -> anyhow::Result<(u32, u32)> {
                Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
            };
            let kind = match header.entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    Kind::File(Content::Bytes(bytes.into()))
                }
                tar::EntryType::Directory => Kind::Dir,
                tar::EntryType::Symlink => Kind::Symlink(link),
                tar::EntryType::Link => Kind::HardLink(absolute(&link)),
                tar::EntryType::Char => device().map(|(a, b)| Kind::Char(a, b))?,
                tar::EntryType::Block => device().map(|(a, b)| Kind::Block(a, b))?,
                tar::EntryType::Fifo => Kind::Fifo,
                other => bail!("{} is of an unknown kind {other:?}", String::from_utf8_lossy(&path)),
            };
            let header = entry.header();
            let owner = |name: Option<&[u8]>, id: u64| match name {
                Some(name) if !name.is_empty() => String::from_utf8_lossy(name).into_owned(),
                _ if id == 0 => "root".to_owned(),
                _ => id.to_string(),
            };
            let mut file = File::new(path, kind, (header.mode()? & 0o7777) as u16);
            file.user = owner(header.username_bytes(), header.uid()?);
            file.group = owner(header.groupname_bytes(), header.gid()?);
            file.mtime = u32::try_from(header.mtime()?).context("a time after 2106")?;
            self.files.push(file);
        }
        Ok(())
    }
}

/// `./usr/bin/` -> `/usr/bin`; the root itself becomes `/`.
fn absolute(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b".").unwrap_or(path);
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |i| i + 1);
    let start = path.iter().position(|&b| b != b'/').unwrap_or(end);
    [b"/", &path[start.min(end)..end]].concat()
}

/// Decompresses by the member's suffix.
fn open<'a>(name: &str, member: &'a mut impl Read) -> anyhow::Result<Box<dyn Read + 'a>> {
    Ok(match name.rsplit_once(".tar").map(|(_, suffix)| suffix) {
        Some("") => Box::new(member),
        Some(".xz") => Box::new(liblzma::read::XzDecoder::new(member)),
        Some(".zst") => Box::new(zstd::Decoder::new(member)?),
        Some(".gz") => Box::new(flate2::read::GzDecoder::new(member)),
        _ => bail!("{name} is compressed in an unknown way"),
    })
}

/// One paragraph of deb-control(5).
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(more) = line.strip_prefix([' ', '\t']) {
            let value = fields.entry(last.clone()).or_default();
            value.push('\n');
            value.push_str(more);
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.to_owned();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    fields
}

/// The content of a regular file, shared.
#[must_use]
pub fn bytes_of(file: &File) -> Option<Arc<[u8]>> {
    match &file.kind {
        Kind::File(Content::Bytes(bytes)) => Some(bytes.clone()),
        _ => None,
    }
}
