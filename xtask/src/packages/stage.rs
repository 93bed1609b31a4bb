//! A row of the table -> the tree of its package, as it shall be installed, and the spec beside it.

use std::path::Path;

use anyhow::Context;
use common::cmd::Cmd;

use super::table::Row;
use super::{binary, licences, text};
use crate::docs;
use crate::paths::Paths;

/// The licences of what we write.
const LICENCES: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];

/// Lays the package of `row` out in `dir`/NAME and writes `dir`/NAME.toml. Programs come from `programs`, manual pages and
/// completions from `docs`.
pub(crate) fn stage(
    paths: &Paths,
    row: &Row,
    programs: &Path,
    docs: &Path,
    dir: &Path,
) -> anyhow::Result<()> {
    let root = dir.join(row.name);
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| format!("failed to empty {}", root.display()))?;
    }
    let to = |path: &str| root.join(path.trim_start_matches('/'));
    for program in row.programs {
        binary::install(&programs.join(program), &to(&format!("/usr/bin/{program}")))?;
        for file in docs::files(program, docs)? {
            copy(&docs.join(&file), &to("/usr").join(&file))?;
        }
    }
    for (from, path) in row.files {
        copy_all(&paths.root.join(from), &to(path))?;
    }
    for (from, path) in row.guides {
        let guide = text::plain(&common::fs::read_to_string(&paths.root.join(from))?);
        common::fs::write_atomic(&to(path), guide.as_bytes())?;
    }
    let own = paths.root.join("xtask/packages").join(row.name);
    if own.exists() {
        copy_all(&own, &root)?;
    }
    let licences = format!("/usr/share/licenses/{}", row.name);
    for licence in LICENCES {
        copy(&paths.root.join(licence), &to(&licences).join(licence))?;
    }
    let notices = licences::notices(paths, row.cargo)?;
    common::fs::write_atomic(&to(&licences).join("THIRD-PARTY"), notices.as_bytes())?;
    let spec = spec(paths, row, &licences)?;
    common::fs::write_atomic(&dir.join(format!("{}.toml", row.name)), spec.as_bytes())
}

/// The description for `labrepo pack`.
fn spec(paths: &Paths, row: &Row, licences: &str) -> anyhow::Result<String> {
    let (time, release) = date(paths, row)?;
    let dirs: Vec<_> = row.dirs.iter().copied().chain([licences]).collect();
    let spec = serde_json::json!({
        "name": row.name, "version": env!("CARGO_PKG_VERSION"), "release": release, "arch": "x86_64",
        "summary": row.summary, "description": row.description, "license": "MIT OR Apache-2.0",
        "vendor": "LevitateOS", "url": "https://github.com/LevitateOS", "time": time, "root": row.name,
        "dirs": dirs, "requires": row.requires, "recommends": row.recommends,
    });
    toml::to_string(&spec).context("failed to write the description of a package")
}

/// When what the package is made from last changed, as seconds and as digits that sort: a fact of the sources, not of
/// the clock. Outside of a checkout, 2020-01-01.
fn date(paths: &Paths, row: &Row) -> anyhow::Result<(u32, String)> {
    let own = format!("xtask/packages/{}", row.name);
    let inputs = row.files.iter().chain(row.guides).map(|(from, _)| *from);
    let inputs: Vec<_> =
        inputs.chain(row.sources.iter().copied()).chain(["Cargo.lock", own.as_str()]).collect();
    let log =
        Cmd::new("git").args(["log", "-1", "--format=%ct %cd", "--date=format-local:%Y%m%d%H%M%S", "--"]);
    let log = log.args(inputs).dir(&paths.root).env("TZ", "UTC").read().unwrap_or_default();
    let (time, digits) = log.trim().split_once(' ').unwrap_or(("1577836800", "20200101000000"));
    Ok((time.parse().with_context(|| format!("git says {time:?} for a time"))?, digits.to_owned()))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
    }
    let context = || format!("failed to copy {} to {}", from.display(), to.display());
    std::fs::copy(from, to).map(drop).with_context(context)
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return copy(from, to);
    }
    for entry in std::fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry.with_context(|| format!("failed to read {}", from.display()))?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
