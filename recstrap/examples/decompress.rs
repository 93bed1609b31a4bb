//! Reads all contents of an image by all processors and drops them: what unpacking costs before anything is written.
//!
//! `decompress IMAGE`, or `decompress --summary IMAGE` for the bytes of all files, each once.

use std::fs::File;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use recstrap::erofs::{Image, Inode, Kind, Scratch};

fn main() -> ExitCode {
    common::cli::run_main(|| {
        let mut args: Vec<_> = std::env::args_os().skip(1).collect();
        let summary = args.first().is_some_and(|arg| arg == "--summary");
        args.drain(..usize::from(summary));
        let path = args.first().context("usage: decompress [--summary] IMAGE")?;
        let image = Image::open(File::open(path)?)?;
        let names: Vec<_> = image.walk().collect::<Result<_, _>>()?;
        let files: Vec<Inode> = names
            .into_iter()
            .filter(|name| name.inode.kind == Kind::File && name.first.is_none())
            .map(|name| name.inode)
            .collect();
        if summary {
            #[expect(clippy::print_stdout, reason = "stdout is data")]
            {
                println!("{}", files.iter().map(|file| file.size).sum::<u64>());
            }
        } else {
            decompress(&image, &files)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn decompress(image: &Image, files: &[Inode]) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<()> {
        let mut scratch = Scratch::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            for extent in image.extents(file)?.iter() {
                image.read_extent(&extent, &mut scratch)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}
