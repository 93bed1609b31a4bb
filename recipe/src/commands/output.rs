//! stdout: lines for people, or JSON with a version.

use std::process::ExitCode;

use common::cli::{report, tell};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::details;
use crate::exit;
use crate::tx::journal::{Journal, Package};
use crate::tx::{Change, Plan};
use crate::voice::{paint, summary::Row};

/// Version of all JSON that is printed.
const SCHEMA: u32 = 1;

/// Prints a line on stdout. A reader that is gone is no error ([`common::cli::run_main`]).
pub(super) fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout(), "{}", text.as_ref())?)
}

/// Prints `{"schema": 1, KEY: value}`.
pub(super) fn json_of(key: &str, value: &impl Serialize) -> anyhow::Result<()> {
    json_of_all([(key, serde_json::to_value(value)?)])
}

/// As [`json_of`], with several keys.
pub(super) fn json_of_all<K: Into<String>>(
    values: impl IntoIterator<Item = (K, Value)>,
) -> anyhow::Result<()> {
    let mut all = Map::new();
    all.insert("schema".to_owned(), SCHEMA.into());
    all.extend(values.into_iter().map(|(key, value)| (key.into(), value)));
    line(serde_json::to_string_pretty(&Value::Object(all))?)
}

/// Says which recipe files cannot be read; where there are any, what was shown is not all (exit code [`exit::RECIPE`]).
pub(super) fn unreadable(errors: &[anyhow::Error]) -> ExitCode {
    errors.iter().for_each(|e| tell(&report(e)));
    if errors.is_empty() { ExitCode::SUCCESS } else { exit::RECIPE.into() }
}

/// A day, from seconds since 1970.
pub(super) fn date(seconds: i64) -> Option<String> {
    Some(jiff::Timestamp::from_second(seconds).ok()?.strftime("%Y-%m-%d").to_string())
}

/// What a transaction did, or would do. When it is done, not to be able to say so does not mean that it is not.
pub(super) fn changes(plan: &Plan, done: bool, json: bool) -> anyhow::Result<()> {
    changes_after(plan, &[], done, json)
}

/// As [`changes`], where some of what is to be said was said before: JSON has it all the same.
pub(super) fn changes_after(plan: &Plan, said: &[String], done: bool, json: bool) -> anyhow::Result<()> {
    match print(plan, said, done, json) {
        Err(e) if done && !common::cli::is_closed_pipe(&e) => {
            crate::tx::committed("done, but it could not be printed", &e)
        }
        result => result,
    }
}

fn print(plan: &Plan, said: &[String], done: bool, json: bool) -> anyhow::Result<()> {
    let Journal { tx, packages, .. } = &plan.journal;
    for note in &plan.notes {
        common::cli::tell(note);
    }
    if json {
        let packages = packages.iter().zip(&plan.changes).map(|(package, change)| {
            let mut json = change_json(package);
            json["size_change"] = change.size().into();
            json
        });
        let packages: Vec<_> = packages.collect();
        let all = [
            // What is not done is in no history.
            ("tx", json!(done.then_some(tx))),
            ("done", done.into()),
            ("packages", packages.into()),
            ("notes", [said, &plan.notes].concat().into()),
        ];
        let more = if done { None } else { Some(details::json_of(plan)) };
        return json_of_all(all.into_iter().chain(more.into_iter().flatten()));
    }
    packages.iter().try_for_each(|package| line(paint::change(&change_of(package))))
}

/// What happens to the packages of a plan, for the summary.
pub(super) fn rows(plan: &Plan) -> Vec<Row> {
    let both = plan.journal.packages.iter().zip(&plan.changes);
    let row = |(package, change): (&Package, &Change)| Row {
        name: package.name.clone(),
        from: package.from.clone(),
        to: package.to.clone(),
        size: change.size(),
        ..Row::default()
    };
    both.map(row).collect()
}

/// What happens to a package, in one line.
pub(super) fn change(name: &str, from: Option<&str>, to: Option<&str>) -> String {
    match (from, to) {
        (None, Some(to)) => format!("+ {name} {to}"),
        (Some(from), Some(to)) => format!("~ {name} {from} -> {to}"),
        (Some(from), None) => format!("- {name} {from}"),
        (None, None) => format!("- {name}"),
    }
}

/// As [`change`].
pub(super) fn change_of(package: &Package) -> String {
    change(&package.name, package.from.as_deref(), package.to.as_deref())
}

/// The same as JSON.
pub(super) fn change_json(package: &Package) -> Value {
    json!({ "name": package.name, "from": package.from, "to": package.to, "files": package.state.files })
}

/// Prints rows as columns, all but the last as wide as their widest cell.
pub(super) fn columns<const N: usize>(rows: &[[&str; N]]) -> anyhow::Result<()> {
    // Of ten thousand rows, padding by `format!` was a tenth of all the time.
    let width = |cell: &str| if cell.is_ascii() { cell.len() } else { cell.chars().count() };
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut out = String::new();
    for row in rows {
        let start = out.len();
        for (widest, cell) in widths.iter().zip(row) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', widest - width(cell) + 2));
        }
        out.truncate(start + out[start..].trim_end().len());
        out.push('\n');
    }
    use std::io::Write;
    Ok(std::io::stdout().write_all(out.as_bytes())?)
}
