//! Single literals of a text: where they are, and other ones in their place. Nothing else of the text changes.

use std::ops::Range;

use super::literal::string;
use super::scan::{Kind, SyntaxError, Token, tokens};
use super::top::Top;

/// A string literal without interpolation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// All of it, with its quotes.
    pub span: Range<usize>,
    /// What it means.
    pub text: String,
}

/// All string literals of a text.
///
/// # Errors
/// Strings or comments do not end.
pub fn strings(text: &str) -> Result<Vec<Literal>, SyntaxError> {
    Ok(tokens(text)?.iter().filter_map(|token| of(text, token)).collect())
}

/// The string that a key of a map has, where the map is the value of a variable of the top level.
///
/// # Errors
/// The text is not a recipe.
pub fn field(text: &str, variable: &str, key: &str) -> Result<Option<Literal>, SyntaxError> {
    let value = behind(text, variable, key)?;
    // Not the beginning of an expression.
    let alone = matches!(value.get(1).map(|t| t.kind), Some(Kind::Mark(b',' | b'}')));
    Ok(value.first().filter(|_| alone).and_then(|token| of(text, token)))
}

/// The strings of the array that a key of a map has, where the map is the value of a variable of the top level.
///
/// # Errors
/// The text is not a recipe.
pub fn items(text: &str, variable: &str, key: &str) -> Result<Vec<Literal>, SyntaxError> {
    let value = behind(text, variable, key)?;
    let array = value.iter().take_while(|token| token.kind != Kind::Mark(b']'));
    Ok(array.filter_map(|token| of(text, token)).collect())
}

/// The tokens from behind a key and its colon to the end of the map, which is the value of a variable of the top level.
fn behind(text: &str, variable: &str, key: &str) -> Result<Vec<Token>, SyntaxError> {
    let top = Top::of(text)?;
    let value = top.get(variable).map_or(0..0, |l| l.value.clone());
    let mut map = tokens(text)?;
    map.retain(|token| value.contains(&token.span.start));
    let mut depth = 0usize;
    for (at, token) in map.iter().enumerate() {
        match token.kind {
            Kind::Map | Kind::Mark(b'{' | b'[' | b'(') => depth += 1,
            Kind::Mark(b'}' | b']' | b')') => depth = depth.saturating_sub(1),
            Kind::Word | Kind::Text if depth == 1 => {
                let named = match of(text, token) {
                    Some(literal) => literal.text == key,
                    None => &text[token.span.clone()] == key,
                };
                if named && map.get(at + 1).is_some_and(|next| next.kind == Kind::Mark(b':')) {
                    return Ok(map.split_off(at + 2));
                }
            }
            _ => {}
        }
    }
    Ok(Vec::new())
}

/// Puts other literals in the places of some. Checked: every other token is as it was.
///
/// # Errors
/// The text would not be one, or another one elsewhere.
pub fn replace(text: &str, edits: &[(Range<usize>, String)]) -> Result<String, SyntaxError> {
    let mut edits = edits.to_vec();
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + 64);
    let mut last = 0;
    for (span, new) in &edits {
        out.push_str(&text[last..span.start]);
        out.push_str(new);
        last = span.end;
    }
    out.push_str(&text[last..]);
    let (before, after) = (tokens(text)?, tokens(&out)?);
    let expected = before.iter().map(|token| {
        let edit = edits.iter().find(|(span, _)| *span == token.span);
        edit.map_or(&text[token.span.clone()], |(_, new)| new.as_str())
    });
    match expected.eq(after.iter().map(|token| &out[token.span.clone()])) {
        true => Ok(out),
        false => Err(SyntaxError::new(0, "the new values do not fit into this text")),
    }
}

fn of(text: &str, token: &Token) -> Option<Literal> {
    let is_text = matches!(token.kind, Kind::Text | Kind::Raw(_) | Kind::Template);
    let meaning = is_text.then(|| string(text, token))?;
    Some(Literal { span: token.span.clone(), text: meaning? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_where_it_is_one() {
        for pkg in [
            "#{ name: \"a\", version: \"1\" }",
            "#{ deps: [#{ version: \"x\" }], \"version\": `1`, more: \"version\" }",
            "#{ // version: \"2\",\n /* version: \"3\" */ version /* is */ : /* this */ #\"1\"#, }",
        ] {
            let text = format!(
                "const version = \"9\";\nlet pkg = {pkg};\nfn install() {{ #{{ version: \"8\" }} }}\n"
            );
            let found = field(&text, "pkg", "version").unwrap().unwrap();
            assert_eq!(found.text, "1", "{pkg}");
            let new = replace(&text, &[(found.span, "\"2.0\"".into())]).unwrap();
            let old = ["#\"1\"#", "\"1\"", "`1`"].into_iter().find(|old| text.contains(old)).unwrap();
            assert_eq!(new, text.replace(old, "\"2.0\""));
            rhai::Engine::new().compile(&new).unwrap();
        }
        for pkg in
            ["#{ version: \"1\" + \"2\" }", "#{ version: [\"1\"] }", "#{ a: #{ version: \"1\" } }", "1"]
        {
            assert_eq!(field(&format!("let pkg = {pkg};"), "pkg", "version").unwrap(), None, "{pkg}");
        }
    }

    #[test]
    fn what_would_change_more_is_refused() {
        let text = "let a = \"1\"; // \"1\"";
        let all = strings(text).unwrap();
        assert_eq!(all.len(), 1);
        for new in ["\"", "\"1\" + 2", "/*", "", "\"a\"; let b = \"c\""] {
            let replaced = replace(text, &[(all[0].span.clone(), new.into())]);
            assert!(replaced.is_err(), "{new}: {replaced:?}");
        }
    }
}
