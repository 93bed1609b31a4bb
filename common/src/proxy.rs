//! The variables that name proxies -> by which proxy a URL is reached, for all who download.
//!
//! ```text
//! https_proxy, HTTPS_PROXY   for https
//! http_proxy, HTTP_PROXY     for http
//! all_proxy, ALL_PROXY       for both, where there is none of those
//! no_proxy, NO_PROXY         hosts that are reached directly: names with all below them, addresses, `*`; commas between them
//! ```
//!
//! The first of a line that is set counts; what is empty is not set. That is curl's order. A proxy that cannot be used is an error: to
//! go without it would show a server, or the network, what the user meant to hide. What it says is never shown: it may hold a password.

use std::ffi::OsString;
use std::net::IpAddr;

use ureq::{Proxy, ProxyProtocol};

use crate::tls::Refusal;

const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const NONE: [&str; 2] = ["no_proxy", "NO_PROXY"];

const HINT: &str = "expected a URL like http://proxy.example:3128; it can begin with http, https, socks4, socks4a, socks5 or \
    socks5h, and without a scheme it is http";

/// The proxies of a user.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// Those that the environment names.
    ///
    /// # Errors
    /// One is none that can be used.
    pub fn from_env() -> Result<Self, Refusal> {
        Self::of_variables(|name| std::env::var_os(name))
    }

    fn of_variables(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, Refusal> {
        let set = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, get(name).filter(|value| !value.is_empty())?)))
        };
        let direct = set(&NONE).map(|(_, hosts)| hosts.to_string_lossy().into_owned()).unwrap_or_default();
        let proxy = |names| set(names).map(|(name, value)| proxy(name, value, &direct)).transpose();
        Ok(Self { http: proxy(&HTTP)?, https: proxy(&HTTPS)? })
    }

    /// The one for this URL. It knows itself which hosts it is not for.
    #[must_use]
    pub fn of(&self, url: &str) -> Option<&Proxy> {
        let scheme = url.split(':').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("https") { self.https.as_ref() } else { self.http.as_ref() }
    }

    /// Whether one of them is a SOCKS proxy.
    #[must_use]
    pub fn has_socks(&self) -> bool {
        let http = |proxy: &Proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        [&self.http, &self.https].into_iter().flatten().any(|proxy| !http(proxy))
    }
}

fn proxy(name: &str, value: OsString, direct: &str) -> Result<Proxy, Refusal> {
    let refused = || Refusal {
        what: format!("{name} is not a proxy that can be used"),
        hint: HINT.to_owned(),
        everywhere: true,
    };
    let read = Proxy::new(&value.into_string().map_err(|_| refused())?).map_err(|_| refused())?;
    let mut builder = Proxy::builder(read.protocol()).host(read.host()).port(read.port());
    if let Some(user) = read.username() {
        builder = builder.username(user);
    }
    if let Some(password) = read.password() {
        builder = builder.password(password);
    }
    for host in direct.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let plain = host.trim_start_matches('.').trim_start_matches('[').trim_end_matches(']');
        builder = builder.no_proxy(host).no_proxy(plain);
        match plain.parse() {
            Ok(IpAddr::V4(_)) => {}
            // In URLs they stand in brackets.
            Ok(IpAddr::V6(_)) => builder = builder.no_proxy(&format!("[{plain}]")),
            Err(_) if plain.starts_with('*') => {}
            Err(_) => builder = builder.no_proxy(&format!(".{plain}")),
        }
    }
    builder.build().map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::Uri;

    fn proxies(set: &[(&str, &str)]) -> Result<Proxies, Refusal> {
        Proxies::of_variables(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        })
    }

    fn host_for(set: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = proxies(set).expect("usable");
        let proxy = proxies.of(url).filter(|p| !p.is_no_proxy(&url.parse::<Uri>().expect("a URL")));
        proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn each_scheme_has_its_own_and_all_proxy_is_for_what_has_none() {
        let all = [("all_proxy", "http://all"), ("HTTPS_PROXY", "http://s:1"), ("http_proxy", "")];
        assert_eq!(host_for(&all, "https://a/"), Some("s:1".to_owned()));
        assert_eq!(host_for(&all, "HTTP://a/"), Some("all:80".to_owned()));
        let both = [("https_proxy", "small:1"), ("HTTPS_PROXY", "http://large:2")];
        assert_eq!(host_for(&both, "HTTPS://a/"), Some("small:1".to_owned()));
        assert_eq!(host_for(&both, "http://a/"), None);
        assert_eq!(host_for(&[], "https://a/"), None);
        let six = [("all_proxy", "http://[::1]:3128")];
        assert_eq!(host_for(&six, "https://a/"), Some("[::1]:3128".to_owned()));
    }

    #[test]
    fn hosts_are_reached_directly_with_all_below_them() {
        let direct = |hosts: &str, url: &str| {
            host_for(&[("ALL_PROXY", "http://p"), ("NO_PROXY", hosts)], url).is_none()
        };
        for (hosts, url) in [
            ("example.com", "https://example.com/"),
            ("example.com", "http://www.Example.com:80/"),
            (".example.com", "https://www.example.com/"),
            (".example.com", "https://example.com/"),
            ("a, 127.0.0.1 ,b", "http://127.0.0.1:1234/"),
            ("::1", "http://[::1]:1234/"),
            ("[::1]", "http://[::1]:1234/"),
            ("*", "https://anything/"),
        ] {
            assert!(direct(hosts, url), "{hosts} {url}");
        }
        for (hosts, url) in [
            ("example.com", "https://badexample.com/"),
            ("127.0.0.1", "http://1.127.0.0.1.nip/"),
            ("", "https://a/"),
            (", ,", "https://a/"),
        ] {
            assert!(!direct(hosts, url), "{hosts} {url}");
        }
        let small = [("ALL_PROXY", "http://p"), ("NO_PROXY", "b"), ("no_proxy", "a")];
        assert_eq!(
            (host_for(&small, "http://a/"), host_for(&small, "http://b/")),
            (None, Some("p:80".to_owned()))
        );
    }

    #[test]
    fn one_that_cannot_be_used_is_refused_and_its_password_not_shown() {
        use std::os::unix::ffi::OsStringExt;
        for value in ["ftp://u:secret@p", "sock5://u:secret@p", "http://", "http://u:secret@", "a b"] {
            let refusal = proxies(&[("https_proxy", value)]).expect_err(value);
            assert!(refusal.to_string().contains("https_proxy") && refusal.everywhere, "{refusal}");
            assert!(!format!("{refusal:?}").contains("secret"), "{refusal:?}");
        }
        let no_text = |name: &str| (name == "ALL_PROXY").then(|| OsString::from_vec(vec![0xff]));
        assert!(Proxies::of_variables(no_text).is_err());
        let named = proxies(&[("all_proxy", "socks5h://me:a%40b@p")]).expect("usable");
        let proxy = named.of("https://x").expect("for all");
        assert_eq!((proxy.username(), proxy.password(), proxy.port()), (Some("me"), Some("a@b"), 1080));
        assert!(named.has_socks() && !proxies(&[("all_proxy", "p")]).expect("usable").has_socks());
    }
}
