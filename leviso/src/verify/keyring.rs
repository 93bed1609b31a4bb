//! OpenPGP: a key file and pinned fingerprints -> answers about signatures.
//!
//! Only certificates whose primary key's fingerprint is pinned are ever used; everything else in the file (other
//! certificates, packets this library does not know) is skipped. The engine is the `rpm` crate's Sequoia backend with
//! the standard policy: SHA-1, MD5, short keys and signatures made while a key was expired or revoked do not count. On
//! top of it a pinned certificate must be usable today: an expired or revoked key stops the build.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::cli::Mark;
use rpm::signature::Verifying as _;
use rpm::signature::sequoia::Verifier;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::packet::{Signature, Tag};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{RevocationStatus, SignatureType};
use sequoia_openpgp::{Cert, KeyHandle, Packet};

use crate::exit;

/// No key file of a distribution is near this size.
const MAX_KEY_FILE: u64 = 1 << 20;
/// Detached signatures are a few hundred bytes; post-quantum ones 5 to 10 KB.
const MAX_SIGNATURE: usize = 1 << 18;
const ARMOR_BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const ARMOR_END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// The trusted certificates of one repository.
#[derive(Debug)]
pub struct Keyring {
    pinned: Vec<Pinned>,
    path: PathBuf,
}

#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    keys: Vec<KeyHandle>,
    verifier: Verifier,
}

/// Why no trusted signature was found.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is nothing to check.
    #[error("expected a signature by {expected}, found none")]
    Missing {
        /// Pinned fingerprints.
        expected: String,
    },
    /// None of those there is by a pinned key.
    #[error("expected a signature by {expected}, found {found}")]
    Untrusted {
        /// Pinned fingerprints.
        expected: String,
        /// Who signed instead, or why it cannot be told.
        found: String,
    },
    /// It claims to be by a pinned key and is not good.
    #[error("the signature by {by} is not valid: {why}")]
    Bad {
        /// Pinned fingerprint.
        by: String,
        /// The engine's words.
        why: String,
    },
}

impl Keyring {
    /// Reads `path` (armored, several blocks allowed, or binary) and keeps the certificates with these fingerprints
    /// (hex; spaces and case do not matter).
    ///
    /// # Errors
    /// The file cannot be read, a pinned certificate is not in it or may not be used (expired, revoked, too weak).
    /// Exit code [`exit::VERIFY`].
    pub fn load(path: &Path, fingerprints: &[String]) -> anyhow::Result<Self> {
        let size = std::fs::metadata(path)
            .with_context(|| format!("failed to read the key file {}", path.display()))
            .exit(exit::VERIFY)?
            .len();
        let bytes = if size > MAX_KEY_FILE {
            Err(anyhow::anyhow!("it has {size} bytes, the limit is {MAX_KEY_FILE}"))
        } else {
            common::fs::read(path)
        };
        bytes
            .and_then(|bytes| Self::parse(&bytes, fingerprints, path))
            .with_context(|| format!("failed to load the keys in {}", path.display()))
            .exit(exit::VERIFY)
    }

    /// As [`Keyring::load`], from bytes; `path` is only for messages.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub fn parse(bytes: &[u8], fingerprints: &[String], path: &Path) -> anyhow::Result<Self> {
        ensure!(!fingerprints.is_empty(), "no fingerprint is pinned");
        let certs = certificates(bytes);
        let mut pinned = Vec::new();
        for wanted in fingerprints {
            let wanted = normalise(wanted)?;
            let mut same = certs.iter().filter(|c| c.fingerprint().to_hex() == wanted).cloned();
            let Some(mut cert) = same.next() else {
                let found: Vec<String> = certs.iter().map(|c| c.fingerprint().to_hex()).collect();
                let found = if found.is_empty() { "no certificate".to_owned() } else { found.join(", ") };
                bail!("expected the pinned key {wanted}, found {found}");
            };
            for other in same {
                cert = cert.merge_public(other)?;
            }
            usable_now(&cert).with_context(|| format!("the pinned key {wanted} may not be used"))?;
            let keys = cert.keys().map(|k| k.key().key_handle()).collect();
            let verifier = Verifier::from_asc_bytes(&cert.to_vec()?)?;
            pinned.push(Pinned { fingerprint: wanted, keys, verifier });
        }
        Ok(Self { pinned, path: path.to_owned() })
    }

    /// The pinned fingerprints, upper-case hex.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.pinned.iter().map(|p| p.fingerprint.as_str())
    }

    /// The key file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks detached signatures over `data`: at least one must be good and by a pinned key, and none by a pinned key
    /// may be bad. Signatures by others, or of kinds this library does not know, count for nothing. Returns the pinned
    /// fingerprint.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn check<'s>(
        &self,
        data: &[u8],
        signatures: impl IntoIterator<Item = &'s [u8]>,
    ) -> Result<&str, SignatureError> {
        let expected = || self.fingerprints().collect::<Vec<_>>().join(" or ");
        let mut good = None;
        let mut others = Vec::new();
        for bytes in signatures {
            let packets = match packets(bytes) {
                Ok(packets) => packets,
                Err(e) => {
                    others.push(format!("one that cannot be read ({e:#})"));
                    continue;
                }
            };
            for packet in packets {
                match self.check_one(data, &packet)? {
                    Verdict::Good(by) => good = good.or(Some(by)),
                    Verdict::Other(who) => others.push(who),
                }
            }
        }
        match good {
            Some(by) => Ok(by),
            None if others.is_empty() => Err(SignatureError::Missing { expected: expected() }),
            None => Err(SignatureError::Untrusted { expected: expected(), found: others.join(", ") }),
        }
    }

    fn check_one(&self, data: &[u8], packet: &Packet) -> Result<Verdict<'_>, SignatureError> {
        let Packet::Signature(signature) = packet else {
            return Ok(Verdict::Other(format!("one of an unknown kind ({})", packet.tag())));
        };
        let issuers = signature.get_issuers();
        let signer = self
            .pinned
            .iter()
            .find(|p| p.keys.iter().any(|key| issuers.iter().any(|issuer| issuer.aliases(key))));
        let Some(signer) = signer else { return Ok(Verdict::Other(describe(signature, &issuers))) };
        let bad = |why: String| SignatureError::Bad { by: signer.fingerprint.clone(), why };
        // A text signature is over normalised line ends: two different files could share it.
        if signature.typ() != SignatureType::Binary {
            return Err(bad(format!("expected one over binary data, found {}", signature.typ())));
        }
        let bytes = packet.to_vec().map_err(|e| bad(e.to_string()))?;
        match signer.verifier.verify(data, &bytes) {
            Ok(()) => Ok(Verdict::Good(&signer.fingerprint)),
            Err(e) => Err(bad(causes(&e))),
        }
    }
}

