//! Helpers that look at and change files of the build directory.

use std::io::{Read, Write};

use anyhow::{Context as _, ensure};
use rhai::Array;

use super::{Group, Helper, MAKING, Text};
use crate::dir;
use crate::engine::context::Context;

/// The largest text that becomes a string of a recipe.
const MAX_TEXT: u64 = 8 << 20;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "exists",
        group: Group::Files,
        phases: MAKING,
        usage: "exists(path) -> bool",
        about: "Whether something of this name lies in the build directory.",
        add: |r| r.f1(exists),
    },
    Helper {
        name: "read_file",
        group: Group::Files,
        phases: MAKING,
        usage: "read_file(path) -> string",
        about: "The content of a text file of the build directory.",
        add: |r| r.f1(read),
    },
    Helper {
        name: "write_file",
        group: Group::Files,
        phases: MAKING,
        usage: "write_file(path, text)",
        about: "Writes a text file into the build directory; directories are made.",
        add: |r| r.f2(write),
    },
    Helper {
        name: "list_dir",
        group: Group::Files,
        phases: MAKING,
        usage: "list_dir(path) -> array",
        about: "Names in a directory of the build directory, sorted.",
        add: |r| r.f1(list),
    },
];

fn exists(context: &mut Context, path: Text) -> anyhow::Result<bool> {
    let path = context.inside(&path)?;
    Ok(path.is_empty() || context.build.stat(&path)?.is_some())
}

fn read(context: &mut Context, path: Text) -> anyhow::Result<Text> {
    let path = context.inside(&path)?;
    let what = || format!("failed to read {path}");
    let mut text = String::new();
    let file = context.build.read(&path).with_context(what)?;
    file.take(MAX_TEXT + 1).read_to_string(&mut text).with_context(what)?;
    ensure!(text.len() as u64 <= MAX_TEXT, "{path} is longer than {MAX_TEXT} bytes");
    Ok(text.into())
}

fn write(context: &mut Context, path: Text, text: Text) -> anyhow::Result<()> {
    let path = context.inside(&path)?;
    let what = || format!("failed to write {path}");
    let (parent, name) = dir::split(&path);
    ensure!(!name.is_empty(), "expected a file's name");
    let parent = context.build.make(parent, 0o755).with_context(what)?;
    parent.remove_file(name).with_context(what)?;
    let mut file = parent.create(name.as_bytes(), 0o644).with_context(what)?;
    file.write_all(text.as_bytes()).with_context(what)
}

fn list(context: &mut Context, path: Text) -> anyhow::Result<Array> {
    let path = context.inside(&path)?;
    let dir = context.build.sub(&path).with_context(|| format!("failed to open {path:?}"))?;
    Ok(dir.names()?.into_iter().map(Into::into).collect())
}
