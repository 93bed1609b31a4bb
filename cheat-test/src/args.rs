//! `key = value, ...` -> [`Args`], with errors at the tokens they are about.

use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
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
    /// Names of patches that plant a cheat or break what is protected.
    pub(crate) sabotage: Vec<String>,
    /// Where `severity` is written.
    pub(crate) severity_at: Span,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let span = input.span();
        let (mut protects, mut severity, mut cheats, mut consequence) = (None, None, None, None);
        let (mut sabotage, mut severity_at) = (None, span);
        for pair in Punctuated::<MetaNameValue, Token![,]>::parse_terminated(input)? {
            let key = pair.path.require_ident()?.clone();
            match key.to_string().as_str() {
                "protects" => set(&mut protects, &key, text(&pair.value)?)?,
                "severity" => {
                    severity_at = pair.value.span();
                    set(&mut severity, &key, one_of(&pair.value)?)?;
                }
                "cheats" => set(&mut cheats, &key, texts(&pair.value)?)?,
                "consequence" => set(&mut consequence, &key, text(&pair.value)?)?,
                "sabotage" => set(&mut sabotage, &key, patches(&pair.value)?)?,
                other => {
                    let known = "protects, severity, cheats, consequence, sabotage";
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
            sabotage: sabotage.unwrap_or_default(),
            severity_at,
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

/// A list of names of files `sabotage/NAME.patch`, all of which are there.
fn patches(value: &Expr) -> Result<Vec<String>> {
    let names = texts(value)?;
    let Expr::Array(ExprArray { elems, .. }) = value else { unreachable!("texts() wants a list") };
    for (name, literal) in names.iter().zip(elems) {
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(Error::new_spanned(literal, "a sabotage's name is of a-z, 0-9 and -"));
        }
        if !directories().any(|dir| dir.join("sabotage").join(format!("{name}.patch")).is_file()) {
            return Err(Error::new_spanned(literal, format!("there is no file sabotage/{name}.patch")));
        }
    }
    Ok(names)
}

/// The crate's directory and those above it; one of them is the workspace's.
fn directories() -> impl Iterator<Item = PathBuf> {
    let dir = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    std::iter::successors(Some(dir), |dir| dir.parent().map(Path::to_owned))
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
