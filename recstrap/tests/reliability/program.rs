//! recstrap as the sweeps start it, and what a target claims after it ended.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use common::cmd::Cmd;
use common::layout::{INCOMPLETE_MARKER, INSTALLED_RECORD};

use crate::image::Image;
use crate::target::{ROOMY, Target};
use testkit::strace::{Call, trace};

/// The recstrap of this build, or the one that LEVITATE_RECSTRAP names.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("LEVITATE_RECSTRAP").map_or_else(|| env!("CARGO_BIN_EXE_recstrap").into(), PathBuf::from)
}

/// `recstrap` that installs the image to the target.
pub(crate) fn install(image: &Image, target: &Path) -> Cmd {
    let cmd = Cmd::new(binary()).arg("-q").arg("--image").arg(&image.path);
    cmd.arg("--manifest").arg(&image.manifest).arg(target)
}

/// The same with as few threads as it has, for attacks that count system calls.
pub(crate) fn install_in_order(image: &Image, target: &Path) -> Cmd {
    install(image, target).args(["--jobs", "1"])
}

/// An image, an empty target, a place for strace's log, and the calls of a run without an attack.
pub(crate) fn good_run() -> (Image, Target, PathBuf, Vec<Call>) {
    let image = Image::new();
    let mut target = Target::new(ROOMY);
    let log = target.disk.with_extension("strace");
    let calls = trace(&install_in_order(&image, &target.path()), &log);
    target.empty();
    (image, target, log, calls)
}

/// What a target says of itself, found to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Nothing of an installation is there.
    Untouched,
    /// The marker is there.
    Incomplete,
    /// The record is there and no marker; everything is as in the image.
    Installed,
}

impl State {
    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Incomplete => "incomplete",
            Self::Installed => "installed",
        }
    }
}

/// What the target says of itself, or which lie it is.
pub(crate) fn judge(target: &Path, image: &Image) -> Result<State, String> {
    let there = |path: &str| target.join(path).symlink_metadata().is_ok();
    match (there(INCOMPLETE_MARKER), there(INSTALLED_RECORD)) {
        (true, _) => Ok(State::Incomplete),
        (false, true) => differences(target, image).map(|()| State::Installed),
        (false, false) => {
            let names = target.read_dir().map_err(|e| format!("the target cannot be read: {e}"))?;
            let names: Vec<_> = names.filter_map(|e| Some(e.ok()?.file_name())).collect();
            let litter: Vec<_> = names.iter().filter(|n| *n != "lost+found" && *n != "boot").collect();
            if litter.is_empty() {
                return Ok(State::Untouched);
            }
            Err(format!("there is no marker and no record, but {litter:?}"))
        }
    }
}

/// Names that are on a target and not in the image: recstrap's own (docs/reference/recstrap.md).
const OWN: [&str; 2] = ["var/lib/levitate", INSTALLED_RECORD];

/// Fails unless target and image are equal but for what recstrap documents.
fn differences(target: &Path, image: &Image) -> Result<(), String> {
    let record = std::fs::read(target.join(INSTALLED_RECORD)).map_err(|e| format!("the record: {e}"))?;
    serde_json::from_slice::<serde_json::Value>(&record).map_err(|e| format!("the record: {e}"))?;
    let found = testkit::tree::read(target, |_| false)
        .map_err(|e| format!("installed, but cannot be read: {e}"))?
        .lines;
    let is = |path: &[u8], names: &[&str]| names.iter().any(|n| n.as_bytes() == path);
    let mut wrong = Vec::new();
    for (path, want) in &image.lines {
        match found.get(path) {
            None => wrong.push(format!("missing: {}", shown(want))),
            Some(have) if have == want => {}
            // Between the removal of the marker and the setting of its time.
            Some(have) if path.is_empty() && timeless(have) == timeless(want) => {}
            Some(have) => wrong.push(format!("is {} and not {}", shown(have), shown(want))),
        }
    }
    let more = found.iter().filter(|(path, _)| !image.lines.contains_key(*path));
    let more = more.filter(|(path, _)| !is(path, &OWN) && !path.ends_with(b"lost+found"));
    wrong.extend(more.map(|(_, line)| format!("not in the image: {}", shown(line))));
    if wrong.is_empty() {
        return Ok(());
    }
    let few = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    Err(format!("claims to be installed, but {} names differ: {few}", wrong.len()))
}

fn timeless(line: &[u8]) -> String {
    let words = String::from_utf8_lossy(line);
    words.split_whitespace().filter(|word| !word.starts_with("time=")).collect::<Vec<_>>().join(" ")
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().chars().take(200).collect()
}

/// Judges a target after an attack: exit 0 must mean installed; what is not installed must become so by the same
/// command without the attack. Returns what it was, for the table.
pub(crate) fn settle(status: ExitStatus, target: &Path, image: &Image) -> Result<State, String> {
    let state = judge(target, image)?;
    if status.success() && state != State::Installed {
        return Err(format!("exit 0, but the target is {}", state.name()));
    }
    if state != State::Installed {
        let again = install(image, target).output().expect("recstrap starts");
        if !again.status.success() {
            let stderr = String::from_utf8_lossy(&again.stderr);
            return Err(format!(
                "{}, and the rerun ends with {}: {}",
                state.name(),
                again.status,
                stderr.trim()
            ));
        }
        match judge(target, image) {
            Ok(State::Installed) => {}
            other => return Err(format!("{}, and after a good rerun {other:?}", state.name())),
        }
    }
    Ok(state)
}
