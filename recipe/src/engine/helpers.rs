//! The functions that recipes can call, as one table.
//!
//! Registration, docs/reference/helpers.md, "did you mean" and completion derive from [`TABLE`]: a helper that is not in it
//! does not exist. Each is a plain function of the [`Context`] in the file of its group.

mod acquire;
mod build;
mod install;
mod files;
mod find;
mod verify;

use common::cli::Mark;
use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext, Position, Variant};

use super::Shared;
use super::context::Context;
use super::report::Failure;

type Text = ImmutableString;

/// What a helper is for; the order is that of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Getting sources.
    Acquire,
    /// Unpacking and building.
    Build,
    /// Putting files into the package.
    Install,
    /// Files of the build directory.
    Files,
    /// Anything else.
    Other,
}

impl Group {
    /// All groups, with their titles.
    pub const ALL: &[(Group, &str)] = &[
        (Group::Acquire, "Getting sources"),
        (Group::Build, "Unpacking and building"),
        (Group::Install, "Putting files into the package"),
        (Group::Files, "Files of the build directory"),
        (Group::Other, "System, versions, messages"),
    ];
}

/// A helper.
pub struct Helper {
    /// Its name.
    pub name: &'static str,
    /// Its group.
    pub group: Group,
    /// How it is called, one form a line.
    pub usage: &'static str,
    /// What it does: sentences for the reference.
    pub about: &'static str,
    /// Adds its forms to an engine.
    add: fn(&mut Registrar<'_>),
}

/// All helpers.
pub const TABLE: &[Helper] = &[
    Helper {
        name: "download",
        group: Group::Acquire,
        usage: "download(url) -> path\ndownload(url, sha256) -> path",
        about: "Downloads a file into the cache and remembers it for `extract`, `verify_*` and `install_*`. With a digest any \
                other file is refused. Interrupted downloads go on where they ended; https never turns into http.",
        add: |r| {
            r.f1(acquire::download);
            r.f2(acquire::download_sha256);
        },
    },
    Helper {
        name: "verify_sha256",
        group: Group::Acquire,
        usage: "verify_sha256(hex)",
        about: "Fails unless the last download has this SHA-256. What does not match is removed from the cache.",
        add: |r| r.f1(verify::sha256),
    },
    Helper {
        name: "verify_sha512",
        group: Group::Acquire,
        usage: "verify_sha512(hex)",
        about: "The same by SHA-512.",
        add: |r| r.f1(verify::sha512),
    },
    Helper {
        name: "verify_blake3",
        group: Group::Acquire,
        usage: "verify_blake3(hex)",
        about: "The same by BLAKE3.",
        add: |r| r.f1(verify::blake3),
    },
    Helper {
        name: "verify_checksums",
        group: Group::Acquire,
        usage: "verify_checksums(url)",
        about: "Downloads a list of SHA-256 or SHA-512 digests, as sha256sum, BSD or certutil write it, and fails unless the \
                last download's is in it. This finds damage, not malice: who can change the file can change the list.",
        add: |r| r.f1(verify::checksums),
    },
    Helper {
        name: "verify_minisign",
        group: Group::Acquire,
        usage: "verify_minisign(key)\nverify_minisign(key, url)",
        about: "Downloads the signature (the last download's URL with .minisig, or this one) and fails unless this public key \
                made it of the last download.",
        add: |r| {
            r.f1(verify::minisign);
            r.f2(verify::minisign_at);
        },
    },
    Helper {
        name: "copy_source",
        group: Group::Acquire,
        usage: "copy_source(path)",
        about: "Copies a file that lies beside the recipe (a patch, a service) into the build directory.",
        add: |r| r.f1(acquire::copy_source),
    },
    Helper {
        name: "extract",
        group: Group::Build,
        usage: "extract()\nextract(format)",
        about: "Unpacks the last download: tar.gz, tar.xz, tar.zst, tar.bz2, tar, zip, crate, whl; gz, xz, zst, bz2 for a \
                single file; bare for a file that is not packed. Without a format the name decides. If all of it lies in one \
                directory, the helpers after it begin there.",
        add: |r| {
            r.f0(build::extract);
            r.f1(build::extract_format);
        },
    },
    Helper {
        name: "cd",
        group: Group::Build,
        usage: "cd(path)",
        about: "Lets relative paths begin at another directory of the build directory; `..` leads up, but not out.",
        add: |r| r.f1(build::cd),
    },
    Helper {
        name: "install_bin",
        group: Group::Install,
        usage: "install_bin(file)\ninstall_bin(file, name)",
        about: "Installs a program into bin, with mode 0755. A name without a slash is looked for below the current \
                directory, if it does not lie there itself.",
        add: |r| {
            r.f1(install::bin);
            r.f2(install::bin_as);
        },
    },
    Helper {
        name: "install_lib",
        group: Group::Install,
        usage: "install_lib(file)\ninstall_lib(file, name)",
        about: "Installs a library into lib, with mode 0755.",
        add: |r| {
            r.f1(install::lib);
            r.f2(install::lib_as);
        },
    },
    Helper {
        name: "install_man",
        group: Group::Install,
        usage: "install_man(file)",
        about: "Installs a manual page into share/man; its ending (rg.1, rg.1.gz) says the section.",
        add: |r| r.f1(install::man),
    },
    Helper {
        name: "install_completion",
        group: Group::Install,
        usage: "install_completion(file)\ninstall_completion(file, shell, command)",
        about: "Installs a completion where bash, zsh or fish looks for it. Without a shell the name decides: _rg is zsh's, \
                rg.fish fish's, rg.bash bash's.",
        add: |r| {
            r.f1(install::completion);
            r.f3(install::completion_for);
        },
    },
    Helper {
        name: "install_desktop",
        group: Group::Install,
        usage: "install_desktop(file)",
        about: "Installs a desktop entry into share/applications.",
        add: |r| r.f1(install::desktop),
    },
    Helper {
        name: "install_file",
        group: Group::Install,
        usage: "install_file(file, path)\ninstall_file(file, path, mode)",
        about: "Installs a file at a path below the prefix, with mode 0644 or the one that is given (0o755).",
        add: |r| {
            r.f2(install::file);
            r.f3(install::file_mode);
        },
    },
    Helper {
        name: "install_config",
        group: Group::Install,
        usage: "install_config(file, path)",
        about: "As `install_file`, for a file that users edit: what they changed stays when the package is upgraded or removed.",
        add: |r| r.f2(install::config),
    },
    Helper {
        name: "install_tree",
        group: Group::Install,
        usage: "install_tree(directory, path)",
        about: "Installs a directory and all in it at a path below the prefix. Links inside it stay links.",
        add: |r| r.f2(install::tree),
    },
    Helper {
        name: "symlink",
        group: Group::Install,
        usage: "symlink(target, path)",
        about: "Installs a symbolic link at a path below the prefix. A target below the prefix is written without a slash in \
                front (`lib/helix/hx`) and becomes relative to the link.",
        add: |r| r.f2(install::symlink),
    },
    Helper {
        name: "exists",
        group: Group::Files,
        usage: "exists(path) -> bool",
        about: "Whether something of this name lies in the build directory.",
        add: |r| r.f1(files::exists),
    },
    Helper {
        name: "read_file",
        group: Group::Files,
        usage: "read_file(path) -> string",
        about: "The content of a text file of the build directory.",
        add: |r| r.f1(files::read),
    },
    Helper {
        name: "write_file",
        group: Group::Files,
        usage: "write_file(path, text)",
        about: "Writes a text file into the build directory; directories are made.",
        add: |r| r.f2(files::write),
    },
    Helper {
        name: "list_dir",
        group: Group::Files,
        usage: "list_dir(path) -> array",
        about: "Names in a directory of the build directory, sorted.",
        add: |r| r.f1(files::list),
    },
    Helper {
        name: "arch",
        group: Group::Other,
        usage: "arch() -> string",
        about: "The machine's architecture: x86_64, aarch64.",
        add: |r| r.pure0(|_| Ok(Text::from(std::env::consts::ARCH))),
    },
    Helper {
        name: "prefix",
        group: Group::Other,
        usage: "prefix() -> string",
        about: "The prefix that is installed into, as programs will see it: for `--prefix` of configure scripts.",
        add: |r| r.pure0(|c| Ok(Text::from(c.prefix.to_string_lossy().into_owned()))),
    },
    Helper {
        name: "env",
        group: Group::Other,
        usage: "env(name) -> string or ()",
        about: "A variable of the environment.",
        add: |r| {
            r.f1(|_, name: Text| Ok(std::env::var(name.as_str()).map_or(rhai::Dynamic::UNIT, Into::into)));
        },
    },
    Helper {
        name: "fail",
        group: Group::Other,
        usage: "fail(message)",
        about: "Ends the phase with this error.",
        add: |r| {
            r.f1(|_, text: Text| -> anyhow::Result<()> {
                Err(anyhow::anyhow!("{text}")).exit(crate::exit::PHASE)
            });
        },
    },
];

/// Adds all helpers to an engine.
pub(super) fn register(engine: &mut Engine, context: &Shared) {
    engine.register_type_with_name::<Failure>("Failure");
    engine.register_fn("to_string", |f: &mut Failure| f.to_string());
    engine.register_fn("to_debug", |f: &mut Failure| f.to_string());
    for helper in TABLE {
        (helper.add)(&mut Registrar { engine, context, name: helper.name });
    }
}

/// Adds the forms of one helper.
struct Registrar<'a> {
    engine: &'a mut Engine,
    context: &'a Shared,
    name: &'static str,
}

