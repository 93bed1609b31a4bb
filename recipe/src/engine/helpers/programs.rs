//! Helpers that run programs: no shell in between, confined ([`crate::confine`]).

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use common::cli::Mark;
use rhai::{Array, Dynamic};

use super::{Group, Helper, Text};
use crate::confine::{self, BUILD, Ended, HOME, Order, Owner, STAGE};
use crate::engine::PHASES;
use crate::engine::capability::Kind;
use crate::engine::context::{Context, Ran};
use crate::engine::names::{program, script};
use crate::exit;

/// The list of all info pages of the prefix: `make install` writes it where install-info is there, and no package can own it.
const INFO_LIST: &str = "share/info/dir";

/// What of the user's environment says how the network is reached: proxies, and whose certificates are trusted, as those of a
/// proxy that looks into what it passes on.
const NETWORK: &[&str] = &[
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
];

/// The helpers of this file.
pub(super) const TABLE: &[Helper] = &[
    Helper {
        name: "exec",
        group: Group::Programs,
        phases: PHASES,
        usage: "exec([program, argument, ...])\nexec(program, [argument, ...])",
        about: "Runs a program in the current directory of the build directory; no shell, every argument is passed as it is. \
                Fails, with the last 40 lines it printed, unless it exits with 0. One argument is shorter than \
                128 KiB, all of them about 2 MiB at most, as the kernel has it. What programs may do is in [confinement](confinement.md).",
        add: |r| {
            r.f1(|c, argv: Array| asked(c, &words(&argv)?, false).map(drop));
            r.f2(|c, program: Text, args: Array| asked(c, &with(&program, &words(&args)?), false).map(drop));
        },
    },
    Helper {
        name: "shell",
        group: Group::Programs,
        phases: PHASES,
        usage: "shell(script)\nshell(script, [argument, ...])",
        about: "Runs a script with `sh -eu`. Pass values as arguments and write \"$1\" for them, never put them into the text: \
                `shell(\"mv \\\"$1\\\" new\", [name])`. $PREFIX is the prefix; in `install`, $DESTDIR and $STAGE are where files go.",
        add: |r| {
            r.f1(|c, script: Text| shell(c, &script, &[]));
            r.f2(|c, script: Text, args: Array| shell(c, &script, &words(&args)?));
        },
    },
    Helper {
        name: "output",
        group: Group::Programs,
        phases: PHASES,
        usage: "output([program, argument, ...]) -> string",
        about: "As `exec`; what the program writes to its standard output comes back, without the newlines at its end.",
        add: |r| r.f1(|c, argv: Array| asked(c, &words(&argv)?, true)),
    },
    Helper {
        name: "has_program",
        group: Group::Programs,
        phases: PHASES,
        usage: "has_program(name) -> bool",
        about: "Whether there is a program of this name for `exec`.",
        add: |r| r.f1(|c, name: Text| Ok(which(c, &name)?.is_some())),
    },
    Helper {
        name: "which",
        group: Group::Programs,
        phases: PHASES,
        usage: "which(name) -> path",
        about: "Where `exec` finds a program; fails if it is nowhere.",
        add: |r| {
            r.f1(|c, name: Text| {
                let found = which(c, &name)?.with_context(|| format!("there is no program {name:?}"));
                found.map(Text::from).exit(exit::NOT_FOUND)
            });
        },
    },
];

/// Arguments of a recipe -> words.
pub(super) fn words(array: &Array) -> anyhow::Result<Vec<String>> {
    let word = |value: &Dynamic| {
        let text = if value.is_int() { Ok(value.to_string()) } else { value.clone().into_string() };
        match text {
            Ok(text) if !text.contains('\0') => Ok(text),
            Ok(text) => bail!("expected arguments without NUL, found {text:?}"),
            Err(kind) => bail!("expected arguments to be strings, found one that is {kind}"),
        }
    };
    array.iter().map(word).collect::<anyhow::Result<_>>().exit(exit::RECIPE)
}

/// A program and its arguments.
pub(super) fn with<T: AsRef<str>>(program: &str, args: &[T]) -> Vec<String> {
    std::iter::once(program.to_owned()).chain(args.iter().map(|a| a.as_ref().to_owned())).collect()
}

fn script_of(script: &str, args: &[String]) -> Vec<String> {
    let head = ["sh", "-euc", script, "sh"].map(str::to_owned);
    head.into_iter().chain(args.iter().cloned()).collect()
}

fn shell(context: &mut Context, text: &str, args: &[String]) -> anyhow::Result<()> {
    context.granted.allows(Kind::Script, &script(text))?;
    exec(context, &script_of(text, args))
}

/// A program that the recipe names itself.
fn asked(context: &mut Context, argv: &[String], capture: bool) -> anyhow::Result<Text> {
    context.granted.allows(Kind::Program, &program(argv))?;
    match capture {
        true => output(context, argv),
        false => exec(context, argv).map(|()| Text::new()),
    }
}

/// Runs a program, which has to succeed.
pub(super) fn exec(context: &mut Context, argv: &[String]) -> anyhow::Result<()> {
    run(context, argv, false).map(drop)
}

/// As [`exec`]; what it writes to its standard output.
pub(super) fn output(context: &mut Context, argv: &[String]) -> anyhow::Result<Text> {
    let ended = run(context, argv, true)?;
    let text = String::from_utf8(ended.output)
        .with_context(|| format!("`{}` printed what is not UTF-8", line(argv)))?;
    Ok(text.trim_end_matches('\n').into())
}

