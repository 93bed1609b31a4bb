//! verify: only whole, rightly signed packages with the right name pass, and `rpmkeys` agrees about each refusal.

mod packages;

use std::path::Path;

use common::cmd::Cmd;
use common::hash::Sha256;
use labrepo::fixture::{Defect, Fixture};
use labrepo::key::SigningKey;
use labrepo::rpm::Package;
use leviso::lock::LockedPackage;
use leviso::verify::{Keyring, rpm};
use leviso::{exit, verify};
use packages::{TIME, key, keyring, lock};

fn victim() -> Package {
    let big: Vec<u8> = (0..40_000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    Package::new("victim", "1.0", "1", "x86_64").epoch(2).file("/usr/bin/victim", &big, 0o755)
}

/// A lock that describes the file as it is now, so that only the package's own protection counts.
fn locked_as_is(path: &Path, package: &Package) -> LockedPackage {
    lock(package, &std::fs::read(path).unwrap(), &key().fingerprint())
}

/// What Debian's rpm says about signature and digests, trusting only `key`.
fn rpmkeys_accepts(path: &Path, key_file: &Path) -> bool {
    let db = tempfile::tempdir().unwrap();
    let tool = |args: &[&str]| {
        Cmd::new(testkit::oracle("rpmkeys"))
            .arg("--dbpath")
            .arg(db.path())
            .args(["--define", "_pkgverify_level all"])
            .args(args.iter().copied())
            .output()
            .unwrap()
    };
    let import = tool(&["--import", key_file.to_str().unwrap()]);
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    tool(&["-K", path.to_str().unwrap()]).status.success()
}

#[test]
fn a_good_package_passes_and_tells_its_signer() {
    let repo = Fixture::new(key()).add(victim()).write().unwrap();
    let path = repo.package("victim");
    let verified = rpm(path, &locked_as_is(path, &victim()), &keyring(key())).unwrap();
    assert_eq!(&**verified.nevra(), "victim-2:1.0-1.x86_64");
    assert_eq!(verified.signer(), repo.fingerprint());
    assert!(rpmkeys_accepts(path, &repo.key_path()));
}

#[test]
fn every_defect_is_refused_by_us_and_by_rpm() {
    let v = || "victim".to_owned();
    // What is wrong, a part of our message, and whether rpm can see it too (it knows no lock).
    let cases = [
        (Defect::FlippedPayloadListed(v()), "SHA-256", true),
        (Defect::FlippedHeaderListed(v()), "of the header", true),
        (Defect::TruncatedListed(v()), "of the payload", true),
        (Defect::Unsigned(v()), "expected a signature by", true),
        (Defect::ForeignKey(v()), "expected a signature by", true),
        (Defect::OtherName(v()), "found impostor-2:1.0-1.x86_64", false),
        (Defect::OtherVersion(v()), "found victim-2:0.0.1-1.x86_64", false),
    ];
    for (defect, message, rpm_sees_it) in cases {
        let repo = Fixture::new(key()).add(victim()).defect(defect.clone()).write().unwrap();
        let path = repo.package("victim");
        let err = rpm(path, &locked_as_is(path, &victim()), &keyring(key())).unwrap_err();
        let report = common::cli::report(&err);
        assert!(report.contains(message), "{defect:?}: {report}");
        assert!(report.contains(path.to_str().unwrap()), "{defect:?}: {report}");
        assert_eq!(common::cli::exit_code(&err), exit::VERIFY, "{defect:?}");
        assert_eq!(rpmkeys_accepts(path, &repo.key_path()), !rpm_sees_it, "{defect:?}");
    }
}

#[test]
fn the_locks_size_and_digest_count_before_anything_is_parsed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rpm");
    let bytes = victim().build(key()).unwrap().bytes;
    std::fs::write(&path, &bytes).unwrap();
    let good = lock(&victim(), &bytes, &key().fingerprint());
    let cases = [
        (LockedPackage { size: good.size + 1, ..good.clone() }, "bytes, found"),
        (LockedPackage { sha256: Sha256::of(b""), ..good.clone() }, "expected the SHA-256 e3b0c442"),
        (
            LockedPackage { arch: "noarch".into(), ..good.clone() },
            "expected the package victim-2:1.0-1.noarch",
        ),
        (LockedPackage { signer: "0".repeat(40), ..good.clone() }, "(from the lock)"),
    ];
    for (locked, message) in cases {
        let report = common::cli::report(&rpm(&path, &locked, &keyring(key())).unwrap_err());
        assert!(report.contains(message), "{report}");
    }
    rpm(&path, &good, &keyring(key())).unwrap();
}

