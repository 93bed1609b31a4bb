//! Where contents come from, and where they go to: the two sides between which a file's bytes pass without being copied.
//!
//! In: the number of a file in the image. Out: its content in the order of the file, put by the [`Source`] into room that
//! the [`Sink`] offers.

/// The image, or a test's own.
pub trait Source: Sync {
    /// What a thread needs for itself while reading.
    type Scratch: Default;

    /// Gives the content of a file to `sink`, piece by piece from its start.
    ///
    /// # Errors
    /// The content cannot be read, or `sink` fails.
    fn read(&self, id: u64, scratch: &mut Self::Scratch, sink: &mut dyn Sink) -> anyhow::Result<()>;
}

/// Puts the next bytes of a file where it is told to: all of them, or it is an error.
pub type Fill<'f> = dyn FnMut(&mut [u8]) -> anyhow::Result<()> + 'f;

/// Takes the content of one file.
pub trait Sink {
    /// The next `len` bytes, which `fill` puts into the room it is given.
    ///
    /// # Errors
    /// They go past the file's end, `fill` fails, or they cannot be written.
    fn data(&mut self, len: usize, fill: &mut Fill<'_>) -> anyhow::Result<()>;

    /// So many zero bytes that are stored nowhere.
    ///
    /// # Errors
    /// They go past the file's end, or what came before them cannot be written.
    fn hole(&mut self, len: u64) -> anyhow::Result<()>;
}

/// A small file in memory.
impl Sink for Vec<u8> {
    fn data(&mut self, len: usize, fill: &mut Fill<'_>) -> anyhow::Result<()> {
        let at = self.len();
        self.resize(at + len, 0);
        fill(&mut self[at..])
    }

    fn hole(&mut self, len: u64) -> anyhow::Result<()> {
        self.resize(self.len() + usize::try_from(len)?, 0);
        Ok(())
    }
}
