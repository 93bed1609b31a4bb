//! Decompression of what packages and repositories use, with a bound on the memory a stream may ask for.

use std::io::Read;

use anyhow::bail;

/// xz -9 needs 65 MiB, `zstd --ultra -22` a window of 128 MiB.
const MAX_MEMORY: u64 = 256 << 20;
const MAX_WINDOW_LOG: u32 = 27;

/// A stream format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Not compressed.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// <https://tukaani.org/xz/xz-file-format.txt>.
    Xz,
    /// bzip2(1).
    Bzip2,
}

impl Format {
    /// As PAYLOADCOMPRESSOR of a package names it.
    ///
    /// # Errors
    /// Another name.
    pub fn from_name(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "zstd" => Self::Zstd,
            "xz" => Self::Xz,
            "gzip" => Self::Gzip,
            "bzip2" => Self::Bzip2,
            other => bail!("unknown compression {other:?}, expected zstd, xz, gzip or bzip2"),
        })
    }

    /// By the first bytes; what has no known magic is plain.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// The open bytes of `input`, all its members or frames; rubbish behind them is an error.
    ///
    /// # Errors
    /// The decoder cannot be set up.
    pub fn reader(self, input: &[u8]) -> anyhow::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Plain => Box::new(input),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Xz => {
                let concatenated = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(MAX_MEMORY, concatenated)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        })
    }
}