enum Verdict<'k> {
    Good(&'k str),
    Other(String),
}

/// Upper-case hex without spaces; 40 digits (v4) or 64 (v6).
///
/// # Errors
/// It is not a whole fingerprint: short ids can be forged.
pub fn normalise(fingerprint: &str) -> anyhow::Result<String> {
    let hex: String = fingerprint.chars().filter(|c| !c.is_whitespace()).collect();
    ensure!(
        matches!(hex.len(), 40 | 64) && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        "expected a fingerprint of 40 or 64 hex digits, found {fingerprint:?}"
    );
    Ok(hex.to_ascii_uppercase())
}

/// Every certificate of a key file that can be read; the rest is left out.
fn certificates(bytes: &[u8]) -> Vec<Cert> {
    let text = String::from_utf8_lossy(bytes);
    let blocks: Vec<&[u8]> = if text.contains(ARMOR_BEGIN) {
        // An armor reader stops at the end of the first block; distributions concatenate blocks.
        text.match_indices(ARMOR_BEGIN)
            .filter_map(|(at, _)| {
                let end = text[at..].find(ARMOR_END)? + ARMOR_END.len();
                Some(&text.as_bytes()[at..at + end])
            })
            .collect()
    } else {
        vec![bytes]
    };
    let parsers = blocks.into_iter().filter_map(|block| CertParser::from_bytes(block).ok());
    parsers.flatten().flatten().map(Cert::strip_secret_key_material).collect()
}

fn usable_now(cert: &Cert) -> anyhow::Result<()> {
    let policy = StandardPolicy::new();
    let valid = cert.with_policy(&policy, None)?;
    valid.alive()?;
    if let RevocationStatus::Revoked(why) = valid.revocation_status() {
        let why: Vec<String> = why
            .iter()
            .filter_map(|sig| sig.reason_for_revocation())
            .map(|(_, text)| String::from_utf8_lossy(text).into_owned())
            .collect();
        bail!("it is revoked ({})", why.join(", "));
    }
    Ok(())
}

fn packets(bytes: &[u8]) -> anyhow::Result<Vec<Packet>> {
    ensure!(bytes.len() <= MAX_SIGNATURE, "it has {} bytes, the limit is {MAX_SIGNATURE}", bytes.len());
    let mut packets = Vec::new();
    let mut parser = PacketParser::from_bytes(bytes)?;
    while let PacketParserResult::Some(at) = parser {
        // Containers unfold to any size (a few kilobytes to gigabytes), before anything is verified.
        let tag = at.packet.tag();
        let flat = matches!(
            tag,
            Tag::Signature | Tag::Marker | Tag::Trust | Tag::Padding | Tag::Unknown(_) | Tag::Private(_)
        );
        ensure!(flat, "expected signatures, found a packet of type {tag}");
        let (packet, rest) = at.next()?;
        packets.push(packet);
        parser = rest;
    }
    Ok(packets)
}

fn describe(signature: &Signature, issuers: &[KeyHandle]) -> String {
    let who: Vec<String> = issuers.iter().map(KeyHandle::to_hex).collect();
    let who = if who.is_empty() { "an unnamed key".to_owned() } else { who.join("/") };
    format!("one by {who} ({}, {})", signature.pk_algo(), signature.hash_algo())
}

fn causes(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
