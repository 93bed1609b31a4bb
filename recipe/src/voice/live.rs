//! What programs print, as whole lines above what is drawn: with `-v`, while they run. Without it the last lines are part of
//! the error, if one fails ([`crate::confine`]).

use common::cli::tell;

/// The longest line that is waited for.
const LONGEST: usize = 4 << 10;

/// What of a line has come so far.
#[derive(Debug, Default)]
pub struct Live {
    begun: Vec<u8>,
}

impl Live {
    /// Shows lines that are whole by now.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !super::is_verbose() {
            return;
        }
        self.begun.extend_from_slice(bytes);
        // A carriage return begins the line anew: what programs draw for themselves becomes a line, too.
        let ends = |b: &u8| *b == b'\n' || *b == b'\r';
        while let Some(end) = self.begun.iter().position(ends).or_else(|| self.is_too_long()) {
            let line: Vec<u8> = self.begun.drain(..=end.min(self.begun.len() - 1)).collect();
            show(&line);
        }
    }

    fn is_too_long(&self) -> Option<usize> {
        (self.begun.len() >= LONGEST).then_some(LONGEST - 1)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        show(&std::mem::take(&mut self.begun));
    }
}

/// Says which program is run.
pub fn runs(package: &str, program: &str) {
    if super::is_verbose() {
        tell(&format!("{package}: runs `{program}`"));
    }
}

fn show(line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\n', '\r']);
    if !line.is_empty() {
        tell(line);
    }
}
