//! One request: `http(s)://` through ureq, `file://` through std. Caps, rates and redirects are ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::proxy::Proxies;
use common::tls::{Https, Refusal};
use common::url::redirect;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, SocksConnector, TcpConnector};

use super::store::Partial;
use super::{Limits, Network, Want};

const BUFFER: usize = 64 << 10;

/// Why a URL did not deliver.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It will not deliver later either (404).
    #[error("{0}")]
    Permanent(String),
    /// It delivers something else.
    #[error("{0}")]
    Wrong(String),
    /// It cannot be reached, or is too slow: worth another try when nobody else delivers.
    #[error("{0}")]
    Dead(String),
    /// Nobody vouches for the server, or it is not known who may: no try will help.
    #[error("{0}")]
    Untrusted(Refusal),
    /// It stopped on the way: worth another try.
    #[error("{0}")]
    Broken(String),
    /// This machine's fault: no other mirror will help.
    #[error("failed to write the download")]
    Local(#[from] io::Error),
}

impl Failure {
    /// The same for all that is asked of this server, if it is not about one file.
    fn of_server(&self) -> Option<Self> {
        match self {
            Self::Dead(why) => Some(Self::Dead(why.clone())),
            Self::Untrusted(refusal) => Some(Self::Untrusted(refusal.clone())),
            _ => None,
        }
    }
}

type Result<T> = std::result::Result<T, Failure>;

/// The HTTP client, and which servers have failed already.
#[derive(Debug)]
pub(super) struct Transport {
    agent: ureq::Agent,
    proxies: Proxies,
    offline: bool,
    dead: Mutex<BTreeMap<String, Failure>>,
}

/// A body that has begun.
struct Body {
    reader: Box<dyn Read>,
    /// Where in the file it begins.
    start: u64,
    /// How much it should bring, if the server says so.
    len: Option<u64>,
}

impl Transport {
    pub(super) fn new(limits: &Limits, offline: bool, network: &Network) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("leviso/", env!("CARGO_PKG_VERSION")))
            .timeout_per_read(Some(limits.stall))
            .timeout_per_write(Some(limits.stall))
            .build();
        let connector = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
        let connector = connector.chain(TcpConnector::default()).chain(Https::new(network.trust.clone()));
        let agent = ureq::Agent::with_parts(config, connector, DefaultResolver::default());
        Self { agent, proxies: network.proxies.clone(), offline, dead: Mutex::default() }
    }

    /// Why the server of this URL is not to be asked again, if so.
    pub(super) fn dead(&self, url: &str) -> Option<Failure> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).get(server(url)).and_then(Failure::of_server)
    }

    /// A whole document of at most `limits.small` bytes.
    pub(super) fn small(&self, url: &str, limits: &Limits, budget: Duration) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let body = self.open(url, 0, limits, budget)?;
        if body.len.is_some_and(|len| len > limits.small) {
            return Err(too_long(limits.small));
        }
        let len = body.len;
        let limits = Limits { deadline: limits.deadline.min(budget), ..limits.clone() };
        let never = AtomicBool::new(false);
        let read = pump(body.reader, limits.small, &limits, &never, |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        });
        self.note(url, read)?;
        if len.is_some_and(|len| len != out.len() as u64) {
            return Err(Failure::Broken(format!("it ended after {} bytes", out.len())));
        }
        Ok(out)
    }

    /// Downloads into `partial`, going on where that ends, until it has the wanted size and digest.
    #[expect(clippy::too_many_arguments, reason = "one caller; a struct would only rename them")]
    pub(super) fn download(
        &self,
        url: &str,
        partial: &mut Partial,
        want: Want,
        limits: &Limits,
        budget: Duration,
        count: &dyn Fn(u64),
        stop: &AtomicBool,
    ) -> Result<()> {
        let resumed = partial.len() > 0;
        match self.download_once(url, partial, want, limits, budget, count, stop) {
            // What was there before may have been the wrong half.
            Err(Failure::Wrong(_)) if resumed => {
                partial.clear()?;
                self.download_once(url, partial, want, limits, budget, count, stop)
            }
            result => result,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "as `download`")]
    fn download_once(
        &self,
        url: &str,
        partial: &mut Partial,
        want: Want,
        limits: &Limits,
        budget: Duration,
        count: &dyn Fn(u64),
        stop: &AtomicBool,
    ) -> Result<()> {
        let body = self.open(url, partial.len(), limits, budget)?;
        if body.start != partial.len() {
            partial.clear()?;
        }
        let rest = want.size - partial.len();
        if let Some(len) = body.len.filter(|len| *len != rest) {
            partial.clear()?;
            return Err(Failure::Wrong(format!("expected {rest} bytes, the server offers {len}")));
        }
        let read = pump(body.reader, rest, limits, stop, |bytes| {
            partial.append(bytes)?;
            count(partial.len());
            Ok(())
        });
        if matches!(read, Err(Failure::Wrong(_))) {
            partial.clear()?;
        }
        self.note(url, read)?;
        if partial.len() < want.size {
            return Err(Failure::Broken(format!("it ended after {} of {} bytes", partial.len(), want.size)));
        }
        let found = partial.digest();
        if found != want.sha256 {
            partial.clear()?;
            return Err(Failure::Wrong(format!("expected the SHA-256 {}, found {found}", want.sha256)));
        }
        Ok(())
    }

    fn open(&self, url: &str, from: u64, limits: &Limits, budget: Duration) -> Result<Body> {
        if let Some(path) = url.strip_prefix("file://") {
            return open_file(path, from);
        }
        if self.offline {
            return Err(Failure::Permanent("not asked, because of --offline".to_owned()));
        }
        let opened = self.open_http(url, from, limits, budget);
        self.note(url, opened)
    }

    fn open_http(&self, url: &str, from: u64, limits: &Limits, budget: Duration) -> Result<Body> {
        let started = Instant::now();
        let mut url = url.to_owned();
        for _ in 0..=limits.redirects {
            let left = budget.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
            let mut request = self.agent.get(&url);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let response = request
                .config()
                .proxy(self.proxies.of(&url).cloned())
                .timeout_resolve(Some(limits.connect.min(left)))
                .timeout_connect(Some(limits.connect.min(left)))
                .timeout_recv_response(Some(limits.stall.min(left)))
                .build()
                .call()
                .map_err(|e| match Refusal::of(&e) {
                    Some(refusal) => {
                        // It is this server, not the one that led here.
                        let failure = Failure::Untrusted(refusal.clone());
                        self.remember(&url, &failure);
                        failure
                    }
                    None => Failure::Dead(text(&e)),
                })?;
            let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
            let status = response.status();
            match status.as_u16() {
                200 => {
                    let len = header("content-length").and_then(|v| v.parse().ok());
                    return Ok(Body { reader: Box::new(response.into_body().into_reader()), start: 0, len });
                }
                206 if from > 0 => {
                    let range = header("content-range").unwrap_or_default();
                    if !range.starts_with(&format!("bytes {from}-")) {
                        return Err(Failure::Wrong(format!("asked from byte {from}, got {range:?}")));
                    }
                    let len = header("content-length").and_then(|v| v.parse().ok());
                    return Ok(Body {
                        reader: Box::new(response.into_body().into_reader()),
                        start: from,
                        len,
                    });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let to = header("location").unwrap_or_default();
                    url = redirect(&url, to).map_err(Failure::Permanent)?;
                }
                408 | 416 | 425 | 429 | 500..=599 => return Err(Failure::Dead(format!("HTTP {status}"))),
                _ => return Err(Failure::Permanent(format!("HTTP {status}"))),
            }
        }
        Err(Failure::Permanent(format!("more than {} redirects", limits.redirects)))
    }

    /// Remembers a server that does not deliver.
    fn note<T>(&self, url: &str, result: Result<T>) -> Result<T> {
        if let Err(failure @ Failure::Dead(_)) = &result
            && !url.starts_with("file://")
        {
            self.remember(url, failure);
        }
        result
    }

    fn remember(&self, url: &str, failure: &Failure) {
        if let Some(failure) = failure.of_server() {
            let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
            dead.insert(server(url).to_owned(), failure);
        }
    }
}

