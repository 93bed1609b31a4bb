//! Package description -> bytes: file tables, dependencies, digests, signature.

use std::collections::BTreeMap;

use anyhow::Context;
use common::hash::{HashingReader, Sha256};

use super::deps::{Dep, EQUAL, LESS, RPMLIB};
use super::header::{Header, REGION_IMMUTABLE, REGION_SIGNATURE, Value};
use super::payload::{self, Data, Member, Payload};
use super::{Compression, Content, File, Kind, Package};
use crate::key::SigningKey;

/// Files from this size need 64-bit tags and the stripped archive.
const LARGE: u64 = 1 << 32;

/// A finished package.
#[derive(Debug, Clone)]
pub struct Rpm {
    /// What it was made from.
    pub package: Package,
    /// The file.
    pub bytes: Vec<u8>,
    /// Where the main header begins and ends in the file, for repodata.
    pub header_range: (usize, usize),
    /// Sum of the regular files' sizes, hard links once.
    pub installed_size: u64,
    /// Size of the payload before compression.
    pub archive_size: u64,
}

/// One row of the header's file tables.
struct Row<'a> {
    file: &'a File,
    /// The file that holds content, mode, owner: itself, or what a hard link points to.
    origin: &'a File,
    inode: u32,
    nlink: u32,
    /// Whether the archive carries the content under this name.
    carries: bool,
}

impl Package {
    /// Builds and signs.
    ///
    /// # Errors
    /// A hard link points at no regular file of the package, or compressing or signing fails.
    pub fn build(&self, key: &SigningKey) -> anyhow::Result<Rpm> {
        self.assemble(Some(key)).with_context(|| format!("failed to build {}", self.file_name()))
    }

    /// Builds without a signature; the digests are there.
    ///
    /// # Errors
    /// As [`Package::build`].
    pub fn build_unsigned(&self) -> anyhow::Result<Rpm> {
        self.assemble(None).with_context(|| format!("failed to build {}", self.file_name()))
    }

    fn assemble(&self, key: Option<&SigningKey>) -> anyhow::Result<Rpm> {
        let rows = rows(&self.files)?;
        let large = rows.iter().any(|r| size(r.origin) >= LARGE);
        let members: Vec<Member> = rows.iter().enumerate().filter_map(member).collect();
        let payload = payload::write(&members, large, self.compression)?;
        let installed_size =
            rows.iter().filter(|r| r.carries || is_ghost(r.file)).map(|r| size(r.origin)).sum();

        let header = self.header(&rows, large, installed_size, &payload)?.to_bytes(REGION_IMMUTABLE);
        let signature = signature(&header, &payload, key, self.build_time)?.to_bytes(REGION_SIGNATURE);
        let mut bytes = lead(self);
        bytes.extend(signature);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let start = bytes.len();
        bytes.extend(header);
        let header_range = (start, bytes.len());
        bytes.extend(&payload.bytes);
        Ok(Rpm {
            package: self.clone(),
            bytes,
            header_range,
            installed_size,
            archive_size: payload.archive_size,
        })
    }

    fn header(&self, rows: &[Row], large: bool, size: u64, payload: &Payload) -> anyhow::Result<Header> {
        let mut h = Header::default();
        let text = |s: &str| Value::Text(s.to_owned());
        h.list(100, ["C"]);
        h.set(1000, text(&self.name));
        h.set(1001, text(&self.version));
        h.set(1002, text(&self.release));
        if let Some(epoch) = self.epoch {
            h.set(1003, Value::Int32(vec![epoch]));
        }
        h.set(1004, Value::I18n(self.summary.clone()));
        h.set(1005, Value::I18n(self.description.clone()));
        h.set(1006, Value::Int32(vec![self.build_time]));
        h.set(1007, text("localhost"));
        match u32::try_from(size) {
            Ok(size) => h.set(1009, Value::Int32(vec![size])),
            Err(_) => h.set(5009, Value::Int64(vec![size])),
        }
        h.set(1011, text(&self.vendor));
        h.set(1014, text(&self.license));
        h.set(1016, Value::I18n("Unspecified".into()));
        if !self.url.is_empty() {
            h.set(1020, text(&self.url));
        }
        h.set(1021, text("linux"));
        h.set(1022, text(&self.arch));
        h.set(1044, text(&self.source_rpm));
        h.set(1064, text("4.18.0"));
        h.set(1124, text("cpio"));
        let (compressor, level) = match self.compression {
            Compression::Zstd(level) => ("zstd", level.to_string()),
            Compression::Xz(level) => ("xz", level.to_string()),
            Compression::Gzip(level) => ("gzip", level.to_string()),
        };
        h.set(1125, text(compressor));
        h.set(1126, text(&level));
        h.set(5062, text("utf-8"));
        h.list(5092, [payload.digest.to_string()]);
        h.int32(5093, [SHA256]);
        h.list(5097, [payload.archive_digest.to_string()]);

        files(&mut h, rows, large)?;

        deps(&mut h, [1047, 1112, 1113], &self.all_provides());
        deps(&mut h, [1049, 1048, 1050], &self.all_requires(rows, large));
        deps(&mut h, [1054, 1053, 1055], &self.conflicts);
        deps(&mut h, [1090, 1114, 1115], &self.obsoletes);
        deps(&mut h, [5046, 5048, 5047], &self.recommends);
        deps(&mut h, [5049, 5051, 5050], &self.suggests);
        deps(&mut h, [5052, 5054, 5053], &self.supplements);
        deps(&mut h, [5055, 5057, 5056], &self.enhances);
        Ok(h)
    }

