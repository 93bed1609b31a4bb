//! A medium that gives wrong bytes, too few of them, or none: flips, truncations, errors while reading.

use std::os::unix::fs::FileExt;

use crate::image::Image;
use crate::program::{State, good_run, install, install_in_order, judge, settle};
use crate::random::Random;
use crate::target::{ROOMY, Target};
use crate::{canary, root_or_skip};
use testkit::ledger::{Row, planned};
use testkit::strace::{Injection, attack};

#[test]
fn flips() {
    damage("one flipped bit in the image", 200, 10, false);
}

#[test]
fn flips_sealed() {
    damage("one flipped bit, image digest in the manifest forged", 200, 10, true);
}

/// One bit of the image, anywhere; with `sealed` the manifest's digest of the image is that of the flipped one, so that
/// only the reader and the digest of the tree are left to notice.
fn damage(name: &'static str, full: usize, sample: usize, sealed: bool) {
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let file = std::fs::File::options().read(true).write(true).open(&image.path).expect("opened");
    let bits = file.metadata().expect("metadata").len() * 8;
    let count = planned(full, sample) as u64;
    let mut target = Target::new(ROOMY);
    let mut row = Row::new(name, bits, count);
    canary::judge_sees(&mut row, &image, &mut target);
    let mut random = Random::new(200);
    for i in 0..count {
        // Spread over the whole image, at a random place within each part. Every eighth lies in the first 64 KiB, where
        // superblock and metadata are.
        let part = if i % 8 == 0 { 8 * (64 << 10) } else { bits / count };
        let bit = random.below(part) + if i % 8 == 0 { 0 } else { i * (bits / count) };
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ mask], at).expect("written");
        if sealed {
            image.seal();
        }
        let run = install(&image, &target.path()).output().expect("recstrap starts");
        let verdict = judge(&target.path(), &image);
        file.write_all_at(&byte, at).expect("restored");
        if sealed {
            image.seal();
        }
        let stderr = String::from_utf8_lossy(&run.stderr);
        let result = match (run.status.code(), verdict) {
            (_, Err(lie)) => Err(lie),
            (Some(0), Ok(State::Installed)) if sealed => Ok("harmless: the tree is the same".to_owned()),
            (Some(0) | None, _) => Err(format!("{}: {stderr}", run.status)),
            _ if stderr.contains("panicked") => Err(format!("panic: {stderr}")),
            (Some(_), Ok(State::Installed)) => Err("refused, but installed".to_owned()),
            (Some(code), Ok(_)) if ![10, 11].contains(&code) => Err(format!("exit {code}: {stderr}")),
            (Some(code), Ok(state)) => Ok(format!("refused by exit {code}, target {}", state.name())),
        };
        row.outcome(&format!("bit {bit}"), result.as_deref().map_err(Clone::clone));
        // Also what a refused image left behind is started over by the good one.
        if i % 20 == 0 {
            let run = install(&image, &target.path()).output().expect("recstrap starts");
            if let Err(why) = settle(run.status, &target.path(), &image) {
                row.outcome(&format!("the good image after bit {bit}"), Err(why));
            }
        }
        target.empty();
    }
    row.finish();
}

#[test]
fn truncations() {
    let name = "truncated image, with the manifest as it was and forged";
    if !root_or_skip(name) {
        return;
    }
    let image = Image::new();
    let whole = std::fs::read(&image.path).expect("an image");
    let len = whole.len() as u64;
    let count = planned(50, 4) as u64;
    let mut random = Random::new(5);
    let mut target = Target::new(ROOMY);
    let mut row = Row::new(name, 2 * len, 2 * count);
    canary::judge_sees(&mut row, &image, &mut target);
    for i in 0..2 * count {
        // The first are those that people meet: nothing, no superblock, one byte or block less.
        let to = [len - 1, 0, len - 4096, 1500, 4096].get(i as usize / 2).copied();
        let to = to.unwrap_or_else(|| random.below(len));
        let file = std::fs::File::options().write(true).open(&image.path).expect("opened");
        file.set_len(to).expect("cut");
        if i % 2 == 1 {
            image.seal();
        }
        let run = install(&image, &target.path()).output().expect("recstrap starts");
        let verdict = judge(&target.path(), &image);
        std::fs::write(&image.path, &whole).expect("restored");
        image.seal();
        let stderr = String::from_utf8_lossy(&run.stderr);
        let result = match (run.status.code(), verdict) {
            (_, Err(lie)) => Err(lie),
            // mkfs.erofs pads the last block: a tree without its padding may be whole.
            (Some(0), Ok(State::Installed)) if i % 2 == 1 => Ok("harmless: the tree is the same"),
            (Some(0) | None, _) => Err(format!("{}: {stderr}", run.status)),
            _ if stderr.contains("panicked") => Err(format!("panic: {stderr}")),
            (Some(_), Ok(State::Installed)) => Err("refused, but installed".to_owned()),
            (Some(10 | 11), Ok(_)) => Ok("refused"),
            (Some(code), Ok(_)) => Err(format!("exit {code}: {stderr}")),
        };
        row.outcome(&format!("cut to {to} of {len}"), result);
        target.empty();
    }
    row.finish();
}

#[test]
fn read_errors() {
    let name = "EIO while the image is read";
    if !root_or_skip(name) {
        return;
    }
    let (image, mut target, log, calls) = good_run();
    let path = image.path.to_string_lossy().into_owned();
    let reads = |name: &str| name.starts_with("pread") || name.starts_with("read");
    let mut calls: Vec<_> = calls.into_iter().filter(|c| reads(&c.name) && c.line.contains(&path)).collect();
    let population = calls.len() as u64;
    let count = planned(60, 5);
    Random::new(6).shuffle(&mut calls);
    let mut row = Row::new(name, population, count.min(calls.len()) as u64);
    canary::judge_sees(&mut row, &image, &mut target);
    for (i, call) in calls.iter().enumerate() {
        if row.injected() >= count as u64 {
            break;
        }
        // With -P only reads of the image count, so the ordinal is not that of the trace but near it; a medium that
        // fails once, and one that fails from then on.
        let injection = Injection {
            name: call.name.clone(),
            action: "error=EIO".into(),
            when: format!("{}{}", call.nth, if i % 2 == 0 { "" } else { "+" }),
            main: false,
            path: Some(image.path.clone()),
        };
        let run = attack(&install_in_order(&image, &target.path()), &injection, &log);
        if run.injected.is_empty() {
            row.missed();
        } else {
            let panic = run.stderr.contains("panicked");
            let state = settle(run.status, &target.path(), &image);
            let result = match (run.status.code(), state) {
                (_, Err(lie)) => Err(lie),
                _ if panic => Err(format!("panic: {}", run.stderr)),
                (Some(0) | None, _) => Err(format!("{}: {}", run.status, run.stderr)),
                (Some(_), Ok(state)) => Ok(state.name()),
            };
            row.outcome(&format!("{} of {}", injection.when, call.name), result);
        }
        target.empty();
    }
    row.finish();
}
