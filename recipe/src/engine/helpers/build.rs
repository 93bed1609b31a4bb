//! Helpers that unpack and build.

use std::fs::File;

use anyhow::{Context as _, ensure};
use common::cli::Mark;

use super::acquire::last;
use super::{Group, Helper, MAKING, Text};
use crate::archive::{self, Format};
use crate::dir;
use crate::engine::context::Context;
use crate::exit;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "extract",
        group: Group::Build,
        phases: MAKING,
        usage: "extract()\nextract(format)",
        about: "Unpacks the last download: tar.gz, tar.xz, tar.zst, tar.bz2, tar, zip, crate, whl; gz, xz, zst, bz2 for a \
                single file; bare for a file that is not packed. Without a format the name decides; what is packed but not \
                called so is refused. If all of it lies in one \
                directory, the helpers after it begin there.",
        add: |r| {
            r.f0(|c| extract(c, None));
            r.f1(|c, format: Text| extract(c, Some(&format)));
        },
    },
    Helper {
        name: "extract_file",
        group: Group::Build,
        phases: MAKING,
        usage: "extract_file(file)\nextract_file(file, format)",
        about: "Unpacks an archive that lies in the build directory, as `copy_source` puts it there or another archive has it in \
                it, and removes it. Else as `extract`.",
        add: |r| {
            r.f1(|c, file: Text| extract_file(c, &file, None));
            r.f2(|c, file: Text, format: Text| extract_file(c, &file, Some(&format)));
        },
    },
    Helper {
        name: "cd",
        group: Group::Build,
        phases: MAKING,
        usage: "cd(path)",
        about: "Lets relative paths begin at another directory of the build directory; `..` leads up, but not out.",
        add: |r| r.f1(cd),
    },
];

fn extract(context: &mut Context, format: Option<&str>) -> anyhow::Result<()> {
    let download = last(context)?.clone();
    let file =
        File::open(&download.path).with_context(|| format!("failed to open {}", download.path.display()))?;
    let format = format_of(&file, &download.name, format)?;
    unpack_here(context, &file, &download.name, format)
}

/// As [`extract`], for a file of the build directory.
fn extract_file(context: &mut Context, path: &str, format: Option<&str>) -> anyhow::Result<()> {
    let path = context.inside(path)?;
    let failed = || format!("failed to open {path}");
    let file = context.build.read(&path).with_context(failed)?;
    ensure!(
        file.metadata().with_context(failed)?.is_file(),
        "expected an archive, found that {path} is no file"
    );
    let name = dir::split(&path).1;
    let format = format_of(&file, name, format)?;
    // What it holds may be called as it is.
    context.build.remove_file(&path).with_context(|| format!("failed to remove {path}"))?;
    unpack_here(context, &file, name, format)
}

/// The format that a recipe names, else what the file's name says.
fn format_of(file: &File, name: &str, asked: Option<&str>) -> anyhow::Result<Format> {
    match asked {
        Some(asked) => Format::named(asked).exit(exit::RECIPE),
        None => Format::of(name, file)
            .exit(exit::RECIPE)
            .hint("name its format, as in `extract(\"tar.gz\")`; \"bare\" takes it as it is"),
    }
}

fn unpack_here(context: &mut Context, file: &File, name: &str, format: Format) -> anyhow::Result<()> {
    let into = context.build.sub(&context.cwd)?;
    let before = into.raw_names()?;
    archive::extract(file, format, name, &into, &context.interrupt)
        .with_context(|| format!("failed to unpack {name}"))
        .exit(exit::INTEGRITY)?;
    if let Some(only) = archive::only_dir(&into, &before)? {
        context.cwd = context.inside(&only)?;
    }
    Ok(())
}

fn cd(context: &mut Context, path: Text) -> anyhow::Result<()> {
    let path = context.inside(&path)?;
    context.build.sub(&path).with_context(|| format!("failed to enter {path}"))?;
    context.cwd = path;
    Ok(())
}