/// Not `command -v`, which calls what the shell has itself by its name alone, and any file by its path.
const WHICH: &str = "set -f; IFS=:
case $1 in /*) set -- \"$1\" \"\";; */*) exit;; *) set -- \"/$1\" \"$PATH\";; esac
for dir in ${2:-\"\"}; do
    if [ -f \"$dir$1\" ] && [ -x \"$dir$1\" ]; then echo \"$dir$1\"; exit; fi
done";

fn which(context: &mut Context, name: &str) -> anyhow::Result<Option<String>> {
    let found = output(context, &script_of(WHICH, &[name.to_owned()]))?;
    Ok(Some(found.to_string()).filter(|p| !p.is_empty()))
}

/// How much of a command messages show, in characters: some lines of a terminal.
const LINE: usize = 400;
/// The kernel passes no argument that is as long as this, with the NUL at its end or without (MAX_ARG_STRLEN).
const MAX_ARGUMENT: usize = 128 << 10;

/// A command as messages show it.
fn line(argv: &[String]) -> String {
    let (program, args) = argv.split_first().map_or(("", argv), |(program, args)| (program.as_str(), args));
    let line = common::cmd::Cmd::new(program).args(args).display();
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}... ({} arguments)", &line[..end], args.len()),
        None => line,
    }
}

fn check(argv: &[String]) -> anyhow::Result<()> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(anyhow::anyhow!("expected a program and its arguments, found nothing"))
            .exit(exit::RECIPE);
    }
    let Some(long) = argv.iter().map(String::len).find(|len| *len >= MAX_ARGUMENT) else { return Ok(()) };
    Err(anyhow::anyhow!("expected arguments below 128 KiB, found one of {long} bytes"))
        .exit(exit::RECIPE)
        .hint("write_file() puts a long text into a file, which programs can read")
}

fn run(context: &mut Context, argv: &[String], capture: bool) -> anyhow::Result<Ended> {
    check(argv)?;
    let phase = context.phase.clone().unwrap_or_default();
    let owner = Owner::find()?;
    let installs = phase == "install";
    let builds = installs || phase == "acquire" || phase == "build";
    let order = Order {
        argv: argv.to_vec(),
        env: environment(context, &phase, builds),
        cwd: if builds { format!("{BUILD}/{}", context.cwd) } else { "/".to_owned() },
        build: builds.then(|| context.build.path.clone()),
        home: builds.then(|| context.home.path.clone()),
        stage: installs.then(|| context.stage.path.clone()),
        prefix: (context.cage.prefix.clone(), context.prefix.clone()),
        hidden: context.cage.hidden.clone(),
        shown: context.downloads.iter().map(|d| d.path.clone()).chain(tools()).collect(),
        network: phase == "acquire" || (builds && context.cage.network),
        owner,
    };
    if builds {
        confine::give(&context.build, owner)?;
        confine::give(&context.home, owner)?;
    }
    if installs {
        confine::give(&context.stage, owner)?;
    }
    crate::voice::live::runs(&context.package, &line(argv));
    context.programs.push(Ran { phase, program: line(argv), network: order.network });
    let ended = confine::run(&order, capture, &context.interrupt);
    if installs {
        confine::take_back(&context.stage, owner).with_context(|| format!("`{}`", line(argv)))?;
        context.stage.remove_file(INFO_LIST).with_context(|| format!("failed to remove {INFO_LIST}"))?;
    }
    let ended = ended.with_context(|| format!("`{}`", line(argv)))?;
    if ended.status == 0 {
        return Ok(ended);
    }
    let tail = ended.tail.trim_end();
    let said = if tail.is_empty() { String::new() } else { format!("\n{tail}") };
    bail!("`{}` failed (exit status {}){said}", line(argv), ended.status)
}

/// Directories of tools that the user lends: RECIPE_TOOLS, as PATH is written.
fn tools() -> Vec<PathBuf> {
    let list = std::env::var_os("RECIPE_TOOLS").unwrap_or_default();
    std::env::split_paths(&list).filter(|p| p.is_absolute()).collect()
}

/// How many things programs may do at a time.
pub(super) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// All that programs have of an environment.
fn environment(context: &Context, phase: &str, builds: bool) -> Vec<(String, String)> {
    let prefix = context.prefix.display().to_string();
    let lent = tools().into_iter().map(|t| format!("{}/bin:", t.display())).collect::<String>();
    let jobs = jobs().to_string();
    let home = if builds { HOME } else { "/tmp" };
    let mut env: Vec<(String, String)> = [
        ("PATH", format!("{lent}{prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")),
        ("HOME", home.to_owned()),
        ("TMPDIR", "/tmp".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("TERM", "dumb".to_owned()),
        ("PREFIX", prefix.clone()),
        ("MAKEFLAGS", format!("-j{jobs}")),
        ("JOBS", jobs),
        ("CARGO_HOME", format!("{home}/.cargo")),
        // What other packages installed is found, and found again when it runs.
        ("CPATH", format!("{prefix}/include")),
        ("LIBRARY_PATH", format!("{prefix}/lib")),
        ("LD_RUN_PATH", format!("{prefix}/lib")),
        ("PKG_CONFIG_PATH", format!("{prefix}/lib/pkgconfig:{prefix}/share/pkgconfig")),
        ("CMAKE_PREFIX_PATH", prefix.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if phase == "install" {
        env.push(("DESTDIR".to_owned(), STAGE.to_owned()));
        env.push(("STAGE".to_owned(), format!("{STAGE}{prefix}")));
    }
    if phase == "acquire" {
        for name in NETWORK {
            env.extend(std::env::var(name).ok().map(|value| ((*name).to_owned(), value)));
        }
    }
    env
}
