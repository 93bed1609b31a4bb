//! `key = value, ...` -> [`Args`], with errors at the tokens they are about.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, Ident, Lit, LitStr, MetaNameValue, Result, Token};

/// How much a promise matters, most first.
const SEVERITIES: &[&str] = &["CRITICAL", "HIGH", "MEDIUM", "LOW"];

/// What the attribute says.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) protects: String,
    pub(crate) severity: String,
    pub(crate) cheats: Vec<String>,
    pub(crate) consequence: String,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let span = input.span();
        let (mut protects, mut severity, mut cheats, mut consequence) = (None, None, None, None);
        for pair in Punctuated::<MetaNameValue, Token![,]>::parse_terminated(input)? {
            let key = pair.path.require_ident()?.clone();
            match key.to_string().as_str() {
                "protects" => set(&mut protects, &key, text(&pair.value)?)?,
                "severity" => set(&mut severity, &key, one_of(&pair.value)?)?,
                "cheats" => set(&mut cheats, &key, texts(&pair.value)?)?,
                "consequence" => set(&mut consequence, &key, text(&pair.value)?)?,
                other => {
                    let known = "protects, severity, cheats, consequence";
                    return Err(Error::new(
                        key.span(),
                        format!("unknown key `{other}`; expected one of {known}"),
                    ));
                }
            }
        }
        let missing = |key: &str| Error::new(span, format!("`{key} = ...` is missing"));
        Ok(Self {
            protects: protects.ok_or_else(|| missing("protects"))?,
            severity: severity.ok_or_else(|| missing("severity"))?,
            cheats: cheats.ok_or_else(|| missing("cheats"))?,
            consequence: consequence.ok_or_else(|| missing("consequence"))?,
        })
    }
}

fn set<T>(slot: &mut Option<T>, key: &Ident, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(key.span(), format!("`{key}` is given twice"))),
    }
}

fn literal(value: &Expr) -> Result<&LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => Err(Error::new_spanned(other, "expected a string literal")),
    }
}

fn text(value: &Expr) -> Result<String> {
    let literal = literal(value)?;
    if literal.value().trim().is_empty() {
        return Err(Error::new(literal.span(), "expected a text, found an empty one"));
    }
    Ok(literal.value())
}

fn texts(value: &Expr) -> Result<Vec<String>> {
    let Expr::Array(ExprArray { elems, .. }) = value else {
        return Err(Error::new_spanned(value, "expected a list of string literals: [\"...\", ...]"));
    };
    if elems.is_empty() {
        return Err(Error::new_spanned(value, "a test that nobody can cheat does not need this attribute"));
    }
    elems.iter().map(text).collect()
}

fn one_of(value: &Expr) -> Result<String> {
    let literal = literal(value)?;
    let severity = literal.value();
    if !SEVERITIES.contains(&severity.as_str()) {
        let known = SEVERITIES.join(", ");
        return Err(Error::new(
            literal.span(),
            format!("unknown severity {severity:?}; expected one of {known}"),
        ));
    }
    Ok(severity)
}
