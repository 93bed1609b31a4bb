//! Which versions of a package its user allows: `let pinned = "< 2";` in its recipe.
//!
//! Conditions as dependencies have them. The variable is the user's, not a transaction's: only `recipe pin` and `unpin` write
//! it, and whatever else happens to the package, it stays. A recipe without it is pinned to nothing, and gets none by itself.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::state::{NAMES, quote};
use crate::text::{Change, SyntaxError, Top, Value, splice};
use crate::version::Requirement;

/// The variable.
pub const NAME: &str = "pinned";

/// Conditions for a package's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin(Requirement);

impl Pin {
    /// Reads `< 2`, `>= 1, < 2`, or a version alone, which is that one.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(package: &str, text: &str) -> anyhow::Result<Self> {
        let wrong =
            || anyhow::anyhow!("expected a version or conditions like \">= 1.1, < 2\", found {text:?}");
        let text = text.trim();
        let alone = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let operator = if alone { "== " } else { "" };
        if text.is_empty() || text.contains(|c: char| c.is_control() || c == '/') {
            return Err(wrong());
        }
        Requirement::parse(&format!("{package} {operator}{text}")).map(Self).map_err(|_| wrong())
    }

    /// The pin that a recipe's text has.
    ///
    /// # Errors
    /// It has something else in that variable.
    pub fn of(top: &Top, package: &str) -> Result<Option<Self>, SyntaxError> {
        let Some(found) = top.get(NAME) else { return Ok(None) };
        let wrong = |message: String| SyntaxError { offset: found.value.start, message };
        match &found.literal {
            Some(Value::Unit) => Ok(None),
            Some(Value::Text(text)) => {
                Self::parse(package, text).map(Some).map_err(|e| wrong(format!("`{NAME}`: {e}")))
            }
            other => {
                let kind = other.as_ref().map_or("an expression", Value::kind);
                Err(wrong(format!("expected `{NAME}` to be a string or (), found {kind}")))
            }
        }
    }

    /// A recipe's text with this pin, or none, instead of its own.
    ///
    /// # Errors
    /// The text is not a recipe, or its pin cannot be replaced.
    pub fn splice(pin: Option<&Self>, text: &str) -> Result<String, SyntaxError> {
        if pin.is_none() && Top::of(text)?.get(NAME).is_none() {
            return Ok(text.to_owned());
        }
        let source = pin.map_or_else(|| "()".to_owned(), |pin| quote(pin.to_string()));
        splice(text, &[Change { name: NAME, source }], &NAMES)
    }

    /// Whether a version is allowed.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.0.accepts(version)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.to_string();
        f.write_str(all.strip_prefix(&self.0.name).unwrap_or(&all).trim_start())
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_versions_or_conditions() {
        for (text, shown, yes, no) in [
            ("1.2", "== 1.2", "1.2", "1.3"),
            ("v1.2.0", "== v1.2.0", "1.2.0", "1.2.1"),
            ("<2", "< 2", "1.9", "2"),
            (" >= 1.1,< 2 ", ">= 1.1, < 2", "1.5", "1.0"),
            ("b11194", "== b11194", "b11194", "b11195"),
        ] {
            let pin = Pin::parse("node@20", text).unwrap();
            assert_eq!(pin.to_string(), shown);
            assert!(pin.accepts(yes) && !pin.accepts(no), "{text}");
            assert_eq!(Pin::parse("node@20", &pin.to_string()).unwrap(), pin);
        }
        for text in ["", " ", "<", "~1", "1 2", "< 1 <", "1/2", "1,2", "a\nb"] {
            assert!(Pin::parse("p", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn it_stands_with_the_state_and_nothing_grows() {
        let pin = Pin::parse("a", "< 2").unwrap();
        let text =
            "let pkg = #{ name: \"a\", version: \"1\" };\nlet installed = true; // mine\nfn install() {}\n";
        assert_eq!(Pin::splice(None, text).unwrap(), text);
        let pinned = Pin::splice(Some(&pin), text).unwrap();
        assert_eq!(pinned, text.replace("// mine\n", "// mine\nlet pinned = \"< 2\";\n"));
        assert_eq!(Pin::of(&Top::of(&pinned).unwrap(), "a").unwrap(), Some(pin.clone()));
        let free = Pin::splice(None, &pinned).unwrap();
        assert_eq!(free, pinned.replace("\"< 2\"", "()"));
        assert_eq!(Pin::splice(Some(&pin), &free).unwrap(), pinned);
        rhai::Engine::new().compile(&pinned).unwrap();
    }
}
