//! Lines as systemd's `read_line()` cuts them: LF, CR and NUL end a line, in any combination of different ones.

/// Longer lines are an error to systemd, and the rest of the file is not read (LONG_LINE_MAX).
const MAX_LINE: usize = 1 << 20;

/// A line is too long.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a line is longer than {MAX_LINE} bytes")]
pub(super) struct TooLong;

/// The lines of a file, without what ends them; after an error there is none.
pub(super) fn lines(file: &[u8]) -> impl Iterator<Item = Result<&[u8], TooLong>> {
    let mut rest = file;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&b| is_end(b)).unwrap_or(rest.len());
        let line = &rest[..end];
        if line.len() >= MAX_LINE {
            rest = &[];
            return Some(Err(TooLong));
        }
        rest = &rest[end..];
        // CR LF is one end, LF LF are two; nothing joins after a NUL.
        let mut seen = [false; 256];
        while let Some((&byte, after)) = rest.split_first() {
            if !is_end(byte) || seen[usize::from(byte)] || seen[0] {
                break;
            }
            seen[usize::from(byte)] = true;
            rest = after;
        }
        Some(Ok(line))
    })
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_combine_as_in_systemd() {
        let got: Vec<_> = lines(b"a\r\nb\n\nc\0\nd\n\re").map(Result::unwrap).collect();
        assert_eq!(got, [&b"a"[..], b"b", b"", b"c", b"", b"d", b"e"]);
        assert_eq!(lines(b"").count(), 0);
        let long = vec![b'x'; MAX_LINE];
        assert_eq!(lines(&[&b"a\n"[..], &long, b"\nb"].concat()).last(), Some(Err(TooLong)));
    }
}
