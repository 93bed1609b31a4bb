//! The order of the cache: the loader finds names in it by bisection, so it must be glibc's to the letter.

use std::cmp::Ordering;

use super::Entry;

/// Puts an entry behind those before it in order and its equals: of two with one name the first found stays first.
///
/// Not a sort: numbers that wrap make the order of some hostile names go round in circles, which sorts may not like.
pub(super) fn insert(list: &mut Vec<Entry>, entry: Entry) {
    let at = list.partition_point(|e| entries(e, &entry).is_le());
    list.insert(at, entry);
}

/// Order of entries: names descending, then 64-bit before 32-bit, glibc-hwcaps before plain.
fn entries(a: &Entry, b: &Entry) -> Ordering {
    names(&b.key, &a.key).then_with(|| b.flags.cmp(&a.flags)).then_with(|| match (&a.hwcaps, &b.hwcaps) {
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (a, b) => a.cmp(b),
    })
}

/// Order of names: runs of digits by their value, digits after everything else, other bytes as C's signed `char`.
/// `libfoo.so.9` < `libfoo.so.10`.
pub(super) fn names(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    while let Some(&x) = a.first() {
        let y = b.first().copied().unwrap_or(0);
        match (x.is_ascii_digit(), y.is_ascii_digit()) {
            (true, true) => {
                let (x, y) = (take_number(&mut a), take_number(&mut b));
                // C computes the difference in an int, and large numbers wrap.
                if x != y {
                    return x.wrapping_sub(y).cmp(&0);
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if x != y => return x.cast_signed().cmp(&y.cast_signed()),
            (false, false) => (a, b) = (&a[1..], &b[1..]),
        }
    }
    0.cmp(&b.first().copied().unwrap_or(0).cast_signed())
}

fn take_number(text: &mut &[u8]) -> i32 {
    let mut value = 0i32;
    while let Some((digit, rest)) = text.split_first().filter(|(d, _)| d.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_value_and_letters_before_digits() {
        for (small, large) in [
            ("libfoo.so.9", "libfoo.so.10"),
            ("libfoo.so", "libfoo.so.1"),
            ("libfoo-x.so", "libfoo2.so"),
            ("libfoo.so.1.a", "libfoo.so.1.1"),
            // 4294967295 is -1 in an int.
            ("lib4294967295.so", "lib1.so"),
        ] {
            let (small, large) = (small.as_bytes(), large.as_bytes());
            assert_eq!((names(small, large), names(large, small)), (Ordering::Less, Ordering::Greater));
            assert_eq!(names(small, small), Ordering::Equal);
        }
        // Bytes from 0x80 are negative.
        assert_eq!(names(b"lib\xc3.so", b"liba.so"), Ordering::Less);
    }
}
