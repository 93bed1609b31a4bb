//! Entries and the file that is there already -> the file as it should be, and what that changes. Pure.
//!
//! A line that mounts the same stays as it is, down to its blanks; so do lines about what is not mounted here, comments, and
//! whatever is not understood. A line that mounts something else at the same place is a conflict: an entry replaces it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::devices::Devices;
use super::entries::Entry;
use super::render;
use super::same::{is_rival, is_same, is_there};
use super::table::{self, Line};

/// What is to be done to the file.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// The file as it should be.
    pub(super) text: String,
    /// In the order of the entries.
    pub(super) changes: Vec<Change>,
    /// For people: what is kept though it looks wrong.
    pub(super) notes: Vec<String>,
}

/// One difference between the file and what is mounted.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// Lines that go.
    pub(super) old: Vec<String>,
    /// What comes, in their place or as a new line.
    pub(super) new: Option<Entry>,
}

impl Merge {
    /// Lines of the file that would go.
    pub(super) fn replaced(&self) -> usize {
        self.changes.iter().map(|c| c.old.len()).sum()
    }

    /// Lines that would come without another one going.
    pub(super) fn added(&self) -> usize {
        self.changes.iter().filter(|c| c.old.is_empty()).count()
    }

    /// The differences as diff(1) marks them.
    pub(super) fn diff(&self) -> String {
        let mut text = String::new();
        for Change { old, new } in &self.changes {
            old.iter().for_each(|line| text.push_str(&format!("-{line}\n")));
            let new = new.as_ref().map(render::entry).unwrap_or_default();
            new.trim_end().lines().for_each(|line| text.push_str(&format!("+{line}\n")));
        }
        text
    }
}

/// Merges.
pub(super) fn merge(file: &str, entries: &[Entry], devices: &Devices) -> Merge {
    let lines = table::parse(file);
    let mut edit = Edit::default();
    let mut merge = Merge::default();
    let mut known = BTreeSet::new();
    let mut before = None;
    for entry in entries {
        let of = |at: &usize, is: &dyn Fn(&table::Fields) -> bool| lines[*at].fields.as_ref().is_some_and(is);
        let mut rivals: Vec<usize> =
            (0..lines.len()).filter(|at| of(at, &|f| is_rival(f, entry, devices))).collect();
        known.extend(rivals.iter().copied());
        let same = rivals.iter().position(|at| of(at, &|f| is_same(f, entry, devices)));
        let same = same.map(|at| rivals.remove(at));
        let new = same.is_none().then(|| entry.clone());
        before = match (same, rivals.first()) {
            (Some(at), _) => Some(at),
            (None, Some(&at)) => {
                edit.replace(at, entry);
                Some(at)
            }
            (None, None) => {
                edit.insert(before, entry);
                before
            }
        };
        edit.removed.extend(rivals.iter().copied());
        let old: Vec<_> = rivals.iter().map(|at| lines[*at].text.to_owned()).collect();
        if new.is_some() || !old.is_empty() {
            merge.changes.push(Change { old, new });
        }
    }
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| !known.contains(at)) {
        merge.notes.extend(missing(line, devices).map(|why| format!("line {}: {why}", at + 1)));
    }
    merge.text = if merge.changes.is_empty() { file.to_owned() } else { edit.apply(&lines) };
    merge
}

/// A device that a line waits for at boot, in vain.
fn missing(line: &Line<'_>, devices: &Devices) -> Option<String> {
    let fields = line.fields.as_ref()?;
    let waits = fields.options.split(',').all(|o| o != "noauto" && o != "nofail");
    let is_missing = waits && !is_there(&fields.source, devices);
    is_missing.then(|| format!("there is no {} here, and a boot would wait for it", fields.source))
}

/// Changes by number of the line.
#[derive(Debug, Default)]
struct Edit<'e> {
    removed: BTreeSet<usize>,
    replaced: BTreeMap<usize, &'e Entry>,
    /// After this line; without one, before the first entry.
    inserted: BTreeMap<Option<usize>, Vec<&'e Entry>>,
}

impl<'e> Edit<'e> {
    fn replace(&mut self, at: usize, entry: &'e Entry) {
        self.replaced.insert(at, entry);
    }

    fn insert(&mut self, after: Option<usize>, entry: &'e Entry) {
        self.inserted.entry(after).or_default().push(entry);
    }

