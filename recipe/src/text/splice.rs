//! Text + new values of variables -> text. Their statements have one form, whatever they had before, for whoever looks for them
//! with `grep`; comments in them come behind them. Everything else stays as it is.

use super::comments::{comments, end_of_line};
use super::scan::SyntaxError;
use super::top::{Let, Top};
use super::words;

/// A variable and the source of its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// The value as Rhai source.
    pub source: String,
}

impl Change {
    /// All of the statement.
    fn statement(&self, newline: &str) -> String {
        format!("let {} = {};", self.name, self.source.replace('\n', newline))
    }
}

/// Puts new values in; variables that are not there are added behind the last of the `family`, or behind `pkg`.
///
/// # Errors
/// The text is not a recipe, or would not be one afterwards.
pub fn splice(text: &str, changes: &[Change], family: &[&str]) -> Result<String, SyntaxError> {
    let top = Top::of(text)?;
    // Half a text is none, as an editor that writes in place leaves it for a moment.
    let pkg = top.get("pkg").filter(|_| top.has_function("install"));
    let pkg =
        pkg.ok_or_else(|| SyntaxError::new(0, "expected a recipe, with `let pkg` and `fn install()`"))?;
    // As the first line ends.
    let is_dos = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    let newline = if is_dos { "\r\n" } else { "\n" };
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
            Some(found) => {
                let new = format!("{}{}", change.statement(newline), moved(text, found, newline)?);
                edits.push((found.span.clone(), new));
            }
            None => missing.extend([&change.statement(newline), newline]),
        }
    }
    if !missing.is_empty() {
        let behind = anchor.unwrap_or(pkg.span.end);
        // A comment behind the statement stays with it.
        let at = end_of_line(text, behind)?.unwrap_or(behind);
        let before = if text[..at].ends_with('\n') { "" } else { newline };
        let title = match anchor {
            None => format!("{newline}// State: written by recipe.{newline}"),
            Some(_) => String::new(),
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
    check(text, &out, changes)?;
    Ok(out)
}

/// The comments within a statement, as they come behind it.
fn moved(text: &str, found: &Let, newline: &str) -> Result<String, SyntaxError> {
    let statement = &text[found.span.clone()];
    let mut out = String::new();
    let mut open = false;
    for comment in comments(statement)? {
        out.push_str(if open { newline } else { " " });
        out.push_str(&statement[comment.clone()]);
        open = statement[comment].starts_with("//");
    }
    let rest = text[found.span.end..].trim_start_matches([' ', '\t', '\r']);
    if open && !rest.is_empty() && !rest.starts_with('\n') {
        out.push_str(newline);
    }
    Ok(out)
}

/// What must hold of the result, whatever was done to get it: the changed statements are as they should be, every other token is
/// as it was, and every comment is there.
fn check(before: &str, after: &str, changes: &[Change]) -> Result<(), SyntaxError> {
    let top = Top::of(after)?;
    let names: Vec<&str> = changes.iter().map(|c| c.name).collect();
    let are_there = changes.iter().all(|c| {
        let statement = top.get(c.name).map(|l| after[l.span.clone()].replace('\r', ""));
        statement == Some(c.statement("\n"))
    });
    let mut found = comments(after)?.into_iter();
    let mut said = comments(before)?.into_iter();
    let same = words(before, &names)? == words(after, &names)?
        && said.all(|old| found.any(|new| after[new] == before[old.clone()]));
    if are_there && same {
        Ok(())
    } else {
        Err(SyntaxError::new(0, "the new state does not fit into this text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "let pkg = 1;\nlet a = 2; // two\nfn install() {}\n";

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
            spliced("let pkg = 1; fn install() {}", &[]),
            format!("let pkg = 1;\n{title}let b = 3;\n fn install() {{}}")
        );
        assert_eq!(
            spliced("fn install() {} let pkg = 1; // x", &[]),
            format!("fn install() {{}} let pkg = 1; // x\n{title}let b = 3;\n")
        );
    }

    #[test]
    fn several_values_change_in_any_order() {
        let changes = [change("a", "[\n1]"), change("pkg", "0")];
        let text = TEXT.replace('\n', "\r\n");
        assert_eq!(
            splice(&text, &changes, &[]).unwrap(),
            "let pkg = 0;\r\nlet a = [\r\n1]; // two\r\nfn install() {}\r\n"
        );
        let refused = splice("let pkg = 1; const a = 2; fn install() {}", &changes, &[]).unwrap_err();
        assert_eq!(refused, SyntaxError::new(13, "expected `let a`, found `const`: it changes"));
    }

    /// Whatever went wrong before, this sees it.
    #[test]
    fn a_result_that_is_not_what_was_wanted_is_refused() {
        let changes = [change("a", "3")];
        let good = TEXT.replace("2;", "3;");
        assert_eq!(check(TEXT, &good, &changes), Ok(()));
        for bad in [
            TEXT.to_owned(),
            good.replace("= 1", "= 9"),
            good.replace("let pkg = 1;", ""),
            good.replace("fn install", "fn uninstall"),
            good.replace("fn install() {}", ""),
            good.replace("let a = 3;", ""),
            good.replace("3;", "3"),
            good.replace("= 3", "=3"),
            good.replace("// two", ""),
            good.replace("{}", "{ 1 }"),
        ] {
            assert!(check(TEXT, &bad, &changes).is_err(), "{bad}");
        }
    }
}
