//! Thousands of small images with random damage: no panic, no endless work, no memory without bound.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::bytes::Random;
use super::defects::image;
use super::editor::Editor;

/// Damaged images in all.
const IMAGES: usize = 20_000;

/// Nothing of that size takes longer, however slow the machine: it would be endless work.
const LONGEST: Duration = Duration::from_secs(20);

/// What the whole of recstrap may take, in KiB; the flips come nowhere near.
const MEMORY_MAX: u64 = 150 << 10;

#[test]
fn random_damage_never_panics() {
    let ways: &[&[&str]] = &[
        &[],
        &["-zlz4hc", "-C16384", "-Elegacy-compress"],
        &["-zlz4hc", "-C65536", "-Eztailpacking"],
        &["-zlz4"],
        &["--chunksize=4096", "-Eforce-chunk-indexes"],
        &["-x1", "--chunksize=8192"],
    ];
    let good: Vec<Editor> = ways.iter().map(|way| image(way)).collect();
    let mut random = Random::new(2026);
    let (mut refused, mut read) = (0, 0);
    for number in 0..IMAGES {
        let mut bad = good[number % good.len()].clone();
        let seed = damage(&mut bad, &mut random);
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| bad.read()));
        let result = result.unwrap_or_else(|_| panic!("image {number} ({seed}) made the reader panic"));
        assert!(started.elapsed() < LONGEST, "image {number} ({seed}) took {:?}", started.elapsed());
        *(if result.is_ok() { &mut read } else { &mut refused }) += 1;
    }
    // Both happen: damage to content that is not compressed is not seen here but by the manifest's digest.
    assert!(refused > IMAGES / 4 && read > IMAGES / 20, "{refused} refused, {read} read");
    let peak = peak_memory();
    assert!(peak < MEMORY_MAX, "peak memory {peak} KiB");
}

/// Damages an image; says how.
fn damage(image: &mut Editor, random: &mut Random) -> String {
    let len = image.bytes.len();
    // Most of an image is content; metadata is in its first and last blocks.
    let place = |random: &mut Random| match random.below(3) {
        0 => random.below(len),
        1 => random.below(len.min(16 << 10)),
        _ => 1024 + random.below(128),
    };
    let how = match random.below(6) {
        0 => {
            image.bytes.truncate(random.below(len));
            format!("cut to {}", image.bytes.len())
        }
        1 | 2 => {
            let (at, bit) = (place(random), random.below(8));
            image.bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        3 => {
            let (at, value) = (place(random), random.next());
            let end = (at + 1 + random.below(8)).min(len);
            image.bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            format!("bytes {at}..{end}")
        }
        4 => {
            let at = place(random);
            let end = (at + 1 + random.below(8)).min(len);
            image.bytes[at..end].fill(0xff);
            format!("ones at {at}..{end}")
        }
        _ => {
            // Sixteen bytes from elsewhere: values that mean something.
            let (from, to) = (place(random).min(len - 16) & !3, place(random).min(len - 16) & !3);
            image.bytes.copy_within(from..from + 16, to);
            format!("{from} copied to {to}")
        }
    };
    if image.bytes.len() >= 4096 && random.below(4) > 0 {
        image.resum();
    }
    how
}

/// The most memory that this process ever had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
