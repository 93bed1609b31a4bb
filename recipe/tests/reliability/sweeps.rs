//! SIGKILL and errors at system calls of install, upgrade, removal and recovery.

use testkit::ledger::{Row, full, planned};
use testkit::strace::{Attacked, Call, Injection, attack, trace};

use crate::world::{Operation, World};

/// Calls of memory, threads, signals and the process itself: no disk makes them fail with EIO or ENOSPC.
const NO_DISK: &[&str] = &[
    "arch_prctl",
    "brk",
    "execve",
    "exit_group",
    "futex",
    "geteuid",
    "getrandom",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "poll",
    "prctl",
    "prlimit64",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "umask",
];

#[test]
fn kill_install() {
    kill("kill -9 at every call of an installation", Operation::Install);
}

#[test]
fn kill_upgrade() {
    kill("kill -9 at every call of an upgrade", Operation::Upgrade);
}

#[test]
fn kill_remove() {
    kill("kill -9 at every call of a removal", Operation::Remove);
}

#[test]
fn kill_pair() {
    kill("kill -9 at every call of an installation of two packages", Operation::Pair);
}

#[test]
fn kill_undo() {
    kill("kill -9 at every call of an undoing", Operation::Undo);
}

#[test]
fn kill_move() {
    kill("kill -9 at every call of an upgrade in which files move", Operation::Move);
}

#[test]
fn kill_move_back() {
    kill("kill -9 at every call of its undoing", Operation::MoveBack);
}

#[test]
fn errors_move() {
    errors("EIO and ENOSPC at every call of an upgrade in which files move", Operation::Move);
}

#[test]
fn errors_move_back() {
    errors("EIO and ENOSPC at every call of its undoing", Operation::MoveBack);
}

#[test]
fn kill_pin() {
    kill("kill -9 at every call of a pin", Operation::Pin);
}

#[test]
fn errors_pin() {
    errors("EIO and ENOSPC at every call of a pin", Operation::Pin);
}

#[test]
fn errors_undo() {
    errors("EIO and ENOSPC at every call of an undoing", Operation::Undo);
}

#[test]
fn errors_install() {
    errors("EIO and ENOSPC at every call of an installation", Operation::Install);
}

#[test]
fn errors_upgrade() {
    errors("EIO and ENOSPC at every call of an upgrade", Operation::Upgrade);
}

#[test]
fn errors_remove() {
    errors("EIO and ENOSPC at every call of a removal", Operation::Remove);
}

/// Recovery is killed too, at every call, after the operation was killed at calls spread over all of it.
#[test]
fn kill_recovery() {
    let world = World::new(Operation::Upgrade);
    let calls = calls(&world);
    let first: Vec<_> = calls.iter().filter(|c| c.line.contains("prefix")).collect();
    let step = first.len().div_ceil(planned(40, 4)).max(1);
    let chosen: Vec<_> = first.into_iter().step_by(step).collect();
    let mut row = begin(
        "kill -9 at calls of recovery, after kill -9 at calls of an upgrade",
        &world,
        chosen.len(),
        chosen.len(),
    );
    for call in chosen {
        // How many calls recovery makes from here; then each of them is the last one.
        let broken = || {
            world.restore();
            attack(&world.command(), &at(call, "signal=KILL"), &world.log()).killed()
        };
        if !broken() {
            row.missed();
            continue;
        }
        let recovery = trace(&world.repair(), &world.log());
        let step = if full() { 1 } else { recovery.len().div_ceil(6) | 1 };
        for second in recovery.iter().step_by(step) {
            if row.injected() >= planned(usize::MAX, 30) as u64 {
                break;
            }
            if !broken() {
                row.missed();
                continue;
            }
            if !attack(&world.repair(), &at(second, "signal=KILL"), &world.log()).killed() {
                row.missed();
                continue;
            }
            row.outcome(&format!("{}, then {}", name(call), name(second)), world.settle());
        }
    }
    row.finish();
}

