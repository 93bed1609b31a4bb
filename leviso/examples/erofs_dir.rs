//! A directory of the host as an EROFS image, to compare size, time and memory with mkfs.erofs.
//!
//! `cargo run --release -p leviso --example erofs_dir -- DIR IMAGE [none|lz4|lz4hc] [LEVEL] [PCLUSTER] [notails]`

#![expect(clippy::print_stdout, reason = "a command")]

#[path = "../tests/erofs/host.rs"]
mod host;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use leviso::erofs::{self, Algorithm, Options};
use leviso::progress::Quiet;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize| args.get(i).map(String::as_str);
    let (dir, image) = (arg(0).context("DIR is missing")?, arg(1).context("IMAGE is missing")?);
    let level = arg(3).unwrap_or("9").parse()?;
    let algorithm = match arg(2).unwrap_or("lz4hc") {
        "none" => Algorithm::None,
        "lz4" => Algorithm::Lz4,
        "lz4hc" => Algorithm::Lz4Hc { level },
        other => bail!("unknown algorithm {other}"),
    };
    let options = Options {
        algorithm,
        pcluster: arg(4).unwrap_or("65536").parse()?,
        tail_packing: arg(5) != Some("notails"),
        uuid: None,
        label: "experiment".into(),
        build_time: 0,
    };
    let start = Instant::now();
    let tree = host::read(Path::new(dir))?;
    let read = start.elapsed();
    let mut file =
        std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(image)?;
    let report = erofs::write(&tree, &mut file, &options, &Quiet)?;
    println!("tree read in {read:.2?}, written in {:.2?}\n{report:#?}", start.elapsed() - read);
    Ok(())
}
