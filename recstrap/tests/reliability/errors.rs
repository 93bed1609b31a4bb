//! System calls that fail, and system calls that lie: EIO and ENOSPC from every kind of call that writes, and calls that
//! report success and do nothing.

use std::collections::BTreeMap;

use crate::image::Image;
use crate::program::{State, good_run, install_in_order, judge, settle};
use crate::target::Target;
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, full};
use testkit::strace::{Attacked, Call, Injection, attack};

/// Calls that write, by whatever name a program may choose.
const WRITES: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "copy_file_range",
    "sendfile",
    "fchown",
    "fchownat",
    "lchown",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "utimensat",
    "fsetxattr",
    "lsetxattr",
    "setxattr",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mknod",
    "mknodat",
    "mkdir",
    "mkdirat",
    "fsync",
    "fdatasync",
    "sync",
    "syncfs",
    "sync_file_range",
    "close",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "fallocate",
    "ftruncate",
];

/// Errors that a program may rightly survive, and why. Everything else that ends with exit 0 is a violation.
const SURVIVED: &[(&str, &str)] = &[
    ("close", "says nothing that syncfs and reading back do not find, and they come after it"),
    ("fallocate", "asks for room early; the write that follows is what must not fail"),
];

#[test]
fn errors() {
    if !root_or_skip("system calls that fail") {
        return;
    }
    let (image, mut target, _, calls) = good_run();
    let points = points(&calls, &target);
    let kinds = [("error=EIO", ""), ("error=ENOSPC", ""), ("error=EIO", "+"), ("error=ENOSPC", "+")];
    let all: Vec<_> = points.iter().flat_map(|call| kinds.map(|kind| (*call, kind))).collect();
    let step = if full() { 1 } else { all.len().div_ceil(12) | 1 };
    let chosen: Vec<_> = all.iter().step_by(step).collect();
    let population = calls.iter().filter(|c| writes(c, &target)).count() * kinds.len();
    let mut row = Row::new("EIO and ENOSPC from calls that write", population as u64, chosen.len() as u64);
    canary::judge_sees(&mut row, &image, &mut target);
    for (call, (action, more)) in chosen {
        let run = at(call, action, more, &image, &target);
        let name = format!("{action} at {}{more} of {} {}", call.nth, call.name, call.line);
        if !touched(&run, &target) {
            row.missed();
        } else {
            row.outcome(&name, verdict(&run, action, call, &image, &target));
        }
        target.empty();
    }
    let why = SURVIVED.iter().map(|(name, why)| format!("{name} {why}"));
    row.note(format!("an error of these may be survived: {}", why.collect::<Vec<_>>().join("; ")));
    row.finish();
}

fn verdict(
    run: &Attacked,
    action: &str,
    call: &Call,
    image: &Image,
    target: &Target,
) -> Result<&'static str, String> {
    let before = judge(&target.path(), image)?;
    settle(run.status, &target.path(), image)?;
    if run.stderr.contains("panicked") {
        return Err(format!("panic: {}", run.stderr));
    }
    match (run.status.code(), before) {
        (Some(0), _) => match SURVIVED.iter().find(|(name, _)| *name == call.name) {
            Some(_) => Ok("survived, installed"),
            None => Err("exit 0".to_owned()),
        },
        // The marker's removal is done but could not be confirmed: everything is in place, and the user is told.
        (Some(_), State::Installed) => Ok("reported, all in place"),
        (Some(3), _) => Ok("reported, exit 3"),
        (code, _) if action == "error=ENOSPC" => {
            Err(format!("exit {code:?} for a full disk: {}", run.stderr))
        }
        (Some(_), _) => Ok("reported"),
        (None, _) => Err(format!("ended by {}", run.status)),
    }
}

/// Calls that say "done" without having done it: only reading back can notice.
const LIES: &[&str] = &[
    "write",
    "pwrite64",
    "fchown",
    "fchownat",
    "lchown",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "utimensat",
    "fsetxattr",
    "lsetxattr",
    "setxattr",
    "linkat",
    "symlinkat",
    "mknodat",
    "mkdirat",
    "ftruncate",
];

#[test]
fn lies() {
    if !root_or_skip("system calls that lie") {
        return;
    }
    let (image, mut target, log, calls) = good_run();
    let points: Vec<_> = points(&calls, &target).into_iter().filter(|c| LIES.contains(&&*c.name)).collect();
    let population = calls.iter().filter(|c| writes(c, &target) && LIES.contains(&&*c.name)).count();
    let step = if full() { 1 } else { 4 };
    let planned = points.iter().step_by(step).count();
    let mut row = Row::new("calls that report success and do nothing", population as u64, planned as u64);
    let mut unseen = 0;
    for call in points.iter().step_by(step) {
        let value = call.line.rsplit(" = ").next().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let action = format!("retval={value}");
        let run = at(call, &action, "", &image, &target);
        if !touched(&run, &target) {
            row.missed();
            target.empty();
            continue;
        }
        let name = format!("{} of {} {}", call.nth, call.name, call.line);
        let result = settle(run.status, &target.path(), &image);
        let outcome = if run.status.success() { "repaired or harmless, installed" } else { "noticed" };
        row.outcome(&name, result.map(|_| outcome));
        target.empty();
        // The same lie to a run that does not read back: the judge must find it.
        let blind = install_in_order(&image, &target.path()).arg("--no-verify");
        let run = attack(&blind, &injection(call, &action, ""), &log);
        if touched(&run, &target) && run.status.success() {
            unseen += u64::from(judge(&target.path(), &image).is_err());
        }
        target.empty();
    }
    row.canary(unseen > 0);
    row.note(format!("{unseen} of these lies pass unnoticed with --no-verify, and the judge finds them"));
    row.finish();
}

fn at(call: &Call, action: &str, more: &str, image: &Image, target: &Target) -> Attacked {
    let log = target.disk.with_extension("strace");
    attack(&install_in_order(image, &target.path()), &injection(call, action, more), &log)
}

fn injection(call: &Call, action: &str, more: &str) -> Injection {
    Injection {
        name: call.name.clone(),
        action: action.into(),
        when: format!("{}{more}", call.nth),
        main: call.main,
        path: None,
    }
}

/// Whether something of the target was hit.
fn touched(run: &Attacked, target: &Target) -> bool {
    run.injected.iter().any(|line| on_target(line, target))
}

fn writes(call: &Call, target: &Target) -> bool {
    WRITES.contains(&&*call.name) && on_target(&call.line, target) && !opens_to_read(call)
}

fn on_target(line: &str, target: &Target) -> bool {
    line.contains(&*target.path().to_string_lossy())
}

/// An open that could not change anything.
fn opens_to_read(call: &Call) -> bool {
    call.name.starts_with("open") && !["O_CREAT", "O_WRONLY", "O_RDWR"].iter().any(|f| call.line.contains(f))
}

/// First, middle and last call on the target, of each name and each kind of thread.
fn points<'a>(calls: &'a [Call], target: &Target) -> Vec<&'a Call> {
    let mut of: BTreeMap<(&str, bool), Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|c| writes(c, target)) {
        of.entry((&call.name, call.main)).or_default().push(call);
    }
    let chosen = of.into_values().flat_map(|list| {
        let mut three = vec![list[0], list[list.len() / 2], list[list.len() - 1]];
        three.dedup();
        three
    });
    chosen.collect()
}