    /// The Requires, with what rpm itself must be able to do.
    fn all_requires(&self, rows: &[Row], large: bool) -> Vec<Dep> {
        let mut all = self.requires.clone();
        let mut feature = |name: &str, version: &str| {
            let name = format!("rpmlib({name})");
            all.push(Dep { name, flags: RPMLIB | LESS | EQUAL, version: version.into() });
        };
        if !rows.is_empty() {
            feature("CompressedFileNames", "3.0.4-1");
            feature("FileDigests", "4.6.0-1");
            feature("PayloadFilesHavePrefix", "4.0-1");
        }
        match self.compression {
            Compression::Zstd(_) => feature("PayloadIsZstd", "5.4.18-1"),
            Compression::Xz(_) => feature("PayloadIsXz", "5.2-1"),
            Compression::Gzip(_) => {}
        }
        if large {
            feature("LargeFiles", "4.12.0-1");
        }
        if rows.iter().any(|r| !r.file.caps.is_empty()) {
            feature("FileCaps", "4.6.1-1");
        }
        let deps = [&self.requires, &self.conflicts, &self.recommends, &self.suggests, &self.supplements];
        if deps.iter().any(|list| list.iter().any(Dep::is_rich)) {
            feature("RichDependencies", "4.12.0-1");
        }
        if self.evr().contains('~') {
            feature("TildeInVersions", "4.10.0-1");
        }
        if self.evr().contains('^') {
            feature("CaretInVersions", "4.15.0-1");
        }
        all.sort();
        all.dedup();
        all
    }
}

/// RFC 4880's number for SHA-256, as RPMTAG_FILEDIGESTALGO wants it.
const SHA256: u32 = 8;

/// Files in the order of their paths, hard links resolved, inode numbers given.
fn rows(files: &[File]) -> anyhow::Result<Vec<Row<'_>>> {
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut rows = Vec::with_capacity(sorted.len());
    let mut inodes: BTreeMap<&[u8], (u32, usize, u32)> = BTreeMap::new();
    for (i, file) in sorted.iter().enumerate() {
        let origin =
            match &file.kind {
                Kind::HardLink(to) => *sorted
                    .iter()
                    .find(|f| &f.path == to && matches!(f.kind, Kind::File(_)))
                    .with_context(|| format!("no regular file {}", String::from_utf8_lossy(to)))?,
                _ => file,
            };
        let next = inodes.len() as u32 + 1;
        let (inode, last, nlink) = inodes.entry(&origin.path).or_insert((next, i, 0));
        (*last, *nlink) = (i, *nlink + 1);
        rows.push(Row { file, origin, inode: *inode, nlink: 0, carries: false });
    }
    // As rpm does it, the content travels with the last name of a hard link.
    for (i, row) in rows.iter_mut().enumerate() {
        let &(_, last, nlink) = &inodes[&row.origin.path[..]];
        (row.nlink, row.carries) = (nlink, last == i && !is_ghost(row.file));
    }
    Ok(rows)
}

fn is_ghost(file: &File) -> bool {
    file.flags & File::GHOST != 0
}

fn size(file: &File) -> u64 {
    match &file.kind {
        Kind::File(content) => content.len(),
        Kind::Symlink(target) => target.len() as u64,
        _ => 0,
    }
}

/// st_mode and device numbers.
fn mode(file: &File) -> (u16, (u32, u32)) {
    let (bits, device) = match file.kind {
        Kind::Fifo => (0o010_000, (0, 0)),
        Kind::Char(major, minor) => (0o020_000, (major, minor)),
        Kind::Dir => (0o040_000, (0, 0)),
        Kind::Block(major, minor) => (0o060_000, (major, minor)),
        Kind::File(_) | Kind::HardLink(_) => (0o100_000, (0, 0)),
        Kind::Symlink(_) => (0o120_000, (0, 0)),
    };
    (bits | file.mode & 0o7777, device)
}

fn member<'a>((index, row): (usize, &Row<'a>)) -> Option<Member<'a>> {
    if is_ghost(row.file) {
        return None;
    }
    let (mode, device) = mode(row.origin);
    let data = match &row.origin.kind {
        Kind::Symlink(target) => Data::Target(target),
        Kind::File(content) if row.carries => Data::File(content),
        _ => Data::None,
    };
    Some(Member {
        name: [b".", &row.file.path[..]].concat(),
        index: index as u32,
        inode: row.inode,
        mode: u32::from(mode),
        nlink: row.nlink,
        mtime: row.origin.mtime,
        device,
        data,
    })
}

