//! Dependencies as rpm writes them: `name`, `name >= epoch:version-release`, or a rich dependency in parentheses.

use std::fmt;

/// `<` (RPMSENSE_LESS)
pub const LESS: u32 = 1 << 1;
/// `>` (RPMSENSE_GREATER)
pub const GREATER: u32 = 1 << 2;
/// `=` (RPMSENSE_EQUAL)
pub const EQUAL: u32 = 1 << 3;
/// Needed by a scriptlet, in this crate: must be installed before (RPMSENSE_PREREQ)
pub const PREREQ: u32 = 1 << 6;
/// Needs a feature of rpm itself (RPMSENSE_RPMLIB)
pub const RPMLIB: u32 = 1 << 24;

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dep {
    /// A name, a path, a capability, or a whole rich dependency with its parentheses.
    pub name: String,
    /// The bits above.
    pub flags: u32,
    /// `[epoch:]version[-release]`; empty without a comparison.
    pub version: String,
}

impl Dep {
    /// Parses `name OP version`; anything else is a name as it stands.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let plain = Self { name: text.trim().to_owned(), flags: 0, version: String::new() };
        if plain.name.starts_with('(') {
            return plain;
        }
        let mut words = plain.name.split_whitespace();
        let (Some(name), Some(op), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return plain;
        };
        let flags = match op {
            "<" => LESS,
            "<=" => LESS | EQUAL,
            "=" => EQUAL,
            ">=" => GREATER | EQUAL,
            ">" => GREATER,
            _ => return plain,
        };
        Self { name: name.to_owned(), flags, version: version.to_owned() }
    }

    /// Whether it is a rich (boolean) dependency.
    #[must_use]
    pub fn is_rich(&self) -> bool {
        self.name.starts_with('(')
    }

    /// The comparison as text, `""` for none.
    #[must_use]
    pub fn operator(&self) -> &'static str {
        match self.flags & (LESS | GREATER | EQUAL) {
            LESS => "<",
            GREATER => ">",
            EQUAL => "=",
            6 => "<>",
            10 => "<=",
            12 => ">=",
            _ => "",
        }
    }
}

impl From<&str> for Dep {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl fmt::Display for Dep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operator() {
            "" => f.write_str(&self.name),
            op => write!(f, "{} {op} {}", self.name, self.version),
        }
    }
}
