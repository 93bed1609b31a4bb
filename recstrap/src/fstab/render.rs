//! Entries -> the text of fstab(5).

use super::entries::Entry;
use super::escape::mangle;

/// The whole text: comments, a line, and an empty line after each.
pub(super) fn fstab(entries: &[Entry]) -> String {
    entries.iter().map(entry).collect()
}

/// One entry: its comments, its line, an empty line.
pub(super) fn entry(entry: &Entry) -> String {
    let comments: String = entry.comments.iter().map(|c| format!("# {c}\n")).collect();
    let Entry { dump, pass, .. } = entry;
    let [source, target, fstype, options] =
        [&entry.source, &entry.target, &entry.fstype, &entry.options].map(|f| mangle(f));
    format!("{comments}{source:<20}\t{target:<10}\t{fstype:<10}\t{options:<10}\t{dump} {pass}\n\n")
}
