//! The one mechanism that sets every time in every output.
//!
//! `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org/specs/source-date-epoch/>) if it is set, else the lock's date.
//! Times of files are clamped to it: older ones stay, newer ones become it.

use anyhow::Context;
use common::cli::Mark;

/// Seconds since 1970-01-01 UTC that stand for "now" in all outputs of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The variable, if set, else `lock_date`.
    ///
    /// # Errors
    /// The variable is set to what is not a number.
    pub fn from_env_or(lock_date: i64) -> anyhow::Result<Self> {
        Self::parse(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref(), lock_date)
    }

    fn parse(var: Option<&str>, lock_date: i64) -> anyhow::Result<Self> {
        let Some(text) = var else { return Ok(Self(lock_date)) };
        let seconds = text
            .parse::<u32>()
            .with_context(|| format!("expected SOURCE_DATE_EPOCH in seconds since 1970, found {text:?}"))
            .exit(common::cli::code::USAGE)?;
        Ok(Self(i64::from(seconds)))
    }

    /// `time`, but no later than this epoch.
    #[must_use]
    pub fn clamp(self, time: i64) -> i64 {
        time.min(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_must_be_a_number() {
        assert_eq!(Epoch::parse(None, 5).unwrap(), Epoch(5));
        assert_eq!(Epoch::parse(Some("7"), 5).unwrap(), Epoch(7));
        assert!(Epoch::parse(Some("yesterday"), 5).unwrap_err().to_string().contains("SOURCE_DATE_EPOCH"));
        assert_eq!((Epoch(7).clamp(6), Epoch(7).clamp(8)), (6, 7));
    }
}
