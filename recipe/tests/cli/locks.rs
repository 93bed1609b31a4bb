//! Two recipes at once: one works, the other waits or says who does.

use std::time::Duration;

use crate::rig::Rig;
use testkit::server::Answer;

#[test]
fn a_second_recipe_is_told_who_works() {
    let rig = Rig::new();
    rig.release("a", "1", &[("bin/a", "a")]);
    rig.add("a", "1", "install_bin(\"a\");");
    rig.run(&["install", "a"]).ok();
    rig.add("slow", "1", "");
    rig.server.answer("/slow-1.tar.gz", Answer::Drip(Duration::from_millis(10)));
    let mut slow = rig.cmd(&["install", "slow"]).std().spawn().expect("it starts");
    while rig.server.log().len() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let holder = format!("is in use by process {} (", slow.id());
    rig.run(&["install", "--reinstall", "a"]).fails(16, &holder);
    rig.run(&["remove", "a"]).fails(16, &holder);
    // With another prefix, but the same recipes.
    let other = rig.path("other").to_string_lossy().into_owned();
    let cmd = common::cmd::Cmd::new(env!("CARGO_BIN_EXE_recipe")).args([
        "install",
        "--reinstall",
        "a",
        "-p",
        &other,
        "-r",
    ]);
    assert_eq!(cmd.arg(rig.path("recipes")).output().expect("it starts").status.code(), Some(16));
    // Reading needs no lock.
    rig.run(&["list"]).ok();
    let waiting = rig.cmd(&["install", "--reinstall", "a", "--wait", "30"]).std().spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(300));
    // A dead holder holds nothing.
    slow.kill().expect("killed");
    slow.wait().expect("waited");
    assert_eq!(waiting.wait_with_output().expect("waited").status.code(), Some(0));
    assert!(rig.prefix("bin/a").exists());
    assert!(!rig.prefix(".recipe/build").exists(), "what the dead one left is gone");
}
