//! The functions that recipes can call, as one table.
//!
//! Registration, docs/reference/helpers.md, "did you mean" and completion derive from [`table`]: a helper that is not in it
//! does not exist. Each is a plain function of the [`Context`] in the file of its group, where its entry is too.

mod acquire;
mod build;
mod install;
mod files;
mod find;
mod other;
mod programs;
mod tools;
mod update;
mod verify;
pub(super) mod openpgp;

use common::cli::Mark;
use rhai::{Array, Engine, EvalAltResult, ImmutableString, NativeCallContext, Position, Variant};

use super::Shared;
use super::capability::Kind;
use super::context::Context;
use super::look::counts;
use super::report::Failure;
pub(crate) use install::completion_of;

type Text = ImmutableString;

/// What a helper is for; the order is that of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Getting sources.
    Acquire,
    /// Unpacking and building.
    Build,
    /// Running programs.
    Programs,
    /// Putting files into the package.
    Install,
    /// Files of the build directory.
    Files,
    /// Asking for new versions.
    Update,
    /// Anything else.
    Other,
}

impl Group {
    /// All groups, with their titles.
    pub const ALL: &[(Group, &str)] = &[
        (Group::Acquire, "Getting sources"),
        (Group::Build, "Unpacking and building"),
        (Group::Programs, "Running programs"),
        (Group::Install, "Putting files into the package"),
        (Group::Files, "Files of the build directory"),
        (Group::Update, "Asking for new versions"),
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

/// Every table, in the order of the reference.
const TABLES: &[&[Helper]] = &[
    acquire::TABLE,
    verify::TABLE,
    openpgp::TABLE,
    build::TABLE,
    programs::TABLE,
    tools::TABLE,
    install::TABLE,
    files::TABLE,
    update::TABLE,
    other::TABLE,
];

/// All helpers.
pub fn table() -> impl Iterator<Item = &'static Helper> {
    TABLES.iter().copied().flatten()
}

/// Adds all helpers to an engine.
pub(super) fn register(engine: &mut Engine, context: &Shared) {
    engine.register_type_with_name::<Failure>("Failure");
    engine.register_fn("to_string", |f: &mut Failure| f.to_string());
    engine.register_fn("to_debug", |f: &mut Failure| f.to_string());
    for helper in table() {
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

    /// A helper that takes a list of arguments, or none.
    fn args(&mut self, f: fn(&mut Context, &[String]) -> anyhow::Result<()>) {
        let (context, name) = (self.context.clone(), self.name);
        let body = move |call: NativeCallContext<'_>| run(&context, name, &call, |c| f(c, &[]));
        self.engine.register_fn(name, body);
        let context = self.context.clone();
        let body = move |call: NativeCallContext<'_>, args: Array| {
            run(&context, name, &call, |c| f(c, &programs::words(&args)?))
        };
        self.engine.register_fn(name, body);
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
    let seen = if counts(name) { context.granted.allows(Kind::Helper, name) } else { Ok(()) };
    let ready = seen.and_then(|()| context.interrupt.check()).and_then(|()| context.goes_on());
    failed(ready.and_then(|()| f(&mut context)), call.call_position())
}

fn failed<R>(result: anyhow::Result<R>, position: Position) -> Fallible<R> {
    let failure = |e| rhai::Dynamic::from(Failure::new(e));
    result.map_err(|e| Box::new(EvalAltResult::ErrorRuntime(failure(e), position)))
}
