//! Text -> tokens: just enough of Rhai's lexical grammar to know where strings, comments and brackets begin and end.

use std::fmt;
use std::ops::Range;

/// Line and column, from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// Where a byte of a text is.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        Self {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset.
    pub offset: usize,
    /// The message.
    pub message: String,
}

impl SyntaxError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

/// How deep values, and `${` in strings, may be nested. Rhai's own limit: it reads no text that is nested deeper.
pub const DEPTH: usize = 64;

/// The mistake of a text that is nested deeper than [`DEPTH`].
pub(super) fn too_deep(offset: usize) -> SyntaxError {
    SyntaxError::new(offset, format!("this is nested more than {DEPTH} deep"))
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// `"..."`.
    Text,
    /// `#"..."#`, with so many `#`.
    Raw(usize),
    /// `` `...` `` without interpolation.
    Template,
    /// `` `...${}...` ``.
    Interpolated,
    /// `'c'`.
    Char,
    /// `#{`.
    Map,
    /// Any other single character.
    Mark(u8),
}

/// A token and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// All tokens of a text, without comments and white space.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let bytes = text.as_bytes();
    // What recipes have: one in four to six bytes.
    let mut out = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    // `#!` in the first line is for the kernel.
    if text.starts_with("#!") {
        at = line_end(text, 0);
    }
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        let (kind, end) = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if next == Some(b'/') => {
                at = line_end(text, at);
                continue;
            }
            b'/' if next == Some(b'*') => {
                at = block_comment(bytes, at)?;
                continue;
            }
            b'"' => (Kind::Text, quoted(bytes, at, b'"')?),
            b'\'' => (Kind::Char, quoted(bytes, at, b'\'')?),
            b'`' => template(text, at, 0)?,
            b'#' if next == Some(b'{') => (Kind::Map, at + 2),
            b'#' if matches!(next, Some(b'#' | b'"')) => raw(text, at)?,
            b'0'..=b'9' => (Kind::Number, number(bytes, at)),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let len = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                (Kind::Word, at + len)
            }
            _ if byte.is_ascii() => (Kind::Mark(byte), at + 1),
            _ => {
                let found = text[at..].chars().next().unwrap_or_default();
                return Err(SyntaxError::new(at, format!("unexpected character {found:?}")));
            }
        };
        out.push(Token { kind, span: at..end });
        at = end;
    }
    Ok(out)
}

/// The end of the line that a byte is in.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |i| at + i)
}

/// Block comments nest in Rhai. The third character of `/**` is no part of the end, so that `/**/` goes on.
pub(super) fn block_comment(bytes: &[u8], start: usize) -> Result<usize, SyntaxError> {
    let is_doc = bytes.get(start + 2) == Some(&b'*');
    let (mut depth, mut at) = (1usize, start + 2 + usize::from(is_doc));
    while at < bytes.len() {
        match bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => at += 1,
        }
    }
    Err(SyntaxError::new(start, "this comment has no end"))
}

/// The end of a string with escapes; only `\` at its end lets it go on in the next line. Two quotes in it stand for one.
fn quoted(bytes: &[u8], start: usize, quote: u8) -> Result<usize, SyntaxError> {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if bytes.get(at + 1) == Some(&b'\r') && bytes.get(at + 2) == Some(&b'\n') => at += 3,
            b'\\' => at += 2,
            b'\n' => break,
            _ if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            _ if byte == quote => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(SyntaxError::new(start, "this string has no end"))
}

/// `depth`: in so many others.
fn template(text: &str, start: usize, depth: usize) -> Result<(Kind, usize), SyntaxError> {
    if depth == DEPTH {
        return Err(too_deep(start));
    }
    let bytes = text.as_bytes();
    let mut at = start + 1;
    let mut kind = Kind::Template;
    while at < bytes.len() {
        match bytes[at..] {
            // Two back-ticks stand for one.
            [b'`', b'`', ..] => at += 2,
            [b'\\', b'$', b'{', ..] => at += 3,
            [b'`', ..] => return Ok((kind, at + 1)),
            [b'$', b'{', ..] => {
                kind = Kind::Interpolated;
                at = interpolation(text, at + 2, depth)?;
            }
            _ => at += 1,
        }
    }
    Err(SyntaxError::new(start, "this string has no end"))
}

/// The end of `${ ... }`, which holds any expression, strings and templates too.
fn interpolation(text: &str, start: usize, inside: usize) -> Result<usize, SyntaxError> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (1usize, start);
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' | b'\'' => quoted(bytes, at, byte)?,
            b'`' => template(text, at, inside + 1)?.1,
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment(bytes, at)?,
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(text, at),
            b'{' => {
                depth += 1;
                at + 1
            }
            b'}' if depth == 1 => return Ok(at + 1),
            b'}' => {
                depth -= 1;
                at + 1
            }
            _ => at + 1,
        };
    }
    Err(SyntaxError::new(start, "this `${` has no end"))
}

fn raw(text: &str, start: usize) -> Result<(Kind, usize), SyntaxError> {
    let hashes = text[start..].bytes().take_while(|b| *b == b'#').count();
    let open = start + hashes;
    if text.as_bytes().get(open) != Some(&b'"') {
        return Err(SyntaxError::new(start, "expected `#{` or `#\"`"));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = text[open + 1..].find(&close).map(|i| open + 1 + i + close.len());
    end.map(|end| (Kind::Raw(hashes), end)).ok_or_else(|| SyntaxError::new(start, "this string has no end"))
}

fn number(bytes: &[u8], start: usize) -> usize {
    let word =
        |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let mut end = start + word(start);
    // `1.5`, but neither `1..3` nor `1.to_string()`.
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1 + word(end + 1);
    }
    // `1e-5`
    let decimal = !bytes[start..end].starts_with(b"0x");
    if decimal && matches!(bytes.get(end), Some(b'-' | b'+')) && matches!(bytes[end - 1], b'e' | b'E') {
        end += 1 + word(end + 1);
    }
    end
}
