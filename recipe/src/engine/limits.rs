//! What ends code that does not end by itself, and keeps the top level without effects.
//!
//! Rhai ends code at hard limits, whatever that catches, but neither says where it was nor who called whom. So each use of a variable
//! looks at slightly lower ones, which are errors like any other: only code without variables meets the hard ones.

use std::cell::Cell;
use std::rc::Rc;

use rhai::{Dynamic, Engine, EvalAltResult, EvalContext, Position};

use super::report::Failure;
use super::{Globals, Shared};
use crate::code::Code;
use crate::exit;
use crate::text::DEPTH;

/// What a phase may do, and the top level.
const OPERATIONS: (u64, u64) = (50_000_000, 100_000);
/// How deep functions may call each other.
const CALLS: usize = 64;
/// How long an array may be: Rhai counts all of it whenever it changes.
const ARRAY: usize = 50_000;

/// Sets all limits: Rhai's defaults differ between debug and release.
pub(super) fn set(engine: &mut Engine, context: &Shared, globals: &Globals, code: &Code) {
    // The files of a package may be more than any array of its code.
    let files = crate::text::Top::of(&code.text).ok();
    let files = files.and_then(|top| crate::state::State::of(&top).ok()).map_or(0, |state| state.files.len());
    let array = ARRAY.max(files);
    engine
        .set_max_operations(OPERATIONS.0 + OPERATIONS.1)
        .set_max_call_levels(CALLS + 4)
        .set_max_expr_depths(DEPTH, 32)
        .set_max_string_size(16 << 20)
        .set_max_array_size(array + 100)
        .set_max_map_size(1 << 16)
        .set_max_variables(1000)
        .set_max_functions(500)
        .set_max_modules(50);
    let interrupt = context.borrow().interrupt.clone();
    let is_top = top(context, code);
    let no_phase = is_top.clone();
    engine.on_progress(move |done| {
        let too_many = done > OPERATIONS.1 * 2 && no_phase();
        let too_many = too_many.then(|| Dynamic::from("Too many operations at the top level"));
        interrupt.is_set().then_some(Dynamic::UNIT).or(too_many)
    });
    let globals = globals.clone();
    #[expect(deprecated, reason = "not deprecated, but marked as one that may change")]
    engine.on_var(move |name, _, all| {
        within(name, &all, array, &is_top)?;
        match all.scope().contains(name) {
            true => Ok(None),
            false => Ok(globals.borrow().get(name).map(|value| value.clone().into_read_only())),
        }
    });
}

/// Whether the top level runs. That of what was installed once is under no limits of its own.
fn top(context: &Shared, code: &Code) -> impl Fn() -> bool + Clone + use<> {
    let (context, kept) = (context.clone(), code.is_kept());
    move || !kept && context.try_borrow().is_ok_and(|context| context.phase.is_none())
}

/// Whether code is within the limits where it uses a variable.
fn within(
    name: &str,
    all: &EvalContext<'_, '_, '_, '_, '_, '_>,
    array: usize,
    is_top: &impl Fn() -> bool,
) -> Result<(), Box<EvalAltResult>> {
    let done = all.global_runtime_state().num_operations;
    if done > OPERATIONS.0 || (done > OPERATIONS.1 && is_top()) {
        return Err(over("Too many operations"));
    }
    if all.call_level() > CALLS {
        return Err(over("Stack overflow"));
    }
    let value = all.scope().get(name).and_then(|value| value.as_array_ref().ok());
    match value.is_some_and(|value| value.len() > array) {
        true => Err(over("Size of array/BLOB too large")),
        false => Ok(()),
    }
}

fn over(what: &str) -> Box<EvalAltResult> {
    Failure::saying(what, exit::PHASE, Position::NONE)
}

/// Sees to it that a top level has no effects: no phase runs meanwhile, and nothing is printed.
#[derive(Clone)]
pub(super) struct Silent {
    context: Shared,
    /// Whether that is asked for.
    strict: bool,
    /// What it tried to say something by.
    spoke: Rc<Cell<Option<&'static str>>>,
}

impl Silent {
    pub(super) fn new(context: &Shared, strict: bool) -> Self {
        Self { context: context.clone(), strict, spoke: Rc::default() }
    }

    /// Runs a top level.
    ///
    /// # Errors
    /// Its own, or it wanted to print something.
    pub(super) fn during<T>(
        &self,
        run: impl FnOnce() -> Result<T, Box<EvalAltResult>>,
    ) -> Result<T, Box<EvalAltResult>> {
        if !self.strict {
            return run();
        }
        let phase = self.context.borrow_mut().phase.take();
        let result = run();
        self.context.borrow_mut().phase = phase;
        match self.spoke.take() {
            Some(word) => {
                let refused = format!("`{word}` can only be called in functions, not by the top level");
                result.and(Err(Failure::saying(refused, exit::RECIPE, Position::NONE)))
            }
            None => result,
        }
    }

    /// Whether something may be printed now.
    pub(super) fn allows(&self, word: &'static str) -> bool {
        let allows = !self.strict || self.context.try_borrow().is_ok_and(|context| context.phase.is_some());
        if !allows {
            self.spoke.set(Some(word));
        }
        allows
    }
}
