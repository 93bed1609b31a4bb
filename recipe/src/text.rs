//! The text of a recipe, looked at without Rhai: what is at its top level, where each value lies, what literals mean.
//!
//! text -> [`Top`]; text + state -> text ([`splice`]). Pure, and quick: listing 10,000 recipes must not compile them. What
//! is wrong inside functions is Rhai's to find ([`crate::engine`]); tests hold this scanner against Rhai's own lexer.

mod scan;
mod literal;
mod top;
mod comments;
mod splice;
mod edit;
#[cfg(test)]
mod tests;

pub use edit::{Literal, field, items, keys, replace, strings};
pub use literal::Value;
pub use scan::{DEPTH, Place, SyntaxError};
pub use splice::{Change, splice};
pub use top::{Function, Let, Top};

/// A text without the lines of variables of the top level with these names.
///
/// # Errors
/// As [`Top::of`].
pub fn without(text: &str, names: &[&str]) -> Result<String, SyntaxError> {
    let mut out = text.to_owned();
    for gone in Top::of(text)?.lets.iter().rev().filter(|l| names.contains(&l.name.as_str())) {
        let line_end = text[gone.span.end..].find('\n').map_or(text.len(), |at| gone.span.end + at + 1);
        let line_start = text[..gone.span.start].rfind('\n').map_or(0, |at| at + 1);
        // What else stands in its lines stays.
        let alone = text[line_start..gone.span.start].trim().is_empty()
            && text[gone.span.end..line_end].trim().is_empty();
        out.replace_range(if alone { line_start..line_end } else { gone.span.clone() }, "");
    }
    Ok(out)
}

/// The tokens of a text as they stand there, without those of variables of the top level with these names.
///
/// # Errors
/// Strings or comments do not end; with names, also as [`Top::of`].
pub fn words<'a>(text: &'a str, without: &[&str]) -> Result<Vec<&'a str>, SyntaxError> {
    let tokens = scan::tokens(text)?;
    let lets = if without.is_empty() { Vec::new() } else { Top::of(text)?.lets };
    let left_out: Vec<_> =
        lets.into_iter().filter(|l| without.contains(&l.name.as_str())).map(|l| l.span).collect();
    let counts = |at: usize| !left_out.iter().any(|span| span.contains(&at));
    Ok(tokens.into_iter().filter(|t| counts(t.span.start)).map(|t| &text[t.span]).collect())
}
