//! Files that users edit: what is there, what was installed and what comes -> which of them stays.

use super::conflict::Conflicts;
use super::desk::Desk;
use super::journal::Step;
use crate::stage::{Entry, What, examine};

/// What puts such a file into a place where one is already: as installed, changed here, changed by the package, or by both. None
/// if it stays as it is.
///
/// # Errors
/// The prefix cannot be examined.
pub(super) fn put(
    desk: &Desk,
    entry: &Entry,
    before: Option<&Entry>,
    staged: &str,
    conflicts: &mut Conflicts<'_>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Option<Step>> {
    let path = &entry.path;
    let local = examine(&desk.prefix, path)?;
    let content = |what: Option<&What>| match what {
        Some(What::File { sha256, .. }) => Some(sha256.to_string()),
        Some(What::Link { target }) => Some(format!("-> {target}")),
        None => None,
    };
    let (local, original) = (content(local.as_ref()), content(before.map(|b| &b.what)));
    let new = content(Some(&entry.what));
    if local == new || original == new {
        return Ok(None);
    }
    let (staged, ino) = (staged.to_owned(), entry.ino);
    if original.is_some() && local == original {
        return Ok(Some(Step::Replace { staged, path: path.clone(), ino, changed: None }));
    }
    let beside = format!("{path}.new");
    if conflicts.with_base(&beside)? {
        return Ok(None);
    }
    notes.push(format!(
        "{} was changed here and by the package: the package's is {}",
        desk.places.installed(path),
        desk.places.installed(&beside)
    ));
    Ok(Some(match desk.prefix.stat(&beside)? {
        Some(_) => Step::Replace { staged, path: beside, ino, changed: None },
        None => Step::Create { staged, path: beside, ino },
    }))
}