type Fallible<R> = Result<R, Box<EvalAltResult>>;

/// Parameters and results of helpers.
trait Plain: Variant + Clone {}
impl<T: Variant + Clone> Plain for T {}

impl Registrar<'_> {
    fn pure0<R: Plain>(&mut self, f: fn(&mut Context) -> anyhow::Result<R>) {
        let context = self.context.clone();
        let body =
            move |call: NativeCallContext<'_>| failed(f(&mut context.borrow_mut()), call.call_position());
        self.engine.register_fn(self.name, body);
    }

    fn f0<R: Plain>(&mut self, f: fn(&mut Context) -> anyhow::Result<R>) {
        let (context, name) = (self.context.clone(), self.name);
        let body = move |call: NativeCallContext<'_>| run(&context, name, &call, f);
        self.engine.register_fn(self.name, body);
    }

    fn f1<A: Plain, R: Plain>(&mut self, f: fn(&mut Context, A) -> anyhow::Result<R>) {
        let (context, name) = (self.context.clone(), self.name);
        let body = move |call: NativeCallContext<'_>, a: A| run(&context, name, &call, |c| f(c, a));
        self.engine.register_fn(self.name, body);
    }

    fn f2<A: Plain, B: Plain, R: Plain>(&mut self, f: fn(&mut Context, A, B) -> anyhow::Result<R>) {
        let (context, name) = (self.context.clone(), self.name);
        let body = move |call: NativeCallContext<'_>, a: A, b: B| run(&context, name, &call, |c| f(c, a, b));
        self.engine.register_fn(self.name, body);
    }

    fn f3<A: Plain, B: Plain, C: Plain, R: Plain>(
        &mut self,
        f: fn(&mut Context, A, B, C) -> anyhow::Result<R>,
    ) {
        let (context, name) = (self.context.clone(), self.name);
        let body = move |call: NativeCallContext<'_>, a: A, b: B, c: C| {
            run(&context, name, &call, |x| f(x, a, b, c))
        };
        self.engine.register_fn(self.name, body);
    }
}

/// Helpers with effects run in phases only: the top level is evaluated before each of them.
fn run<R>(
    context: &Shared,
    name: &str,
    call: &NativeCallContext<'_>,
    f: impl FnOnce(&mut Context) -> anyhow::Result<R>,
) -> Fallible<R> {
    let mut context = context.borrow_mut();
    if context.phase.is_none() {
        let error = anyhow::anyhow!("`{name}` can only be called in functions");
        return failed(Err(error).exit(crate::exit::RECIPE), call.call_position());
    }
    failed(context.interrupt.check().and_then(|()| f(&mut context)), call.call_position())
}

fn failed<R>(result: anyhow::Result<R>, position: Position) -> Fallible<R> {
    let failure = |e| rhai::Dynamic::from(Failure::new(e));
    result.map_err(|e| Box::new(EvalAltResult::ErrorRuntime(failure(e), position)))
}
