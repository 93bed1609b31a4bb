//! One request through ureq: redirects, ranges and time limits are decided here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use common::url::redirect;
use ureq::unversioned::transport::DefaultConnector;

use super::resolver::Dns;
use crate::interrupt::Interrupt;
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
    /// Worth another try from where it ended.
    #[error("{0}")]
    Broken(String),
    /// This machine's fault.
    #[error("failed to write")]
    Local(#[from] io::Error),
}

/// The HTTP client.
#[derive(Debug)]
pub(super) struct Transport {
    agent: ureq::Agent,
}

impl Transport {
    pub(super) fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("recipe/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .build();
        Self { agent: ureq::Agent::with_parts(config, DefaultConnector::new(), Dns) }
    }

    /// Appends to a file, called `name` for people, that has the first `from` bytes what comes behind them; starts over where
    /// the server wants that. More than `most` bytes are an error.
    pub(super) fn get(
        &self,
        url: &str,
        name: &str,
        from: u64,
        file: &mut File,
        most: u64,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&url);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let response = request.call().map_err(|e| match e {
                ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Permanent(e.to_string()),
                e => Failure::Broken(e.to_string()),
            })?;
            let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
            let status = response.status();
            let length = header("content-length").and_then(|v| v.parse::<u64>().ok());
            let start = match status.as_u16() {
                200 => 0,
                206 if header("content-range").is_some_and(|r| r.starts_with(&format!("bytes {from}-"))) => {
                    from
                }
                206 => return Err(restart(file, format!("asked from byte {from}, got another range"))),
                // It is shorter than what is here: something else than before.
                416 => return Err(restart(file, "the file on the server has changed".to_owned())),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header("location").unwrap_or_default();
                    url = redirect(&url, to).map_err(Failure::Permanent)?;
                    continue;
                }
                408 | 425 | 429 | 500..=599 => return Err(Failure::Broken(format!("HTTP {status}"))),
                _ => return Err(Failure::Permanent(format!("HTTP {status}"))),
            };
            if start == 0 {
                rewind(file)?;
            }
            let mut progress = Transfer::new(name, start, length.map(|length| start + length));
            let read = pump(response.into_body().into_reader(), file, start, most, interrupt, &mut progress)?;
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

fn rewind(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    io::Seek::rewind(file)
}

fn restart(file: &mut File, why: String) -> Failure {
    rewind(file).map_or_else(Failure::Local, |()| Failure::Broken(why))
}

fn pump(
    mut reader: impl Read,
    file: &mut File,
    start: u64,
    most: u64,
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
