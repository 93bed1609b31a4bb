//! SHA-256 as a type, and readers that hash what passes through.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use sha2::Digest;

/// How much is read at once.
const WINDOW: usize = 128 << 10;

/// A SHA-256 digest; text form is 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The digest of a whole file, streamed.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("failed to hash {}", path.display());
        let file = std::fs::File::open(path).with_context(context)?;
        Ok(Self::of_reader(file).with_context(context)?.0)
    }

    /// The digest of all that comes from a reader, and how many bytes that were.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_reader(reader: impl Read) -> io::Result<(Self, u64)> {
        let mut reader = HashingReader::new(reader);
        let mut buffer = vec![0; WINDOW];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(reader.finish()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: installing a system writes tens of thousands of these.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.0 {
            fmt::Write::write_char(f, DIGITS[usize::from(byte >> 4)].into())?;
            fmt::Write::write_char(f, DIGITS[usize::from(byte & 15)].into())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let wrong = || anyhow::anyhow!("expected 64 hex digits of a SHA-256, found {text:?}");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut out = [0; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(out))
    }
}

impl serde::Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes and counts what is read through it.
pub struct HashingReader<R> {
    inner: R,
    hasher: sha2::Sha256,
    len: u64,
}

impl<R: Read> HashingReader<R> {
    /// Starts with nothing read.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: sha2::Sha256::new(), len: 0 }
    }

    /// The digest and the number of bytes read so far.
    #[must_use]
    pub fn finish(self) -> (Sha256, u64) {
        (Sha256(self.hasher.finalize().into()), self.len)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        self.len += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_rejects_what_is_not_one() {
        let digest = Sha256::of(b"abc");
        // FIPS 180-4 example.
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse::<Sha256>().unwrap(), digest);
        assert!("ba78".parse::<Sha256>().unwrap_err().to_string().contains("64 hex digits"));
    }

    #[test]
    fn a_hashing_reader_sees_every_byte() {
        let mut reader = HashingReader::new(&b"abc"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(reader.finish(), (Sha256::of(b"abc"), 3));
    }
}
