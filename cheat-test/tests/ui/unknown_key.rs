//! A key that does not exist.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "LOW", cheats = ["b"], consequences = "c")]
fn f() {}

fn main() {}
