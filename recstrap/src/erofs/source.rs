//! Reads of the image's file: never past its end, with the offset in every error.
//!
//! Inodes, attributes, directories and indexes are many small reads near each other: they go through windows of
//! [`WINDOW`] bytes that are kept, [`SLOTS`] of them, together 4 MiB whatever the image is. File contents do not.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Error, corrupt};

/// Bytes of a window: the metadata of a few hundred files, read at once.
const WINDOW: usize = 16 << 10;

/// How many windows are kept; a power of two, so that a window's number picks its slot.
const SLOTS: u64 = 256;

/// A window that was read: its number, its bytes.
type Slot = Option<(u64, Arc<[u8]>)>;

/// The file, and what of it is the image.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    len: u64,
    slots: Vec<Mutex<Slot>>,
}

impl Source {
    /// All of `file`; block devices have a length too.
    pub(super) fn new(mut file: File) -> Result<Self, Error> {
        let len = file.seek(SeekFrom::End(0)).map_err(|source| Error::Io { offset: 0, len: 0, source })?;
        let slots = (0..SLOTS).map(|_| Mutex::new(None)).collect();
        Ok(Self { file, len, slots })
    }

    /// Bytes that can be read.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Shortens what can be read: what follows the image in the file is none of it.
    pub(super) fn limit(&mut self, len: u64) {
        self.len = self.len.min(len);
    }

    /// That `len` bytes at `at` are in the image; `what` they are is for the error.
    pub(super) fn check(&self, at: u64, len: u64, what: &str) -> Result<(), Error> {
        match at.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(corrupt(
                format!("{what} of {len} bytes ends beyond the image, which has {} bytes", self.len),
                at,
            )),
        }
    }

    /// Fills `out` from `at` on, past the windows: for contents.
    pub(super) fn read(&self, at: u64, out: &mut [u8], what: &str) -> Result<(), Error> {
        self.check(at, out.len() as u64, what)?;
        self.pread(at, out)
    }

    /// Fills `out` from `at` on, through the windows: for metadata.
    pub(super) fn fill(&self, at: u64, out: &mut [u8], what: &str) -> Result<(), Error> {
        self.check(at, out.len() as u64, what)?;
        let (mut at, mut rest) = (at, out);
        while !rest.is_empty() {
            let (number, skip) = (at / WINDOW as u64, (at % WINDOW as u64) as usize);
            let (part, after) = rest.split_at_mut(rest.len().min(WINDOW - skip));
            match self.window(number) {
                Some(window) if window.len() >= skip + part.len() => {
                    part.copy_from_slice(&window[skip..skip + part.len()]);
                }
                // A bad sector somewhere in the window is no reason to fail where it is not wanted.
                _ => self.pread(at, part)?,
            }
            at += part.len() as u64;
            rest = after;
        }
        Ok(())
    }

    /// A few bytes of metadata.
    pub(super) fn array<const N: usize>(&self, at: u64, what: &str) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        self.fill(at, &mut out, what)?;
        Ok(out)
    }

    fn window(&self, number: u64) -> Option<Arc<[u8]>> {
        let slot = &self.slots[(number % SLOTS) as usize];
        // What a panicking thread left in it is a whole window or none.
        let lock = || slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, window)) = lock().as_ref().filter(|(kept, _)| *kept == number) {
            return Some(Arc::clone(window));
        }
        // Not under the lock: several threads may read the same window, none waits for another's medium.
        let at = number * WINDOW as u64;
        let mut bytes = vec![0; (self.len.saturating_sub(at)).min(WINDOW as u64) as usize];
        self.pread(at, &mut bytes).ok()?;
        let window: Arc<[u8]> = bytes.into();
        *lock() = Some((number, Arc::clone(&window)));
        Some(window)
    }

    fn pread(&self, at: u64, out: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(out, at).map_err(|source| Error::Io {
            offset: at,
            len: out.len() as u64,
            source,
        })
    }
}
