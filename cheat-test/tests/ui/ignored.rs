//! A critical test that is ignored.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "CRITICAL", cheats = ["b"], consequence = "c")]
#[test]
#[ignore]
fn f() {}

fn main() {}
