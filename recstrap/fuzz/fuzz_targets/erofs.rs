//! Any bytes -> the reader of EROFS images, all of it: an error or a tree, never a panic.
//!
//! The checksum of the superblock is made right first, or the fuzzer would never get past it.

#![no_main]

#[path = "../../tests/erofs/exercise.rs"]
mod exercise;

use std::fs::File;
use std::io::Write;

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if bytes.len() >= 4096 {
        bytes[1028..1032].fill(0);
        let sum = !crc32c::crc32c(&bytes[1024..4096]);
        bytes[1028..1032].copy_from_slice(&sum.to_le_bytes());
    }
    let mut file = File::from(memfd_create("image", MemfdFlags::CLOEXEC).expect("a file in memory"));
    file.write_all(&bytes).expect("a file in memory");
    let _ = exercise::read(file);
});
