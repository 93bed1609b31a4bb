//! One request through ureq: redirects, ranges and time limits are decided here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Once;
use std::time::{Duration, Instant};

use common::proxy::Proxies;
use common::tls::{Https, Refusal, Store};
use common::url::redirect;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, SocksConnector};

use super::part::{CHANGED, Part, field};
use super::resolver::Dns;
use super::socket::Sockets;
use crate::interrupt::{Interrupt, PAUSE};
use crate::voice::progress::Transfer;

const BUFFER: usize = 128 << 10;
const REDIRECTS: usize = 10;
/// A server has so long to answer, and to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a request brought nothing, or not all.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It will not work later either.
    #[error("{0}")]
    Permanent(String),
    /// Nobody vouches for the server, or it is not known who may.
    #[error("{0}")]
    Untrusted(Refusal),
    /// Worth another try from where it ended.
    #[error("{0}")]
    Broken(String),
    /// It is longer than the file that is wanted.
    #[error("it is longer than {0} bytes")]
    Long(u64),
    /// This machine's fault.
    #[error("failed to write")]
    Local(#[from] io::Error),
}

/// The HTTP client.
#[derive(Debug)]
pub(super) struct Transport {
    agent: ureq::Agent,
    proxies: Result<Proxies, Refusal>,
    watched: Once,
    interrupt: Interrupt,
}

impl Transport {
    pub(super) fn new(interrupt: Interrupt) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("recipe/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build();
        let connector = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
        let connector = connector.chain(Sockets(interrupt.clone())).chain(Https::new(Store::from_env()));
        let agent = ureq::Agent::with_parts(config, connector, Dns(interrupt.clone()));
        Self { agent, proxies: Proxies::from_env(), watched: Once::new(), interrupt }
    }

    /// Appends to what has begun of a file, called `name` for people, what comes behind that; starts over where the server wants
    /// that. What is longer than the file that is wanted (`limit`), or than anything may be (`most`), is cut off there.
    pub(super) fn get(
        &self,
        url: &str,
        name: &str,
        part: &mut Part<'_>,
        (limit, most): (Option<u64>, u64),
    ) -> Result<(), Failure> {
        let proxies = self.proxies.as_ref().map_err(|refusal| Failure::Untrusted(refusal.clone()))?;
        if proxies.has_socks() {
            self.watched.call_once(|| end_with(self.agent.clone(), self.interrupt.clone()));
        }
        let from = part.goes_on_at()?;
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&url).config().proxy(proxies.of(&url).cloned()).build();
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
                if let Some(name) = part.name() {
                    request = request.header("If-Range", name);
                }
            }
            let response = request.call().map_err(|e| match (Refusal::of(&e), &e) {
                (Some(refusal), _) => Failure::Untrusted(refusal.clone()),
                (None, ureq::Error::BadUri(_) | ureq::Error::Http(_)) => Failure::Permanent(e.to_string()),
                (None, e) => Failure::Broken(e.to_string()),
            })?;
            let header = |name: &str| field(response.headers(), name);
            let status = response.status();
            let length = header("content-length").and_then(|v| v.parse::<u64>().ok());
            let start = match status.as_u16() {
                200 => {
                    part.begin(&response)?;
                    0
                }
                206 if from > 0 => match part.is_rest(from, &response) {
                    Ok(()) => from,
                    Err(why) => return Err(restart(part, why)),
                },
                // It is shorter than what is here: something else than before.
                416 => return Err(restart(part, CHANGED.to_owned())),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header("location").unwrap_or_default();
                    url = redirect(&url, to).map_err(Failure::Permanent)?;
                    continue;
                }
                408 | 425 | 429 | 500..=599 => return Err(Failure::Broken(format!("HTTP {status}"))),
                _ => return Err(Failure::Permanent(format!("HTTP {status}"))),
            };
            // What it announces is believed only against it.
            if let (Some(limit), Some(length)) = (limit, length)
                && start.saturating_add(length) > limit
            {
                return Err(Failure::Long(limit));
            }
            let mut progress = Transfer::new(name, start, length.map(|length| start + length));
            let read = pump(
                response.into_body().into_reader(),
                part.file(),
                start,
                (limit, most),
                &self.interrupt,
                &mut progress,
            )?;
            return match length {
                Some(length) if read != length => {
                    Err(Failure::Broken(format!("it ended after {read} of {length} bytes")))
                }
                _ => {
                    progress.done();
                    Ok(())
                }
            };
        }
        Err(Failure::Permanent(format!("more than {REDIRECTS} redirects")))
    }
}

/// Ends what waits when ^C comes: connections to SOCKS proxies are made by ureq, which knows nothing of it.
fn end_with(agent: ureq::Agent, interrupt: Interrupt) {
    std::thread::spawn(move || {
        while !interrupt.is_set() {
            std::thread::sleep(PAUSE);
        }
        agent.shutdown();
    });
}

fn restart(part: &mut Part<'_>, why: String) -> Failure {
    part.empty().map_or_else(Failure::Local, |()| Failure::Broken(why))
}

fn pump(
    mut reader: impl Read,
    file: &mut File,
    start: u64,
    (limit, most): (Option<u64>, u64),
    interrupt: &Interrupt,
    progress: &mut Transfer,
) -> Result<u64, Failure> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0u64;
    let since = Instant::now();
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(Failure::Broken(format!("it broke off after {total} bytes: {e}"))),
        };
        if interrupt.is_set() {
            return Err(Failure::Broken("interrupted".to_owned()));
        }
        if let Some(limit) = limit.filter(|limit| start + total + n as u64 > *limit) {
            return Err(Failure::Long(limit));
        }
        file.write_all(&buffer[..n])?;
        total += n as u64;
        progress.add(n as u64);
        if start + total > most {
            return Err(Failure::Permanent(format!("it is longer than {most} bytes")));
        }
        // Less than a kilobyte a second for minutes is nobody's network.
        if since.elapsed() > 10 * PATIENCE && total / 1024 < since.elapsed().as_secs() {
            return Err(Failure::Broken(format!(
                "too slow: {total} bytes in {} s",
                since.elapsed().as_secs()
            )));
        }
    }
}
