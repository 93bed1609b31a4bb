//! `verify_openpgp`: a detached signature of the last download, by a key that lies beside the recipe.
//!
//! Sequoia with its standard policy, as leviso has it for packages of the distribution: weak digests and revoked keys do not count, and
//! a key must have been valid when it signed. One that has expired since is no reason to refuse what it signed in its time: releases
//! are older than their keys' end.

use anyhow::{Context as _, bail, ensure};
use common::cli::Mark;
use rhai::ImmutableString;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::packet::Tag;
use sequoia_openpgp::parse::stream::{
    DetachedVerifierBuilder, GoodChecksum, MessageLayer, MessageStructure, VerificationError,
    VerificationHelper,
};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{Cert, KeyHandle};

use super::acquire::{beside, last};
use super::verify::{forget, small_bytes};
use super::{Group, Helper, MAKING};
use crate::engine::context::Context;
use crate::exit;

/// The helper of this file.
pub(super) const TABLE: &[Helper] = &[Helper {
    name: "verify_openpgp",
    group: Group::Acquire,
    phases: MAKING,
    usage: "verify_openpgp(signature_url, key_file)\nverify_openpgp(signature_url, fingerprint)\nverify_openpgp(signature_url, key_file, fingerprint)",
    about: "Downloads a detached OpenPGP signature, armored or not, and fails unless a key of this file beside the recipe made it of \
            the last download. With a fingerprint (all 40 or 64 digits: short ones can be forged) only that key of the file counts; \
            without a file it lies in FINGERPRINT.asc, in capital letters.",
    add: |r| {
        r.f2(|c, url: Text, key: Text| {
            // Nobody calls a file so, and a short fingerprint must not become one.
            let hex: String = key.chars().filter(|c| !c.is_whitespace()).collect();
            match hex.len() >= 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                true => verify(c, &url, &key_file(&hex)?, Some(&hex)),
                false => verify(c, &url, &key, None),
            }
        });
        r.f3(|c, url: Text, file: Text, fingerprint: Text| verify(c, &url, &file, Some(&fingerprint)));
    },
}];

type Text = ImmutableString;

/// Files of keys and signatures are smaller.
const LARGE: usize = 1 << 20;

/// The file of a key beside the recipe that only a fingerprint names.
///
/// # Errors
/// It is not a whole fingerprint.
pub(crate) fn key_file(fingerprint: &str) -> anyhow::Result<String> {
    Ok(format!("{}.asc", whole(fingerprint)?))
}

/// A fingerprint in capital letters, without blanks.
fn whole(fingerprint: &str) -> anyhow::Result<String> {
    let hex: String = fingerprint.chars().filter(|c| !c.is_whitespace()).collect();
    ensure!(
        matches!(hex.len(), 40 | 64) && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        "expected a fingerprint of 40 or 64 hex digits, found {fingerprint:?}"
    );
    Ok(hex.to_ascii_uppercase())
}

fn verify(context: &mut Context, url: &str, key: &str, fingerprint: Option<&str>) -> anyhow::Result<()> {
    let file = last(context)?.clone();
    let bytes = beside(context, key)?;
    let certs = certificates(&bytes, key, fingerprint).exit(exit::INTEGRITY)?;
    let signature = small_bytes(context, url)?;
    let check = || -> anyhow::Result<()> {
        ensure!(signature.len() <= LARGE, "it has {} bytes", signature.len());
        flat(&signature)?;
        let policy = StandardPolicy::new();
        let mut verifier =
            DetachedVerifierBuilder::from_bytes(&signature)?.with_policy(&policy, None, Keys { certs })?;
        verifier.verify_file(&file.path)
    };
    check()
        .map_err(|e| {
            forget(&file);
            anyhow::anyhow!("{} is not signed by {key} as {url} says: {e:#}", file.url)
        })
        .exit(exit::INTEGRITY)
}

/// The keys of a file, or the one that is asked for. Armored blocks may stand one behind another.
fn certificates(bytes: &[u8], name: &str, fingerprint: Option<&str>) -> anyhow::Result<Vec<Cert>> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    ensure!(bytes.len() <= LARGE, "{name} has {} bytes", bytes.len());
    let text = String::from_utf8_lossy(bytes);
    let starts: Vec<_> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let blocks: Vec<&[u8]> = match starts.is_empty() {
        true => vec![bytes],
        false => {
            let ends = starts.iter().skip(1).copied().chain([text.len()]);
            starts.iter().zip(ends).map(|(from, to)| &text.as_bytes()[*from..to]).collect()
        }
    };
    let parsers = blocks.into_iter().filter_map(|block| CertParser::from_bytes(block).ok());
    let all: Vec<Cert> = parsers.flatten().flatten().map(Cert::strip_secret_key_material).collect();
    let found = || {
        let found: Vec<_> = all.iter().map(|cert| cert.fingerprint().to_hex()).collect();
        if found.is_empty() { "no key".to_owned() } else { found.join(", ") }
    };
    let Some(fingerprint) = fingerprint else {
        ensure!(!all.is_empty(), "expected an OpenPGP key in {name}, found none");
        return Ok(all);
    };
    let wanted = whole(fingerprint)?;
    let these: Vec<_> = all.iter().filter(|cert| cert.fingerprint().to_hex() == wanted).cloned().collect();
    ensure!(
        !these.is_empty(),
        "{name} has not the key that is wanted\n  expected {wanted}\n  found    {}",
        found()
    );
    Ok(these)
}

/// Containers unfold to any size before anything is verified: only signatures may be there.
fn flat(signature: &[u8]) -> anyhow::Result<()> {
    let mut parser = PacketParser::from_bytes(signature)?;
    while let PacketParserResult::Some(at) = parser {
        let tag = at.packet.tag();
        let plain = matches!(
            tag,
            Tag::Signature | Tag::Marker | Tag::Trust | Tag::Padding | Tag::Unknown(_) | Tag::Private(_)
        );
        ensure!(plain, "expected a detached signature, found a packet of type {tag}");
        parser = at.next()?.1;
    }
    Ok(())
}

struct Keys {
    certs: Vec<Cert>,
}

impl VerificationHelper for Keys {
    fn get_certs(&mut self, _: &[KeyHandle]) -> anyhow::Result<Vec<Cert>> {
        Ok(self.certs.clone())
    }

    /// One signature by these keys must be good, and none by them bad; those by others say nothing.
    fn check(&mut self, structure: MessageStructure<'_>) -> anyhow::Result<()> {
        let (mut good, mut others) = (false, Vec::new());
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else {
                bail!("expected a detached signature");
            };
            for result in results {
                match result {
                    Ok(GoodChecksum { sig, .. }) => {
                        // A text signature is over normalised line ends: two different files could share it.
                        let typ = sig.typ();
                        ensure!(typ == SignatureType::Binary, "expected a signature of a file, found {typ}");
                        good = true;
                    }
                    Err(VerificationError::MissingKey { sig }) => {
                        others.extend(sig.get_issuers().iter().map(KeyHandle::to_hex));
                    }
                    Err(VerificationError::UnknownSignature { .. }) => {
                        others.push("an unknown kind".to_owned());
                    }
                    Err(e) => bail!("{e}"),
                }
            }
        }
        let others = if others.is_empty() { "nobody".to_owned() } else { others.join(", ") };
        good.then_some(()).with_context(|| format!("it is signed by {others}"))
    }
}
