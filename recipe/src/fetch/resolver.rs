//! Names of hosts -> addresses, without the C library: /etc/hosts, then the servers of /etc/resolv.conf.
//!
//! recipe is linked statically, so that it works on a system whose libraries do not. There glibc's getaddrinfo would load the
//! running system's NSS modules, which may be another glibc's.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::Resolver;
use hickory_resolver::net::NetError;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{self, ResolvedSocketAddrs};
use ureq::unversioned::transport::NextTimeout;

use crate::interrupt::{Interrupt, PAUSE};

/// How long a lookup may take when nobody says.
const PATIENCE: Duration = Duration::from_secs(30);

/// More addresses than ureq keeps of a host.
const MOST: usize = 16;

/// Asks DNS.
#[derive(Debug)]
pub(super) struct Dns(pub(super) Interrupt);

impl resolver::Resolver for Dns {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let invalid = || ureq::Error::BadUri(format!("{uri} has no host"));
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let limit = if timeout.after.is_not_happening() { PATIENCE } else { *timeout.after };
        // An IPv6 address stands in brackets.
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let found = match plain.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => lookup(plain, limit, &self.0)?,
        };
        let addresses = found.into_iter().map(|address| SocketAddr::new(address, port));
        let mut result = self.empty();
        config.ip_family().keep_wanted(addresses).take(MOST).for_each(|address| result.push(address));
        if result.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(result) }
    }
}

fn lookup(host: &str, limit: Duration, interrupt: &Interrupt) -> Result<Vec<IpAddr>, ureq::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = async {
        let resolver = Resolver::builder_tokio()?.build()?;
        let found = resolver.lookup_ip(host).await?;
        Ok::<_, NetError>(found.iter().collect())
    };
    let began = Instant::now();
    let found = runtime.block_on(async {
        let mut asked = std::pin::pin!(asked);
        loop {
            let found = tokio::time::timeout(PAUSE, asked.as_mut()).await;
            if found.is_ok() || interrupt.is_set() || began.elapsed() >= limit {
                break found;
            }
        }
    });
    match found {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(e)) if e.is_no_records_found() || e.is_nx_domain() => Err(ureq::Error::HostNotFound),
        Ok(Err(e)) => Err(ureq::Error::Io(std::io::Error::other(format!("failed to look up {host}: {e}")))),
        Err(_) => Err(ureq::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("failed to look up {host}: no answer within {} s", limit.as_secs()),
        ))),
    }
}
