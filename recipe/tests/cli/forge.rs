//! Archives made byte by byte, with whatever in them: entries -> tar or zip, tar -> packed.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::io::Write;

/// One entry of a forged tar: name, type, link target, mode, content.
pub(crate) type Entry<'a> = (&'a [u8], u8, &'a [u8], u32, &'a [u8]);

pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, mode, content) in entries {
        out.extend_from_slice(&header(name, *kind, link, *mode, content.len() as u64));
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A header with the right checksum.
pub(crate) fn header(name: &[u8], kind: u8, link: &[u8], mode: u32, size: u64) -> [u8; 512] {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    header[108..124].copy_from_slice(b"0000000\x000000000\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut header);
    header
}

/// Puts the right checksum into a header.
pub(crate) fn sum(header: &mut [u8; 512]) {
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A record of a pax header.
pub(crate) fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    // The length counts its own digits.
    let len = (1..=9)
        .map(|digits| rest + digits)
        .find(|len| len.to_string().len() + rest == *len)
        .expect("a length");
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

/// One entry of a zip: name, mode with type, content or target.
pub(crate) type ZipEntry<'a> = (&'a str, u32, &'a [u8]);

pub(crate) fn zip(entries: &[ZipEntry<'_>]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        match mode & 0o170_000 {
            0o120_000 => out.add_symlink(*name, String::from_utf8_lossy(content), options).expect("added"),
            0o040_000 => out.add_directory(*name, options).expect("added"),
            _ => {
                out.start_file(*name, options).expect("added");
                out.write_all(content).expect("written");
            }
        }
    }
    out.finish().expect("finished").into_inner()
}

/// Endings of packed tars.
pub(crate) const PACKED: [&str; 4] = ["tar.gz", "tar.xz", "tar.zst", "tar.bz2"];

/// A tar, packed as the ending says.
pub(crate) fn pack(ending: &str, tar: &[u8]) -> Vec<u8> {
    let packed = match ending {
        "tar.gz" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(tar).and_then(|()| out.finish())
        }
        "tar.xz" => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
            out.write_all(tar).and_then(|()| out.finish())
        }
        "tar.bz2" => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(tar).and_then(|()| out.finish())
        }
        "tar.zst" => zstd::encode_all(tar, 1),
        _ => Ok(tar.to_vec()),
    };
    packed.expect("packed")
}
