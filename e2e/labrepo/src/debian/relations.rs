//! Debian's relations and versions (deb-control(5), deb-version(7)) -> RPM's.
//!
//! `epoch:upstream-revision` becomes `epoch:version-release`; a native version has release 0. In dependencies the release
//! is always written, since Debian compares a missing revision as 0 where rpm would not compare it at all. `~` and `+`
//! survive. The two orders agree but for letters against `+` (see the test), which no package of the lab depends on.

use anyhow::{Context, bail};

use crate::rpm::Dep;

/// An RPM identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evr {
    /// 0 when Debian's version has none.
    pub epoch: u32,
    /// Upstream version.
    pub version: String,
    /// Debian revision.
    pub release: String,
}

impl Evr {
    /// Maps a Debian version.
    ///
    /// # Errors
    /// The epoch is not a number, or nothing is left of the version.
    pub fn parse(debian: &str) -> anyhow::Result<Self> {
        let (epoch, rest) = debian.split_once(':').unwrap_or(("0", debian));
        let epoch = epoch.parse().with_context(|| format!("{debian} has a strange epoch"))?;
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        if version.is_empty() || release.is_empty() {
            bail!("{debian:?} is not a Debian version");
        }
        // RPM's version may hold no dash; dot and dash only separate, in both orders.
        Ok(Self { epoch, version: version.replace('-', "."), release: release.to_owned() })
    }

    /// `[epoch:]version-release`, as dependencies say it.
    #[must_use]
    pub fn to_dep(&self) -> String {
        let epoch = if self.epoch == 0 { String::new() } else { format!("{}:", self.epoch) };
        format!("{epoch}{}-{}", self.version, self.release)
    }
}

/// Maps a comma-separated field. Clauses that `dropped` says are satisfied without a package are left out.
///
/// # Errors
/// The field cannot be parsed.
pub fn parse(field: &str, dropped: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Dep>> {
    let mut deps = Vec::new();
    for clause in field.split(',').map(str::trim).filter(|c| !c.is_empty()) {
        let alternatives: Vec<Dep> = clause.split('|').map(relation).collect::<anyhow::Result<_>>()?;
        if alternatives.iter().any(|d| dropped(&d.name)) {
            continue;
        }
        match &alternatives[..] {
            [single] => deps.push(single.clone()),
            several => {
                let words: Vec<String> = several.iter().map(ToString::to_string).collect();
                deps.push(Dep::parse(&format!("({})", words.join(" or "))));
            }
        }
    }
    Ok(deps)
}

/// `name[:arch] [(op version)] [[archs]]`
fn relation(text: &str) -> anyhow::Result<Dep> {
    let wrong = || format!("failed to parse the relation {text:?}");
    let text = text.trim();
    let (name, rest) = match text.find(['(', '[', ' ']) {
        Some(at) => (&text[..at], text[at..].trim_start()),
        None => (text, ""),
    };
    let name = name.split(':').next().unwrap_or(name);
    if name.is_empty() {
        bail!(wrong());
    }
    let Some(inner) = rest.strip_prefix('(') else { return Ok(Dep::parse(name)) };
    let (inner, _) = inner.split_once(')').with_context(wrong)?;
    let inner = inner.trim();
    let at = inner.find(|c: char| !"<>=".contains(c)).with_context(wrong)?;
    let op = match &inner[..at] {
        "<<" => "<",
        "<=" => "<=",
        "=" => "=",
        ">=" => ">=",
        ">>" => ">",
        _ => bail!(wrong()),
    };
    let version = inner[at..].trim();
    // `<< 1.0-.` is an idiom: every revision sorts before `-.`, so it means `1.0 or older`. To rpm `.` is nothing.
    if op == "<"
        && let Some(upstream) = version.strip_suffix("-.")
    {
        let evr = Evr::parse(upstream).with_context(wrong)?.to_dep();
        let evr = evr.strip_suffix("-0").unwrap_or(&evr);
        return Ok(Dep::parse(&format!("{name} <= {evr}")));
    }
    let version = Evr::parse(version).with_context(wrong)?;
    Ok(Dep::parse(&format!("{name} {op} {}", version.to_dep())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_keep_their_meaning() {
        let field = "libc6 (>= 2.38), git-man (<< 1:2.47.3-.), debconf (>= 0.5) | debconf-2.0, a:any (<< 1:2~), b (= 3-4) | c (>> 5) [amd64]";
        let deps = parse(field, |name| name == "debconf-2.0").unwrap();
        let words: Vec<String> = deps.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["libc6 >= 2.38-0", "git-man <= 1:2.47.3", "a < 1:2~-0", "(b = 3-4 or c > 5-0)"]);
        assert!(parse("a (>= )", |_| false).is_err());
        assert!(parse("a (?? 1)", |_| false).is_err());
    }

    #[test]
    fn versions_keep_epoch_tilde_and_plus() {
        let evr = Evr::parse("2:1.0~rc1-2+dfsg-3+deb13u1").unwrap();
        assert_eq!(evr, Evr { epoch: 2, version: "1.0~rc1.2+dfsg".into(), release: "3+deb13u1".into() });
        assert_eq!(Evr::parse("2026f").unwrap().to_dep(), "2026f-0");
    }
}
