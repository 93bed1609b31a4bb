//! An empty list of cheats.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "LOW", cheats = [], consequence = "c")]
fn f() {}

fn main() {}
