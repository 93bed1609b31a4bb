//! Debian's versions keep their order as RPM's.

use common::cmd::Cmd;
use labrepo::debian::relations::Evr;

/// Pairs of Debian versions, epochs, `~`, `+`, native ones and real ones among them.
const PAIRS: &[(&str, &str)] = &[
    ("1.0-1", "1.0-2"),
    ("1.0-1", "1.0-1+b1"),
    ("1.0-1+b1", "1.0-1+b2"),
    ("1.0-1+b9", "1.0-1+b10"),
    ("1.0~rc1-1", "1.0-1"),
    ("1.0~rc1-1", "1.0~rc2-1"),
    ("1.0~~-1", "1.0~-1"),
    ("1.0-1~deb13u1", "1.0-1"),
    ("1.0-1~deb13u1", "1.0-1~deb13u2"),
    ("1.0-1", "1.0-1+deb13u1"),
    ("1.0-1+deb13u1", "1.0-2"),
    ("1.0+dfsg-1", "1.0.1-1"),
    ("1.0-1", "1.0+dfsg-1"),
    ("9.0-1", "1:1.0-1"),
    ("1:1.0-1", "2:0.1-1"),
    ("257.9-1~deb13u1", "257.10-1~deb13u1"),
    ("2025b-4", "2026f-0+deb13u1"),
    ("3.152", "3.153"),
    ("1.0", "1.0-1"),
    ("6.5+20250216-2", "6.5+20250301-1"),
    ("1:4.16.0-2+really2.41-5", "1:4.16.0-2+really2.41.1-1"),
    ("1:1.3.dfsg+really1.3.1-1+b1", "1:1.3.dfsg+really1.3.1-2"),
    ("0.0~2024.01.01-1", "0.0~2025.06.09-1"),
    ("20240101", "20250419+deb13u1"),
    ("1.0-1-1", "1.0-2-1"),
    ("2.10-24", "2.11-1"),
    ("1.0a-1", "1.0b-1"),
];

#[test]
fn the_order_of_pairs_is_kept() {
    let dpkg = testkit::oracle("dpkg");
    for (a, b) in PAIRS {
        let said = Cmd::new(&dpkg).args(["--compare-versions", a, "lt", b]).status().unwrap();
        assert!(said.success(), "dpkg does not think that {a} < {b}");
        let evr = |v: &str| {
            let evr = Evr::parse(v).unwrap();
            (evr.epoch.to_string(), evr.version, evr.release)
        };
        let (a, b) = (evr(a), evr(b));
        let [a, b] = [&a, &b].map(|v| rpm_version::Evr::new(&v.0, &v.1, &v.2));
        assert!(a < b, "rpm does not think that {a:?} < {b:?}");
    }
}
