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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "let pkg = 1;\nlet a = 2; // two\nfn f() {}\n";

    fn change(name: &'static str, source: &str) -> Change {
        Change { name, source: source.to_owned() }
    }

    #[test]
    fn what_is_missing_comes_behind_its_family_or_pkg() {
        let spliced = |text: &str, family: &[&str]| splice(text, &[change("b", "3")], family).unwrap();
        assert_eq!(spliced(TEXT, &["a", "b"]), TEXT.replace("// two\n", "// two\nlet b = 3;\n"));
        let title = "\n// State: written by recipe.\n";
        assert_eq!(spliced(TEXT, &["b"]), TEXT.replacen('\n', &format!("\n{title}let b = 3;\n"), 1));
        // Another statement in the line is not moved; a last line without an end gets one.
        assert_eq!(
            spliced("let pkg = 1; fn f() {}", &[]),
            format!("let pkg = 1;\n{title}let b = 3;\n fn f() {{}}")
        );
        assert_eq!(spliced("let pkg = 1; // x", &[]), format!("let pkg = 1; // x\n{title}let b = 3;\n"));
        assert_eq!(spliced("fn f() {}", &[]), format!("{title}let b = 3;\nfn f() {{}}"));
    }

    #[test]
    fn several_values_change_in_any_order() {
        let changes = [change("a", "[\n1]"), change("pkg", "0")];
        let text = TEXT.replace('\n', "\r\n");
        assert_eq!(
            splice(&text, &changes, &[]).unwrap(),
            "let pkg = 0;\r\nlet a = [\r\n1]; // two\r\nfn f() {}\r\n"
        );
        let refused = splice("let pkg = 1; const a = 2;", &changes, &[]).unwrap_err();
        assert_eq!(refused, SyntaxError::new(13, "expected `let a`, found `const`: it changes"));
    }

    /// Whatever went wrong before, this sees it.
    #[test]
    fn a_result_that_is_not_what_was_wanted_is_refused() {
        let top = Top::of(TEXT).unwrap();
        let changes = [change("a", "3")];
        let good = TEXT.replace("2;", "3;");
        assert_eq!(check(&top, &good, &changes), Ok(()));
        for bad in [
            TEXT.to_owned(),
            good.replace("= 1", "= 9"),
            good.replace("let pkg = 1;", ""),
            good.replace("fn f", "fn g"),
            good.replace("fn f() {}", ""),
            good.replace("let a = 3;", ""),
            good.replace("3;", "3"),
        ] {
            assert!(check(&top, &bad, &changes).is_err(), "{bad}");
        }
    }
}
