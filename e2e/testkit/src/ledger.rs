//! What a sweep did, as a row: printed, and written as JSON for `cargo xtask reliability` (LEVITATE_RELIABILITY_LOG).
//!
//! A row says how many attacks there could be, how many were planned, how many were really met; a sample says that it
//! is one. A row with a violation, with nothing injected or with a canary that was not caught fails its test.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

/// Whether all of it is to run (`cargo xtask reliability`), or a sample (`cargo test`).
pub fn full() -> bool {
    std::env::var_os("LEVITATE_FULL").is_some_and(|v| v == "1")
}

/// How many attacks: all that are planned, or a sample of them.
pub fn planned(full_count: usize, sample: usize) -> usize {
    if full() { full_count } else { sample }
}

/// A sweep that runs.
pub struct Row {
    sweep: &'static str,
    since: Instant,
    population: u64,
    planned: u64,
    injected: u64,
    outcomes: BTreeMap<String, u64>,
    violations: Vec<String>,
    canary: (u64, u64),
    seed: Option<u64>,
    notes: Vec<String>,
}

impl Row {
    /// Begins a row. `population`: how many different attacks of the kind there are.
    pub fn new(sweep: &'static str, population: u64, planned: u64) -> Self {
        Self {
            sweep,
            since: Instant::now(),
            population,
            planned,
            injected: 0,
            outcomes: BTreeMap::new(),
            violations: Vec::new(),
            canary: (0, 0),
            seed: None,
            notes: Vec::new(),
        }
    }

    /// The attacks are drawn by this seed; the same seed draws the same ones.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// So many attacks more there are, and so many more are planned.
    pub fn plan(&mut self, population: u64, planned: u64) {
        self.population += population;
        self.planned += planned;
    }

    /// An attack that was proved to have happened, and how it ended.
    pub fn outcome(&mut self, attack: &str, result: Result<&str, String>) {
        self.injected += 1;
        match result {
            Ok(outcome) => *self.outcomes.entry(outcome.to_owned()).or_default() += 1,
            Err(why) => self.violations.push(format!("{attack}: {why}")),
        }
    }

    /// An attack that did not come about: it counts for nothing.
    pub fn missed(&mut self) {
        *self.outcomes.entry("(not reached)".to_owned()).or_default() += 1;
    }

    /// How many attacks were met so far.
    pub fn injected(&self) -> u64 {
        self.injected
    }

    /// A number that differs between sweeps.
    pub fn number(&self) -> usize {
        self.sweep.bytes().map(usize::from).sum()
    }

    /// A lie that the harness told itself; it must have been found out.
    pub fn canary(&mut self, caught: bool) {
        self.canary.0 += u64::from(caught);
        self.canary.1 += 1;
    }

    /// A sentence for the table.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Prints and records the row; panics if it holds a failure.
    pub fn finish(self) {
        let seconds = self.since.elapsed().as_secs_f64();
        let row = serde_json::json!({
            "sweep": self.sweep,
            "sample": !full(),
            "population": self.population,
            "planned": self.planned,
            "seed": self.seed,
            "injected": self.injected,
            "outcomes": self.outcomes,
            "violations": self.violations,
            "canary": { "caught": self.canary.0, "of": self.canary.1 },
            "seconds": (seconds * 10.0).round() / 10.0,
            "notes": self.notes,
        });
        let kind = if full() { "sweep" } else { "sample" };
        #[expect(clippy::print_stderr, reason = "the counts are the result")]
        {
            eprintln!("{kind} {row}");
        }
        if let Some(path) = std::env::var_os("LEVITATE_RELIABILITY_LOG") {
            let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
            writeln!(log.expect("the log of the sweeps"), "{row}").expect("written");
        }
        assert!(self.violations.is_empty(), "{} violations: {:#?}", self.violations.len(), self.violations);
        assert!(self.injected > 0, "nothing was injected");
        assert_eq!(self.canary.0, self.canary.1, "a canary was not caught");
        assert!(self.canary.1 > 0, "the sweep has no canary");
    }
}
