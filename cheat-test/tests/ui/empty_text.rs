//! A text that says nothing.

use cheat_test::cheat_aware;

#[cheat_aware(protects = " ", severity = "LOW", cheats = ["b"], consequence = "c")]
fn f() {}

fn main() {}
