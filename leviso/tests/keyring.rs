//! Which keys and signatures count: expired and revoked keys, SHA-1, MD5 and text signatures do not.

use std::path::Path;
use std::time::{Duration, SystemTime};

use leviso::exit;
use leviso::verify::{Keyring, verify_detached};
use sequoia_openpgp::cert::CertBuilder;
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::types::{HashAlgorithm, ReasonForRevocation, SignatureType};
use sequoia_openpgp::{Cert, Packet};

const DAY: Duration = Duration::from_secs(86400);

fn ago(days: u32) -> SystemTime {
    SystemTime::now() - days * DAY
}

/// A certificate like a distribution's: a primary key and a signing subkey, 100 days old.
fn builder() -> CertBuilder<'static> {
    CertBuilder::new().set_creation_time(ago(100)).add_userid("tests").add_signing_subkey()
}

fn load(cert: &Cert) -> anyhow::Result<Keyring> {
    let bytes = cert.armored().to_vec().unwrap();
    Keyring::parse(&bytes, &[cert.fingerprint().to_hex()], Path::new("keys"))
}

fn subkey(cert: &Cert) -> KeyPair {
    let key = cert.keys().subkeys().secret().next().unwrap().key().clone();
    key.role_into_unspecified().into_keypair().unwrap()
}

fn sign(cert: &Cert, kind: SignatureType, hash: HashAlgorithm, at: SystemTime) -> Vec<u8> {
    let builder = SignatureBuilder::new(kind).set_hash_algo(hash).set_signature_creation_time(at).unwrap();
    let signature = builder.sign_message(&mut subkey(cert), b"data\n").unwrap();
    Packet::from(signature).to_vec().unwrap()
}

fn check(ring: &Keyring, signature: &[u8]) -> Result<String, String> {
    let result = verify_detached(b"data\n", signature, "it", ring).map(str::to_owned);
    result.map_err(|err| {
        assert_eq!(common::cli::exit_code(&err), exit::VERIFY);
        common::cli::report(&err)
    })
}

#[test]
fn a_subkey_of_a_pinned_certificate_signs_for_it() {
    let (cert, _) = builder().generate().unwrap();
    let ring = load(&cert).unwrap();
    let good = sign(&cert, SignatureType::Binary, HashAlgorithm::SHA256, ago(1));
    assert_eq!(check(&ring, &good).unwrap(), cert.fingerprint().to_hex());
    // The subkey itself is not the certificate that was pinned.
    let subkey = cert.keys().subkeys().next().unwrap().key().fingerprint().to_hex();
    assert!(Keyring::parse(&cert.to_vec().unwrap(), &[subkey], Path::new("keys")).is_err());
}

#[test]
fn weak_and_ambiguous_signatures_do_not_count() {
    let (cert, _) = builder().generate().unwrap();
    let ring = load(&cert).unwrap();
    for hash in [HashAlgorithm::SHA1, HashAlgorithm::MD5] {
        let report = check(&ring, &sign(&cert, SignatureType::Binary, hash, ago(1))).unwrap_err();
        assert!(report.contains("is not valid"), "{hash}: {report}");
    }
    let report = check(&ring, &sign(&cert, SignatureType::Text, HashAlgorithm::SHA256, ago(1))).unwrap_err();
    assert!(report.contains("over binary data"), "{report}");
    // Made before the key existed.
    let report =
        check(&ring, &sign(&cert, SignatureType::Binary, HashAlgorithm::SHA256, ago(200))).unwrap_err();
    assert!(report.contains("is not valid"), "{report}");
}

#[test]
fn an_expired_or_revoked_certificate_stops_the_build() {
    let (expired, _) = builder().set_validity_period(50 * DAY).generate().unwrap();
    let report = common::cli::report(&load(&expired).unwrap_err());
    assert!(report.contains(&expired.fingerprint().to_hex()) && report.contains("xpired"), "{report}");

    let (cert, revocation) = builder().generate().unwrap();
    let (revoked, _) = cert.insert_packets(revocation).unwrap();
    let report = common::cli::report(&load(&revoked).unwrap_err());
    assert!(report.contains("it is revoked"), "{report}");
}

#[test]
fn a_revoked_subkey_does_not_sign() {
    let (cert, _) = builder().generate().unwrap();
    let signature = sign(&cert, SignatureType::Binary, HashAlgorithm::SHA256, ago(1));
    check(&load(&cert).unwrap(), &signature).unwrap();
    let mut primary = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let revocation = {
        let subkey = cert.keys().subkeys().next().unwrap();
        let revoke = sequoia_openpgp::cert::SubkeyRevocationBuilder::new()
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"stolen")
            .unwrap();
        revoke.build(&mut primary, &cert, subkey.key(), None).unwrap()
    };
    let (revoked, _) = cert.insert_packets(revocation).unwrap();
    let report = check(&load(&revoked).unwrap(), &signature).unwrap_err();
    assert!(report.contains("is not valid"), "{report}");
}

/// A compressed packet of a few kilobytes may unfold to gigabytes: it is refused before it is opened, even when a good
/// signature lies inside or beside it.
#[test]
fn containers_are_no_signatures() {
    let (cert, _) = builder().generate().unwrap();
    let ring = load(&cert).unwrap();
    let good = sign(&cert, SignatureType::Binary, HashAlgorithm::SHA256, ago(1));
    assert!(check(&ring, &good).is_ok());
    // RFC 9580: old format, tag 8 (compressed) and 11 (literal), indeterminate length; algorithm 0 is "uncompressed".
    let compressed = [&[0xa3, 0][..], &good].concat();
    let literal = [&[0xaf, b'b', 0, 0, 0, 0, 0][..], &good].concat();
    for (what, hostile) in [("Compressed", compressed), ("Literal", literal)] {
        for bytes in [hostile.clone(), [&good[..], &hostile].concat()] {
            let report = check(&ring, &bytes).unwrap_err();
            assert!(
                report.contains("expected signatures, found a packet of type") && report.contains(what),
                "{report}"
            );
        }
    }
}
