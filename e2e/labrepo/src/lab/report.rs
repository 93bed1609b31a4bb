//! Progress on stderr: bars on a terminal, lines elsewhere, nothing when quiet.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress goes.
#[derive(Debug)]
pub struct Report {
    quiet: bool,
    bar: Mutex<ProgressBar>,
}

impl Report {
    /// `quiet`: report nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet, bar: Mutex::new(ProgressBar::hidden()) }
    }

    /// One line.
    pub fn message(&self, text: &str) {
        if !self.quiet {
            #[expect(clippy::print_stderr, reason = "the tool's own progress, asked for by its caller")]
            {
                eprintln!("labrepo: {text}");
            }
        }
    }

    pub(super) fn begin_bytes(&self, what: &str, total: u64) {
        self.begin(what, total, "{msg:12} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    }

    pub(super) fn begin_items(&self, what: &str, total: u64) {
        self.begin(what, total, "{msg:12} {bar:40} {pos}/{len} {eta}");
    }

    pub(super) fn position(&self, position: u64) {
        self.with(|bar| bar.set_position(position));
    }

    pub(super) fn advance(&self, by: u64) {
        self.with(|bar| bar.inc(by));
    }

    pub(super) fn end(&self) {
        self.with(ProgressBar::finish_and_clear);
    }

    fn begin(&self, what: &str, total: u64, template: &str) {
        if self.quiet {
            return;
        }
        let target = ProgressDrawTarget::stderr();
        if target.is_hidden() {
            self.message(&format!("{what} ..."));
        }
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|e| unreachable!("the templates above are valid: {e}"));
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        bar.set_message(what.to_owned());
        if let Ok(mut old) = self.bar.lock() {
            *old = bar;
        }
    }

    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Ok(bar) = self.bar.lock() {
            act(&bar);
        }
    }
}
