//! Unit names, systemd.unit(5): `prefix[@[instance]].type`.

/// Unit types, systemd.unit(5).
const TYPES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "device",
    "mount",
    "automount",
    "swap",
    "timer",
    "path",
    "slice",
    "scope",
];

/// Types that may have other names.
const ALIASABLE: [&str; 6] = ["service", "socket", "target", "device", "timer", "path"];

/// A valid unit name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnitName<'a> {
    /// The whole name.
    pub(super) full: &'a str,
    /// Before `@`, or before the type.
    pub(super) prefix: &'a str,
    /// `None` for a plain unit, `Some("")` for a template.
    pub(super) instance: Option<&'a str>,
    /// Without the dot.
    pub(super) kind: &'a str,
}

impl<'a> UnitName<'a> {
    /// Parses a name; `None` if it is not one (paths never are).
    pub(super) fn parse(full: &'a str) -> Option<Self> {
        let (stem, kind) = full.rsplit_once('.')?;
        let char_is_valid = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
        if full.len() > 255 || !TYPES.contains(&kind) || !stem.bytes().all(char_is_valid) {
            return None;
        }
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance)),
            None => (stem, None),
        };
        (!prefix.is_empty()).then_some(Self { full, prefix, instance, kind })
    }

    /// `getty@.service`.
    pub(super) fn is_template(&self) -> bool {
        self.instance == Some("")
    }

    /// `getty@tty1.service`.
    pub(super) fn is_instance(&self) -> bool {
        self.instance.is_some_and(|i| !i.is_empty())
    }

    /// The template of an instance.
    pub(super) fn template(&self) -> Option<String> {
        self.is_instance().then(|| format!("{}@.{}", self.prefix, self.kind))
    }

    /// The same template or instance with another instance.
    pub(super) fn with_instance(&self, instance: &str) -> String {
        format!("{}@{instance}.{}", self.prefix, self.kind)
    }

    /// Whether `alias` may be another name of this unit: the same type, and both templates or both not.
    pub(super) fn may_be_called(&self, alias: &UnitName<'_>) -> bool {
        let shape = match (alias.instance, self.instance) {
            (None, None) => true,
            (Some(""), Some(theirs)) => theirs.is_empty(),
            (Some(ours), Some(theirs)) => theirs.is_empty() || ours == theirs,
            _ => false,
        };
        shape && alias.kind == self.kind && ALIASABLE.contains(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_paths() {
        let name = UnitName::parse("getty@tty1.service").unwrap();
        assert_eq!((name.prefix, name.instance, name.kind), ("getty", Some("tty1"), "service"));
        assert_eq!(name.template().unwrap(), "getty@.service");
        for bad in ["../x.service", "a/b.service", "x", ".service", "@x.service", "x.exe", "x y.service", ""]
        {
            assert_eq!(UnitName::parse(bad), None, "{bad}");
        }
    }
}
