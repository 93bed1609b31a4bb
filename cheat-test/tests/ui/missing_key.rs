//! A key that is left out.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "LOW", consequence = "c")]
fn f() {}

fn main() {}