/// xorshift64*: the same flips on every run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

#[test]
fn no_flipped_byte_gets_changed_content_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rpm");
    let package = Package::new("victim", "1.0", "1", "noarch").file("/usr/bin/victim", b"#!/bin/sh\n", 0o755);
    let built = package.build(key()).unwrap();
    let good = built.bytes;
    std::fs::write(&path, &good).unwrap();
    let keyring = keyring(key());
    let reference = rpm(&path, &lock(&package, &good, &key().fingerprint()), &keyring).unwrap();
    let header = reference.header().bytes().to_vec();
    let (map, range) = reference.payload();
    let payload = map.as_slice()[range].to_vec();
    let (start, end) = built.header_range;
    let mut state = 1;
    let (mut refused, mut harmless) = (0, 0);
    for round in 0..4000 {
        let at = random(&mut state) as usize % good.len();
        let bit = 1 << (random(&mut state) % 8);
        let mut bytes = good.clone();
        bytes[at] ^= bit;
        // A file of its own each time: the previous one may still be mapped.
        let path = dir.path().join(format!("{round}.rpm"));
        std::fs::write(&path, &bytes).unwrap();
        // The lock is made for the flipped file: only the package's own protection is left.
        match rpm(&path, &lock(&package, &bytes, &key().fingerprint()), &keyring) {
            Err(_) => refused += 1,
            Ok(verified) => {
                harmless += 1;
                let (map, range) = verified.payload();
                assert_eq!(verified.header().bytes(), header, "byte {at}");
                assert_eq!(map.as_slice()[range], payload, "byte {at}");
                assert!(at < start, "byte {at} is in the signed header or behind it ({start}..{end})");
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
    // Only the lead and unsigned tags of the signature header (sizes, MD5, reserved space) may change.
    assert!(refused > 2500 && refused + harmless == 4000, "{refused} refused, {harmless} harmless");
}

#[test]
fn hostile_headers_are_errors_not_panics() {
    let dir = tempfile::tempdir().unwrap();
    let package = victim();
    let built = package.build(key()).unwrap();
    let (start, _) = built.header_range;
    let keyring = keyring(key());
    let poke = |at: usize, with: &[u8]| {
        let mut bytes = built.bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let signature = 96;
    let cases = [
        ("too many tags", poke(start + 8, &0x1000_0001_u32.to_be_bytes()), "the limit is 65535"),
        ("too much data", poke(start + 12, &0xf000_0000_u32.to_be_bytes()), "the limit is 268435455"),
        ("signature tags", poke(signature + 8, &33u32.to_be_bytes()), "the limit is 32"),
        ("signature data", poke(signature + 12, &0x0800_0000_u32.to_be_bytes()), "the limit is 67108864"),
        ("no tags", poke(start + 8, &0u32.to_be_bytes()), "has 0 tags"),
        ("magic", poke(start, &[0; 4]), "expected the header magic"),
        ("region", poke(start + 16, &64u32.to_be_bytes()), "expected the region tag 63"),
        ("offset", poke(start + 40, &0x7fff_ffff_u32.to_be_bytes()), "not inside the header"),
        ("negative offset", poke(start + 40, &0xffff_fff0_u32.to_be_bytes()), "not inside the header"),
        ("count", poke(start + 44, &0xffff_ffff_u32.to_be_bytes()), ""),
        ("type", poke(start + 36, &77u32.to_be_bytes()), "unknown type 77"),
        ("lead", poke(0, b"PK"), "not an RPM package"),
        ("source", poke(6, &[0, 1]), "expected a binary package"),
        ("tiny", b"\xed\xab\xee\xdb".to_vec(), "too few"),
        ("only a lead", built.bytes[..96].to_vec(), ""),
        ("cut in the header", built.bytes[..start + 20].to_vec(), "ends inside a header"),
        ("empty", Vec::new(), "too few"),
    ];
    for (i, (what, bytes, message)) in cases.into_iter().enumerate() {
        let path = dir.path().join(format!("{i}.rpm"));
        std::fs::write(&path, &bytes).unwrap();
        let err = rpm(&path, &lock(&package, &bytes, &key().fingerprint()), &keyring).unwrap_err();
        let report = common::cli::report(&err);
        assert!(report.contains(message), "{what}: {report}");
    }
}

#[test]
fn only_pinned_certificates_of_a_key_file_are_trusted() {
    let other = SigningKey::generate("other", TIME).unwrap();
    let text = |k: &SigningKey| String::from_utf8(k.certificate().unwrap()).unwrap();
    // Two armor blocks, and one that is no certificate at all.
    let broken = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n";
    let file = format!("Release keys\n{broken}{}\n{}", text(&other), text(key()));
    let parse = |pins: &[String]| Keyring::parse(file.as_bytes(), pins, Path::new("keys"));

    let sig = key().sign_armored(b"data", TIME).unwrap();
    let ring = parse(&[key().fingerprint()]).unwrap();
    assert_eq!(verify::verify_detached(b"data", &sig, "x", &ring).unwrap(), key().fingerprint());
    let spaced: Vec<String> =
        key().fingerprint().as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).to_lowercase()).collect();
    parse(&[spaced.join(" ")]).unwrap();

    // The other certificate is in the same file, but not pinned.
    let foreign = other.sign_armored(b"data", TIME).unwrap();
    let report = common::cli::report(&verify::verify_detached(b"data", &foreign, "x", &ring).unwrap_err());
    assert!(report.contains(&key().fingerprint()) && report.contains(&other.fingerprint()), "{report}");
    assert!(verify::verify_detached(b"other data", &sig, "x", &ring).is_err());
    assert!(verify::verify_detached(b"data", b"", "x", &ring).is_err());
    assert!(verify::verify_detached(b"data", b"<html>", "x", &ring).is_err());

    let missing = "1".repeat(40);
    let report = common::cli::report(&parse(std::slice::from_ref(&missing)).unwrap_err());
    assert!(report.contains(&missing) && report.contains(&key().fingerprint()), "{report}");
    assert!(parse(&[]).is_err());
    // Short ids can be forged.
    assert!(parse(&[key().fingerprint()[24..].to_owned()]).is_err());
}

#[test]
fn one_good_signature_is_enough_unless_a_pinned_key_made_a_bad_one() {
    let other = SigningKey::generate("other", TIME).unwrap();
    let ring = keyring(key());
    let good = key().sign(b"data", TIME).unwrap();
    let bad = key().sign(b"something else", TIME).unwrap();
    let foreign = other.sign(b"data", TIME).unwrap();
    // A signature packet of version 99: nobody can read it.
    let unknown = [0xc2, 4, 99, 0, 0, 0];
    let check = |sigs: &[&[u8]]| ring.check(b"data", sigs.iter().copied()).map(str::to_owned);
    assert_eq!(check(&[&foreign, &unknown, &good]).unwrap(), key().fingerprint());
    assert!(check(&[&good, &bad]).unwrap_err().to_string().contains("is not valid"));
    assert!(check(&[&foreign]).unwrap_err().to_string().contains(&other.fingerprint()));
    assert!(check(&[&unknown]).unwrap_err().to_string().contains("found one"));
    assert!(check(&[]).unwrap_err().to_string().contains("found none"));
}
