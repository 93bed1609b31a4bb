//! finalise::ca_trust puts those CAs into a bundle that are trusted for its purpose, and no other.

mod common;

use ::common::cmd::Cmd;
use common::{TEST, text};
use leviso::finalise::ca_trust;
use leviso::tree::Tree;

const SOURCE: &str = "/usr/share/pki/ca-trust-source/ca-bundle.trust.p11-kit";
const PEM: &str = "/etc/pki/ca-trust/extracted/pem";

/// A fresh self-signed CA: certificate and public key as PEM.
fn ca(name: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem").display().to_string();
    let openssl = testkit::oracle("openssl");
    Cmd::new(&openssl)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-keyout", "/dev/null", "-subj", &format!("/CN={name}"), "-out", &file])
        .output()
        .unwrap();
    let key = Cmd::new(&openssl).args(["x509", "-in", &file, "-pubkey", "-noout"]).read().unwrap();
    (std::fs::read_to_string(&file).unwrap(), format!("{}\n", key.trim()))
}

fn anchor(name: &str, attributes: &str, certificate: &str) -> String {
    format!("[p11-kit-object-v1]\nlabel: \"{name}\"\n{attributes}\nmodifiable: false\n{certificate}\n")
}

/// An object that restricts a key to (or from) purposes, as Fedora's generator writes it.
fn restriction(oid: &str, purposes: &[u8], key: &str) -> String {
    let oids: String = purposes.iter().map(|p| format!("%06%08%2b%06%01%05%05%07%03%{p:02x}")).collect();
    format!(
        "# comment\n[p11-kit-object-v1]\nclass: x-certificate-extension\nobject-id: {oid}\nvalue: \"0%20{oids}\"\n{key}\n"
    )
}

/// The subjects openssl finds in a bundle, sorted.
fn subjects(tree: &Tree, bundle: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bundle.pem");
    std::fs::write(&file, text(tree, &format!("{PEM}/{bundle}"))).unwrap();
    let listing = Cmd::new(testkit::oracle("openssl"))
        .args(["storeutl", "-certs", "-noout", "-text", &file.display().to_string()])
        .read()
        .unwrap();
    // Versions differ in the blanks around the sign.
    let subject = |line: &str| line.replace(' ', "").strip_prefix("Subject:CN=").map(str::to_owned);
    let mut names: Vec<String> = listing.lines().filter_map(subject).collect();
    names.sort();
    names
}

#[test]
fn a_bundle_holds_what_is_trusted_for_its_purpose() {
    const ALLOWED: &str = "2.5.29.37";
    const REJECTED: &str = "1.3.6.1.4.1.3319.6.10.1";
    let [all, mail, web, gone, unsaid, rejected, local] =
        ["all", "mail", "web", "gone", "unsaid", "rejected", "local"].map(ca);
    let source = [
        "# A comment before everything\n\n".to_owned(),
        anchor("all", "trusted: true", &all.0),
        anchor("mail", "trusted: true\nnss-mozilla-ca-policy: true", &mail.0),
        restriction(ALLOWED, &[4], &mail.1),
        anchor("web", "trusted: true", &web.0),
        restriction(ALLOWED, &[4, 1], &web.1),
        anchor("gone", "trusted: true", &gone.0),
        anchor("gone", "x-distrusted: true", &gone.0),
        anchor("unsaid", "", &unsaid.0),
        anchor("rejected", "trusted: true", &rejected.0),
        restriction(REJECTED, &[1], &rejected.1),
    ]
    .concat();
    let mut tree = Tree::new(0);
    tree.write(SOURCE, source, 0o644, TEST).unwrap();
    tree.write("/usr/share/pki/ca-trust-source/README", "not a source", 0o644, TEST).unwrap();
    tree.write("/etc/pki/ca-trust/source/anchors/local.pem", local.0, 0o644, TEST).unwrap();
    ca_trust::apply(&mut tree).unwrap();
    assert_eq!(subjects(&tree, "tls-ca-bundle.pem"), ["all", "local", "web"]);
    assert_eq!(subjects(&tree, "email-ca-bundle.pem"), ["all", "local", "mail", "rejected", "web"]);
    assert_eq!(subjects(&tree, "objsign-ca-bundle.pem"), ["all", "local", "rejected"]);
    assert_eq!(
        text(&tree, "/etc/pki/tls/certs/ca-bundle.crt"),
        text(&tree, &format!("{PEM}/tls-ca-bundle.pem")),
        "what OpenSSL and curl open"
    );
    // The certificates themselves came through unchanged.
    assert!(text(&tree, "/etc/pki/tls/cert.pem").contains(all.0.trim()));
}

#[test]
fn a_source_that_trusts_nobody_or_cannot_be_read_stops_the_build() {
    let good = ca("good");
    for (what, source) in [
        ("nobody", anchor("good", "", &good.0)),
        ("cut off", anchor("good", "trusted: true", &good.0[..good.0.len() / 2])),
        ("not base64", anchor("good", "trusted: true", &good.0.replace('M', "!"))),
        ("not a certificate", anchor("good", "trusted: true", &good.1.replace("PUBLIC KEY", "CERTIFICATE"))),
    ] {
        let mut tree = Tree::new(0);
        tree.write(SOURCE, source, 0o644, TEST).unwrap();
        let err = ca_trust::apply(&mut tree).expect_err(what);
        assert_eq!(::common::cli::exit_code(&err), leviso::exit::SYSTEM, "{what}: {err:#}");
        assert!(!tree.exists(PEM), "{what}");
    }
    let mut none = Tree::new(0);
    ca_trust::apply(&mut none).unwrap();
    assert!(none.walk().is_empty(), "a base without p11-kit's source keeps its own bundle");
}
