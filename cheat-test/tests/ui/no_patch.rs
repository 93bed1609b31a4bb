//! A sabotage that is not there.

use cheat_test::cheat_aware;

#[cheat_aware(protects = "a", severity = "LOW", cheats = ["b"], consequence = "c", sabotage = ["nothing"])]
fn f() {}

fn main() {}
