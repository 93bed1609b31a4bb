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

use common::cli::{Mark, tell};
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
    /// The phases that may call it; none for what the top level may call, too.
    pub phases: &'static [&'static str],
    /// Adds its forms to an engine.
    add: fn(&mut Registrar<'_>),
}

/// What has no effects.
const EVERYWHERE: &[&str] = &[];
/// What needs the build directory or the package, which only these phases have.
pub const MAKING: &[&str] = &["acquire", "build", "install"];

impl Helper {
    /// The numbers of arguments that it takes.
    pub fn arguments(&self) -> impl Iterator<Item = usize> {
        self.usage.lines().map(|line| {
            let inner = line.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
            let inner = inner.map_or("", |(inner, _)| inner);
            let mut depth = 0;
            let commas = inner.chars().filter(|c| {
                depth += i32::from(*c == '[') - i32::from(*c == ']');
                *c == ',' && depth == 0
            });
            commas.count() + usize::from(!inner.is_empty())
        })
    }

    /// Why it cannot be called in a phase, or at the top level.
    #[must_use]
    pub fn refuses(&self, phase: Option<&str>) -> Option<String> {
        match phase {
            _ if self.phases.is_empty() => None,
            None => Some(format!("`{}` can only be called in functions, not by the top level", self.name)),
            Some(phase) => (!self.phases.contains(&phase)).then(|| {
                format!("`{}` can only be called in {}, not in {phase}()", self.name, self.where_to())
            }),
        }
    }

    /// The phases that may call it, as a sentence has them.
    #[must_use]
    pub fn where_to(&self) -> String {
        let all: Vec<_> = self.phases.iter().map(|phase| format!("{phase}()")).collect();
        match &all[..] {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            all => all.concat(),
        }
    }
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

/// Adds all helpers to an engine. `kept`: for code that was installed once, as [`crate::code::Code::is_kept`] says.
pub(super) fn register(engine: &mut Engine, context: &Shared, kept: bool) {
    engine.register_type_with_name::<Failure>("Failure");
    engine.register_fn("to_string", |f: &mut Failure| f.to_string());
    engine.register_fn("to_debug", |f: &mut Failure| f.to_string());
    for helper in table() {
        (helper.add)(&mut Registrar { engine, context, call: Call { helper, kept } });
    }
}

/// Adds the forms of one helper.
struct Registrar<'a> {
    engine: &'a mut Engine,
    context: &'a Shared,
    call: Call,
}

/// What is called, and by what.
#[derive(Clone, Copy)]
struct Call {
    helper: &'static Helper,
    kept: bool,
}

type Fallible<R> = Result<R, Box<EvalAltResult>>;

/// Parameters and results of helpers.
trait Plain: Variant + Clone {}
impl<T: Variant + Clone> Plain for T {}

impl Registrar<'_> {
    fn f0<R: Plain>(&mut self, f: fn(&mut Context) -> anyhow::Result<R>) {
        let (context, what) = (self.context.clone(), self.call);
        let body = move |call: NativeCallContext<'_>| run(&context, what, &call, f);
        self.engine.register_fn(what.helper.name, body);
    }

    fn f1<A: Plain, R: Plain>(&mut self, f: fn(&mut Context, A) -> anyhow::Result<R>) {
        let (context, what) = (self.context.clone(), self.call);
        let body = move |call: NativeCallContext<'_>, a: A| run(&context, what, &call, |c| f(c, a));
        self.engine.register_fn(what.helper.name, body);
    }

    /// A helper that takes a list of arguments, or none.
    fn args(&mut self, f: fn(&mut Context, &[String]) -> anyhow::Result<()>) {
        let (context, what) = (self.context.clone(), self.call);
        let body = move |call: NativeCallContext<'_>| run(&context, what, &call, |c| f(c, &[]));
        self.engine.register_fn(what.helper.name, body);
        let context = self.context.clone();
        let body = move |call: NativeCallContext<'_>, args: Array| {
            run(&context, what, &call, |c| f(c, &programs::words(&args)?))
        };
        self.engine.register_fn(what.helper.name, body);
    }

    fn f2<A: Plain, B: Plain, R: Plain>(&mut self, f: fn(&mut Context, A, B) -> anyhow::Result<R>) {
        let (context, what) = (self.context.clone(), self.call);
        let body = move |call: NativeCallContext<'_>, a: A, b: B| run(&context, what, &call, |c| f(c, a, b));
        self.engine.register_fn(what.helper.name, body);
    }

    fn f3<A: Plain, B: Plain, C: Plain, R: Plain>(
        &mut self,
        f: fn(&mut Context, A, B, C) -> anyhow::Result<R>,
    ) {
        let (context, what) = (self.context.clone(), self.call);
        let body = move |call: NativeCallContext<'_>, a: A, b: B, c: C| {
            run(&context, what, &call, |x| f(x, a, b, c))
        };
        self.engine.register_fn(what.helper.name, body);
    }
}

/// Helpers run only where they can have an effect.
fn run<R>(
    context: &Shared,
    what: Call,
    call: &NativeCallContext<'_>,
    f: impl FnOnce(&mut Context) -> anyhow::Result<R>,
) -> Fallible<R> {
    let mut context = context.borrow_mut();
    let ready = may(&context, what).and_then(|()| context.interrupt.check()).and_then(|()| context.goes_on());
    failed(ready.and_then(|()| f(&mut context)), call.call_position())
}

fn may(context: &Context, Call { helper, kept }: Call) -> anyhow::Result<()> {
    if let Some(why) = helper.refuses(context.phase.as_deref()) {
        // It always was without effect there: what is installed can still be removed.
        if !kept || context.phase.is_none() || helper.phases != MAKING {
            return Err(anyhow::anyhow!(why)).exit(crate::exit::RECIPE);
        }
        tell(&format!("{}: {why}: it has no effect", context.package));
    }
    if counts(helper.name) { context.granted.allows(Kind::Helper, helper.name) } else { Ok(()) }
}

fn failed<R>(result: anyhow::Result<R>, position: Position) -> Fallible<R> {
    result.map_err(|e| Failure::at(e, position))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::rc::Rc;

    use super::*;

    /// Calls are held against the usage before they run.
    #[test]
    fn helpers_take_the_arguments_that_their_usage_says() {
        let mut engine = Engine::new_raw();
        register(&mut engine, &Rc::new(RefCell::new(Context::nowhere().unwrap())), false);
        let signatures = engine.gen_fn_signatures(false);
        for helper in table() {
            let forms = signatures.iter().filter_map(|s| {
                let (name, rest) = s.split_once('(')?;
                let arguments = rest.split(") ->").next()?.trim_end_matches(')');
                let count = arguments.split(", ").filter(|a| !a.is_empty()).count();
                (name == helper.name).then_some(count)
            });
            let forms: BTreeSet<usize> = forms.collect();
            assert!(!forms.is_empty(), "{}", helper.name);
            assert_eq!(helper.arguments().collect::<BTreeSet<_>>(), forms, "{}", helper.usage);
        }
    }
}
