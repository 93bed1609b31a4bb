//! `cargo xtask bench extract`: how fast recstrap fills a disk, against every rival, on the same disk, in one run.
//!
//! In: an image. Out: a table (or JSON): the median of each rival's times, the ratio to recstrap's, peak memory.
//!
//! What is measured is from the start of the program until everything is on the disk (syncfs), into a fresh ext4 on a
//! loop device whose file lies in the build directory, with all caches dropped before. Runs are interleaved: what else
//! the machine does meanwhile hits all alike. Floors say how much there is to gain: writing the same number of bytes to one file,
//! reading and decompressing all of the image without writing anything, and writing one file and reading it back.
//!
//! - [`disk`]: the target      - [`rivals`]: who takes part, and what they need      - [`report`]: medians, table
//! - [`recipe`]: the other bench, of recipe

mod disk;
mod report;
mod rivals;
mod recipe;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::cmd::Cmd;

use crate::paths::Paths;
use disk::Disk;
pub(crate) use recipe::{RecipeArgs, recipe};
use report::{Report, Sample};
use rivals::{Action, Rival};

/// Ticks per second in /proc: USER_HZ is 100 on every x86-64 kernel.
const USER_HZ: f64 = 100.0;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ExtractArgs {
    /// The image; default: that of the newest ISO's build.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Its manifest; default: that of the newest ISO, if the image is its. Without one recstrap hashes no image.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Runs of each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Only those whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Measure this recstrap instead of building the workspace's.
    #[arg(long, value_name = "PROGRAM")]
    recstrap: Option<PathBuf>,
    /// Slow the disk down to so many MB/s, reading and writing (needs the blkio controller of cgroup v1): a SATA SSD has about
    /// 500, a USB stick 100.
    #[arg(long, value_name = "MB/S", value_parser = clap::value_parser!(u64).range(1..))]
    disk_rate: Option<u64>,
    /// Print JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn extract(paths: &Paths, args: &ExtractArgs) -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "mounting the targets needs root");
    let default = paths.work().join("lab/rootfs.erofs");
    let image = args.image.clone().unwrap_or_else(|| default.clone());
    let image = image.canonicalize().with_context(|| format!("failed to find the image {}", image.display()));
    let image = image.hint("give one with --image, or run `cargo xtask iso --profile lab`")?;
    let manifest = match &args.manifest {
        Some(path) => Some(path.clone()),
        None if args.image.is_none() => {
            paths.newest_iso()?.map(|iso| PathBuf::from(format!("{}.json", iso.display())))
        }
        None => None,
    };

    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(&paths.target)?;
    let setup = rivals::Setup::prepare(paths, args.recstrap.as_deref(), &image, manifest, dir.path())?;
    let rivals: Vec<Rival> =
        setup.rivals().into_iter().filter(|rival| wanted(&args.only, rival.name)).collect();
    ensure!(!rivals.is_empty(), "nothing is called {:?}", args.only);

    // Twice the content: files take whole blocks, and inodes and the journal their share.
    let disk = Disk::new(dir.path(), setup.content * 2 + (512 << 20), args.disk_rate)?;
    let mut report = Report::new(&setup, args.runs, args.disk_rate);
    for run in 0..args.runs as usize {
        for number in 0..rivals.len() {
            // Nobody always comes after the same one.
            let rival = &rivals[(number + run) % rivals.len()];
            say(&format!("run {} of {}: {}", run + 1, args.runs, rival.name));
            report.add(rival, measure(&setup, &disk, rival).with_context(|| rival.name.to_owned())?);
        }
    }
    report.print(args.json)
}

fn wanted(only: &[String], name: &str) -> bool {
    only.is_empty() || only.iter().any(|part| name.contains(part.as_str()))
}

fn measure(setup: &rivals::Setup, disk: &Disk, rival: &Rival) -> anyhow::Result<Sample> {
    let target = disk.fresh()?;
    if rival.mounted {
        setup.mount()?;
    }
    drop_caches()?;
    let (started, cpu) = (Instant::now(), children_cpu()?);
    let peak_kib = match &rival.action {
        Action::Run(cmd) => run(&cmd(&target.path))?,
        Action::Write => {
            disk::write_file(&target.path.join("file"), setup.content)?;
            0
        }
        Action::WriteAndRead => {
            let file = target.path.join("file");
            disk::write_file(&file, setup.content)?;
            disk::read_file(&file)?;
            0
        }
    };
    target.sync()?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), children_cpu()? - cpu);
    if rival.mounted {
        setup.unmount()?;
    }
    // A rival that does less is no rival.
    if let Some(below) = rival.fills {
        let names = disk::names(&target.path.join(below))?;
        ensure!(names == setup.names, "it made {names} names, the image has {}", setup.names);
    }
    target.unmount()?;
    Ok(Sample { seconds, cpu, peak_kib })
}

/// Runs a command to its end; the most memory its process had, in KiB. Children of it do not count.
fn run(cmd: &Cmd) -> anyhow::Result<u64> {
    let mut std = cmd.std();
    std.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    // Some rivals write a line for every file that is left as it is.
    let log = tempfile::tempfile()?;
    std.stderr(log.try_clone()?);
    let mut child = std.spawn().with_context(|| format!("failed to start `{}`", cmd.display()))?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The kernel's own high-water mark: only what happens after the last look is missed.
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(mark.unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                let mut text = String::new();
                let mut log = log;
                std::io::Seek::rewind(&mut log)?;
                std::io::Read::read_to_string(&mut log, &mut text)?;
                anyhow::bail!("`{}` failed ({status})\n{}", cmd.display(), text.trim());
            }
            return Ok(peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Seconds of processor time that all processes took which we have waited for, and those that these waited for. What
/// the kernel does for them afterwards (writing back) is not in it.
fn children_cpu() -> anyhow::Result<f64> {
    let stat = common::fs::read_to_string("/proc/self/stat".as_ref())?;
    // proc(5): the second field may hold spaces; cutime and cstime are the 16th and 17th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    let ticks = ticks(13).zip(ticks(14)).map(|(user, system)| user + system);
    Ok(ticks.context("/proc/self/stat has no times")? / USER_HZ)
}

fn drop_caches() -> anyhow::Result<()> {
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3").context("failed to drop caches")
}

/// Progress, for people.
fn say(line: &str) {
    #[expect(clippy::print_stderr, reason = "progress")]
    {
        eprintln!("{line}");
    }
}
