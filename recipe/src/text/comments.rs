//! Text -> where its comments are: what lies between tokens and is no white space.

use std::ops::Range;

use super::scan::{SyntaxError, block_comment, line_end, tokens};

/// All comments of a text in their order; those of a line without its end.
///
/// # Errors
/// Strings or comments do not end.
pub(super) fn comments(text: &str) -> Result<Vec<Range<usize>>, SyntaxError> {
    let mut out = Vec::new();
    let mut at = if text.starts_with("#!") { line_end(text, 0) } else { 0 };
    let tokens = tokens(text)?.into_iter().map(|token| token.span);
    for token in tokens.chain(std::iter::once(text.len()..text.len())) {
        while let Some(found) = text[at..token.start].find('/') {
            let start = at + found;
            at = match text.as_bytes().get(start + 1) {
                Some(b'*') => block_comment(text.as_bytes(), start)?,
                _ => line_end(text, start),
            };
            out.push(start..start + text[start..at].trim_end().len());
        }
        at = token.end;
    }
    Ok(out)
}

/// Where the line ends that a statement ends in, behind the comments that begin there; none if more stands in it that is not its own.
///
/// # Errors
/// As [`comments`].
pub(super) fn end_of_line(text: &str, statement: usize) -> Result<Option<usize>, SyntaxError> {
    let rest = &text[statement..];
    let next = tokens(rest)?.first().map_or(rest.len(), |token| token.span.start);
    let mut end = 0;
    for comment in comments(rest)? {
        if comment.start > next || rest[end..comment.start].contains('\n') {
            break;
        }
        // That of the function behind it, which nothing may come between.
        if rest[comment.clone()].starts_with("///") || rest[comment.clone()].starts_with("/**") {
            return Ok(None);
        }
        end = comment.end;
    }
    Ok(match rest[end..next].find('\n') {
        Some(line_end) => Some(statement + end + line_end + 1),
        None => (next == rest.len()).then_some(text.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_what_is_between_tokens() {
        for (text, expected) in [
            (
                "#!/* x */\nlet a = \"// no\"; // yes \t\r\n`/* no */` /* y /* e */ s */",
                &["// yes", "/* y /* e */ s */"][..],
            ),
            ("a / b // c", &["// c"]),
            ("/* a *//* b */x// c\n// d", &["/* a */", "/* b */", "// c", "// d"]),
            ("", &[]),
        ] {
            // A division is a token itself.
            let found: Vec<_> = comments(text).unwrap().into_iter().map(|span| &text[span]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn comments_behind_a_statement_belong_to_its_line() {
        for (text, rest) in [
            ("a;\nb", Some("b")),
            ("a; // x\r\nb", Some("b")),
            ("a; /* x */ /* y\n z */ // w\nb", Some("b")),
            ("a; /* x\n */ b", None),
            ("a; b\n", None),
            ("a;\n/* x */ b", Some("/* x */ b")),
            ("a; // x", Some("")),
            ("a; /// of f\nfn f() {}", None),
            ("a; /* x */ /** of f */\nfn f() {}", None),
            ("a;", Some("")),
        ] {
            assert_eq!(end_of_line(text, 2).unwrap().map(|at| &text[at..]), rest, "{text:?}");
        }
    }
}
