//! Where the web may lead us: one rule for all who download.
//!
//! Only two tools do, fewer than `common` asks for; but a rule of security in two versions is one that only one of them has.

/// Where a redirect leads that a server answered with; `to` may be relative. Never from https to anything weaker, never to a
/// local file.
///
/// # Errors
/// It is not allowed, in words.
pub fn redirect(from: &str, to: &str) -> Result<String, String> {
    let (scheme, rest) = from.split_once("://").unwrap_or(("http", from));
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let target = if to.contains("://") {
        to.to_owned()
    } else if let Some(other) = to.strip_prefix("//") {
        format!("{scheme}://{other}")
    } else if to.starts_with('/') {
        format!("{scheme}://{host}{to}")
    } else if to.is_empty() {
        return Err("a redirect to nowhere".to_owned());
    } else {
        let path = rest.split(['?', '#']).next().unwrap_or(rest);
        let dir = path.rfind('/').map_or(path, |i| &path[..i]);
        format!("{scheme}://{dir}/{to}")
    };
    let allowed = target.starts_with("https://") || (scheme == "http" && target.starts_with("http://"));
    if allowed { Ok(target) } else { Err(format!("it redirects to {target:?}, which is not allowed")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_resolve_and_never_get_weaker() {
        assert_eq!(redirect("https://a/b/c", "d").unwrap(), "https://a/b/d");
        assert_eq!(redirect("http://a/b/c?q=/x", "/d").unwrap(), "http://a/d");
        assert_eq!(redirect("http://a", "d").unwrap(), "http://a/d");
        assert_eq!(redirect("http://a/b", "https://c/d").unwrap(), "https://c/d");
        assert_eq!(redirect("https://a/b", "//c/d").unwrap(), "https://c/d");
        for to in ["http://a/b", "file:///etc/passwd", "", "ftp://x/y"] {
            assert!(redirect("https://a/b", to).is_err(), "{to}");
        }
        assert!(redirect("http://a/b", "file:///etc/passwd").is_err());
    }
}
