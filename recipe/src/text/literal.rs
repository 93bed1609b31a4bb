//! Tokens -> a value, when they are a literal: what tools may know of a recipe without running it.

use serde::Serialize;
use serde::ser::SerializeMap;

use super::scan::{DEPTH, Kind, Place, SyntaxError, Token, too_deep};

/// A literal value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `()`.
    Unit,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string of any form, without interpolation.
    Text(String),
    /// `[...]`.
    Array(Vec<Value>),
    /// `#{...}`, in the order of the text.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The strings, if it is an array of nothing else.
    #[must_use]
    pub fn as_texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Array(values) => values.iter().map(|v| v.as_text().map(str::to_owned)).collect(),
            _ => None,
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unit => "()",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
        }
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => s.serialize_none(),
            Self::Bool(v) => s.serialize_bool(*v),
            Self::Int(v) => s.serialize_i64(*v),
            Self::Float(v) => s.serialize_f64(*v),
            Self::Text(v) => s.serialize_str(v),
            Self::Array(v) => v.serialize(s),
            Self::Map(fields) => {
                let mut map = s.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(k, v)| map.serialize_entry(k, v))?;
                map.end()
            }
        }
    }
}

/// The value of an expression, if all of it is a literal.
///
/// # Errors
/// It is nested too deep.
pub(super) fn literal(text: &str, tokens: &[Token]) -> Result<Option<Value>, SyntaxError> {
    let mut reader = Reader { text, tokens, at: 0, depth: 0, too_deep: None };
    let value = reader.value();
    match reader.too_deep {
        Some(at) => Err(too_deep(at)),
        None => Ok(value.filter(|_| reader.at == tokens.len())),
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    /// In so many other values.
    depth: usize,
    /// Where a value was in too many.
    too_deep: Option<usize>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Kind, &'a str)> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some((token.kind, &self.text[token.span.clone()]))
    }

    /// What the string token means that was read last.
    fn string(&self) -> Option<String> {
        string(self.text, &self.tokens[self.at - 1])
    }

    fn mark(&mut self, mark: u8) -> bool {
        let here = self.tokens.get(self.at).is_some_and(|t| t.kind == Kind::Mark(mark));
        self.at += usize::from(here);
        here
    }

    fn value(&mut self) -> Option<Value> {
        if self.depth == DEPTH {
            self.too_deep = self.tokens.get(self.at).map(|token| token.span.start);
            return None;
        }
        self.depth += 1;
        let value = self.value_here();
        self.depth -= 1;
        value
    }

    fn value_here(&mut self) -> Option<Value> {
        match self.next()? {
            (Kind::Word, "true") => Some(Value::Bool(true)),
            (Kind::Word, "false") => Some(Value::Bool(false)),
            (Kind::Mark(b'('), _) => self.mark(b')').then_some(Value::Unit),
            (Kind::Mark(b'-'), _) => match self.next()? {
                (Kind::Number, number) => parse_number(&format!("-{number}")),
                _ => None,
            },
            (Kind::Number, number) => parse_number(number),
            (Kind::Text | Kind::Raw(_) | Kind::Template, _) => self.string().map(Value::Text),
            (Kind::Mark(b'['), _) => {
                let mut values = Vec::new();
                while !self.mark(b']') {
                    values.push(self.value()?);
                    if !self.mark(b',') {
                        return self.mark(b']').then_some(Value::Array(values));
                    }
                }
                Some(Value::Array(values))
            }
            (Kind::Map, _) => self.map(),
            _ => None,
        }
    }

    fn map(&mut self) -> Option<Value> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        while !self.mark(b'}') {
            let key = match self.next()? {
                (Kind::Word, word) => word.to_owned(),
                (Kind::Text, _) => self.string()?,
                _ => return None,
            };
            let value =
                (self.mark(b':') && !fields.iter().any(|(k, _)| *k == key)).then(|| self.value())??;
            fields.push((key, value));
            if !self.mark(b',') {
                return self.mark(b'}').then_some(Value::Map(fields));
            }
        }
        Some(Value::Map(fields))
    }
}

fn parse_number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let digits = plain.trim_start_matches('-');
    let radix = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    if let Some((digits, radix)) = radix.iter().find_map(|(p, r)| digits.strip_prefix(p).map(|d| (d, *r))) {
        let value = i64::from_str_radix(digits, radix).ok()?;
        return Some(Value::Int(if plain.starts_with('-') { -value } else { value }));
    }
    plain.parse().map(Value::Int).or_else(|_| plain.parse().map(Value::Float)).ok()
}

/// What a string token means; none if an escape in it is wrong.
pub(super) fn string(text: &str, token: &Token) -> Option<String> {
    let source = &text[token.span.clone()];
    match token.kind {
        Kind::Raw(hashes) => Some(source[hashes + 1..source.len() - hashes - 1].to_owned()),
        Kind::Template => {
            let inner = &source[1..source.len() - 1];
            // A line break right after the opening back-tick is not part of the string.
            let inner = ["\r\n", "\n", "\r"].iter().find_map(|end| inner.strip_prefix(end)).unwrap_or(inner);
            Some(inner.replace("\r\n", "\n").replace("``", "`").replace("\\${", "${"))
        }
        _ => unescape(&source[1..source.len() - 1], || Place::of(text, token.span.start).column),
    }
}

/// What stands between quotes; `column` is that of the first one.
fn unescape(inner: &str, column: impl Fn() -> usize) -> Option<String> {
    // As nearly all are.
    if !inner.contains(['\\', '"']) {
        return Some(inner.to_owned());
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    // In a line that the string goes on in: blanks up to here, where the string began, are its indentation.
    let mut indentation = 0;
    let mut line = inner;
    while let Some(c) = chars.next() {
        let at = || line[..line.len() - chars.as_str().len()].chars().count();
        match c {
            '\\' => match chars.next()? {
                't' => out.push('\t'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                'x' => out.push(hex(&mut chars, 2)?),
                'u' => out.push(hex(&mut chars, 4)?),
                'U' => out.push(hex(&mut chars, 8)?),
                c @ ('\\' | '"') => out.push(c),
                end @ ('\n' | '\r') => {
                    if end == '\r' {
                        chars.next().filter(|c| *c == '\n')?;
                    }
                    line = chars.as_str();
                    indentation = column();
                }
                _ => return None,
            },
            _ if c.is_whitespace() && indentation > 0 && at() <= indentation => {}
            _ => {
                // Two quotes stand for one.
                if c == '"' {
                    chars.next();
                }
                out.push(c);
                indentation = 0;
            }
        }
    }
    Some(out)
}

fn hex(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let value = (0..digits).try_fold(0u32, |value, _| {
        let digit = chars.next()?.to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    });
    value.and_then(char::from_u32)
}
