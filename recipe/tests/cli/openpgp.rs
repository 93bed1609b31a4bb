//! Detached OpenPGP signatures, by keys that are made here.

use std::io::Write;
use std::time::{Duration, SystemTime};

use sequoia_openpgp::armor;
use sequoia_openpgp::cert::{Cert, CertBuilder};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::stream::{Armorer, LiteralWriter, Message, Signer};
use sequoia_openpgp::serialize::{Serialize, SerializeInto};
use sequoia_openpgp::types::{ReasonForRevocation, SignatureType};

use crate::rig::{Out, Rig};

fn key() -> Cert {
    CertBuilder::new().add_userid("a test").add_signing_subkey().generate().expect("made").0
}

/// A detached signature of the release, made at a time.
fn sign_at(
    rig: &Rig,
    key: &Cert,
    typ: SignatureType,
    armored: bool,
    when: Option<SystemTime>,
) -> anyhow::Result<Vec<u8>> {
    let policy = StandardPolicy::new();
    let pair = key.keys().with_policy(&policy, when).secret().for_signing().next().expect("a key");
    let pair = pair.key().clone().into_keypair()?;
    let mut out = Vec::new();
    let mut message = Message::new(&mut out);
    if armored {
        message = Armorer::new(message).kind(armor::Kind::Signature).build()?;
    }
    let mut signer = Signer::with_template(message, pair, SignatureBuilder::new(typ))?.detached();
    if let Some(when) = when {
        signer = signer.creation_time(when);
    }
    let mut signer = signer.build()?;
    signer.write_all(&std::fs::read(rig.path("www/p-1.tar.gz"))?)?;
    signer.finalize()?;
    Ok(out)
}

fn sign(rig: &Rig, key: &Cert, typ: SignatureType, armored: bool) -> Vec<u8> {
    sign_at(rig, key, typ, armored, None).expect("signed")
}

/// `p` with this check behind its download.
fn rig(call: &str) -> Rig {
    let rig = Rig::new();
    rig.release("p", "1", &[("bin/p", "p")]);
    rig.add("p", "1", "install_bin(\"p\");");
    let call = call.replace("URL", &rig.server.url("/p.sig"));
    rig.write("recipes/p.rhai", rig.recipe("p").replace("extract(", &format!("{call} extract(")));
    rig
}

fn install(rig: &Rig) -> Out {
    if rig.path("cache").exists() {
        std::fs::remove_dir_all(rig.path("cache")).expect("removed");
    }
    rig.run(&["install", "--reinstall", "p"])
}

fn put(rig: &Rig, name: &str, certs: &[&Cert]) {
    let armored = certs.iter().flat_map(|cert| cert.armored().to_vec().expect("armored"));
    rig.write(&format!("recipes/{name}"), armored.collect::<Vec<u8>>());
}

#[test]
fn a_signature_by_a_key_of_the_file_passes_and_no_other() {
    let rig = rig("verify_openpgp(\"URL\", \"keys.asc\");");
    let (ours, other, third) = (key(), key(), key());
    put(&rig, "keys.asc", &[&ours, &other]);
    for (signature, by) in [
        (sign(&rig, &ours, SignatureType::Binary, false), 1),
        (sign(&rig, &other, SignatureType::Binary, true), 2),
    ] {
        rig.write("www/p.sig", signature);
        install(&rig).ok();
        assert_eq!(rig.read("prefix/bin/p"), "p", "{by}");
    }
    rig.run(&["remove", "p"]).ok();
    rig.write("www/p.sig", sign(&rig, &third, SignatureType::Binary, true));
    install(&rig).fails(14, "it is signed by ");
    rig.write("www/p.sig", sign(&rig, &ours, SignatureType::Text, true));
    install(&rig).fails(14, "expected a signature of a file");
    for garbage in
        [&b""[..], b"-----BEGIN PGP SIGNATURE-----\n\nxx\n-----END PGP SIGNATURE-----\n", b"\xff\x00"]
    {
        rig.write("www/p.sig", garbage);
        install(&rig).fails(14, "is not signed by keys.asc");
    }
    // A message that holds the file is no detached signature.
    let mut message = Vec::new();
    let mut literal = LiteralWriter::new(Message::new(&mut message)).build().expect("built");
    literal.write_all(b"x").expect("written");
    literal.finalize().expect("ended");
    rig.write("www/p.sig", message);
    install(&rig).fails(14, "expected a detached signature, found a packet");
    // Another file by the same name, with the signature of the first.
    rig.write("www/p.sig", sign(&rig, &ours, SignatureType::Binary, true));
    rig.release("p", "1", &[("bin/p", "something else")]);
    install(&rig).fails(14, "is not signed by keys.asc");
    rig.run(&["install", "--offline", "p"]).fails(13, "is not in the cache");
    assert!(!rig.prefix("bin/p").exists());
}

