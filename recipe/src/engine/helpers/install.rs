//! Helpers that put files into the package: below the stage, as they will lie below the prefix.

use anyhow::{Context as _, bail, ensure};
use common::cli::Mark;

use super::{Group, Helper, MAKING, Text, find};
use crate::dir::{self, Dir};
use crate::engine::context::Context;
use crate::exit;
use crate::places::is_own;
use crate::stage;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "install_bin",
        group: Group::Install,
        phases: MAKING,
        usage: "install_bin(file)\ninstall_bin(file, name)",
        about: "Installs a program into bin, with mode 0755. A name without a slash is looked for below the current \
                directory, if it does not lie there itself.",
        add: |r| {
            r.f1(bin);
            r.f2(bin_as);
        },
    },
    Helper {
        name: "install_lib",
        group: Group::Install,
        phases: MAKING,
        usage: "install_lib(file)\ninstall_lib(file, name)",
        about: "Installs a library into lib, with mode 0755.",
        add: |r| {
            r.f1(lib);
            r.f2(lib_as);
        },
    },
    Helper {
        name: "install_man",
        group: Group::Install,
        phases: MAKING,
        usage: "install_man(file)",
        about: "Installs a manual page into share/man; its ending (rg.1, rg.1.gz) says the section.",
        add: |r| r.f1(man),
    },
    Helper {
        name: "install_completion",
        group: Group::Install,
        phases: MAKING,
        usage: "install_completion(file)\ninstall_completion(file, shell, command)",
        about: "Installs a completion where bash, zsh or fish looks for it. Without a shell the name decides: _rg is zsh's, \
                rg.fish fish's, rg.bash bash's.",
        add: |r| {
            r.f1(completion);
            r.f3(completion_for);
        },
    },
    Helper {
        name: "install_desktop",
        group: Group::Install,
        phases: MAKING,
        usage: "install_desktop(file)",
        about: "Installs a desktop entry into share/applications.",
        add: |r| r.f1(desktop),
    },
    Helper {
        name: "install_file",
        group: Group::Install,
        phases: MAKING,
        usage: "install_file(file, path)\ninstall_file(file, path, mode)",
        about: "Installs a file at a path below the prefix, with mode 0644 or the one that is given (0o755).",
        add: |r| {
            r.f2(file);
            r.f3(file_mode);
        },
    },
    Helper {
        name: "install_config",
        group: Group::Install,
        phases: MAKING,
        usage: "install_config(file, path)",
        about: "As `install_file`, for a file that users edit: what they changed stays when the package is upgraded or removed.",
        add: |r| r.f2(config),
    },
    Helper {
        name: "install_tree",
        group: Group::Install,
        phases: MAKING,
        usage: "install_tree(directory, path)",
        about: "Installs a directory and all in it at a path below the prefix. Links inside it stay links.",
        add: |r| r.f2(tree),
    },
    Helper {
        name: "symlink",
        group: Group::Install,
        phases: MAKING,
        usage: "symlink(target, path)",
        about: "Installs a symbolic link at a path below the prefix. A target below the prefix is written without a slash in \
                front (`lib/helix/hx`) and becomes relative to the link.",
        add: |r| r.f2(symlink),
    },
];

fn bin(context: &mut Context, word: Text) -> anyhow::Result<()> {
    let name = find::name(context, &word).to_owned();
    put(context, &word, &format!("bin/{name}"), 0o755)
}

fn bin_as(context: &mut Context, word: Text, name: Text) -> anyhow::Result<()> {
    put(context, &word, &format!("bin/{}", plain(&name)?), 0o755)
}

fn lib(context: &mut Context, word: Text) -> anyhow::Result<()> {
    let name = find::name(context, &word).to_owned();
    put(context, &word, &format!("lib/{name}"), 0o755)
}

fn lib_as(context: &mut Context, word: Text, name: Text) -> anyhow::Result<()> {
    put(context, &word, &format!("lib/{}", plain(&name)?), 0o755)
}

fn man(context: &mut Context, word: Text) -> anyhow::Result<()> {
    let name = find::name(context, &word).to_owned();
    let bare = [".gz", ".xz", ".zst", ".bz2"].iter().find_map(|e| name.strip_suffix(e)).unwrap_or(&name);
    let section = bare.rsplit_once('.').and_then(|(_, ending)| ending.chars().next());
    let section = section.filter(|c| ('1'..='9').contains(c)).with_context(|| {
        format!("expected a manual page like {name}.1, whose ending is the section, found {name:?}")
    })?;
    put(context, &word, &format!("share/man/man{section}/{name}"), 0o644)
}

fn completion(context: &mut Context, word: Text) -> anyhow::Result<()> {
    let name = find::name(context, &word).to_owned();
    let (shell, command) = completion_of(&name)
        .with_context(|| format!("the name {name:?} does not say whose completion it is"))
        .hint("install_completion(file, \"bash\", \"command\") says so")?;
    put(context, &word, &completion_path(shell, command)?, 0o644)
}

