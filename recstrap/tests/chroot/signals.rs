//! Whoever is killed, by what: the exit code is right and nothing is left.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::cmd::Cmd;

use crate::target::{Session, Target, child_of};

/// Leaves a process behind that has cut all ties, then waits.
const WITH_DAEMON: &str = "setsid sleep 3000 >/dev/null 2>&1 & sleep 0.2; echo up; sleep 3000";

#[test]
fn a_killed_command_is_reported() {
    let Some(target) = Target::new("SIGKILL of recchroot's command") else { return };
    let session = target.start(&[], WITH_DAEMON);
    session.kill("KILL", session.command());
    assert_eq!(session.end().0, Some(128 + 9));
    assert_eq!(target.left_behind(), [""; 0]);
}

#[test]
fn sigterm_is_passed_on() {
    let Some(target) = Target::new("SIGTERM of recchroot") else { return };
    let session = target.start(&[], "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done");
    session.kill("TERM", session.pid());
    assert_eq!(session.end().0, Some(9));
    let session = target.start(&[], "echo up; exec sleep 3000");
    session.kill("TERM", session.pid());
    assert_eq!(session.end().0, Some(128 + 15));
    let session = target.start(&[], "trap 'exit 8' HUP; echo up; while :; do sleep 0.05; done");
    session.kill("HUP", session.pid());
    assert_eq!(session.end().0, Some(8));
    assert_eq!(target.left_behind(), [""; 0]);
}

#[test]
fn sigint_to_the_group_ends_all() {
    let Some(target) = Target::new("SIGINT of recchroot's group") else { return };
    let session = target.start(&[], "echo up; exec sleep 3000");
    session.kill("INT", -session.pid());
    assert_eq!(session.end().0, Some(128 + 2));
    assert_eq!(target.left_behind(), [""; 0]);
}

#[test]
fn a_killed_session_takes_all_with_it() {
    let Some(target) = Target::new("SIGKILL of recchroot") else { return };
    let session = target.start(&[], WITH_DAEMON);
    assert!(target.left_behind().len() >= 3, "there is something to be left");
    session.kill("KILL", session.pid());
    assert_eq!(session.end().0, None);
    target.wait_until_clean();
}

#[test]
fn a_killed_guard_takes_all_with_it() {
    let Some(target) = Target::new("SIGKILL of recchroot's guard") else { return };
    let session = target.start(&[], WITH_DAEMON);
    session.kill("KILL", session.guard());
    let (code, said) = session.end();
    assert_eq!(code, Some(128 + 9));
    assert!(said.contains("was ended by signal 9"), "{said}");
    assert_eq!(target.left_behind(), [""; 0]);
}

#[test]
fn a_killed_session_that_ignores_sigterm_ends_too() {
    let Some(target) = Target::new("SIGKILL of a stubborn recchroot") else { return };
    let session =
        target.start(&[], "trap '' TERM HUP INT; setsid sleep 3000 & echo up; while :; do sleep 1; done");
    session.kill("KILL", session.pid());
    session.end();
    target.wait_until_clean();
}

#[test]
fn what_the_command_leaves_running_is_ended_and_named() {
    let Some(target) = Target::new("processes left by recchroot's command") else { return };
    let session = target.start(&[], "setsid sleep 3000 >/dev/null 2>&1 & sleep 0.2; echo up; exit 3");
    let (code, said) = session.end();
    assert_eq!(code, Some(3));
    assert!(said.contains("ended what was still running in there: sleep"), "{said}");
    assert_eq!(target.left_behind(), [""; 0]);
}

#[test]
fn ignored_signals_stay_ignored() {
    let Some(target) = Target::new("nohup recchroot") else { return };
    let command = target.cmd(&[], &["sh", "-c", "kill -HUP $$; exit 4"]).under("nohup", &[]);
    assert_eq!(command.output().expect("it starts").status.code(), Some(4));
}

#[test]
fn a_session_of_an_ordinary_user_ends_like_any_other() {
    let Some(target) = Target::new("killing recchroot -N") else { return };
    let ends = |kill: &dyn Fn(&Session)| {
        let session = target.start(&["-N"], WITH_DAEMON);
        kill(&session);
        let (code, _) = session.end();
        target.wait_until_clean();
        code
    };
    assert_eq!(ends(&|s| s.kill("KILL", s.command())), Some(128 + 9));
    assert_eq!(ends(&|s| s.kill("KILL", s.guard())), Some(128 + 9));
    assert_eq!(ends(&|s| s.kill("KILL", s.pid())), None);
    assert_eq!(ends(&|s| s.kill("TERM", s.pid())), Some(128 + 15));
}

