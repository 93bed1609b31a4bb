//! A severity that does not exist.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "WORST", cheats = ["b"], consequence = "c")]
fn f() {}

fn main() {}
