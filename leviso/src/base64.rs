//! Base64 as RFC 4648, section 4 has it: text -> bytes (nothing but the alphabet is taken), bytes -> text.

use anyhow::ensure;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes; padding may be missing, as rpm leaves it out.
///
/// # Errors
/// Another character, or a length that no bytes have.
pub(crate) fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        ensure!(chunk.len() > 1, "base64 ends in the middle of a byte");
        let mut bits: u32 = 0;
        for &c in chunk {
            let value = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => anyhow::bail!("expected base64, found {:?}", char::from(c)),
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Ok(out)
}

/// Encodes, with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let value = (bits >> (18 - 6 * i)) as usize & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_is_decoded() {
        assert_eq!(decode("Zm9vYg==").unwrap(), b"foob");
        assert_eq!(decode("Zm9vYg").unwrap(), b"foob");
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(
            ["foob", "fooba", "foobar"].map(|t| encode(t.as_bytes())),
            ["Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
        );
        for bad in ["Z", "Zm9vY", "Zm 9", "Zm9-", "Z=m9"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
