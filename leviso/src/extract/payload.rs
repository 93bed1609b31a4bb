//! Payloads, decompressed once into a cache and mapped from there.
//!
//! `<cache>/payload/ab/abcd...`, named by the SHA-256 of the package, written under a temporary name and renamed. What
//! is taken from the cache needs no digest of its own: every file's content is compared with its digest in the signed
//! header before it enters the tree, also when the payload comes from the cache (see `extract::prepare`).

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use common::hash::Sha256;
use sha2::Digest;

use super::files::File;
use crate::compression::Format;
use crate::tree::Mapped;
use crate::verify::{VerifiedRpm, tags};

/// More than any package: 64 GiB.
const MAX_PAYLOAD: u64 = 1 << 36;
/// One entry of an archive: header, padding of name and data (see `cpio`), and the `./` before the name.
const ENTRY_OVERHEAD: u64 = 110 + 4 + 4 + 2;
/// The trailer, and padding to the 512 bytes some writers fill up.
const TRAILER_OVERHEAD: u64 = 124 + 512;

/// Where an archive is mapped: a range of a file.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    /// The mapped file.
    pub map: Mapped,
    /// Where the archive starts in it.
    pub start: usize,
    /// Its length.
    pub len: usize,
    /// The cache file, if there is one; uncompressed payloads are mapped where they are.
    pub cached: Option<PathBuf>,
}

impl Archive {
    /// The bytes of the archive.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.map.as_slice()[self.start..self.start + self.len]
    }
}

/// The package's archive, from the cache if `reuse` and it is there.
pub(crate) fn open(rpm: &VerifiedRpm, files: &[File], cache: &Path, reuse: bool) -> anyhow::Result<Archive> {
    let header = rpm.header();
    let format = header.text(tags::PAYLOADFORMAT)?.unwrap_or("cpio");
    ensure!(format == "cpio", "unknown payload format {format:?}, expected cpio");
    let (map, range) = rpm.payload();
    let Some(compressor) = header.text(tags::PAYLOADCOMPRESSOR)? else {
        return Ok(Archive { map: map.clone(), start: range.start, len: range.len(), cached: None });
    };
    let name = rpm.sha256().to_string();
    let path = cache.join("payload").join(&name[..2]).join(&name);
    if !reuse || !path.exists() {
        let input = &map.as_slice()[range];
        let wanted = header.text(tags::PAYLOADSHA256ALT)?;
        decompress(input, compressor, &path, limit(files), wanted)?;
    }
    let context = || format!("failed to map {}", path.display());
    let map = std::fs::File::open(&path).and_then(|f| Mapped::new(&f)).with_context(context)?;
    Ok(Archive { start: 0, len: map.as_slice().len(), map, cached: Some(path) })
}

/// A payload cannot be larger than what its file list adds up to: no bomb gets further than that.
fn limit(files: &[File]) -> u64 {
    let sizes = files.iter().map(|f| f.size.saturating_add(2 * f.path.len() as u64 + 4096 + ENTRY_OVERHEAD));
    sizes.fold(TRAILER_OVERHEAD, u64::saturating_add).min(MAX_PAYLOAD)
}

fn decompress(
    input: &[u8],
    compressor: &str,
    path: &Path,
    limit: u64,
    wanted: Option<&str>,
) -> anyhow::Result<()> {
    let dir = path.parent().unwrap_or(path);
    let context = || format!("failed to write {}", path.display());
    std::fs::create_dir_all(dir).with_context(context)?;
    // Not synced: after a crash a damaged file is found by its digests and made again.
    let mut temp = tempfile::Builder::new().prefix(".tmp-").tempfile_in(dir).with_context(context)?;
    let mut reader = Format::from_name(compressor)?.reader(input)?.take(limit + 1);
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e).with_context(|| format!("the {compressor} payload is damaged")),
        };
        total += n as u64;
        ensure!(total <= limit, "the payload is larger than its file list: more than {limit} bytes");
        if wanted.is_some() {
            hasher.update(&buffer[..n]);
        }
        temp.write_all(&buffer[..n]).with_context(context)?;
    }
    ensure!(total > 0, "the payload is empty");
    if let Some(wanted) = wanted {
        let found = Sha256(hasher.finalize().into()).to_string();
        ensure!(found == wanted, "expected the SHA-256 {wanted} of the unpacked payload, found {found}");
    }
    temp.persist(path).map_err(|e| e.error).with_context(context)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8], name: &str, limit: u64, wanted: Option<&str>) -> (anyhow::Result<()>, bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/payload");
        let result = decompress(input, name, &path, limit, wanted);
        let litter = std::fs::read_dir(dir.path().join("x")).unwrap().count();
        assert_eq!(litter, usize::from(path.exists()));
        (result, path.exists())
    }

    #[test]
    fn bombs_lies_and_rubbish_leave_nothing_behind() {
        let open = vec![0; 10 << 20];
        let packed = zstd::encode_all(&open[..], 19).unwrap();
        let message = |r: (anyhow::Result<()>, bool)| {
            assert!(!r.1);
            format!("{:#}", r.0.unwrap_err())
        };
        assert!(message(run(&packed, "zstd", 1 << 20, None)).contains("larger than its file list"));
        assert!(message(run(&packed, "zstd", 1 << 30, Some("00"))).contains("expected the SHA-256 00"));
        assert!(message(run(&packed[..packed.len() / 2], "zstd", 1 << 30, None)).contains("damaged"));
        assert!(message(run(&[&packed[..], b"rubbish"].concat(), "zstd", 1 << 30, None)).contains("damaged"));
        assert!(message(run(&packed, "xz", 1 << 30, None)).contains("the xz payload is damaged"));
        assert!(message(run(&packed, "lrzip", 1 << 30, None)).contains("unknown compression"));
        assert!(message(run(&zstd::encode_all(&b""[..], 1).unwrap(), "zstd", 9, None)).contains("empty"));
        let sum = Sha256::of(&open).to_string();
        assert!(run(&packed, "zstd", 10 << 20, Some(&sum)).1);
    }
}
