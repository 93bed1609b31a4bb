//! The p11-kit trust file format: sections `[p11-kit-object-v1]` of `key: value` lines and PEM blocks.
//!
//! Text -> [`Object`]s. Enough of DER to find a certificate's public key, by which restrictions are tied to it.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use crate::base64;

/// More objects than this in one file are not a trust list (Mozilla's has about 300).
const OBJECTS_MAX: usize = 10_000;

/// One section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    attributes: BTreeMap<String, String>,
    /// DER of the CERTIFICATE blocks.
    pub(super) certificates: Vec<Vec<u8>>,
    /// DER of the PUBLIC KEY block.
    pub(super) public_key: Option<Vec<u8>>,
}

impl Object {
    /// An attribute, without quotes and with `%xx` decoded.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let value = self.attributes.get(key)?;
        let inside = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        Some(unescape(inside.unwrap_or(value)))
    }

    /// Whether an attribute is `true`.
    pub(super) fn is(&self, key: &str) -> bool {
        self.attributes.get(key).is_some_and(|v| v == "true")
    }

    /// Whether the attribute is there and spelled so.
    pub(super) fn says(&self, key: &str, value: &str) -> bool {
        self.attributes.get(key).is_some_and(|v| v.trim_matches('"') == value)
    }
}

/// Parses a `.p11-kit` file, or plain PEM (one object with all its certificates).
///
/// # Errors
/// A PEM block is not closed, not base64 or not one DER value; a line is neither attribute nor comment.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Object>> {
    let is_p11_kit = text.lines().any(|line| line.starts_with("[p11-kit-object-v1]"));
    let mut objects = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((i, line)) = lines.next() {
        let line = line.trim();
        if line == "[p11-kit-object-v1]" {
            ensure!(objects.len() < OBJECTS_MAX, "expected at most {OBJECTS_MAX} objects");
            objects.push(Object::default());
        } else if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|l| l.strip_suffix("-----")) {
            if objects.is_empty() {
                objects.push(Object::default());
            }
            let end = format!("-----END {label}-----");
            let mut encoded = String::new();
            loop {
                let (_, line) =
                    lines.next().with_context(|| format!("the block in line {} is not closed", i + 1))?;
                if line.trim() == end {
                    break;
                }
                encoded.push_str(line.trim());
            }
            let context = || format!("failed to decode the block in line {}", i + 1);
            let der = base64::decode(&encoded).with_context(context)?;
            let (_, _, rest) = value(&der).with_context(context)?;
            ensure!(rest.is_empty(), "expected one DER value in the block in line {}", i + 1);
            let object = objects.last_mut().unwrap_or_else(|| unreachable!("one was pushed above"));
            match label {
                "CERTIFICATE" | "X509 CERTIFICATE" => object.certificates.push(der),
                "PUBLIC KEY" => object.public_key = Some(der),
                other => bail!("expected a certificate or public key in line {}, found {other}", i + 1),
            }
        } else if is_p11_kit && !line.is_empty() && !line.starts_with('#') {
            let (key, value) =
                line.split_once(':').with_context(|| format!("expected `key: value` in line {}", i + 1))?;
            let object =
                objects.last_mut().with_context(|| format!("line {} comes before any object", i + 1))?;
            object.attributes.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    Ok(objects)
}

/// The SubjectPublicKeyInfo of a certificate, as DER (RFC 5280, 4.1).
///
/// # Errors
/// It is not a certificate.
pub(super) fn public_key(certificate: &[u8]) -> anyhow::Result<&[u8]> {
    let (_, certificate, _) = value(certificate)?;
    let (_, mut rest, _) = value(certificate)?;
    // version [0], if it is there; then serial, signature, issuer, validity, subject.
    let skip = if rest.first() == Some(&0xa0) { 6 } else { 5 };
    for _ in 0..skip {
        (_, _, rest) = value(rest)?;
    }
    let (whole, _, _) = value(rest)?;
    Ok(whole)
}

/// Takes one DER value: all of it, its content, what follows it.
fn value(der: &[u8]) -> anyhow::Result<(&[u8], &[u8], &[u8])> {
    let short = || anyhow::anyhow!("a DER value is cut off");
    let &first = der.get(1).ok_or_else(short)?;
    let (start, len) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        ensure!((1..=4).contains(&count), "a DER value has an impossible length");
        let bytes = der.get(2..2 + count).ok_or_else(short)?;
        (2 + count, bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b)))
    };
    let end = start.checked_add(len).filter(|&end| end <= der.len()).ok_or_else(short)?;
    Ok((&der[..end], &der[start..end], &der[end..]))
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_der_is_refused() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0x05, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x80],
            &[0x30, 0x89, 1],
        ] {
            assert!(value(der).is_err(), "{der:?}");
            assert!(public_key(der).is_err(), "{der:?}");
        }
    }

    #[test]
    fn wrong_files_are_refused() {
        for text in [
            "-----BEGIN CERTIFICATE-----\nMAA=",
            "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----",
            "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
            "label: x\n[p11-kit-object-v1]\n",
            "[p11-kit-object-v1]\nlabel\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
