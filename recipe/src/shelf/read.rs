//! A directory of recipes -> all of them, or why not.
//!
//! There is no index that could be out of date: every file is looked at, every time, and read unless its text is [kept](Kept) and it
//! is unchanged. What has to come from the disk is asked for by many threads, in the order of the inodes: a disk is given many small
//! requests at once, and neighbours together. (10,000 files, caches dropped, opened and read: 0.6 s by two threads, 0.16 s by 16,
//! 0.12 s by 32, 0.10 s by 96.)

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use common::cli::Mark;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::kept::{Kept, Stamp};
use crate::dir::Dir;
use crate::exit;
use crate::recipe::Recipe;

/// Requests that the disk is given at once: more gain nothing, by measurement.
const THREADS: usize = 96;
/// Files that a thread takes at a time, so that none waits long for the last one.
const BLOCK: usize = 16;
/// A block that took longer came from a disk: 16 files in memory take a tenth of it.
const IN_MEMORY: Duration = Duration::from_millis(1);
/// Recipes are smaller; those that are not are read as any file is.
const LARGE: usize = 64 << 10;

/// A file of the directory.
struct File {
    inode: u64,
    name: OsString,
}

/// Names of a directory's recipe files, sorted.
pub(super) fn names(dir: &Path) -> anyhow::Result<Vec<OsString>> {
    let mut names: Vec<_> = list(&open(dir)?)?.into_iter().map(|file| file.name).collect();
    names.sort_unstable();
    Ok(names)
}

fn open(dir: &Path) -> anyhow::Result<Dir> {
    readable(dir, Dir::open(dir))
}

/// The recipe files of a directory, in its own order.
fn list(dir: &Dir) -> anyhow::Result<Vec<File>> {
    // Not std's reader of directories: it panics when closing one fails.
    let names = readable(&dir.path, dir.numbered_names())?;
    // One whose name is no text cannot be a recipe, and is not passed over: reading it says so.
    let is_recipe = |name: &[u8]| !name.starts_with(b".") && name.ends_with(b".rhai");
    let file = |(inode, name): (u64, std::ffi::CString)| {
        is_recipe(name.as_bytes()).then(|| File { inode, name: OsString::from_vec(name.into_bytes()) })
    };
    Ok(names.into_iter().filter_map(file).collect())
}

fn readable<T>(dir: &Path, result: std::io::Result<T>) -> anyhow::Result<T> {
    result
        .with_context(|| format!("failed to list {}", dir.display()))
        .exit(exit::NOT_FOUND)
        .hint("--recipes DIR or RECIPE_PATH says where recipes are")
}

/// All recipes of a directory, sorted by the names of their files; with a cache, from texts kept there as far as those are true.
pub(super) fn all(
    dir: &Path,
    cache: Option<&Path>,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Recipe>>> {
    let dir = open(dir)?;
    // Names and texts are two long reads of the kernel, each by one processor.
    let (files, kept) = thread::scope(|scope| {
        let kept = || Kept::open(cache?, &dir);
        let helper = cache.and_then(|_| thread::Builder::new().spawn_scoped(scope, kept).ok());
        let files = list(&dir);
        (files, helper.map_or_else(kept, |helper| helper.join().ok().flatten()))
    });
    let mut files = files?;
    files.sort_unstable_by_key(|file| file.inode);
    // Each is put where it stays: a recipe is half a kilobyte, and ten thousand are not moved for nothing.
    let places: Vec<OnceLock<anyhow::Result<Recipe>>> = files.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    // Reads a block; false if there is none any more.
    let block = |buffer: &mut [u8]| {
        let start = next.fetch_add(BLOCK, Ordering::Relaxed);
        let mine = start..files.len().min(start + BLOCK);
        let is_one = !mine.is_empty();
        for at in mine {
            places[at].get_or_init(|| load(&dir, &files[at].name, buffer, kept.as_ref()));
        }
        is_one
    };
    let work = || {
        let mut buffer = vec![0; LARGE];
        while block(&mut buffer) {}
    };
    let since = Instant::now();
    block(&mut vec![0; LARGE]);
    // What is in memory comes as fast as processors can take it; for that, more threads than processors are in each other's way.
    let threads = if since.elapsed() > IN_MEMORY { THREADS } else { processors() };
    let mut order: Vec<usize> = (0..files.len()).collect();
    thread::scope(|scope| {
        let helpers = threads.min(files.len() / BLOCK).saturating_sub(1);
        // Where no more threads can be had, those that are there do it all. The scope waits for them.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        (0..helpers).map_while(spawn).for_each(drop);
        order.sort_unstable_by(|a, b| files[*a].name.cmp(&files[*b].name));
        work();
    });
    // Whoever cannot keep them reads them again.
    let _ = kept.map(Kept::store);
    let mut places = places;
    Ok(order.into_iter().filter_map(move |at| places[at].take()))
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// As [`Recipe::load`], from the text that is kept, or by one call to read instead of three: of ten thousand files that is most of
/// the time.
fn load(dir: &Dir, name: &OsStr, buffer: &mut [u8], kept: Option<&Kept>) -> anyhow::Result<Recipe> {
    let path = || -> PathBuf { dir.path.join(name) };
    if let Some(kept) = kept.filter(|kept| !kept.is_empty()) {
        let stat = rustix::fs::statat(dir, name, AtFlags::empty()).ok();
        if let Some(text) = stat.and_then(|stat| kept.text(&Stamp::of(&stat)?)) {
            return Recipe::parse(text, &path());
        }
    }
    // Pipes are not waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat(dir, name, flags, Mode::empty());
    let opened = opened.map_err(std::io::Error::from).map(std::fs::File::from);
    let stamp = kept
        .zip(opened.as_ref().ok())
        .and_then(|(kept, file)| Some((kept, Stamp::of(&rustix::fs::fstat(file).ok()?)?)));
    let read = opened.and_then(|mut file| file.read(buffer));
    match read.map(|len| std::str::from_utf8(&buffer[..len])) {
        // The kernel gives a regular file's bytes as far as there are any. Nothing is what pipes and devices give, too.
        Ok(Ok(text)) if !text.is_empty() && text.len() < LARGE => {
            if let Some((kept, stamp)) = stamp {
                kept.keep(stamp, text);
            }
            Recipe::parse(text, &path())
        }
        _ => Recipe::load(&path()),
    }
}
