//! Archive -> files below a directory, or a refusal. Archives are data from strangers.
//!
//! What is never done: writing outside of the directory, through a symlink, over a file of the same archive, or with more
//! rights than 0755. What is refused: absolute names, `..`, devices, pipes, links that lead out, names that are there twice,
//! more data than an honest archive of that size could hold.

mod format;
mod sink;
mod tape;
mod zipped;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, bail};

use crate::dir::{self, Dir};
use crate::interrupt::Interrupt;
pub use format::{Format, NAMES, Packing, Shape, packed};
use sink::Sink;

/// How large an archive's content may be: this, and so many times what it is packed. gzip and xz pack zeros a thousand
/// times and more; source code ten times.
const FREE: u64 = 256 << 20;
const RATIO: u64 = 200;

/// Unpacks a file into an empty directory. `name` is what a format of a single file is called by.
///
/// # Errors
/// It is not of that format, is cut off, or holds what is refused.
pub fn extract(
    file: &File,
    format: Format,
    name: &str,
    into: &Dir,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let packed = file.metadata().context("failed to examine the archive")?.len();
    let limit = FREE.saturating_add(packed.saturating_mul(RATIO));
    let mut sink = Sink::new(into, limit, interrupt);
    match format.shape {
        Shape::Zip => zipped::unpack(file, &mut sink)?,
        Shape::Tar => {
            // What comes behind the end of the archive must still be whole: a digest of the packer lies there.
            let mut reader = Capped { inner: format.packing.reader(file)?, left: limit.saturating_mul(2) };
            tape::unpack(&mut reader, &mut sink)?;
            io::copy(&mut reader, &mut io::sink()).context("the archive's end is damaged")?;
        }
        Shape::Single => {
            let name = format.single_name(name);
            if matches!(name, "" | "." | "..") {
                bail!("expected a file's name, found {name:?}");
            }
            let mut reader = format.packing.reader(file)?;
            sink.file(name.as_bytes(), 0o644, None, &mut reader)?;
        }
    }
    sink.finish()
}

/// The directory that everything lies in which was unpacked into a directory, where there is one: most sources have it, called by name and
/// version. `before`: names that were there already.
///
/// # Errors
/// The directory cannot be read.
pub fn only_dir(into: &Dir, before: &[CString]) -> io::Result<Option<String>> {
    let names = into.raw_names()?;
    let new: Vec<_> = names.iter().filter(|name| !before.contains(name)).collect();
    if let [only] = new[..]
        && let Ok(only) = only.to_str()
        && into.stat(only)?.is_some_and(|stat| dir::kind(&stat).is_dir())
    {
        return Ok(Some(only.to_owned()));
    }
    Ok(None)
}

/// Ends with an error instead of reading for ever.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other("the archive holds far more than its size allows"))?;
        Ok(n)
    }
}
