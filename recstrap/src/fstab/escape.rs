//! Octal escapes, as fstab(5), /proc/swaps and /proc/mounts have them: `\040` for a space.
//!
//! [`unmangle`] undoes [`mangle`] for every string, and a mangled field has no blank, no line break and no leading `#`.

/// Text -> one field of fstab(5).
pub(super) fn mangle(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        // A `#` opens a comment only where a field could start.
        if c == ' ' || c == '\\' || c.is_ascii_control() || (c == '#' && at == 0) {
            out.push_str(&format!("\\{:03o}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// One field -> text. A backslash that three octal digits do not follow stands for itself.
pub(super) fn unmangle(field: &str) -> String {
    unescape(field, octal)
}

/// Undoes udev's `\x20`.
pub(super) fn decode(text: &str) -> String {
    unescape(text, hexadecimal)
}

/// Replaces each backslash and the three characters after it of which `code` makes a byte.
fn unescape(text: &str, code: impl Fn(&[u8]) -> Option<u8>) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match code(after) {
            Some(byte) if first == b'\\' => {
                out.push(byte);
                rest = &after[3..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    // The kernel escapes single bytes; what is no UTF-8 together is refused where it would be printed.
    String::from_utf8_lossy(&out).into_owned()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.strip_prefix(b"x")?.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..3)?.iter().map(|d| matches!(d, b'0'..=b'7').then(|| u32::from(d - b'0')));
    let value = digits.reduce(|a, d| Some(a? * 8 + d?))??;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unmangle_undoes_mangle(text in any::<String>()) {
            prop_assert_eq!(unmangle(&mangle(&text)), text);
        }

        #[test]
        fn a_field_stays_one_field(text in r"[ \\#\t\n\r\x00-\x1f0-7a-z\u{a0}é]{1,20}") {
            let field = mangle(&text);
            prop_assert!(!field.contains(|c: char| c == ' ' || c.is_ascii_control()));
            prop_assert!(!field.starts_with('#'));
            prop_assert_eq!(unmangle(&field), text);
        }

        #[test]
        fn any_field_can_be_unmangled(field in any::<String>()) {
            unmangle(&field);
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(unmangle(r"a\040b\9\04\777\\040"), "a b\\9\\04\\777\\ ");
        assert_eq!(mangle("#a b#\\"), r"\043a\040b#\134");
    }
}