/// What a command shows on a terminal of its own where Ctrl-C is typed as soon as it says `up`; its exit code; the terminal.
fn with_control_c(target: &Target, command: &[&str]) -> (String, Option<i32>, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let slave = || std::fs::OpenOptions::new().read(true).write(true).open(&name).expect("opened");
    let command = target.cmd(&[], command).under("setsid", &["--ctty", "--wait"]);
    let mut child = command.std().stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("it starts");
    let mut master = std::fs::File::from(master);
    let mut screen = String::new();
    let read = |master: &mut std::fs::File, screen: &mut String| {
        let mut buffer = [0; 4096];
        // EIO: the other side is closed.
        let n = master.read(&mut buffer).unwrap_or(0);
        screen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        n > 0
    };
    while !screen.contains("up\r\n") {
        assert!(read(&mut master, &mut screen), "{screen}");
    }
    master.write_all(b"\x03").expect("typed");
    while read(&mut master, &mut screen) {}
    let code = child.wait().expect("it ends").code();
    assert_eq!(target.left_behind(), [""; 0]);
    (screen, code, name)
}

/// Ctrl-C reaches the command, and recchroot survives it to report the exit code.
#[test]
fn control_c_reaches_the_command() {
    let Some(target) = Target::new("Ctrl-C in recchroot") else { return };
    let script = "trap 'echo caught; exit 6' INT; tty; echo up; while :; do sleep 0.1; done";
    let (screen, code, terminal) = with_control_c(&target, &["sh", "-c", script]);
    assert_eq!(code, Some(6), "{screen}");
    assert!(screen.contains("caught"), "{screen}");
    assert!(screen.contains(&terminal), "tty(1) names the terminal: {screen}");
}

/// What the terminal sends is not passed on: a command that left the terminal's session is not meant by Ctrl-C.
#[test]
fn control_c_is_the_terminals_business() {
    let Some(target) = Target::new("Ctrl-C beside recchroot") else { return };
    let script = "trap 'echo caught' INT; echo up; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done; exit 6";
    let (screen, code, _) = with_control_c(&target, &["setsid", "sh", "-c", script]);
    assert_eq!(code, Some(6), "{screen}");
    assert!(!screen.contains("caught"), "{screen}");
}

/// A shell's `suspend` gives the terminal back to the shell outside; `fg` goes on.
#[test]
fn suspend_stops_the_session_and_continue_goes_on() {
    let Some(target) = Target::new("suspend in recchroot") else { return };
    // A shell continues the whole group; who continues the session alone means the same.
    for sign in [-1, 1] {
        let session = target.start(&[], "echo up; kill -STOP $$; exit 5");
        wait_until_stopped(session.pid());
        session.kill("CONT", sign * session.pid());
        assert_eq!(session.end().0, Some(5));
    }
}

/// The guard is not stopped with it, or is by somebody: the end of the session reaches it.
#[test]
fn a_stopped_session_that_is_killed_takes_all_with_it() {
    let Some(target) = Target::new("SIGKILL of a suspended recchroot") else { return };
    let run = |command: &str, stop: &dyn Fn(i32)| {
        let script = target.start_in_script(&format!("setsid sleep 3000 & echo up; {command}; sleep 3000"));
        let session = child_of(script.pid());
        stop(session);
        wait_until_stopped(session);
        script.kill("KILL", session);
        target.wait_until_clean();
        script.kill("KILL", script.pid());
        script.end();
    };
    run("kill -STOP $$", &|session| {
        wait_until_stopped(session);
        assert!(
            !is_stopped(child_of(session)),
            "a guard that stops itself may do so after the session's end"
        );
    });
    let halt = |pid: i32| Cmd::new("kill").args(["-s", "STOP", &pid.to_string()]).run().expect("sent");
    run(":", &|session| halt(child_of(session)));
    run(":", &|session| {
        let guard = child_of(session);
        halt(child_of(guard));
        halt(guard);
    });
}

/// Whichever comes first, the stop or the end.
#[test]
fn a_session_that_is_killed_while_it_stops_takes_all_with_it() {
    let Some(target) = Target::new("SIGKILL of a recchroot that is being suspended") else { return };
    for delay in 0..100 {
        let script = target.start_in_script("echo up; kill -STOP $$; sleep 3000");
        let session = child_of(script.pid());
        std::thread::sleep(Duration::from_micros(delay * 10));
        script.kill("KILL", session);
        target.wait_until_clean();
        script.kill("KILL", script.pid());
        script.end();
    }
}

fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|s| s.starts_with('T'))
}

fn wait_until_stopped(pid: i32) {
    let start = Instant::now();
    while !is_stopped(pid) {
        assert!(start.elapsed() < Duration::from_secs(60), "the session does not stop");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_hundred_sessions_leave_nothing() {
    let Some(target) = Target::new("many recchroots, killed at many moments") else { return };
    for delay in 0..100 {
        let mut command = target.cmd(&[], &["sh", "-c", "setsid sleep 3000 & sleep 3000"]).std();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_micros(delay * 150));
        child.kill().expect("killed");
        child.wait().expect("waited");
    }
    target.wait_until_clean();
}