/// The file tables: one value a file in each, directories factored out (rpmlib(CompressedFileNames)).
fn files(h: &mut Header, rows: &[Row], large: bool) -> anyhow::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut dirs: Vec<&[u8]> = Vec::new();
    let mut index: BTreeMap<&[u8], u32> = BTreeMap::new();
    let mut dir_indexes = Vec::new();
    let mut names = Vec::new();
    for row in rows {
        let path = &row.file.path[..];
        let cut = path.iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
        let (dir, name) = path.split_at(cut);
        names.push(name);
        dir_indexes.push(*index.entry(dir).or_insert_with(|| {
            dirs.push(dir);
            dirs.len() as u32 - 1
        }));
    }
    h.int32(1116, dir_indexes);
    h.list(1117, names);
    h.list(1118, dirs);
    if large {
        h.set(5008, Value::Int64(rows.iter().map(|r| size(r.origin)).collect()));
    } else {
        h.int32(1028, rows.iter().map(|r| size(r.origin) as u32));
    }
    let modes = rows.iter().map(|r| mode(r.origin));
    h.set(1030, Value::Int16(modes.clone().map(|m| m.0).collect()));
    // RPM has 16 bits for a device's numbers: the kernel's old encoding.
    h.set(1033, Value::Int16(modes.map(|(_, (major, minor))| (major << 8 | minor) as u16).collect()));
    h.int32(1034, rows.iter().map(|r| r.origin.mtime));
    let digests: Vec<String> = rows.iter().map(|r| digest(r.origin)).collect::<anyhow::Result<_>>()?;
    h.list(1035, digests);
    h.list(1036, rows.iter().map(|r| if let Kind::Symlink(to) = &r.origin.kind { &to[..] } else { b"" }));
    h.int32(1037, rows.iter().map(|r| r.file.flags));
    h.list(1039, rows.iter().map(|r| &r.origin.user));
    h.list(1040, rows.iter().map(|r| &r.origin.group));
    h.int32(1045, rows.iter().map(|_| u32::MAX));
    h.int32(1095, rows.iter().map(|_| 1));
    h.int32(1096, rows.iter().map(|r| r.inode));
    h.list(1097, rows.iter().map(|_| ""));
    h.int32(5011, [SHA256]);
    if rows.iter().any(|r| !r.origin.caps.is_empty()) {
        h.list(5010, rows.iter().map(|r| &r.origin.caps));
    }
    Ok(())
}

/// Digest of a regular file's content; empty for everything else.
fn digest(file: &File) -> anyhow::Result<String> {
    Ok(match &file.kind {
        _ if is_ghost(file) => String::new(),
        Kind::File(Content::Bytes(bytes)) => Sha256::of(bytes).to_string(),
        Kind::File(Content::Fill { byte, len }) => {
            let mut reader = HashingReader::new(std::io::Read::take(std::io::repeat(*byte), *len));
            std::io::copy(&mut reader, &mut std::io::sink())?;
            reader.finish().0.to_string()
        }
        _ => String::new(),
    })
}

fn deps(h: &mut Header, [names, flags, versions]: [u32; 3], list: &[Dep]) {
    h.list(names, list.iter().map(|d| &d.name));
    h.int32(flags, list.iter().map(|d| d.flags));
    h.list(versions, list.iter().map(|d| &d.version));
}

/// Digests of and signature over the main header, in the tags rpm 4 uses.
fn signature(header: &[u8], payload: &Payload, key: Option<&SigningKey>, at: u32) -> anyhow::Result<Header> {
    let mut h = Header::default();
    if let Some(key) = key {
        // RPMSIGTAG_RSA or RPMSIGTAG_DSA, which also takes EdDSA.
        h.set(if key.is_rsa() { 268 } else { 267 }, Value::Bin(key.sign(header, at)?));
    }
    h.set(273, Value::Text(Sha256::of(header).to_string()));
    let total = (header.len() + payload.bytes.len()) as u64;
    match u32::try_from(total) {
        Ok(total) => h.set(1000, Value::Int32(vec![total])),
        Err(_) => h.set(270, Value::Int64(vec![total])),
    }
    match u32::try_from(payload.archive_size) {
        Ok(size) => h.set(1007, Value::Int32(vec![size])),
        Err(_) => h.set(271, Value::Int64(vec![payload.archive_size])),
    }
    Ok(h)
}

/// The lead: 96 bytes, kept for file(1); rpm reads little of it (format_lead.md).
fn lead(package: &Package) -> Vec<u8> {
    let mut out = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0];
    out.extend(if package.arch == "noarch" { [0, 255] } else { [0, 1] });
    let nvr = format!("{}-{}-{}", package.name, package.version, package.release);
    let mut name = nvr.into_bytes();
    name.truncate(65);
    name.resize(66, 0);
    out.extend(name);
    out.extend([0, 1, 0, 5]); // Linux; signature in a header
    out.resize(96, 0);
    out
}
