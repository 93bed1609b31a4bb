//! What the user and the system name -> the certificates of those who may vouch for servers.
//!
//! ```text
//! SSL_CERT_FILE, SSL_CERT_DIR   where one of them is set: these alone
//! the system's bundle           else; where there is none, its directory of certificates
//! the compiled-in list          where the system has no store at all
//! ```
//!
//! A store that is there and of no use is a refusal, never a reason to trust others: who emptied it may have meant it. Certificates in it
//! that cannot be used are left out, as OpenSSL does: old stores have some. Of directories only files are read whose names OpenSSL would
//! look up, because others (localhost.crt, ssl-cert-snakeoil.pem) are nobody's authority.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error, PemObject};
use ureq::tls::{Certificate, RootCerts};

use super::Refusal;

const FILE: &str = "SSL_CERT_FILE";
const DIR: &str = "SSL_CERT_DIR";

/// Bundles that systems write for all their programs; they hold no certificate that the administrator distrusts.
const BUNDLES: [&str; 5] = [
    // Rocky, Fedora
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // Debian, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    // Alpine
    "/etc/ssl/cert.pem",
    // RHEL before 7
    "/etc/pki/tls/certs/ca-bundle.crt",
];
const DIRECTORY: &str = "/etc/ssl/certs";

const FILE_HINT: &str =
    "SSL_CERT_FILE must name a file with certificates in PEM form; without it the system's are used";
const DIR_HINT: &str = "`openssl rehash DIR` gives certificates in a directory the names they are looked for by; without SSL_CERT_DIR \
    the system's are used";
const SYSTEM_HINT: &str =
    "`update-ca-trust`, on Debian `update-ca-certificates`, writes it anew; SSL_CERT_FILE names another file";

/// Where certificates are looked for, if the user says so; by default where the system has them.
#[derive(Debug, Clone, Default)]
pub struct Store {
    file: Option<OsString>,
    dirs: Option<OsString>,
}

type Certificates = Vec<CertificateDer<'static>>;

impl Store {
    /// What SSL_CERT_FILE and SSL_CERT_DIR (directories, `:` between them) name. What is empty is not set.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self { file: set(FILE), dirs: set(DIR) }
    }

    /// The certificates, and what to call the place they are from.
    pub(super) fn roots(&self) -> Result<(RootCerts, String), Refusal> {
        let found = if self.file.is_none() && self.dirs.is_none() { system()? } else { Some(self.named()?) };
        let Some((certificates, place)) = found else {
            return Ok((RootCerts::WebPki, "the list compiled into this program".to_owned()));
        };
        let certificates = certificates.iter().map(|one| Certificate::from_der(one).to_owned());
        Ok((RootCerts::from(certificates), place))
    }

    fn named(&self) -> Result<(Certificates, String), Refusal> {
        let (mut all, mut places) = (Vec::new(), Vec::new());
        if let Some(file) = &self.file {
            let place = format!("{} ({FILE})", Path::new(file).display());
            all = some(of_file(Path::new(file)), &place, FILE_HINT)?;
            places.push(place);
        }
        if let Some(dirs) = &self.dirs {
            let place = format!("{} ({DIR})", Path::new(dirs).display());
            // Of several, some may be for other systems.
            let found = std::env::split_paths(dirs).filter_map(|dir| of_dir(&dir).ok().flatten());
            all.extend(found.flatten());
            places.push(place);
        }
        let place = places.join(" or ");
        Ok((some(Ok(all), &place, DIR_HINT)?, place))
    }
}

/// What the system has; none if it has no store.
fn system() -> Result<Option<(Certificates, String)>, Refusal> {
    let bundles = BUNDLES.iter().map(|path| (*path, of_file(Path::new(path)).map(Some)));
    let directory = std::iter::once_with(|| (DIRECTORY, of_dir(Path::new(DIRECTORY))));
    for (place, found) in bundles.chain(directory) {
        match found.transpose() {
            Some(Err(e)) if is_absent(&e) => {}
            Some(found) => return Ok(Some((some(found, place, SYSTEM_HINT)?, place.to_owned()))),
            None => {}
        }
    }
    Ok(None)
}

fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// At least one certificate, or why there is none.
fn some(found: io::Result<Certificates>, place: &str, hint: &str) -> Result<Certificates, Refusal> {
    let what = match found {
        Ok(all) if all.is_empty() => format!("{place} holds no certificate that can be used"),
        Ok(all) => return Ok(all),
        Err(e) => format!("failed to read {place}: {e}"),
    };
    let what = format!("it is not known whom to trust: {what}");
    Err(Refusal { what, hint: hint.to_owned(), everywhere: true })
}

/// The certificates of a file that can be used.
fn of_file(path: &Path) -> io::Result<Certificates> {
    let read = |item: Result<_, Error>| match item {
        Ok(one) => Some(Ok(one)),
        Err(Error::Io(e)) => Some(Err(e)),
        // Text between certificates is no mistake, and a broken one is not everybody's end.
        Err(_) => None,
    };
    let all = match CertificateDer::pem_file_iter(path) {
        Ok(all) => all.filter_map(read).collect::<io::Result<Certificates>>()?,
        Err(Error::Io(e)) => return Err(e),
        Err(e) => return Err(io::Error::other(e)),
    };
    let mut store = RootCertStore::empty();
    Ok(all.into_iter().filter(|one| store.add(one.clone()).is_ok()).collect())
}

/// The certificates of a directory that can be used; none if no file of it is called as OpenSSL wants them to be.
fn of_dir(path: &Path) -> io::Result<Option<Certificates>> {
    let mut found = None;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if is_hash(&entry.file_name().to_string_lossy()) {
            found.get_or_insert_with(Vec::new).extend(of_file(&entry.path()).unwrap_or_default());
        }
    }
    Ok(found)
}

/// Whether a name is one that `openssl rehash` gives: the hash of a subject, and a number.
fn is_hash(name: &str) -> bool {
    name.split_once('.').is_some_and(|(hash, number)| {
        hash.len() == 8
            && hash.bytes().all(|b| b.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}
