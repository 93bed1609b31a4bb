//! Https that trusts what the system trusts: the top of ureq's chain of connectors, for all who download.
//!
//! Whom it trusts is [`Store`]'s to say. Nothing is read before the first connection that needs it, to a server or to a proxy, and then
//! once. What it refuses is a [`Refusal`], which no other attempt would mend; there is no way to trust everybody.
//!
//! Like [`crate::url`] this is a rule of security for two tools only. It comes with the feature `tls`, so that tools without a network
//! have none of its crates.

mod store;

use std::fmt;
use std::sync::OnceLock;

use rustls::CertificateError;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{ConnectionDetails, Connector, RustlsConnector, Transport};

pub use store::Store;

use crate::cli::Mark;

const TRUST: &str = "if you trust who issued it, add that authority to the system (`update-ca-trust`, on Debian \
    `update-ca-certificates`), or name a file with its certificate in SSL_CERT_FILE";
const CLOCK: &str =
    "check this machine's clock with `date`; if it is right, the server's owner has to renew the certificate";
const NAME: &str = "check the URL; no certificate is accepted for another name than its own";
const OWNER: &str = "only the server's owner can mend that";

/// Why a server is not asked, in words: nothing that another attempt would mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) what: String,
    /// What the user can do.
    pub hint: String,
    /// Whether it is this machine's fault, and no server would be accepted.
    pub everywhere: bool,
}

impl Refusal {
    /// What an error of ureq's says of trust, if that is what it is about.
    #[must_use]
    pub fn of(error: &ureq::Error) -> Option<&Self> {
        let ureq::Error::Other(inner) = error else { return None };
        inner.downcast_ref()
    }

    /// It, with its hint, as the error of a program.
    ///
    /// # Errors
    /// Always.
    pub fn fail<T>(self) -> anyhow::Result<T> {
        let hint = self.hint.clone();
        Err(self).hint(hint)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for ureq::Error {
    fn from(refusal: Refusal) -> Self {
        Self::Other(Box::new(refusal))
    }
}

/// Makes connections https where that is asked for.
#[derive(Debug)]
pub struct Https {
    store: Store,
    trust: OnceLock<Result<Trust, Refusal>>,
    rustls: RustlsConnector,
}

#[derive(Debug)]
struct Trust {
    config: Config,
    /// Where its certificates are, for people.
    place: String,
}

impl Https {
    /// Https that trusts what is in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, trust: OnceLock::new(), rustls: RustlsConnector::default() }
    }

    fn trust(&self) -> Result<&Trust, Refusal> {
        let load = || {
            let (roots, place) = self.store.roots()?;
            let tls = TlsConfig::builder().root_certs(roots).build();
            Ok(Trust { config: ureq::Agent::config_builder().proxy(None).tls_config(tls).build(), place })
        };
        self.trust.get_or_init(load).as_ref().map_err(Clone::clone)
    }
}

impl<In: Transport> Connector<In> for Https {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if !details.needs_tls() {
            return self.rustls.connect(details, chained);
        }
        let trust = self.trust()?;
        // The configuration of one request is never kept, and made anew, with all certificates, for each connection.
        let details = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: &trust.config,
            request_level: false,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        self.rustls.connect(&details, chained).map_err(|e| refused(details.uri, &trust.place, e))
    }
}

/// The refusal that an error is; the error where it is none.
fn refused(uri: &Uri, place: &str, error: ureq::Error) -> ureq::Error {
    let inner = match &error {
        ureq::Error::Rustls(e) => Some(e),
        ureq::Error::Io(e) => e.get_ref().and_then(|e| e.downcast_ref()),
        _ => None,
    };
    let Some(rustls::Error::InvalidCertificate(why)) = inner else { return error };
    let host = uri.host().unwrap_or_default();
    let server = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let (why, hint) = words(why, host, place);
    Refusal {
        what: format!("the certificate of {server} is refused: {why}"),
        hint: hint.to_owned(),
        everywhere: false,
    }
    .into()
}

fn words(why: &CertificateError, host: &str, place: &str) -> (String, &'static str) {
    use CertificateError as E;
    match why {
        E::UnknownIssuer => (format!("no authority in {place} issued it"), TRUST),
        // As after an authority has taken a new key.
        E::BadSignature => (format!("the authority of its name in {place} did not sign it"), TRUST),
        E::NotValidForNameContext { presented, .. } => {
            // They come as `DnsName("a.example")`.
            let names = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name));
            (format!("it is for {}, not for {host}", names.collect::<Vec<_>>().join(", ")), NAME)
        }
        E::NotValidForName => (format!("it is not for {host}"), NAME),
        E::ExpiredContext { time, not_after } => {
            let ago = time.as_secs().saturating_sub(not_after.as_secs());
            (format!("it expired {} ago", long(ago)), CLOCK)
        }
        E::NotValidYetContext { time, not_before } => {
            let until = not_before.as_secs().saturating_sub(time.as_secs());
            (format!("it begins to be valid in {}", long(until)), CLOCK)
        }
        other => (other.to_string(), OWNER),
    }
}

/// A span of time, as long as people think of it.
fn long(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600) {
        (0, 0) => format!("{} min", seconds / 60),
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} d"),
    }
}
