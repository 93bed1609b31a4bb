//! A protected test that fails says what users lose; one that passes says nothing. The failing ones run in a process
//! of their own, started with SABOTAGE set.

use std::process::Output;

use cheat_test::cheat_aware;

fn sabotaged() -> bool {
    std::env::var_os("SABOTAGE").is_some()
}

#[cheat_aware(
    protects = "one and one are two",
    severity = "LOW",
    cheats = ["compare with what was computed"],
    consequence = "nobody can count"
)]
#[test]
fn by_panic() {
    assert!(!sabotaged(), "sabotaged");
}

#[cheat_aware(
    protects = "errors are noticed too",
    severity = "HIGH",
    cheats = ["return Ok early"],
    consequence = "failures pass"
)]
#[test]
fn by_error() -> Result<(), String> {
    if sabotaged() {
        return Err("sabotaged".to_owned());
    }
    Ok(())
}

fn run(test: &str, sabotage: bool) -> Output {
    let exe = std::env::current_exe().expect("a test has an executable");
    #[expect(
        clippy::disallowed_methods,
        reason = "a macro's tests are linked with crates of build scripts: `common` would change the features of those, and what is \
                  above them would be compiled twice"
    )]
    let mut cmd = std::process::Command::new(exe);
    cmd.args(["--exact", test, "--nocapture"]);
    if sabotage {
        cmd.env("SABOTAGE", "1");
    }
    cmd.output().expect("the test starts")
}

#[test]
fn a_failure_names_promise_loss_and_cheats() {
    for (test, expected) in [
        ("by_panic", ["LOW promise broken", "one and one are two", "nobody can count", "what was computed"]),
        ("by_error", ["HIGH promise broken", "errors are noticed too", "failures pass", "return Ok early"]),
    ] {
        let out = run(test, true);
        assert!(!out.status.success(), "{test} passed although it was sabotaged");
        let stderr = String::from_utf8_lossy(&out.stderr);
        for text in expected {
            assert!(stderr.contains(text), "{test} does not say {text:?}:\n{stderr}");
        }
    }
}

#[test]
fn a_pass_is_silent() {
    for test in ["by_panic", "by_error"] {
        let out = run(test, false);
        assert!(out.status.success());
        assert!(!String::from_utf8_lossy(&out.stderr).contains("promise broken"));
    }
}
