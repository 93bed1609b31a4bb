//! Two programs at once, and signals at random times.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::image::Image;
use crate::program::{State, install, judge, settle};
use crate::random::Random;
use crate::target::{ROOMY, Target};
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, planned};

fn start(image: &Image, target: &Target) -> Child {
    let mut cmd = install(image, &target.path()).std();
    cmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("recstrap starts")
}

/// How long a run takes here and now.
fn duration(image: &Image, target: &mut Target) -> Duration {
    let since = Instant::now();
    assert!(start(image, target).wait().expect("waited").success(), "a run without an attack succeeds");
    let time = since.elapsed();
    target.empty();
    time
}

#[test]
fn pairs() {
    let name = "two recstraps on one target";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let count = planned(100, 5) as u64;
    let mut row = Row::new(name, 100, count);
    canary::judge_sees(&mut row, &image, &mut target);
    let usual = duration(&image, &mut target);
    let mut random = Random::new(2);
    for i in 0..count {
        let first = start(&image, &target);
        // Every other pair at the same moment, the others while the first is at work.
        let delay = if i % 2 == 0 { Duration::ZERO } else { usual.mul_f64(random.below(90) as f64 / 100.0) };
        std::thread::sleep(delay);
        let second = start(&image, &target);
        let outs = [first, second].map(|child| child.wait_with_output().expect("waited"));
        let codes = outs.each_ref().map(|out| out.status.code());
        let attack = format!("second after {} ms", delay.as_millis());
        let result = match codes {
            [Some(0), Some(10)] | [Some(10), Some(0)] => match judge(&target.path(), &image) {
                Ok(State::Installed) => {
                    Ok(if codes[0] == Some(0) { "first worked" } else { "second worked" })
                }
                other => Err(format!("{other:?}")),
            },
            codes => {
                let texts = outs.map(|out| String::from_utf8_lossy(&out.stderr).into_owned());
                Err(format!("exit codes {codes:?}: {texts:?}"))
            }
        };
        row.outcome(&attack, result);
        target.empty();
    }
    row.finish();
}

#[test]
fn sigint() {
    signals("SIGINT at a random time", Signal::INT);
}

#[test]
fn sigterm() {
    signals("SIGTERM at a random time", Signal::TERM);
}

#[test]
fn sigkill() {
    signals("SIGKILL at a random time, all threads at work", Signal::KILL);
}

fn signals(name: &'static str, signal: Signal) {
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let count = planned(50, 4) as u64;
    let mut row = Row::new(name, 50, count);
    canary::judge_sees(&mut row, &image, &mut target);
    let usual = duration(&image, &mut target);
    let mut random = Random::new(15);
    while row.injected() < count {
        let mut child = start(&image, &target);
        let delay = usual.mul_f64(random.below(100) as f64 / 100.0);
        std::thread::sleep(delay);
        let pid = Pid::from_child(&child);
        if child.try_wait().expect("waited").is_some() || kill_process(pid, signal).is_err() {
            row.missed();
            target.empty();
            continue;
        }
        let sent = Instant::now();
        let out = child.wait_with_output().expect("waited");
        let took = sent.elapsed();
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let ended = match (out.status.code(), out.status.signal()) {
            (Some(0), _) => Ok("was done"),
            (Some(130 | 143), _) => Ok("interrupted"),
            (_, Some(s)) if s == signal.as_raw() => Ok("ended by the signal"),
            _ => Err(format!("{}: {stderr}", out.status)),
        };
        let result = settle(out.status, &target.path(), &image).and_then(|state| Ok((state, ended?)));
        let result = match result {
            Ok(_) if took > Duration::from_secs(3) => Err(format!("ended {took:?} after the signal")),
            // The default action is right only before the program has begun anything.
            Ok((state, "ended by the signal")) if signal != Signal::KILL && state != State::Untouched => {
                Err(format!("killed by it while {}", state.name()))
            }
            Ok((state, ended)) => Ok(format!("{ended}, {}", state.name())),
            Err(why) => Err(why),
        };
        let attack = format!("after {} ms of {}", delay.as_millis(), usual.as_millis());
        row.outcome(&attack, result.as_deref().map_err(Clone::clone));
        target.empty();
    }
    row.finish();
}
