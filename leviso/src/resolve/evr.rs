//! Versions as rpm compares them: order, and whether two bounded ranges overlap.
//!
//! The order of one part is rpmvercmp (crate rpm-version). The rules around it are rpm's own, rpm 4.19 `rpmverOverlap`
//! and rpm-dependencies(7): a missing epoch is 0; a missing release matches any release where its side allows
//! equality.

use std::cmp::Ordering;

use rpm_version::Evr;

use crate::repodata::Op;

/// Compares two `[epoch:]version[-release]`; a missing release is older than any, as for sorting packages.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (split(a), split(b));
    part(a.0, b.0).then_with(|| part(a.1, b.1)).then_with(|| match (a.2, b.2) {
        (Some(a), Some(b)) => part(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    })
}

/// Whether some version lies in both ranges: how a provide meets a require.
pub(super) fn overlap(a: (Op, &str), b: (Op, &str)) -> bool {
    if a.0 == Op::Any || b.0 == Op::Any {
        return true;
    }
    let (left, right) = (split(a.1), split(b.1));
    let order = match part(left.0, right.0).then_with(|| part(left.1, right.1)) {
        Ordering::Equal => match (left.2, right.2) {
            (Some(l), Some(r)) => part(l, r),
            // `= 1` stands for every 1-R, `<= 1` and `>= 1` include them; `< 1` and `> 1` do not.
            (Some(_), None) if allows_equal(b.0) => return true,
            (None, Some(_)) if allows_equal(a.0) => return true,
            _ => Ordering::Equal,
        },
        unequal => unequal,
    };
    match order {
        // The range that begins lower must reach up, or the higher one down.
        Ordering::Less => reaches_up(a.0) || reaches_down(b.0),
        Ordering::Greater => reaches_down(a.0) || reaches_up(b.0),
        Ordering::Equal => {
            (allows_equal(a.0) && allows_equal(b.0))
                || (reaches_down(a.0) && reaches_down(b.0))
                || (reaches_up(a.0) && reaches_up(b.0))
        }
    }
}

/// rpmvercmp of one part.
pub(super) fn part(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    Evr::new("", a, "").cmp(&Evr::new("", b, ""))
}

/// Epoch (`0` if missing), version, release.
pub(super) fn split(evr: &str) -> (&str, &str, Option<&str>) {
    let (epoch, rest) = match evr.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
        _ => ("", evr),
    };
    let epoch = if epoch.is_empty() { "0" } else { epoch };
    match rest.rsplit_once('-') {
        Some((version, release)) if !release.is_empty() => (epoch, version, Some(release)),
        Some((version, _)) => (epoch, version, None),
        None => (epoch, rest, None),
    }
}

fn allows_equal(op: Op) -> bool {
    matches!(op, Op::Le | Op::Eq | Op::Ge)
}

fn reaches_up(op: Op) -> bool {
    matches!(op, Op::Ge | Op::Gt)
}

fn reaches_down(op: Op) -> bool {
    matches!(op, Op::Le | Op::Lt)
}
