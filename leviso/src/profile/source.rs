//! The text side of a profile: files, `extends`, variables, merging, and errors that show the line.
//!
//! All files of one profile are laid end to end into one imaginary text, the outermost parent first; every value of
//! the merged document keeps its place in it, so an error found late still points into the file it came from.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use common::cli::Mark;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::exit;

/// `extends` chains longer than this are a mistake.
const MAX_FILES: usize = 16;

/// The files of a profile, parents before children.
#[derive(Debug)]
pub(super) struct Sources {
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    text: String,
    /// Where `text` begins in the imaginary whole.
    start: usize,
}

/// The merged document and where each value came from.
pub(super) type Document<'s> = Spanned<DeTable<'s>>;

impl Sources {
    /// Reads the file and those it extends.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut files: Vec<File> = Vec::new();
        let mut next = Some(std::path::absolute(path).context("failed to find the current directory")?);
        while let Some(path) = next.take() {
            if files.iter().any(|f| f.path == path) || files.len() >= MAX_FILES {
                return Err(anyhow!("{} extends itself, or too many files", path.display()))
                    .exit(exit::PROFILE);
            }
            let text = common::fs::read_to_string(&path).exit(exit::PROFILE).with_context(|| match files
                .last()
            {
                Some(child) => format!("failed to read what {} extends", child.path.display()),
                None => "failed to read the profile".to_owned(),
            })?;
            let file = File { path, text, start: 0 };
            let one = Self { files: vec![file] };
            let table = one.parse(0)?;
            if let Some(value) = table.get_ref().get("extends") {
                let DeValue::String(parent) = value.get_ref() else {
                    return Err(one.explain(&value.span(), "expected the path of another profile"));
                };
                next = Some(beside(&one.files[0].path, parent));
            }
            drop(table);
            files.extend(one.files);
        }
        files.reverse();
        let mut start = 0;
        for file in &mut files {
            file.start = start;
            start += file.text.len() + 1;
        }
        Ok(Self { files })
    }

    /// Parses, substitutes and merges all files.
    pub(super) fn merged(&self, vars: &BTreeMap<String, String>) -> anyhow::Result<Document<'_>> {
        let mut used = BTreeSet::new();
        let mut whole: Option<Document<'_>> = None;
        for (i, file) in self.files.iter().enumerate() {
            let mut table = self.parse(i)?;
            table.get_mut().remove("extends");
            let root = DeValue::Table(table.into_inner());
            let mut root = Spanned::new(file.start..file.start + file.text.len(), root);
            shift(&mut root, file.start, true);
            self.substitute(&mut root, vars, &mut used)?;
            absolutise(&mut root, &file.path);
            let span = root.span();
            let DeValue::Table(table) = root.into_inner() else { unreachable!("it was made one above") };
            whole = Some(match whole {
                None => Spanned::new(span, table),
                Some(mut parent) => {
                    drop_excluded(parent.get_mut(), &table);
                    merge_tables(parent.get_mut(), table);
                    Spanned::new(span, parent.into_inner())
                }
            });
        }
        if let Some(unused) = vars.keys().find(|v| !used.contains(*v)) {
            let known = if used.is_empty() {
                "it has no variables".to_owned()
            } else {
                format!("its variables are {}", used.into_iter().collect::<Vec<_>>().join(", "))
            };
            return Err(anyhow!("the profile has no variable {{{unused}}}")).hint(known).exit(exit::PROFILE);
        }
        whole.ok_or_else(|| unreachable!("at least one file was read"))
    }

    /// An error at a place of the imaginary text: file, line, column, the line itself.
    pub(super) fn explain(&self, span: &Range<usize>, message: &str) -> anyhow::Error {
        let file = self.files.iter().rev().find(|f| f.start <= span.start).unwrap_or(&self.files[0]);
        let at = (span.start - file.start).min(file.text.len());
        let at = (0..=at).rev().find(|&i| file.text.is_char_boundary(i)).unwrap_or(0);
        let line_start = file.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let line_end = file.text[at..].find('\n').map_or(file.text.len(), |i| at + i);
        let line = &file.text[line_start..line_end];
        let number = file.text[..line_start].matches('\n').count() + 1;
        let column = file.text[line_start..at].chars().count();
        let end = (span.end - file.start).clamp(at, line_end);
        let width = file.text.get(at..end).map_or(1, |s| s.chars().count()).max(1);
        let gutter = " ".repeat(number.to_string().len());
        let shown = line.replace('\t', " ");
        let text = format!(
            "{}:{number}:{}: {message}\n{gutter} |\n{number} | {shown}\n{gutter} | {}{}",
            file.path.display(),
            column + 1,
            " ".repeat(column),
            "^".repeat(width),
        );
        let marked: anyhow::Result<()> = Err(anyhow!("{}", text.trim_end())).exit(exit::PROFILE);
        marked.expect_err("it was made an error just above")
    }

    fn parse(&self, i: usize) -> anyhow::Result<Document<'_>> {
        let file = &self.files[i];
        DeTable::parse(&file.text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            self.explain(&(span.start + file.start..span.end + file.start), e.message())
        })
    }

    /// Replaces `{name}` in every string value; `{{` and `}}` stand for one brace.
    fn substitute(
        &self,
        value: &mut Spanned<DeValue<'_>>,
        vars: &BTreeMap<String, String>,
        used: &mut BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains(['{', '}']) => {
                let new = expand(text, |name| {
                    used.insert(name.to_owned());
                    let value = vars.get(name).cloned();
                    value.ok_or_else(|| format!("the variable {{{name}}} has no value\u{0}{name}"))
                });
                let new = new.map_err(|message| match message.split_once('\u{0}') {
                    Some((message, name)) => {
                        let err: anyhow::Result<()> = Err(self.explain(&span, message));
                        err.hint(format!("give it with --set {name}=VALUE")).expect_err("it is one")
                    }
                    None => self.explain(&span, &message),
                })?;
                *text = Cow::Owned(new);
            }
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    self.substitute(item, vars, used)?;
                }
            }
            DeValue::Table(table) => {
                for (_, item) in table.iter_mut() {
                    self.substitute(item, vars, used)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// `relative` as written in the file `written_in`.
fn beside(written_in: &Path, relative: &str) -> PathBuf {
    written_in.parent().unwrap_or(Path::new("/")).join(relative)
}

fn expand(text: &str, mut value: impl FnMut(&str) -> Result<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(i) = rest.find(['{', '}']) {
        out.push_str(&rest[..i]);
        let tail = &rest[i..];
        if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            out.push_str(&tail[..1]);
            rest = after;
            continue;
        }
        let name = tail.strip_prefix('{').and_then(|t| t.split_once('}')).map(|(name, after)| {
            rest = after;
            name
        });
        match name {
            Some(name) if is_variable(name) => out.push_str(&value(name)?),
            _ => return Err("expected {name}, with {{ and }} for braces that stay".to_owned()),
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Makes the paths of one file absolute. The list of path fields is here and nowhere else.
fn absolutise(root: &mut Spanned<DeValue<'_>>, file: &Path) {
    let fix = |value: &mut Spanned<DeValue<'_>>| {
        if let DeValue::String(text) = value.get_mut() {
            *text = Cow::Owned(beside(file, text).to_string_lossy().into_owned());
        }
    };
    let DeValue::Table(root) = root.get_mut() else { return };
    for_each_item(root.get_mut("overlays"), fix);
    for_each_item(root.get_mut("repo"), |repo| {
        if let DeValue::Table(repo) = repo.get_mut()
            && let Some(key) = repo.get_mut("key")
        {
            fix(key);
        }
    });
    for key in ["initramfs", "disk-initramfs"] {
        if let Some(DeValue::Table(initramfs)) = root.get_mut(key).map(Spanned::get_mut) {
            for_each_item(initramfs.get_mut("files"), fix);
            for_each_item(initramfs.get_mut("module-lists"), fix);
        }
    }
}

fn for_each_item<'i>(value: Option<&mut Spanned<DeValue<'i>>>, mut f: impl FnMut(&mut Spanned<DeValue<'i>>)) {
    if let Some(DeValue::Array(items)) = value.map(Spanned::get_mut) {
        items.iter_mut().for_each(&mut f);
    }
}

/// A child that excludes a package takes it out of what its parents include.
fn drop_excluded(parent: &mut DeTable<'_>, child: &DeTable<'_>) {
    let Some(DeValue::Table(child)) = child.get("packages").map(Spanned::get_ref) else { return };
    let Some(DeValue::Array(excluded)) = child.get("exclude").map(Spanned::get_ref) else { return };
    let excluded: BTreeSet<&str> = excluded.iter().filter_map(|e| e.get_ref().as_str()).collect();
    if let Some(DeValue::Table(packages)) = parent.get_mut("packages").map(Spanned::get_mut)
        && let Some(DeValue::Array(include)) = packages.get_mut("include").map(Spanned::get_mut)
    {
        let kept = include.iter().filter(|e| !e.get_ref().as_str().is_some_and(|s| excluded.contains(s)));
        *include = kept.cloned().collect();
    }
}

/// The merge rule: tables merge key by key, arrays append, anything else is replaced. Array elements that are tables
/// with the same `id` (or `name`) are one element: the child's merges into the parent's, in the parent's place.
fn merge_tables<'i>(parent: &mut DeTable<'i>, child: DeTable<'i>) {
    for (key, value) in child {
        let Some(old) = parent.get_mut(key.get_ref().as_ref()) else {
            parent.insert(key, value);
            continue;
        };
        let span = value.span();
        match (old.get_mut(), value.into_inner()) {
            (DeValue::Table(old), DeValue::Table(new)) => merge_tables(old, new),
            (DeValue::Array(old), DeValue::Array(new)) => {
                new.into_iter().for_each(|item| merge_item(old, item));
            }
            (_, new) => *old = Spanned::new(span, new),
        }
    }
}

fn merge_item<'i>(array: &mut toml::de::DeArray<'i>, item: Spanned<DeValue<'i>>) {
    let wanted = identity(&item);
    if wanted.is_some()
        && let Some(old) = array.iter_mut().find(|old| identity(old) == wanted)
        && let (DeValue::Table(old), DeValue::Table(_)) = (old.get_mut(), item.get_ref())
    {
        let DeValue::Table(new) = item.into_inner() else { unreachable!("it was matched as a table") };
        return merge_tables(old, new);
    }
    array.push(item);
}

fn identity(value: &Spanned<DeValue<'_>>) -> Option<String> {
    let table = value.get_ref().as_table()?;
    ["id", "name"].iter().find_map(|key| table.get(*key)?.get_ref().as_str().map(|s| format!("{key}={s}")))
}

/// Moves the spans of a value, and with `keys` those of keys too, by `by` bytes.
fn shift(value: &mut Spanned<DeValue<'_>>, by: usize, root: bool) {
    let span = value.span();
    let mut inner = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
    match &mut inner {
        DeValue::Array(items) => items.iter_mut().for_each(|item| shift(item, by, false)),
        DeValue::Table(table) => {
            let old = std::mem::take(table);
            for (key, mut item) in old {
                shift(&mut item, by, false);
                let span = key.span();
                table.insert(Spanned::new(span.start + by..span.end + by, key.into_inner()), item);
            }
        }
        _ => {}
    }
    let span = if root { span } else { span.start + by..span.end + by };
    *value = Spanned::new(span, inner);
}

/// The span of the value at a path such as `repo.2.fingerprints`; as far as it exists.
pub(super) fn locate(document: &Document<'_>, path: &str) -> Range<usize> {
    let mut span = document.span();
    let mut at: Option<&DeValue<'_>> = None;
    for step in path.split('.') {
        let found = match at {
            None => document.get_ref().get(step),
            Some(value) => match step.parse::<usize>() {
                Ok(i) => value.get(i),
                Err(_) => value.get(step),
            },
        };
        let Some(found) = found else { break };
        span = found.span();
        at = Some(found.get_ref());
    }
    span
}
