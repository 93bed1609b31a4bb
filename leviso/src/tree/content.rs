//! What a regular file holds: bytes of our own, or a slice of a memory-mapped payload.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A read-only memory-mapped file, shared by the contents cut out of it.
#[derive(Clone)]
pub struct Mapped(Arc<memmap2::Mmap>);

impl Mapped {
    /// Maps a whole file. It must not be changed while it is mapped: leviso maps only files of its own caches, which
    /// are written once under a temporary name and never touched after the rename.
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn new(file: &File) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "mapping a file has no safe interface")]
        // SAFETY: the caller's promise above: nobody truncates or writes the file while it is mapped.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Self(Arc::new(map)))
    }

    /// The whole file.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.0.len())
    }
}

/// The content of a regular file; cheap to clone.
#[derive(Clone)]
pub struct Content(Source);

#[derive(Clone)]
enum Source {
    Bytes(Arc<[u8]>),
    Mapped(Mapped, Range<usize>),
}

impl Content {
    /// A slice of a mapped file; `None` when the range is not inside it.
    #[must_use]
    pub fn mapped(map: &Mapped, range: Range<usize>) -> Option<Self> {
        map.as_slice().get(range.clone())?;
        Some(Self(Source::Mapped(map.clone(), range)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Source::Bytes(bytes) => bytes,
            Source::Mapped(map, range) => &map.as_slice()[range.clone()],
        }
    }

    /// The size in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Source::Bytes(bytes.into()))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.len())
    }
}
