//! The signing key of a lab or a fixture: OpenPGP v4, one primary key that certifies and signs.
//!
//! In: a name and a creation time. Out: an armored certificate, its fingerprint, binary signatures for RPM headers and
//! armored ones for repomd.xml. The secret part is stored unencrypted with mode 0600: it guards nothing but test data.
//! Signatures carry a random salt, so two signings of one text differ; their time is the one given.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use sequoia_openpgp::armor;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Key, Packet, UserID};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::{Marshal, SerializeInto};
use sequoia_openpgp::types::{Curve, HashAlgorithm, KeyFlags, PublicKeyAlgorithm, SignatureType};

/// The kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (EdDSA, RFC 9580's EdDSALegacy): made in no time, for fixtures.
    Ed25519,
    /// RSA, 3072 bits: what Enterprise Linux signs with; takes a second or two to make.
    Rsa3072,
}

/// A secret key, ready to sign.
#[derive(Clone)]
pub struct SigningKey {
    cert: Cert,
    pair: KeyPair,
}

impl SigningKey {
    /// A new Ed25519 key for `name`, made at `created` (seconds since 1970 UTC).
    ///
    /// # Errors
    /// The random number generator failed.
    pub fn generate(name: &str, created: u32) -> anyhow::Result<Self> {
        Self::generate_with(name, created, Algorithm::Ed25519)
    }

    /// A new key of a chosen kind.
    ///
    /// # Errors
    /// As [`SigningKey::generate`].
    pub fn generate_with(name: &str, created: u32, algorithm: Algorithm) -> anyhow::Result<Self> {
        let cert = certificate(name, created, algorithm).context("failed to generate a signing key")?;
        Self::from_cert(cert)
    }

    /// The key stored in `path`, or a new one that is stored there (mode 0600).
    ///
    /// # Errors
    /// The file cannot be read or written, or holds no usable secret key.
    pub fn load_or_generate(
        path: &Path,
        name: &str,
        created: u32,
        algorithm: Algorithm,
    ) -> anyhow::Result<Self> {
        if path.exists() {
            return Self::load(path);
        }
        let key = Self::generate_with(name, created, algorithm)?;
        key.save(path)?;
        Ok(key)
    }

    /// The key stored by [`SigningKey::save`].
    ///
    /// # Errors
    /// The file cannot be read or holds no usable secret key.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let cert = Cert::from_bytes(&common::fs::read(path)?)
            .and_then(Self::from_cert)
            .with_context(|| format!("{} holds no usable secret key", path.display()))?;
        Ok(cert)
    }

    /// Stores the secret key, armored, readable by its owner only. An existing file is not replaced.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let context = || format!("failed to write the secret key {}", path.display());
        let armored = self.cert.as_tsk().armored().to_vec().with_context(context)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(context)?;
        file.write_all(&armored).and_then(|()| file.sync_all()).with_context(context)
    }

    /// The public certificate, armored: what goes into RPM-GPG-KEY files.
    ///
    /// # Errors
    /// Serialisation failed (it writes to memory).
    pub fn certificate(&self) -> anyhow::Result<Vec<u8>> {
        // Debian's and EL's rpm want plain armor; the user ids sequoia adds as comments are harmless but useless.
        let mut out = Vec::new();
        let mut writer = armor::Writer::new(&mut out, armor::Kind::PublicKey)?;
        self.cert.serialize(&mut writer)?;
        writer.finalize()?;
        Ok(out)
    }

    /// The fingerprint of the certificate: 40 upper-case hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// Whether signatures belong under RPM's RSA tag; all others go under its DSA tag.
    #[must_use]
    pub fn is_rsa(&self) -> bool {
        self.pair.public().pk_algo() == PublicKeyAlgorithm::RSAEncryptSign
    }

    /// A detached binary signature over `message`, as RPM headers carry it: one OpenPGP v4 packet, SHA-256.
    ///
    /// # Errors
    /// Signing failed, or `at` is before the key was made.
    pub fn sign(&self, message: &[u8], at: u32) -> anyhow::Result<Vec<u8>> {
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(time(at))?
            .sign_message(&mut self.pair.clone(), message)
            .context("failed to sign")?;
        let packet = Packet::from(signature);
        let mut out = Vec::new();
        packet.serialize(&mut out)?;
        Ok(out)
    }

    /// A detached armored signature over `message`, as in repomd.xml.asc.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_armored(&self, message: &[u8], at: u32) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut writer = armor::Writer::new(&mut out, armor::Kind::Signature)?;
        writer.write_all(&self.sign(message, at)?)?;
        writer.finalize()?;
        Ok(out)
    }

    fn from_cert(cert: Cert) -> anyhow::Result<Self> {
        let secret = cert.primary_key().key().clone().parts_into_secret();
        let pair = secret.map_err(|_| anyhow!("the file holds a public key only"))?.into_keypair()?;
        Ok(Self { cert, pair })
    }
}

/// A key, a user id and the binding between them, as old tools make them. Sequoia's own builder marks a subpacket critical
/// (primary user id) that rpm 4.18 does not know, which refuses the certificate for it.
fn certificate(name: &str, created: u32, algorithm: Algorithm) -> anyhow::Result<Cert> {
    let mut key: Key4<SecretParts, PrimaryRole> = match algorithm {
        Algorithm::Ed25519 => Key4::generate_ecc(true, Curve::Ed25519)?,
        Algorithm::Rsa3072 => Key4::generate_rsa(3072)?,
    };
    key.set_creation_time(time(created))?;
    let key = Key::from(key);
    let user = UserID::from(name);
    let binding = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_hash_algo(HashAlgorithm::SHA256)
        .set_signature_creation_time(time(created))?
        .set_key_flags(KeyFlags::empty().set_certification().set_signing())?
        .sign_userid_binding(&mut key.clone().into_keypair()?, None, &user)?;
    Cert::from_packets([Packet::from(key), user.into(), binding.into()].into_iter())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.fingerprint())
    }
}

fn time(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_comes_back_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.asc");
        let made = SigningKey::load_or_generate(&path, "lab", 1_700_000_000, Algorithm::Ed25519).unwrap();
        let read = SigningKey::load_or_generate(&path, "lab", 1_700_000_000, Algorithm::Ed25519).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(made.save(&path).is_err(), "an existing secret key was overwritten");
        let public = String::from_utf8(made.certificate().unwrap()).unwrap();
        assert!(public.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{public}");
    }
}