    fn apply(mut self, lines: &[Line<'_>]) -> String {
        // The comment above a line that goes is about that line, if it is one of ours.
        for at in self.removed.clone() {
            let above = (0..at).rev().take_while(|above| is_our_comment(lines[*above].text));
            self.removed.extend(above);
        }
        // Where the first entry begins, with its comment.
        let first = lines.iter().position(|l| l.fields.is_some());
        let first = first.map_or(lines.len(), |at| {
            at - (0..at).rev().take_while(|above| is_our_comment(lines[*above].text)).count()
        });
        let mut text = String::new();
        for at in 0..=lines.len() {
            if at == first {
                self.head(&mut text);
            }
            let Some(line) = lines.get(at) else { break };
            if let Some(entry) = self.replaced.get(&at) {
                text.push_str(render::entry(entry).trim_end());
                text.push('\n');
            } else if !self.removed.contains(&at) {
                text.push_str(line.text);
                text.push('\n');
            }
            for entry in self.inserted.get(&Some(at)).into_iter().flatten() {
                text.push('\n');
                text.push_str(render::entry(entry).trim_end());
                text.push('\n');
            }
        }
        text
    }

    fn head(&self, text: &mut String) {
        let Some(entries) = self.inserted.get(&None) else { return };
        if !text.is_empty() && !text.ends_with("\n\n") {
            text.push('\n');
        }
        entries.iter().for_each(|entry| text.push_str(&render::entry(entry)));
    }
}

/// `# /dev/vda2 LABEL=root`, or the line for crypttab(5).
fn is_our_comment(line: &str) -> bool {
    let Some(text) = line.strip_prefix("# ") else { return false };
    ["/dev/", "UUID=", "LABEL=", "    "].iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(source: &str, target: &str, options: &str) -> Entry {
        let [source, target, fstype, options] = [source, target, "ext4", options].map(str::to_owned);
        Entry {
            comments: vec![format!("{source} LABEL=x")],
            source,
            target,
            fstype,
            options,
            dump: 0,
            pass: 0,
        }
    }

    fn none() -> Devices {
        Devices::parse(r#"{"blockdevices": []}"#).unwrap()
    }

    fn entries() -> Vec<Entry> {
        vec![
            entry("/dev/a", "/", "rw"),
            entry("/dev/b", "/home", "rw,noatime"),
            entry("/dev/c", "/home/x", "ro"),
        ]
    }

    #[test]
    fn an_empty_file_becomes_what_is_printed() {
        assert_eq!(merge("", &entries(), &none()).text, render::fstab(&entries()));
        let merged = merge("# a header\n", &entries(), &none()).text;
        assert_eq!(merged, format!("# a header\n\n{}", render::fstab(&entries())));
    }

    #[test]
    fn a_new_line_comes_after_the_one_that_is_mounted_before_it() {
        let file = "# mine\n\n# /dev/a LABEL=x\n/dev/a / ext4 defaults 0 1\ntmpfs /tmp tmpfs size=1G\n";
        let merged = merge(file, &entries(), &none());
        assert_eq!((merged.replaced(), merged.added()), (0, 2));
        let order: Vec<_> =
            table::parse(&merged.text).into_iter().filter_map(|l| Some(l.fields?.target)).collect();
        assert_eq!(order, ["/", "/home", "/home/x", "/tmp"]);
        assert!(
            merged.text.starts_with("# mine\n\n# /dev/a LABEL=x\n/dev/a / ext4 defaults 0 1\n\n# /dev/b")
        );
    }

    #[test]
    fn a_rival_is_replaced_in_its_place_with_its_comment() {
        let file = "# /dev/old LABEL=o\n/dev/old / ext4 defaults 0 1\n# by hand\n/dev/b /home ext4 noatime 0 2\n/dev/q /home ext4\n";
        let merged = merge(file, &entries()[..2], &none());
        assert_eq!(merged.replaced(), 2);
        assert!(!merged.text.contains("/dev/old") && !merged.text.contains("/dev/q"), "{}", merged.text);
        assert!(merged.text.starts_with("# /dev/a LABEL=x\n/dev/a "), "{}", merged.text);
        assert!(merged.text.ends_with("# by hand\n/dev/b /home ext4 noatime 0 2\n"), "{}", merged.text);
        assert_eq!(merged.diff().lines().filter(|l| l.starts_with('-')).count(), 2);
    }

    proptest! {
        /// Whatever is in the file: what is no rival stays, and the second time there is nothing to do.
        #[test]
        fn nothing_is_lost_and_twice_is_once(
            file in r"(([# ]|/dev/a|/dev/z|UUID=1)?[ \t](/|/home|/home/x|/srv|none)?[ \t](ext4|swap)?( ro| rw)?( 0 1)?[ #\\a-z]{0,3}\n){0,8}",
        ) {
            let merged = merge(&file, &entries(), &none());
            let mut rest = merged.text.lines();
            let gone: Vec<String> = merged.changes.iter().flat_map(|c| c.old.clone()).collect();
            for line in file.lines().filter(|l| !gone.iter().any(|g| g == l) && !is_our_comment(l)) {
                prop_assert!(rest.any(|l| l == line), "`{line}` is lost of\n{file}in\n{}", merged.text);
            }
            let again = merge(&merged.text, &entries(), &none());
            prop_assert!(again.changes.is_empty(), "{:?}", again.changes);
            prop_assert_eq!(again.text, merged.text);
        }
    }
}
