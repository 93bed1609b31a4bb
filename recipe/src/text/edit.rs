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

/// The keys of a map that is the value of a variable of the top level, as they stand there.
///
/// # Errors
/// The text is not a recipe.
pub fn keys(text: &str, variable: &str) -> Result<Vec<Literal>, SyntaxError> {
    let Some(map) = map_of(text, variable)? else { return Ok(Vec::new()) };
    let keys = map.iter().zip(depths(&map)).zip(map.iter().skip(1));
    let keys = keys.filter_map(|((token, depth), next)| {
        let is_key = depth == 1 && next.kind == Kind::Mark(b':');
        let word = || Literal { span: token.span.clone(), text: text[token.span.clone()].to_owned() };
        match token.kind {
            Kind::Word => is_key.then(word),
            _ => of(text, token).filter(|_| is_key),
        }
    });
    Ok(keys.collect())
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
    let keys = keys(text, variable)?;
    let Some(at) = keys.iter().find(|found| found.text == key).map(|found| found.span.end) else {
        return Ok(Vec::new());
    };
    let map = map_of(text, variable)?.unwrap_or_default();
    Ok(map.into_iter().filter(|t| t.span.start >= at).skip(1).collect())
}

/// The tokens of the value of a variable of the top level.
fn map_of(text: &str, variable: &str) -> Result<Option<Vec<Token>>, SyntaxError> {
    let top = Top::of(text)?;
    let Some(value) = top.get(variable).map(|l| l.value.clone()) else { return Ok(None) };
    Ok(Some(tokens(text)?.into_iter().filter(|t| value.contains(&t.span.start)).collect()))
}

/// In how many brackets each token is.
fn depths(tokens: &[Token]) -> Vec<usize> {
    let mut depth = 0usize;
    let each = tokens.iter().map(|token| {
        match token.kind {
            Kind::Map | Kind::Mark(b'{' | b'[' | b'(') => depth += 1,
            Kind::Mark(b'}' | b']' | b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth
    });
    each.collect()
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
