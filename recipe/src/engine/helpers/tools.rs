//! Helpers for the usual ways to build, as packagers call them: prefix, number of jobs and DESTDIR are right by themselves.

use anyhow::ensure;
use common::cli::Mark;

use super::programs::{exec, jobs, output, with};
use super::{Group, Helper, MAKING, Text};
use crate::confine::BUILD;
use crate::engine::context::Context;
use crate::exit;

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "configure",
        group: Group::Programs,
        phases: MAKING,
        usage: "configure()\nconfigure([argument, ...])",
        about: "`./configure --prefix=PREFIX`, with these arguments.",
        add: |r| r.args(configure),
    },
    Helper {
        name: "make",
        group: Group::Programs,
        phases: MAKING,
        usage: "make()\nmake([argument, ...])",
        about: "`make` with all processors. In `install`, `make([\"install\"])` has DESTDIR set: what it installs below the \
                prefix is in the package, anything else is an error.",
        add: |r| r.args(make),
    },
    Helper {
        name: "cmake",
        group: Group::Programs,
        phases: MAKING,
        usage: "cmake()\ncmake([argument, ...])",
        about: "Configures by CMake, as a release for the prefix, and builds; in the directory `build`.",
        add: |r| r.args(cmake),
    },
    Helper {
        name: "cmake_install",
        group: Group::Programs,
        phases: &["install"],
        usage: "cmake_install()",
        about: "Installs what `cmake` built.",
        add: |r| r.f0(|c| exec(c, &with("cmake", &["--install", "build"]))),
    },
    Helper {
        name: "meson",
        group: Group::Programs,
        phases: MAKING,
        usage: "meson()\nmeson([argument, ...])",
        about: "Configures by Meson, as a release for the prefix, and builds; in the directory `build`.",
        add: |r| r.args(meson),
    },
    Helper {
        name: "meson_install",
        group: Group::Programs,
        phases: &["install"],
        usage: "meson_install()",
        about: "Installs what `meson` built.",
        add: |r| r.f0(|c| exec(c, &with("meson", &["install", "-C", "build", "--no-rebuild"]))),
    },
    Helper {
        name: "cargo_fetch",
        group: Group::Programs,
        phases: &["acquire"],
        usage: "cargo_fetch()",
        about: "Downloads the crates that Cargo.lock names, for `cargo_build`, which has no network.",
        add: |r| r.f0(|c| exec(c, &with("cargo", &["fetch", "--locked"]))),
    },
    Helper {
        name: "cargo_build",
        group: Group::Programs,
        phases: MAKING,
        usage: "cargo_build()\ncargo_build([argument, ...])",
        about: "`cargo build --release --frozen`; programs are in target/release.",
        add: |r| r.args(cargo),
    },
    Helper {
        name: "patch",
        group: Group::Programs,
        phases: MAKING,
        usage: "patch(file)\npatch(file, strip)",
        about: "Applies a patch of the build directory (see `copy_source`) by the program `patch`; 1 directory is stripped of \
                its names, or as many as said.",
        add: |r| {
            r.f1(|c, file: Text| patch(c, &file, 1));
            r.f2(|c, file: Text, strip: i64| patch(c, &file, strip));
        },
    },
    Helper {
        name: "git_clone",
        group: Group::Programs,
        phases: &["acquire"],
        usage: "git_clone(url, commit)",
        about: "Clones a repository, checks out this commit (all 40 digits: a tag can be moved) with its submodules, and begins \
                there.",
        add: |r| r.f2(git_clone),
    },
];

fn configure(context: &mut Context, args: &[String]) -> anyhow::Result<()> {
    let mut argv = vec!["./configure".to_owned(), format!("--prefix={}", context.prefix.display())];
    argv.extend_from_slice(args);
    exec(context, &argv)
}

fn make(context: &mut Context, args: &[String]) -> anyhow::Result<()> {
    exec(context, &with("make", args))
}

fn cmake(context: &mut Context, args: &[String]) -> anyhow::Result<()> {
    let prefix = format!("-DCMAKE_INSTALL_PREFIX={}", context.prefix.display());
    // By itself CMake chooses lib64 or lib/TRIPLET on some systems, and takes away where a program finds its libraries.
    let fixed = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON",
    ];
    let mut argv = with("cmake", &["-S", ".", "-B", "build", &prefix]);
    argv.extend(fixed.map(str::to_owned));
    argv.extend_from_slice(args);
    exec(context, &argv)?;
    // Without a number it is a process for each file.
    exec(context, &with("cmake", &["--build", "build", "--parallel", &jobs().to_string()]))
}

fn meson(context: &mut Context, args: &[String]) -> anyhow::Result<()> {
    let prefix = format!("--prefix={}", context.prefix.display());
    let fixed = ["setup", "build", "--buildtype=release", "--wrap-mode=nodownload", "--libdir=lib", &prefix];
    let mut argv = with("meson", &fixed);
    argv.extend_from_slice(args);
    exec(context, &argv)?;
    exec(context, &with("meson", &["compile", "-C", "build"]))
}

fn cargo(context: &mut Context, args: &[String]) -> anyhow::Result<()> {
    // Its linker does not know LD_RUN_PATH. A project's own flags of this kind are added to by this, not replaced.
    let run_path = format!("-Clink-arg=-Wl,-rpath,{}/lib", context.prefix.display());
    let flags = format!("build.rustflags=[{}]", serde_json::to_string(&run_path)?);
    let mut argv = with("cargo", &["build", "--release", "--frozen", "--config", &flags]);
    argv.extend_from_slice(args);
    exec(context, &argv)
}

fn patch(context: &mut Context, file: &str, strip: i64) -> anyhow::Result<()> {
    ensure!((0..100).contains(&strip), "expected a number of directories, found {strip}");
    let file = format!("{BUILD}/{}", context.inside(file)?);
    let strip = format!("-p{strip}");
    exec(context, &with("patch", &["--batch", "--forward", &strip, "-i", &file]))
}

fn git_clone(context: &mut Context, url: Text, commit: Text) -> anyhow::Result<()> {
    if commit.len() != 40 || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(anyhow::anyhow!("expected a commit of 40 digits, found {commit:?}"))
            .exit(exit::RECIPE)
            .hint("`git ls-remote URL` says which commit a tag is");
    }
    // As for downloads: the commit is a digest of all that is in it.
    let web = url.starts_with("https://") || url.starts_with("http://");
    context.may_ask(&url)?;
    ensure!(web, "expected a URL that begins with https://, found {url:?}");
    let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = last.strip_suffix(".git").unwrap_or(last);
    crate::dir::check(name)?;
    exec(context, &with("git", &["clone", "--quiet", "--no-checkout", "--", &url, name]))?;
    context.cwd = context.inside(name)?;
    exec(context, &with("git", &["checkout", "--quiet", "--detach", &commit]))?;
    let found = output(context, &with("git", &["rev-parse", "HEAD"]))?;
    ensure!(found.eq_ignore_ascii_case(&commit), "expected commit {commit}, found {found}");
    exec(context, &with("git", &["submodule", "--quiet", "update", "--init", "--recursive"]))
}