#[test]
fn a_fingerprint_says_which_key_it_must_be() {
    let (ours, other) = (key(), key());
    let fingerprint = ours.fingerprint().to_hex();
    let rig = rig(&format!("verify_openpgp(\"URL\", \"keys.asc\", \"{}\");", fingerprint.to_lowercase()));
    put(&rig, "keys.asc", &[&other, &ours]);
    rig.write("www/p.sig", sign(&rig, &ours, SignatureType::Binary, true));
    install(&rig).ok();
    rig.write("www/p.sig", sign(&rig, &other, SignatureType::Binary, true));
    install(&rig).fails(14, "it is signed by ");
    put(&rig, "keys.asc", &[&other]);
    install(&rig).fails(14, &format!("expected {fingerprint}\n  found    {}", other.fingerprint().to_hex()));
    let text = rig.recipe("p");
    let long = format!("\"keys.asc\", \"{}\"", fingerprint.to_lowercase());
    assert!(text.contains(&long), "{text}");
    // The fingerprint alone: the key lies in a file that is called so.
    put(&rig, &format!("{fingerprint}.asc"), &[&ours]);
    let spaced = format!("\"{} {}\"", &fingerprint[..20], &fingerprint[20..]);
    rig.write("recipes/p.rhai", text.replace(&long, &spaced));
    install(&rig).fails(14, "it is signed by ");
    rig.write("www/p.sig", sign(&rig, &ours, SignatureType::Binary, true));
    install(&rig).ok();
    rig.run(&["trust", "p"]).ok();
    put(&rig, &format!("{fingerprint}.asc"), &[&other]);
    install(&rig).fails(21, &format!("file {fingerprint}.asc ["));
    rig.run(&["untrust", "p"]).ok();
    // Anybody can make a key with this short id.
    for short in [&fingerprint[24..], &fingerprint[32..]] {
        rig.write("recipes/p.rhai", text.replace(&long, &format!("\"{short}\"")));
        install(&rig).fails(17, "expected a fingerprint of 40 or 64 hex digits");
        rig.write("recipes/p.rhai", text.replace(&long, &format!("\"keys.asc\", \"{short}\"")));
        assert_ne!(install(&rig).code, Some(0));
    }
}

#[test]
fn revoked_keys_do_not_count_and_old_ones_do_for_what_they_signed() {
    let rig = rig("verify_openpgp(\"URL\", \"keys.asc\");");
    let cert = key();
    rig.write("www/p.sig", sign(&rig, &cert, SignatureType::Binary, true));
    put(&rig, "keys.asc", &[&cert]);
    install(&rig).ok();
    let mut pair =
        cert.primary_key().key().clone().parts_into_secret().expect("ours").into_keypair().expect("ours");
    let revocation = sequoia_openpgp::cert::CertRevocationBuilder::new()
        .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"stolen")
        .expect("set")
        .build(&mut pair, &cert, None)
        .expect("made");
    let revoked = cert.clone().insert_packets(revocation).expect("put in").0;
    put(&rig, "keys.asc", &[&revoked]);
    install(&rig).fails(14, "is not signed by keys.asc");

    let year = Duration::from_secs(365 * 86_400);
    let long_ago = SystemTime::now() - 3 * year;
    let builder = CertBuilder::new().add_userid("a test").add_signing_subkey();
    let old = builder.set_creation_time(long_ago).set_validity_period(year).generate().expect("made").0;
    let then = sign_at(&rig, &old, SignatureType::Binary, false, Some(long_ago + year / 2));
    rig.write("www/p.sig", then.expect("signed"));
    let mut bytes = Vec::new();
    old.serialize(&mut bytes).expect("written");
    rig.write("recipes/keys.asc", bytes);
    install(&rig).ok();
}
