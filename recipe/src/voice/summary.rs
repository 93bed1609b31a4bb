//! What a transaction would do, as a table, and what it did, as a line. On stderr: results for programs are on stdout.

use std::cmp::Ordering;

use indicatif::{BinaryBytes, HumanDuration};

use super::{VOICE, paint};
use crate::version;

/// What happens to a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The installed version before.
    pub from: Option<String>,
    /// The installed version afterwards.
    pub to: Option<String>,
    /// By how many bytes what is installed grows, if that is known.
    pub size: Option<i64>,
    /// Bytes that must be downloaded, if that is known.
    pub download: Option<u64>,
    /// Why it is in the transaction, if nobody asked for it by name.
    pub why: Option<String>,
    /// What its recipe can do that the installed version's could not.
    pub new: Vec<String>,
}

impl Row {
    /// Something is gone afterwards: the package, or its newer version.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.order() == Order::Removed || self.order() == Order::Downgraded
    }

    /// Whether it is more than what was asked for: something comes or goes besides, is lost, or can do more.
    #[must_use]
    pub fn surprises(&self) -> bool {
        self.why.is_some() || self.loses() || !self.new.is_empty()
    }

    /// What it can do that the installed version could not, as a sentence.
    #[must_use]
    pub fn news(&self) -> Option<String> {
        let (from, to) = (self.from.as_deref().unwrap_or_default(), self.to.as_deref().unwrap_or_default());
        (!self.new.is_empty()).then(|| format!("{} {from} -> {to}: new: {}", self.name, self.new.join(", ")))
    }

    fn order(&self) -> Order {
        match (&self.from, &self.to) {
            (None, Some(_)) => Order::Installed,
            (_, None) => Order::Removed,
            (Some(from), Some(to)) => match version::compare(to, from) {
                Ordering::Greater => Order::Upgraded,
                Ordering::Less => Order::Downgraded,
                Ordering::Equal => Order::Reinstalled,
            },
        }
    }

    fn cells(&self) -> [String; 5] {
        let (sign, versions) = match (&self.from, &self.to) {
            (None, Some(to)) => ('+', to.clone()),
            (Some(from), Some(to)) => ('~', format!("{from} -> {to}")),
            (from, None) => ('-', from.clone().unwrap_or_default()),
        };
        [
            format!("{sign} {}", self.name),
            versions,
            self.size.map(change).unwrap_or_default(),
            self.download.map(|bytes| BinaryBytes(bytes).to_string()).unwrap_or_default(),
            self.why.clone().unwrap_or_default(),
        ]
    }
}

/// What can happen to a package, in the order in which it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Installed,
    Upgraded,
    Downgraded,
    Reinstalled,
    Removed,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Reinstalled => "reinstalled",
            Self::Removed => "removed",
        }
    }
}

/// Shows the table to people. Elsewhere it is shown only if `surprising`: more happens than was asked for.
pub fn show(rows: &[Row], surprising: bool) {
    let wanted = |v: &super::Voice| !v.options.quiet && !v.json && (surprising || super::is_terminal());
    if rows.is_empty() || !VOICE.get().is_some_and(wanted) {
        return;
    }
    let lines = table(rows);
    let lines = lines.iter().enumerate();
    let painted = lines.map(|(i, line)| match (1..=rows.len()).contains(&i) {
        true => paint::change_on_stderr(line),
        false => line.clone(),
    });
    super::say_painted(&painted.collect::<Vec<_>>().join("\n"));
}

