//! The state of a package, as it stands in its recipe file.
//!
//! Top-level variables <-> [`State`]. `grep -l "installed = true"` must always be right, so the form of these lines, once written,
//! never varies: one space around `=`, one path a line. Where people wrote what deceives it, [`misleading`] says so.

use serde::{Deserialize, Serialize};

use crate::text::{Change, Place, SyntaxError, Top, Value, splice};

/// The variables that are not what a recipe says, but what is of it here: the state, and the pin ([`crate::pin`]).
pub const NAMES: [&str; 7] = [
    "installed",
    "installed_version",
    "installed_at",
    "installed_as_dep",
    "installed_tx",
    "installed_files",
    crate::pin::NAME,
];

/// What a recipe file says about its package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Whether it is installed.
    pub installed: bool,
    /// Which version is.
    #[serde(rename = "installed_version")]
    pub version: Option<String>,
    /// When, in seconds since 1970.
    #[serde(rename = "installed_at")]
    pub at: Option<i64>,
    /// Only because something needed it.
    #[serde(rename = "installed_as_dep")]
    pub as_dep: bool,
    /// The last transaction that changed this block; recovery decides by it.
    #[serde(rename = "installed_tx")]
    pub tx: Option<String>,
    /// Absolute paths in the system it is installed in.
    #[serde(rename = "installed_files")]
    pub files: Vec<String>,
}

impl State {
    /// Reads the block; what is not there is as before any installation.
    ///
    /// # Errors
    /// A variable has a value of another kind.
    pub fn of(top: &Top) -> Result<Self, SyntaxError> {
        Ok(Self {
            installed: get(top, "installed", "true or false", |v| match v {
                Value::Bool(v) => Some(*v),
                _ => None,
            })?
            .unwrap_or_default(),
            version: text(top, "installed_version")?,
            at: get(top, "installed_at", "a whole number or ()", |v| match v {
                Value::Unit => Some(None),
                Value::Int(v) => Some(Some(*v)),
                _ => None,
            })?
            .flatten(),
            as_dep: get(top, "installed_as_dep", "true or false", |v| match v {
                Value::Bool(v) => Some(*v),
                _ => None,
            })?
            .unwrap_or_default(),
            tx: text(top, "installed_tx")?,
            files: get(top, "installed_files", "an array of strings", Value::as_texts)?.unwrap_or_default(),
        })
    }

    /// The text of a recipe with this state instead of its own.
    ///
    /// # Errors
    /// The text is not a recipe, or holds state that cannot be replaced.
    pub fn splice(&self, text: &str) -> Result<String, SyntaxError> {
        let change = |name, source| Change { name, source };
        let option = |text: &Option<String>| text.as_deref().map_or_else(|| "()".to_owned(), quote);
        splice(
            text,
            &[
                change("installed", self.installed.to_string()),
                change("installed_version", option(&self.version)),
                change("installed_at", self.at.map_or_else(|| "()".to_owned(), |at| at.to_string())),
                change("installed_as_dep", self.as_dep.to_string()),
                change("installed_tx", option(&self.tx)),
                change("installed_files", list(&self.files)),
            ],
            &NAMES,
        )
    }
}

/// What people look for.
const SOUGHT: &str = "installed = true";

/// Where `grep "installed = true"` finds something else than the state of an installed package, or does not find that: places with
/// what is wrong there.
///
/// # Errors
/// The text is not a recipe.
pub fn misleading(text: &str) -> Result<Vec<SyntaxError>, SyntaxError> {
    let top = Top::of(text)?;
    let block = top.get("installed");
    // Where it stands in the statement that recipe writes.
    let own = block.map(|found| found.span.start + "let ".len());
    let found: Vec<usize> = text.match_indices(SOUGHT).map(|(at, _)| at).collect();
    let mut out: Vec<_> = found
        .iter()
        .filter(|at| Some(**at) != own)
        .map(|at| SyntaxError {
            offset: *at,
            message: format!("`grep \"{SOUGHT}\"` finds this, be the package installed or not"),
        })
        .collect();
    let hidden =
        block.filter(|b| b.literal == Some(Value::Bool(true)) && own.is_none_or(|o| !found.contains(&o)));
    out.extend(hidden.map(|block| SyntaxError {
        offset: block.span.start,
        message: format!("expected `let {SOUGHT};`, as `grep \"{SOUGHT}\"` finds it"),
    }));
    Ok(out)
}

fn text(top: &Top, name: &str) -> Result<Option<String>, SyntaxError> {
    let value = get(top, name, "a string or ()", |v| match v {
        Value::Unit => Some(None),
        Value::Text(text) => Some(Some(text.clone())),
        _ => None,
    })?;
    Ok(value.flatten())
}

