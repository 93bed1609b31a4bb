//! Samples -> medians and ratios, as a table or as JSON.

use serde::Serialize;

use super::rivals::{Rival, Role, Setup};

/// One run of one of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Until everything was on the disk.
    pub(super) seconds: f64,
    /// Processor time, of all threads; of a floor that is no program: 0.
    pub(super) cpu: f64,
    /// The most memory it had; 0: not measured.
    pub(super) peak_kib: u64,
}

/// All runs.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    image_bytes: u64,
    content_bytes: u64,
    names: u64,
    runs: u32,
    /// Whether the image was hashed and compared with its manifest.
    manifest: bool,
    /// MB/s that the disk was slowed down to.
    disk_rate: Option<u64>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    role: Role,
    seconds: Vec<f64>,
    median: f64,
    cpu_seconds: Vec<f64>,
    peak_mib: Option<u64>,
}

impl Report {
    pub(super) fn new(setup: &Setup, runs: u32, disk_rate: Option<u64>) -> Self {
        Self {
            image_bytes: setup.image_bytes().unwrap_or(0),
            content_bytes: setup.content,
            names: setup.names,
            runs,
            manifest: setup.has_manifest(),
            disk_rate,
            rows: Vec::new(),
        }
    }

    /// Adds a run.
    pub(super) fn add(&mut self, rival: &Rival, sample: Sample) {
        let found = self.rows.iter().position(|row| row.name == rival.name);
        let at = found.unwrap_or_else(|| {
            self.rows.push(Row {
                name: rival.name,
                role: rival.role,
                seconds: Vec::new(),
                median: 0.0,
                cpu_seconds: Vec::new(),
                peak_mib: None,
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.seconds.push(sample.seconds);
        row.median = median(&row.seconds);
        row.cpu_seconds.push(sample.cpu);
        if sample.peak_kib > 0 {
            row.peak_mib = row.peak_mib.max(Some(sample.peak_kib.div_ceil(1024)));
        }
    }

    /// The table, on stdout.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let text = if json { serde_json::to_string_pretty(self)? } else { self.table() };
        #[expect(clippy::print_stdout, reason = "stdout is data")]
        {
            println!("{}", text.trim_end());
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mib = |bytes: u64| bytes >> 20;
        let mut out = format!(
            "image {} MiB, content {} MiB, {} names, {} runs each, manifest {}, disk {}\n\n",
            mib(self.image_bytes),
            mib(self.content_bytes),
            self.names,
            self.runs,
            if self.manifest { "checked" } else { "none" },
            self.disk_rate.map_or("as it is".to_owned(), |rate| format!("at {rate} MB/s")),
        );
        out += &format!(
            "| {:<22} | {:>8} | {:>17} | {:>11} | {:>9} | {:>6} | {:>8} |\n",
            "", "median s", "min .. max s", "x recstrap", "x floor", "cpu s", "peak MiB"
        );
        out += "|---|---|---|---|---|---|---|\n";
        let of = |role: Role| self.rows.iter().filter(move |row| row.role == role).map(|row| row.median);
        let ours = of(Role::Ours).next();
        let floor = of(Role::Floor).reduce(f64::max);
        let ratio =
            |to: Option<f64>, median: f64| to.map_or("-".to_owned(), |to| format!("{:.2}", median / to));
        for row in &self.rows {
            let (min, max) = row.seconds.iter().fold((f64::MAX, 0.0_f64), |(a, b), s| (a.min(*s), b.max(*s)));
            out += &format!(
                "| {:<22} | {:>8.2} | {:>17} | {:>11} | {:>9} | {:>6.2} | {:>8} |\n",
                row.name,
                row.median,
                format!("{min:.2} .. {max:.2}"),
                ratio(ours, row.median),
                ratio(floor, row.median),
                median(&row.cpu_seconds),
                row.peak_mib.map_or("-".to_owned(), |mib| mib.to_string()),
            );
        }
        out
    }
}

/// The one in the middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_run_does_not_move_a_median() {
        assert_eq!(median(&[2.0, 900.0, 1.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
