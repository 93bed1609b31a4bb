//! A promise that is critical, and no proof that its test notices.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "CRITICAL", cheats = ["b"], consequence = "c")]
fn f() {}

fn main() {}
