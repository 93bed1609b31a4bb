//! Helpers that unpack and build.

use std::fs::File;

use anyhow::Context as _;
use common::cli::Mark;

use super::acquire::last;
use super::{Group, Helper, Text};
use crate::archive::{self, Format};
use crate::dir;
use crate::engine::context::Context;
use crate::exit;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "extract",
        group: Group::Build,
        usage: "extract()\nextract(format)",
        about: "Unpacks the last download: tar.gz, tar.xz, tar.zst, tar.bz2, tar, zip, crate, whl; gz, xz, zst, bz2 for a \
                single file; bare for a file that is not packed. Without a format the name decides. If all of it lies in one \
                directory, the helpers after it begin there.",
        add: |r| {
            r.f0(extract);
            r.f1(extract_format);
        },
    },
    Helper {
        name: "cd",
        group: Group::Build,
        usage: "cd(path)",
        about: "Lets relative paths begin at another directory of the build directory; `..` leads up, but not out.",
        add: |r| r.f1(cd),
    },
];

fn extract(context: &mut Context) -> anyhow::Result<()> {
    let format = Format::of_file(&last(context)?.name);
    unpack(context, format)
}

fn extract_format(context: &mut Context, format: Text) -> anyhow::Result<()> {
    unpack(context, Format::named(&format).exit(exit::RECIPE)?)
}

fn unpack(context: &mut Context, format: Format) -> anyhow::Result<()> {
    let download = last(context)?.clone();
    let file =
        File::open(&download.path).with_context(|| format!("failed to open {}", download.path.display()))?;
    let into = context.build.sub(&context.cwd)?;
    let before = into.raw_names()?;
    archive::extract(&file, format, &download.name, &into, &context.interrupt)
        .with_context(|| format!("failed to unpack {}", download.name))
        .exit(exit::INTEGRITY)?;
    // Most sources lie in one directory, called by name and version.
    let names = into.raw_names()?;
    let new: Vec<_> = names.iter().filter(|n| !before.contains(n)).collect();
    if let [only] = new[..]
        && let Ok(only) = only.to_str()
        && into.stat(only)?.is_some_and(|s| dir::kind(&s).is_dir())
    {
        context.cwd = context.inside(only)?;
    }
    Ok(())
}

fn cd(context: &mut Context, path: Text) -> anyhow::Result<()> {
    let path = context.inside(&path)?;
    context.build.sub(&path).with_context(|| format!("failed to enter {path}"))?;
    context.cwd = path;
    Ok(())
}
