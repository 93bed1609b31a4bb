//! CA bundles of Enterprise Linux, as update-ca-trust(8) extracts them from p11-kit's trust source.
//!
//! /usr/share/pki/ca-trust-source, /etc/pki/ca-trust/source (*.p11-kit, anchors/*) -> /etc/pki/ca-trust/extracted/pem.
//! An anchor is in a bundle when something trusts it, nothing distrusts it, and no restriction tied to its key rules the
//! bundle's purpose out (p11-kit's own extraction overlooks the rejecting kind; here it counts).
//! Bundles for Java, EDK2 and OpenSSL's trusted format are left to update-ca-trust on the system.
//! Nothing to do where there is no trust source.

mod source;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use common::cli::Mark;

use super::conf;
use crate::base64;
use crate::exit;
use crate::tree::{Origin, Tree};
use source::Object;

const ORIGIN: Origin = Origin::Generated("ca-trust");

/// Where trust files are, and where plain certificates are anchors.
const SOURCES: [(&str, bool); 4] = [
    ("/usr/share/pki/ca-trust-source", false),
    ("/usr/share/pki/ca-trust-source/anchors", true),
    ("/etc/pki/ca-trust/source", false),
    ("/etc/pki/ca-trust/source/anchors", true),
];

/// Bundles, and the key purpose that must be allowed: the last arc of 1.3.6.1.5.5.7.3 (RFC 5280, 4.2.1.12).
const BUNDLES: [(&str, u8); 3] =
    [("tls-ca-bundle.pem", 1), ("objsign-ca-bundle.pem", 3), ("email-ca-bundle.pem", 4)];

/// The object id of ExtendedKeyUsage: which purposes are allowed.
const ALLOWED: &str = "2.5.29.37";

/// p11-kit's own object id: which purposes are not allowed (OpenSSL's "reject" list).
const REJECTED: &str = "1.3.6.1.4.1.3319.6.10.1";

/// The same links the package has, in case it leaves them to its script.
const LINKS: [(&str, &str); 2] = [
    ("/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
];

/// Columns of base64 in a PEM block (RFC 7468).
const PEM_COLUMNS: usize = 64;

/// Writes the bundles and links.
///
/// # Errors
/// A source cannot be understood, or no CA would be left; exit code [`exit::SYSTEM`].
pub fn apply(tree: &mut Tree) -> anyhow::Result<()> {
    extract(tree).context("failed to extract the CA bundles").exit(exit::SYSTEM)
}

fn extract(tree: &mut Tree) -> anyhow::Result<()> {
    let mut objects = Vec::new();
    for (dir, plain) in SOURCES {
        let names: Vec<Vec<u8>> = tree.list(dir).into_iter().map(<[u8]>::to_vec).collect();
        for name in names {
            if !plain && !name.ends_with(b".p11-kit") {
                continue;
            }
            let path = [dir.as_bytes(), b"/", &name].concat();
            let Some(text) = conf::text_of(tree, &path) else { continue };
            let parsed = text.and_then(|text| source::parse(&text));
            let parsed =
                parsed.with_context(|| format!("failed to parse {}", String::from_utf8_lossy(&path)))?;
            // A plain certificate among the anchors is trusted by being there.
            objects.extend(parsed.into_iter().map(|o| (o, plain)));
        }
    }
    if objects.is_empty() {
        return Ok(());
    }
    for (name, purpose) in BUNDLES {
        let bundle = bundle(&objects, purpose)?;
        ensure!(purpose != 1 || !bundle.is_empty(), "no CA is trusted for TLS servers");
        tree.write(format!("/etc/pki/ca-trust/extracted/pem/{name}"), bundle, 0o444, ORIGIN)?;
    }
    for (path, target) in LINKS {
        if tree.lstat(path).is_err() {
            tree.symlink(path, target, ORIGIN)?;
        }
    }
    Ok(())
}

/// The PEM text of all anchors good for a purpose, sorted by label.
fn bundle(objects: &[(Object, bool)], purpose: u8) -> anyhow::Result<String> {
    let distrusted: BTreeSet<&[u8]> = objects
        .iter()
        .filter(|(o, _)| o.is("x-distrusted"))
        .flat_map(|(o, _)| o.certificates.iter().map(Vec::as_slice))
        .collect();
    let mut out: BTreeMap<(String, &[u8]), ()> = BTreeMap::new();
    for (object, plain) in objects {
        let label = object.get("label").unwrap_or_default();
        let label: String = String::from_utf8_lossy(&label).chars().filter(|c| !c.is_control()).collect();
        for der in &object.certificates {
            let trusted = object.is("trusted") || *plain;
            if trusted && !distrusted.contains(der.as_slice()) && allows(objects, der, purpose)? {
                out.insert((label.clone(), der), ());
            }
        }
    }
    Ok(out.into_keys().map(|(label, der)| pem(&label, der)).collect())
}

/// Whether the restrictions tied to a certificate's key leave the purpose.
fn allows(objects: &[(Object, bool)], certificate: &[u8], purpose: u8) -> anyhow::Result<bool> {
    let key = source::public_key(certificate)?;
    // DER of the object ids: 1.3.6.1.5.5.7.3.N, and 2.5.29.37.0 (any purpose).
    let wanted = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, purpose];
    let any = [0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
    for (object, _) in objects.iter().filter(|(o, _)| o.public_key.as_deref() == Some(key)) {
        let value = object.get("value").unwrap_or_default();
        let names = |oid: &[u8]| value.windows(oid.len()).any(|w| w == oid);
        if object.says("object-id", ALLOWED) && !names(&wanted) && !names(&any)
            || object.says("object-id", REJECTED) && (names(&wanted) || names(&any))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = base64::encode(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(PEM_COLUMNS).map(|c| std::str::from_utf8(c).unwrap_or_default()).collect();
    let comment = if label.is_empty() { String::new() } else { format!("# {label}\n") };
    format!("{comment}-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n\n", lines.join("\n"))
}
