//! Text + new values of variables -> text. Only the values change: comments, order and formatting stay as they are.

use super::scan::SyntaxError;
use super::top::Top;

/// A variable and the source of its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// The value as Rhai source.
    pub source: String,
}

/// Puts new values in; variables that are not there are added behind the last of the `family`, or behind `pkg`.
///
/// # Errors
/// The text is not a recipe, or would not be one afterwards.
pub fn splice(text: &str, changes: &[Change], family: &[&str]) -> Result<String, SyntaxError> {
    let top = Top::of(text)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let source = |change: &Change| change.source.replace('\n', newline);
    // (where, how much is replaced, by what)
    let mut edits = Vec::new();
    let mut missing = String::new();
    let anchor = family.iter().filter_map(|name| Some(top.get(name)?.span.end)).max();
    for change in changes {
        match top.get(change.name) {
            Some(found) if found.constant => {
                let message = format!("expected `let {}`, found `const`: it changes", change.name);
                return Err(SyntaxError::new(found.span.start, message));
            }
            Some(found) => edits.push((found.value.clone(), source(change))),
            None => missing.push_str(&format!("let {} = {};{newline}", change.name, source(change))),
        }
    }
    if !missing.is_empty() {
        let behind = anchor.or_else(|| top.get("pkg").map(|l| l.span.end)).unwrap_or(0);
        // A comment behind the statement stays with it; whatever else follows in its line is another statement.
        let line_end = text[behind..].find('\n').map_or(text.len(), |i| behind + i + 1);
        let rest = text[behind..line_end].trim();
        let at = if rest.is_empty() || rest.starts_with("//") { line_end } else { behind };
        let ended = at == 0 || text[..at].ends_with('\n');
        let before = if ended { "" } else { newline };
        let title = if anchor.is_none() {
            format!("{newline}// State: written by recipe.{newline}")
        } else {
            String::new()
        };
        edits.push((at..at, format!("{before}{title}{missing}")));
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + missing.len());
    let mut last = 0;
    for (span, new) in edits {
        out.push_str(&text[last..span.start]);
        out.push_str(&new);
        last = span.end;
    }
    out.push_str(&text[last..]);
    check(&top, &out, changes)?;
    Ok(out)
}

/// What must hold of the result, whatever was done to get it.
fn check(before: &Top, text: &str, changes: &[Change]) -> Result<(), SyntaxError> {
    let after = Top::of(text)?;
    let changed = |name: &str| changes.iter().any(|c| c.name == name);
    let mut kept = before.lets.iter().filter(|l| !changed(&l.name));
    let same = before.functions.iter().map(|f| &f.0).eq(after.functions.iter().map(|f| &f.0))
        && kept.all(|l| after.get(&l.name).is_some_and(|new| new.literal == l.literal))
        && changes.iter().all(|c| {
            let value = after.get(c.name).map(|l| text[l.value.clone()].replace('\r', ""));
            value.as_deref() == Some(&c.source)
        });
    if same { Ok(()) } else { Err(SyntaxError::new(0, "the new state does not fit into this text")) }
}