/// A heading, a line a package, a line with the sums.
fn table(rows: &[Row]) -> Vec<String> {
    let cells: Vec<_> = rows.iter().map(Row::cells).collect();
    let head = ["  package", "version", "size", "download", ""];
    let is_used = |i: usize| cells.iter().any(|row| !row[i].is_empty());
    let width = |i: usize| {
        let cells = cells.iter().map(|row| row[i].chars().count());
        cells.chain([head[i].len()]).max().unwrap_or_default()
    };
    let line = |row: [&str; 5]| {
        let mut out = String::new();
        for (i, cell) in row.iter().enumerate().filter(|(i, _)| *i < 2 || is_used(*i)) {
            let width = width(i);
            // Numbers stand below each other.
            out += &if i == 2 || i == 3 { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        out.trim_end().to_owned()
    };
    let mut lines = vec![line(head)];
    lines.extend(cells.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.push(sums(rows));
    lines
}

/// `3 packages; download 3.50 MiB; net change +1.20 MiB`. A sum with a part that is not known is at least that much.
fn sums(rows: &[Row]) -> String {
    let mut out = packages(rows.len());
    let coming: Vec<_> = rows.iter().filter(|row| row.to.is_some()).collect();
    let downloads: Vec<_> = coming.iter().filter_map(|row| row.download).collect();
    if !downloads.is_empty() {
        let at_least = if downloads.len() < coming.len() { "at least " } else { "" };
        out += &format!("; download {at_least}{}", BinaryBytes(downloads.iter().sum()));
    }
    let sizes: Vec<_> = rows.iter().filter_map(|row| row.size).collect();
    if !sizes.is_empty() {
        let without = rows.len() - sizes.len();
        let of =
            if without > 0 { format!(" without {without} that are not made yet") } else { String::new() };
        out += &format!("; net change {}{of}", change(sizes.iter().sum()));
    }
    out
}

/// Says what was done: `Installed 2 packages, upgraded 1 in 42 ms, +1.20 MiB`.
pub fn done(rows: &[Row]) {
    let speaks = VOICE.get().filter(|v| !v.options.quiet && !v.json);
    if let Some(voice) = speaks.filter(|_| !rows.is_empty()) {
        common::cli::tell(&format!("{} in {}", what(rows), time(voice.took())));
    }
}

fn what(rows: &[Row]) -> String {
    let mut counts = std::collections::BTreeMap::<Order, usize>::new();
    for row in rows {
        *counts.entry(row.order()).or_default() += 1;
    }
    let mut text = String::new();
    for (order, count) in counts {
        let (word, count_of) = (order.word(), packages(count));
        text += &match text.is_empty() {
            true => format!("{}{} {count_of}", word[..1].to_uppercase(), &word[1..]),
            false => format!(", {word} {count}"),
        };
    }
    let sizes: Option<Vec<_>> = rows.iter().map(|row| row.size).collect();
    match sizes {
        Some(sizes) => format!("{text} ({})", change(sizes.iter().sum())),
        None => text,
    }
}

fn time(took: std::time::Duration) -> String {
    match took.as_secs() {
        0 => format!("{} ms", took.as_millis()),
        1..60 => format!("{:.1} s", took.as_secs_f64()),
        _ => HumanDuration(took).to_string(),
    }
}

fn packages(count: usize) -> String {
    several(count, "package")
}

/// `1 file`, `2 files`
#[must_use]
pub fn several(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `+1.20 MiB`
fn change(bytes: i64) -> String {
    let sign = if bytes < 0 { '-' } else { '+' };
    format!("{sign}{}", BinaryBytes(bytes.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, from: Option<&str>, to: Option<&str>) -> Row {
        let text = |version: Option<&str>| version.map(str::to_owned);
        Row { name: name.to_owned(), from: text(from), to: text(to), ..Row::default() }
    }

    #[test]
    fn columns_stand_below_each_other_and_empty_ones_are_left_out() {
        let build = Row {
            why: Some("to build b".to_owned()),
            download: Some(3 << 20),
            ..row("compiler", None, Some("10.44"))
        };
        let rows = [build, Row { download: Some(512), ..row("b", Some("1"), Some("2")) }];
        assert_eq!(
            table(&rows),
            [
                "  package   version  download",
                "+ compiler  10.44    3.00 MiB  to build b",
                "~ b         1 -> 2      512 B",
                "2 packages; download 3.00 MiB"
            ]
        );
    }

    #[test]
    fn sums_say_what_they_do_not_know() {
        let known = Row { size: Some(-2048), ..row("a", Some("1"), None) };
        let rows =
            [known, Row { download: Some(1024), ..row("b", None, Some("1")) }, row("c", None, Some("1"))];
        assert_eq!(
            sums(&rows),
            "3 packages; download at least 1.00 KiB; net change -2.00 KiB without 2 that are not made yet"
        );
    }

    #[test]
    fn the_last_line_counts_what_happened() {
        let rows = [
            row("a", Some("2"), Some("1")),
            row("b", None, Some("1")),
            row("c", None, Some("1")),
            row("d", Some("1"), Some("10")),
            row("e", Some("1"), None),
        ];
        assert_eq!(what(&rows), "Installed 2 packages, upgraded 1, downgraded 1, removed 1");
        let losses: Vec<_> = rows.iter().map(Row::loses).collect();
        assert_eq!(losses, [true, false, false, false, true]);
    }
}
