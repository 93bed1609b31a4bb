//! A file fstab(5) that is there already: text -> its lines, each with the fields it has. Nothing is lost: the lines
//! together are the text.

use super::escape::unmangle;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// As it stands there, without the line break.
    pub(super) text: &'t str,
    /// What it mounts; nothing where it is a comment, empty, or not understood.
    pub(super) fields: Option<Fields>,
}

/// The fields that decide what is mounted. Not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) fstype: String,
    pub(super) options: String,
}

/// Splits a text into lines.
pub(super) fn parse(text: &str) -> Vec<Line<'_>> {
    text.split_terminator('\n').map(|text| Line { text, fields: fields(text) }).collect()
}

fn fields(line: &str) -> Option<Fields> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    // Blanks in the sense of libmount; others are part of a field.
    let mut words = line.split([' ', '\t']).filter(|w| !w.is_empty());
    let (source, target, fstype) = (words.next()?, words.next()?, words.next()?);
    let target = unmangle(target);
    // `/home/` is `/home`.
    let trimmed = target.trim_end_matches('/');
    let target = if trimmed.is_empty() && !target.is_empty() { "/" } else { trimmed };
    Some(Fields {
        source: unquote(&unmangle(source)),
        target: target.to_owned(),
        fstype: unmangle(fstype),
        options: unmangle(words.next().unwrap_or("defaults")),
    })
}

/// `UUID="..."` is `UUID=...`.
fn unquote(source: &str) -> String {
    let quoted = |value: &str| {
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        value.map(str::to_owned)
    };
    let (name, value) = source.split_once('=').unwrap_or(("", source));
    quoted(value).map_or_else(|| source.to_owned(), |value| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_libmount_does() {
        let lines = parse(
            "# a comment\n\n \tUUID=\"01\"  /my\\040dir/ ext4\n/dev/sda1 / ext4 ro,x 0 1 # more\nshort line\n",
        );
        let fields: Vec<_> = lines.iter().filter_map(|l| l.fields.clone()).collect();
        let expected = |source: &str, target: &str, options: &str| Fields {
            source: source.into(),
            target: target.into(),
            fstype: "ext4".into(),
            options: options.into(),
        };
        assert_eq!(fields, [expected("UUID=01", "/my dir", "defaults"), expected("/dev/sda1", "/", "ro,x")]);
    }
}
