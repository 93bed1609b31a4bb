//! What can be wrong with an image.

use std::borrow::Cow;
use std::io;

/// Why something of an image could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("failed to read {len} bytes at offset {offset} of the image")]
    Io {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// How much was asked for.
        len: u64,
        /// What the system said.
        source: io::Error,
    },
    /// What was read is not as it must be.
    #[error("the image is damaged at offset {at}: {what}")]
    Corrupt {
        /// What is wrong: what was found, what was expected.
        what: Cow<'static, str>,
        /// Offset in the file of what says so.
        at: u64,
    },
    /// The image may be fine, but is not for this reader.
    #[error("this image uses {what}, which recstrap does not read")]
    Unsupported {
        /// The feature, with its article.
        what: Cow<'static, str>,
    },
}

/// An [`Error::Corrupt`].
pub(super) fn corrupt(what: impl Into<Cow<'static, str>>, at: u64) -> Error {
    Error::Corrupt { what: what.into(), at }
}

/// An [`Error::Unsupported`].
pub(super) fn unsupported(what: impl Into<Cow<'static, str>>) -> Error {
    Error::Unsupported { what: what.into() }
}
