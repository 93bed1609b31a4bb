//! The bytes of a file -> the file on the target, and its digest if somebody needs it.
//!
//! Bytes are decompressed straight into a buffer and written from there in large pieces. Zeros of a whole aligned block of
//! 64 KiB are not written: they stay holes, as they were in the image or before it was made. A file is exactly as long as
//! its inode says, or it is an error.

use std::os::fd::OwnedFd;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use rustix::io::Errno;
use sha2::Digest;

use super::control::Control;
use super::exit;
use super::progress::Progress;
use super::source::{Fill, Sink};

/// How much is gathered before it is written.
const BUFFER: usize = 1 << 20;

/// The smallest hole: smaller ones cost an extent each and save little.
const HOLE: usize = 64 << 10;

static ZEROS: [u8; HOLE] = [0; HOLE];

/// Room for what is on its way, one for each thread. Grows to [`BUFFER`], or to the largest piece of an image.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    used: usize,
}

/// One file being written.
pub struct Writer<'w> {
    /// Where to; nowhere for a file that is only hashed.
    file: Option<&'w OwnedFd>,
    size: u64,
    /// Bytes that came so far; those in the buffer are the last of them.
    at: u64,
    buffer: &'w mut Buffer,
    hasher: Option<sha2::Sha256>,
    /// How long the file is by what was written to it.
    written: u64,
    control: &'w Control,
    progress: &'w Progress,
}

impl<'w> Writer<'w> {
    /// Begins a file of `size` bytes; `buffer` is reused from file to file. Its digest is made if `hash` asks for it.
    pub fn new(
        file: Option<&'w OwnedFd>,
        size: u64,
        hash: bool,
        buffer: &'w mut Buffer,
        control: &'w Control,
        progress: &'w Progress,
    ) -> Self {
        buffer.used = 0;
        Self { file, size, at: 0, buffer, hasher: hash.then(Default::default), written: 0, control, progress }
    }

    /// The digest that was asked for, once everything is written.
    ///
    /// # Errors
    /// Bytes are missing, or the rest cannot be written.
    pub fn finish(mut self) -> anyhow::Result<Option<Sha256>> {
        ensure_image(self.at == self.size, "it holds less than its size says")?;
        self.flush(false)?;
        if let Some(file) = self.file
            && self.written < self.size
        {
            rustix::fs::ftruncate(file, self.size).map_err(write_error)?;
        }
        Ok(self.hasher.map(|hasher| Sha256(hasher.finalize().into())))
    }

    /// That so many more bytes belong to the file.
    fn expect(&mut self, len: u64) -> anyhow::Result<()> {
        self.control.check()?;
        ensure_image(len <= self.size - self.at, "it holds more than its size says")
    }

    /// Empties the buffer. `more`: bytes follow, so what is behind the last border between blocks may stay in it, and no
    /// hole is missed because it was looked at in two parts.
    fn flush(&mut self, more: bool) -> anyhow::Result<()> {
        let used = std::mem::take(&mut self.buffer.used);
        let over = if more { (self.at % HOLE as u64) as usize } else { 0 };
        let end = if over < used { used - over } else { used };
        let bytes = std::mem::take(&mut self.buffer.bytes);
        let result = self.write(self.at - used as u64, &bytes[..end]);
        self.buffer.bytes = bytes;
        self.buffer.bytes.copy_within(end..used, 0);
        self.buffer.used = used - end;
        result
    }

    /// Writes bytes at their place, without the blocks that are zero.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        let mut from = 0;
        let mut at = 0;
        while at < bytes.len() {
            let to_border = HOLE - ((offset + at as u64) % HOLE as u64) as usize;
            let end = bytes.len().min(at + to_border);
            if end - at == HOLE && bytes[at..end] == ZEROS {
                self.put(file, offset + from as u64, &bytes[from..at])?;
                from = end;
            }
            at = end;
        }
        self.put(file, offset + from as u64, &bytes[from..])
    }

    fn put(&mut self, file: &OwnedFd, mut offset: u64, mut bytes: &[u8]) -> anyhow::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        while !bytes.is_empty() {
            match rustix::io::pwrite(file, bytes, offset) {
                Ok(0) => return Err(write_error(Errno::IO)),
                Ok(n) => (offset, bytes) = (offset + n as u64, &bytes[n..]),
                Err(Errno::INTR) => {}
                Err(e) => return Err(write_error(e)),
            }
        }
        self.written = self.written.max(offset);
        Ok(())
    }
}

impl Sink for Writer<'_> {
    fn data(&mut self, len: usize, fill: &mut Fill<'_>) -> anyhow::Result<()> {
        self.expect(len as u64)?;
        if self.buffer.used > 0 && self.buffer.used + len > BUFFER {
            self.flush(true)?;
        }
        let (from, end) = (self.buffer.used, self.buffer.used + len);
        if self.buffer.bytes.len() < end {
            self.buffer.bytes.resize(end, 0);
        }
        let room = &mut self.buffer.bytes[from..end];
        fill(room)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&*room);
        }
        self.at += len as u64;
        self.buffer.used = if self.file.is_some() { end } else { 0 };
        self.progress.add(len as u64);
        Ok(())
    }

    fn hole(&mut self, len: u64) -> anyhow::Result<()> {
        self.expect(len)?;
        self.flush(false)?;
        if let Some(hasher) = &mut self.hasher {
            let mut left = len;
            while left > 0 {
                let now = left.min(HOLE as u64);
                hasher.update(&ZEROS[..now as usize]);
                left -= now;
                self.control.check()?;
            }
        }
        self.at += len;
        self.progress.add(len);
        Ok(())
    }
}

fn write_error(e: Errno) -> anyhow::Error {
    let result: anyhow::Result<()> = Err(std::io::Error::from(e)).context("failed to write the content");
    result.exit(exit::TARGET).expect_err("it is an error")
}

fn ensure_image(holds: bool, what: &'static str) -> anyhow::Result<()> {
    let check = || {
        ensure!(holds, "the image is damaged: {what}");
        Ok(())
    };
    check().exit(exit::IMAGE)
}