fn get<T>(
    top: &Top,
    name: &str,
    expected: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, SyntaxError> {
    let Some(found) = top.get(name) else { return Ok(None) };
    if found.constant {
        let message = format!("expected `let {name}`, found `const`: it changes");
        return Err(SyntaxError { offset: found.span.start, message });
    }
    let value = found.literal.as_ref();
    let kind = value.map_or("an expression", Value::kind);
    value.and_then(read).map(Some).ok_or_else(|| SyntaxError {
        offset: found.value.start,
        message: format!("expected `{name}` to be {expected}, found {kind}"),
    })
}

fn list(paths: &[String]) -> String {
    if paths.is_empty() {
        return "[]".to_owned();
    }
    let lines: String = paths.iter().map(|p| format!("    {},\n", quote(p))).collect();
    format!("[\n{lines}]")
}

/// A string as Rhai source.
#[must_use]
pub fn quote(text: impl AsRef<str>) -> String {
    let mut out = String::from("\"");
    for c in text.as_ref().chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A syntax error of the text of a file, for people: `FILE:LINE:COLUMN: what`, and the line.
#[must_use]
pub fn located(path: &std::path::Path, text: &str, error: &SyntaxError) -> anyhow::Error {
    let place = Place::of(text, error.offset);
    anyhow::anyhow!("{}", excerpt(&path.display().to_string(), text, place, &error.message))
}

/// `FILE:LINE:COLUMN: what` and the line with a mark below the column.
#[must_use]
pub fn excerpt(path: &str, text: &str, place: Place, message: &str) -> String {
    let Some(line) = text.lines().nth(place.line - 1) else { return format!("{path}:{place}: {message}") };
    // Tabs stay tabs, so that the mark is below what it means.
    let blank: String =
        line.chars().take(place.column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    format!(
        "{path}:{place}: {message}\n    {margin} |\n    {number} | {}\n    {margin} | {blank}^",
        line.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTALLED: &str = "\
// let installed = false; in a comment
let pkg = #{ name: \"a\", version: `1` /* let installed = 1; */ }; // pkg
let installed = false; // mine
fn install() { let installed = 5; \"let installed = 7;\" }
";

    fn state() -> State {
        State {
            installed: true,
            version: Some("1.0 \"x\"\\".into()),
            at: Some(5),
            as_dep: true,
            tx: Some("t".into()),
            files: vec!["/a b".into(), "/ü\n\u{1}".into()],
        }
    }

    #[test]
    fn only_values_change_and_what_is_missing_comes_behind_the_others() {
        let text = state().splice(INSTALLED).unwrap();
        assert_eq!(
            text,
            INSTALLED.replace(
                "let installed = false; // mine\n",
                "let installed = true; // mine\nlet installed_version = \"1.0 \\\"x\\\"\\\\\";\nlet installed_at = 5;\n\
                 let installed_as_dep = true;\nlet installed_tx = \"t\";\nlet installed_files = [\n    \"/a b\",\n    \
                 \"/ü\\n\\u0001\",\n];\n"
            )
        );
        assert_eq!(Top::of(&text).and_then(|top| State::of(&top)), Ok(state()));
        // Back and forth: nothing grows.
        let back = State::default().splice(&text).unwrap();
        assert_eq!(state().splice(&back).unwrap(), text);
        // A real lexer agrees.
        rhai::Engine::new().compile(&text).unwrap();
    }

    #[test]
    fn files_without_the_block_get_it_wherever_pkg_stands() {
        for text in [
            "let pkg = #{ name: \"a\" }; fn install() {} // last",
            "let pkg = #{ name: \"a\" }; fn install() {}",
            "fn install() {}\r\nlet pkg = #{ name: \"a\" };\r\n\r\n",
        ] {
            let new = state().splice(text).unwrap();
            assert_eq!(Top::of(&new).and_then(|top| State::of(&top)), Ok(state()), "{new}");
            assert_eq!(text.contains('\r'), new.contains('\r'));
            assert!(
                !new.replace("\r\n", "").contains('\n') || !text.contains('\r'),
                "mixed line ends: {new:?}"
            );
            rhai::Engine::new().compile(&new).unwrap();
        }
    }

    #[test]
    fn state_of_another_kind_is_refused_where_it_is() {
        let error = |text: &str| {
            let top = Top::of(text).and_then(|top| State::of(&top)).unwrap_err();
            located("a.rhai".as_ref(), text, &top).to_string()
        };
        assert_eq!(
            error("let pkg = 1;\nlet installed = yes();"),
            "a.rhai:2:17: expected `installed` to be true or false, found an expression\n      |\n    2 | let installed = \
             yes();\n      |                 ^"
        );
        assert!(
            error("let installed_files = [1];")
                .contains("1:23: expected `installed_files` to be an array of strings")
        );
        assert!(state().splice("const installed = false;").is_err());
        assert!(error("let installed = true; let installed = false;").contains("is there twice"));
    }
}