/// Shell and command of a completion, as its name says them.
pub(crate) fn completion_of(name: &str) -> Option<(&'static str, &str)> {
    if let Some(command) = name.strip_suffix(".fish") {
        Some(("fish", command))
    } else if let Some(command) = name.strip_suffix(".bash").or_else(|| name.strip_suffix(".bash-completion"))
    {
        Some(("bash", command))
    } else if let Some(command) = name.strip_prefix('_') {
        Some(("zsh", command.strip_suffix(".zsh").unwrap_or(command)))
    } else {
        Some(("zsh", name.strip_suffix(".zsh")?))
    }
}

fn completion_for(context: &mut Context, word: Text, shell: Text, command: Text) -> anyhow::Result<()> {
    let path = completion_path(&shell, &command)?;
    put(context, &word, &path, 0o644)
}

fn completion_path(shell: &str, command: &str) -> anyhow::Result<String> {
    let command = plain(command)?;
    match shell {
        "bash" => Ok(format!("share/bash-completion/completions/{command}")),
        "zsh" => Ok(format!("share/zsh/site-functions/_{command}")),
        "fish" => Ok(format!("share/fish/vendor_completions.d/{command}.fish")),
        _ => bail!("expected bash, zsh or fish, found {shell:?}"),
    }
}

fn desktop(context: &mut Context, word: Text) -> anyhow::Result<()> {
    let name = find::name(context, &word).to_owned();
    ensure!(name.ends_with(".desktop"), "expected a file whose name ends in .desktop, found {name:?}");
    put(context, &word, &format!("share/applications/{name}"), 0o644)
}

fn file(context: &mut Context, word: Text, path: Text) -> anyhow::Result<()> {
    put(context, &word, &path, 0o644)
}

fn file_mode(context: &mut Context, word: Text, path: Text, mode: i64) -> anyhow::Result<()> {
    let bits = u32::try_from(mode).ok().filter(|m| *m <= 0o777);
    let bits = bits.with_context(|| format!("expected a mode from 0 to 0o777, found {mode:#o}"))?;
    put(context, &word, &path, bits)
}

fn config(context: &mut Context, word: Text, path: Text) -> anyhow::Result<()> {
    put(context, &word, &path, 0o644)?;
    context.configs.push(path.trim_end_matches('/').to_owned());
    Ok(())
}

fn tree(context: &mut Context, from: Text, path: Text) -> anyhow::Result<()> {
    let from = context.inside(&from)?;
    let source = context.build.sub(&from).with_context(|| format!("failed to open {from}"))?;
    let path = target(&path)?;
    let into = context.stage.make(path, 0o755).with_context(|| format!("failed to stage {path}"))?;
    copy_tree(context, &source, &into)
}

fn copy_tree(context: &Context, from: &Dir, into: &Dir) -> anyhow::Result<()> {
    for name in from.names()? {
        context.interrupt.check()?;
        let what = || format!("failed to stage {}", from.path.join(&name).display());
        let stat = from.stat(&name)?.with_context(what)?;
        let kind = dir::kind(&stat);
        if kind.is_dir() {
            copy_tree(context, &from.sub(&name)?, &into.make(&name, 0o755).with_context(what)?)?;
        } else if kind.is_symlink() {
            let to = from.link_target(&name).with_context(what)?;
            rustix::fs::symlinkat(&*to, into, &*name).with_context(what)?;
        } else if kind.is_file() {
            let mode = if stat.st_mode & 0o111 == 0 { 0o644 } else { 0o755 };
            stage::copy(&mut from.read(&name).with_context(what)?, into, &name, mode).with_context(what)?;
        } else {
            bail!("{} is neither file nor directory nor link", from.path.join(&name).display());
        }
    }
    Ok(())
}

fn symlink(context: &mut Context, to: Text, path: Text) -> anyhow::Result<()> {
    let path = target(&path)?;
    ensure!(!to.is_empty() && !to.contains('\0'), "expected where the link {path:?} leads");
    let absolute_or_relative = to.starts_with('/') || to.starts_with("..") || to.starts_with("./");
    let to = if absolute_or_relative {
        to.to_string()
    } else {
        // As seen from the link's own directory.
        format!("{}{to}", "../".repeat(path.matches('/').count()))
    };
    let (parent, name) = dir::split(path);
    let parent = context.stage.make(parent, 0o755).with_context(|| format!("failed to stage {path}"))?;
    rustix::fs::symlinkat(&*to, &parent, name).with_context(|| format!("failed to stage {path}"))
}

/// Copies a file into the stage.
fn put(context: &mut Context, word: &str, path: &str, mode: u32) -> anyhow::Result<()> {
    let path = target(path)?;
    let (from, mut file) = find::open(context, word)?;
    let (parent, name) = dir::split(path);
    let what = || format!("failed to stage {path} from {from}");
    let parent = context.stage.make(parent, 0o755).with_context(what)?;
    stage::copy(&mut file, &parent, name, mode).map(drop).with_context(what)
}

/// A path below the prefix that a package may have.
fn target(path: &str) -> anyhow::Result<&str> {
    let path = path.trim_end_matches('/');
    dir::check(path).hint("a path below the prefix, like share/doc/rg/README.md").exit(exit::RECIPE)?;
    ensure!(!is_own(path), "{path} belongs to recipe itself");
    Ok(path)
}

fn plain(name: &str) -> anyhow::Result<&str> {
    ensure!(!name.contains('/'), "expected a name without a slash, found {name:?}");
    dir::check(name)
}
