//! Module files come plain or compressed: `.ko`, `.ko.xz`, `.ko.zst`, `.ko.gz` -> ELF bytes.
//!
//! The size of the result is capped, whatever the compressed stream claims.

use std::borrow::Cow;
use std::io::Read;

use anyhow::{Context, bail};

/// The largest module of a distribution kernel is amdgpu, some 30 MB; debugging symbols are packaged apart.
const MAX_MODULE: u64 = 256 << 20;

/// Memory an xz stream may ask for its dictionary, bytes; `xz -9` asks for 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;

/// Largest zstd window accepted, log2: that of `zstd --ultra -22`.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// Whether a file of this name is a module.
pub(super) fn is_module(name: &str) -> bool {
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|ext| name.len() > ext.len() && name.ends_with(ext))
}

/// The content of a file that may be compressed, as its suffix says (`.xz`, `.zst`, `.gz`, anything else: plain).
/// Appended module signatures are inside the compressed stream, and stay.
///
/// # Errors
/// The stream is damaged or grows beyond 256 MiB.
pub fn unpack<'f>(path: &str, file: &'f [u8]) -> anyhow::Result<Cow<'f, [u8]>> {
    let unpacked = match path.rsplit('.').next() {
        Some("xz") => xz(file),
        Some("zst") => zstd(file),
        Some("gz") => bounded(flate2::read::MultiGzDecoder::new(file)),
        _ => return Ok(Cow::Borrowed(file)),
    };
    unpacked.map(Cow::Owned).with_context(|| format!("failed to decompress {path}"))
}

fn xz(file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)
        .context("failed to set up the xz decoder")?;
    bounded(liblzma::read::XzDecoder::new_stream(file, stream))
}

fn zstd(file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::new(file).context("failed to set up the zstd decoder")?;
    decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).context("failed to bound the zstd window")?;
    bounded(decoder)
}

fn bounded(reader: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(MAX_MODULE + 1).read_to_end(&mut out)?;
    if out.len() as u64 > MAX_MODULE {
        bail!("expected at most {MAX_MODULE} bytes when decompressed, found more");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_suffix_is_undone_and_damage_is_an_error() {
        let plain = b"module".repeat(1000);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let packed = [
            ("a.ko.gz", gz.finish().unwrap()),
            ("a.ko.xz", xz.finish().unwrap()),
            ("a.ko.zst", zstd::encode_all(&plain[..], 1).unwrap()),
        ];
        for (name, file) in &packed {
            assert_eq!(*unpack(name, file).unwrap(), *plain, "{name}");
            let cut = &file[..file.len() - 12];
            assert!(unpack(name, cut).unwrap_err().to_string().contains(name), "{name} cut short");
        }
        assert_eq!(*unpack("a.ko", &plain).unwrap(), *plain);
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(MAX_MODULE + 4096), 1).unwrap();
        assert!(bomb.len() < 1 << 20);
        let error = format!("{:#}", unpack("bomb.ko.zst", &bomb).unwrap_err());
        assert!(error.contains("at most 268435456 bytes"), "{error}");
    }
}