/// Reads at most `cap` bytes and looks at the clock while doing so.
fn pump(
    mut reader: impl Read,
    cap: u64,
    limits: &Limits,
    stop: &AtomicBool,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    let started = Instant::now();
    let (mut window, mut in_window) = (started, 0);
    let mut buffer = vec![0; BUFFER];
    let mut total = 0u64;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if is_timeout(&e) => return Err(Failure::Dead(format!("it stalled after {total} bytes"))),
            Err(e) => return Err(Failure::Broken(format!("it broke off after {total} bytes: {e}"))),
        };
        total += n as u64;
        in_window += n as u64;
        if total > cap {
            return Err(too_long(cap));
        }
        sink(&buffer[..n])?;
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::Permanent("stopped".to_owned()));
        }
        let elapsed = window.elapsed();
        // Checked only while bytes are missing: the last read of a whole file is not slow.
        if elapsed >= limits.rate_window && total < cap {
            let rate = (in_window as f64 / elapsed.as_secs_f64()) as u64;
            if rate < limits.min_rate {
                return Err(Failure::Broken(format!(
                    "too slow: {rate} bytes/s, minimum {}",
                    limits.min_rate
                )));
            }
            (window, in_window) = (Instant::now(), 0);
        }
        if started.elapsed() > limits.deadline && total < cap {
            return Err(Failure::Dead(format!("it took longer than {} s", limits.deadline.as_secs())));
        }
    }
}

fn too_long(cap: u64) -> Failure {
    Failure::Wrong(format!("it is longer than the {cap} bytes it may have"))
}

fn open_file(path: &str, from: u64) -> Result<Body> {
    let path = decode(path);
    let missing = |e: io::Error| Failure::Permanent(format!("cannot be read: {e}"));
    let mut file = File::open(&path).map_err(missing)?;
    let meta = file.metadata().map_err(missing)?;
    if !meta.is_file() {
        return Err(Failure::Permanent("it is not a file".to_owned()));
    }
    let start = if from <= meta.len() { from } else { 0 };
    file.seek(SeekFrom::Start(start)).map_err(missing)?;
    Ok(Body { reader: Box::new(file), start, len: Some(meta.len() - start) })
}

/// `scheme://host:port` of a URL.
fn server(url: &str) -> &str {
    let start = url.find("://").map_or(0, |i| i + 3);
    let end = url[start..].find('/').map_or(url.len(), |i| start + i);
    &url[..end]
}

fn decode(path: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digits =
            bytes.get(i + 1..i + 3).filter(|d| bytes[i] == b'%' && d.iter().all(u8::is_ascii_hexdigit));
        match digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(out).into()
}

/// ureq's timeouts come out of a reader as one error inside another.
fn is_timeout(err: &io::Error) -> bool {
    let inner = err.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>());
    err.kind() == io::ErrorKind::TimedOut || matches!(inner, Some(ureq::Error::Timeout(_)))
}

fn text(err: &ureq::Error) -> String {
    match err {
        ureq::Error::Timeout(what) => format!("no answer in time ({what})"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_are_decoded() {
        assert_eq!(decode("/a%20b%2/c"), PathBuf::from("/a b%2/c"));
    }
}
