//! Certificates of tests: an authority of one's own, and what it issues to servers. Nothing is written but by [`Authority::pem`]'s caller.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    /// While tests run.
    Now,
    /// Until 2020.
    Expired,
    /// From 2100.
    Later,
}

/// Who issues certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a server shows of itself.
#[derive(Debug, Clone)]
pub struct Identity(pub(crate) Arc<ServerConfig>);

impl Authority {
    /// An authority of this name that nobody knows yet.
    ///
    /// # Panics
    /// There are no keys to be had.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, as stores have it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server of this name or address.
    ///
    /// # Panics
    /// It is no name.
    #[must_use]
    pub fn issue(&self, name: &str, valid: Valid) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        let (from, until) = match valid {
            Valid::Now => (2000, 3000),
            Valid::Expired => (2000, 2020),
            Valid::Later => (2100, 3000),
        };
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Identity(Arc::new(config.expect("a key of the certificate")))
    }
}