fn kill(sweep: &'static str, operation: Operation) {
    let world = World::new(operation);
    let calls = calls(&world);
    let count = planned(calls.len(), 24).min(calls.len());
    let mut row = begin(sweep, &world, calls.len(), count);
    for call in choose(&calls, count, row.number()) {
        world.restore();
        let run = attack(&world.command(), &at(call, "signal=KILL"), &world.log());
        if !run.killed() {
            row.missed();
            continue;
        }
        row.outcome(&name(call), world.settle());
    }
    row.finish();
}

fn errors(sweep: &'static str, operation: Operation) {
    let world = World::new(operation);
    let calls: Vec<_> = calls(&world).into_iter().filter(|c| !NO_DISK.contains(&c.name.as_str())).collect();
    let all: Vec<_> = calls.iter().flat_map(|c| ["error=EIO", "error=ENOSPC"].map(|e| (c, e))).collect();
    let count = planned(all.len(), 24).min(all.len());
    let mut row = begin(sweep, &world, all.len(), count);
    for (call, error) in choose(&all, count, row.number()) {
        world.restore();
        let run = attack(&world.command(), &at(call, error), &world.log());
        if run.injected.is_empty() {
            row.missed();
            continue;
        }
        row.outcome(&format!("{error} at {}", name(call)), verdict(&world, &run));
    }
    row.note(
        "exit 0 with the new state is success: the error was of a call that nothing depends on".to_owned(),
    );
    row.finish();
}

/// What an error may lead to: success that is one, failure that changed nothing, or the new state and exit 19.
fn verdict(world: &World, run: &Attacked) -> Result<&'static str, String> {
    if run.stderr.contains("panicked") {
        return Err(format!("panic: {}", run.stderr));
    }
    let code = run.status.code();
    let before = if code == Some(0) { world.judge() } else { Ok("") };
    match (code, before?, world.settle()?) {
        (Some(0), "new", "new") => Ok("survived, new"),
        (Some(0), state, _) => Err(format!("exit 0, but {state}: {}", run.stderr)),
        (Some(19), _, "new") => Ok("exit 19, new"),
        (Some(19), _, state) => Err(format!("exit 19, but {state}: {}", run.stderr)),
        (Some(_), _, "old") => Ok("reported, old"),
        // An error while it was recovering by itself: the next command finds the commit.
        (Some(_), _, state) => Err(format!("exit {code:?}, but {state}: {}", run.stderr)),
        (None, ..) => Err(format!("ended by {}", run.status)),
    }
}

fn begin(sweep: &'static str, world: &World, population: usize, planned: usize) -> Row {
    let mut row = Row::new(sweep, population as u64, planned as u64);
    for (lie, seen) in world.lies() {
        row.canary(seen);
        assert!(seen, "the judge did not see {lie}");
    }
    row
}

fn calls(world: &World) -> Vec<Call> {
    world.restore();
    let calls = trace(&world.command(), &world.log());
    // The last call ends the process: it cannot be killed there any more.
    calls.into_iter().filter(|c| c.main && c.name != "exit_group").collect()
}

/// All of them, or so many: a quarter from the first half, the rest from the second, where the transaction is. Sweeps
/// with another `number` meet others.
fn choose<T>(all: &[T], count: usize, number: usize) -> Vec<&T> {
    if count >= all.len() {
        return all.iter().collect();
    }
    let (first, second) = all.split_at(all.len() / 2);
    let spread = |part: &[T], count: usize| -> Vec<usize> {
        let step = part.len() / count.max(1);
        (0..count).map(|i| i * step + number % step.max(1)).collect()
    };
    let early = spread(first, count / 4).into_iter().map(|i| &first[i]);
    early.chain(spread(second, count - count / 4).into_iter().map(|i| &second[i])).collect()
}

fn at(call: &Call, action: &str) -> Injection {
    Injection {
        name: call.name.clone(),
        action: action.to_owned(),
        when: call.nth.to_string(),
        main: true,
        path: None,
    }
}

fn name(call: &Call) -> String {
    format!("{} of {} {}", call.nth, call.name, call.line)
}
