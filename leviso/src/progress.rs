//! How stages report long work. The library never touches the terminal; the binary brings the bars.

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown as MB with a rate.
    Bytes,
    /// Things: packages, files, modules.
    Items,
}

/// Receives the progress of one piece of work at a time; may be called from several threads.
pub trait Progress: Sync {
    /// Work begins: what it is ("verify packages") and how much there is.
    fn begin(&self, what: &str, total: u64, unit: Unit) {
        let _ = (what, total, unit);
    }
    /// So much more is done.
    fn advance(&self, by: u64) {
        let _ = by;
    }
    /// The work that was begun is finished.
    fn end(&self) {}
}

/// Reports nothing: for tests, `--quiet` and `--json`.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Progress for Quiet {}
