//! Pieces of a file -> the file on the target, and its digest.
//!
//! Pieces are gathered to large writes. Zeros of a whole aligned block of 64 KiB are not written: they stay holes, as
//! they were in the image or before it was made. A file is exactly as long as its inode says, or it is an error.

use std::os::fd::OwnedFd;

use anyhow::{Context, ensure};
use common::cli::Mark;
use common::hash::Sha256;
use sha2::Digest;

use super::control::Control;
use super::exit;
use super::plan::Piece;
use super::progress::Progress;

/// How much is gathered before it is written.
const BUFFER: usize = 1 << 20;

/// The smallest hole: smaller ones cost an extent each and save little.
const HOLE: usize = 64 << 10;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// One file being written.
pub struct Writer<'w> {
    /// Where to; nowhere for a file that is only hashed.
    file: Option<&'w OwnedFd>,
    size: u64,
    /// Bytes that came so far; those in the buffer are the last of them.
    at: u64,
    buffer: &'w mut Vec<u8>,
    hasher: sha2::Sha256,
    /// How long the file is by what was written to it.
    written: u64,
    control: &'w Control,
    progress: &'w Progress,
}

impl<'w> Writer<'w> {
    /// Begins a file of `size` bytes; `buffer` is reused from file to file.
    pub fn new(
        file: Option<&'w OwnedFd>,
        size: u64,
        buffer: &'w mut Vec<u8>,
        control: &'w Control,
        progress: &'w Progress,
    ) -> Self {
        buffer.clear();
        let hasher = sha2::Sha256::new();
        Self { file, size, at: 0, buffer, hasher, written: 0, control, progress }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// It goes past the file's end, cannot be written, or all work is to stop.
    pub fn piece(&mut self, piece: Piece<'_>) -> anyhow::Result<()> {
        self.control.check()?;
        let len = match piece {
            Piece::Data(bytes) => bytes.len() as u64,
            Piece::Hole(len) => len,
        };
        ensure_image(len <= self.size - self.at, "it holds more than its size says")?;
        match piece {
            Piece::Data(bytes) => self.data(bytes)?,
            Piece::Hole(len) => self.hole(len)?,
        }
        self.progress.add(len);
        Ok(())
    }

    /// The digest, once everything is written.
    ///
    /// # Errors
    /// Pieces are missing, or the rest cannot be written.
    pub fn finish(mut self) -> anyhow::Result<Sha256> {
        ensure_image(self.at == self.size, "it holds less than its size says")?;
        self.flush()?;
        if let Some(file) = self.file
            && self.written < self.size
        {
            rustix::fs::ftruncate(file, self.size).map_err(write_error)?;
        }
        Ok(Sha256(self.hasher.finalize().into()))
    }

    fn data(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.hasher.update(bytes);
        if self.file.is_none() {
            self.at += bytes.len() as u64;
            return Ok(());
        }
        let is_whole = self.at == 0 && bytes.len() as u64 == self.size;
        if is_whole {
            self.at = self.size;
            return self.write(0, bytes);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            self.at += now.len() as u64;
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
            rest = later;
        }
        Ok(())
    }

    fn hole(&mut self, len: u64) -> anyhow::Result<()> {
        self.flush()?;
        let mut left = len;
        while left > 0 {
            let now = left.min(ZEROS.len() as u64);
            self.hasher.update(&ZEROS[..now as usize]);
            left -= now;
            self.control.check()?;
        }
        self.at += len;
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let buffer = std::mem::take(self.buffer);
        let result = self.write(self.at - buffer.len() as u64, &buffer);
        *self.buffer = buffer;
        self.buffer.clear();
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
            if end - at == HOLE && is_zero(&bytes[at..end]) {
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
                Ok(0) => return Err(write_error(rustix::io::Errno::IO)),
                Ok(n) => (offset, bytes) = (offset + n as u64, &bytes[n..]),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(write_error(e)),
            }
        }
        self.written = self.written.max(offset);
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes == &ZEROS[..bytes.len()]
}

fn write_error(e: rustix::io::Errno) -> anyhow::Error {
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
