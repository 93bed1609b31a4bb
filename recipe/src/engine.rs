//! A recipe's code: checked before anything runs, then one function a phase.
//!
//! text + [`Context`] -> [`Program`]; a phase -> effects below the build directory and the stage, or an error that points into
//! the recipe. Variables of the top level (`pkg`) can be read in every function, however deep, and are never changed by one.
//!
//! - [`context`]: what helpers work on
//! - [`helpers`]: the table of functions that recipes can call
//! - [`capability`], [`names`], [`known`], [`look`]: what a recipe can do, known without running it
//! - [`check`]: mistakes that are found without running anything
//! - [`modules`]: `import`, of what was read from the recipes' `lib` directory
//! - [`limits`]: what ends code that does not end by itself, and keeps the top level without effects
//! - [`report`]: errors with place, excerpt and chain of calls

pub mod context;
pub mod helpers;
pub mod capability;
mod names;
mod known;
mod look;
mod check;
mod modules;
mod limits;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use common::cli::{Mark, tell};
use common::hash::Sha256;
use rhai::{AST, CallFnOptions, Dynamic, Engine, OptimizationLevel, Scope};

use crate::code::Code;
use crate::dir::Dir;
use crate::exit;
use capability::Capabilities;
pub use context::{Cage, Context, Ran, Rehash};
use limits::Silent;

/// What recipes' functions share with each other.
pub type Shared = Rc<RefCell<Context>>;

/// Values of the top level, as functions see them.
type Globals = Rc<RefCell<BTreeMap<String, Dynamic>>>;

/// A recipe that can run.
pub struct Program {
    engine: Engine,
    ast: AST,
    context: Shared,
    code: Code,
    silent: Silent,
}

/// The functions that `recipe` calls itself.
pub const PHASES: &[&str] =
    &["is_installed", "acquire", "build", "install", "post_install", "remove", "check_update"];

impl Program {
    /// Checks a recipe and makes it ready. What was installed once is not checked again: it must be removable.
    ///
    /// # Errors
    /// It has mistakes; all that can be found without running it are (exit code [`exit::RECIPE`]).
    pub fn new(code: Code, context: Context) -> anyhow::Result<Self> {
        let globals = Globals::default();
        let context = Rc::new(RefCell::new(context));
        let silent = Silent::new(&context, !code.is_kept());
        let engine = engine(&context, &globals, &code, &silent);
        let (source, text) = (code.source(), &code.text);
        let mut ast =
            engine.compile(text).map_err(|e| report::syntax(&source, text, &e)).exit(exit::RECIPE)?;
        ast.set_source(source);
        let granted = Capabilities::of(&code, &digest_beside(&context.borrow().beside))?;
        context.borrow_mut().granted = granted;
        let program = Self { engine, ast, context, code, silent };
        if !program.code.is_kept() {
            program.check()?;
        }
        program.read_globals(&globals)?;
        Ok(program)
    }

    /// What is wrong with a recipe, without making it ready.
    ///
    /// # Errors
    /// As [`Program::new`], or a dependency is not written as one.
    pub fn lint(code: Code) -> anyhow::Result<()> {
        code.recipe.check_needs()?;
        Self::new(code, Context::nowhere()?).map(drop)
    }

    /// Whether the recipe has this phase.
    #[must_use]
    pub fn has(&self, phase: &str) -> bool {
        self.code.recipe.has(phase)
    }

    /// What the helpers did and found.
    #[must_use]
    pub fn context(&self) -> &Shared {
        &self.context
    }

    /// Runs a phase.
    ///
    /// # Errors
    /// The recipe's code failed (exit code [`exit::PHASE`], or that of the helper which did).
    pub fn run(&self, phase: &str) -> anyhow::Result<Dynamic> {
        if self.is_never_called(phase) {
            tell(&format!("{}: {phase}() has parameters, and is not called", self.code.recipe.name));
            return Ok(Dynamic::UNIT);
        }
        self.context.borrow_mut().phase = Some(phase.to_owned());
        let result = self.engine.call_fn_with_options::<Dynamic>(
            CallFnOptions::default(),
            &mut Scope::new(),
            &self.ast,
            phase,
            (),
        );
        self.context.borrow_mut().phase = None;
        self.context.borrow().interrupt.check()?;
        result.map_err(|e| report::runtime(&self.code, phase, &e))
    }

    /// Whether a phase cannot be called, of what was installed when that was no mistake yet.
    fn is_never_called(&self, phase: &str) -> bool {
        let all = || self.ast.iter_functions().filter(|f| f.name == phase);
        self.code.is_kept() && all().count() > 0 && all().all(|f| !f.params.is_empty())
    }

    fn check(&self) -> anyhow::Result<()> {
        let mistakes = check::mistakes(&self.engine, &self.code)?;
        if mistakes.is_empty() {
            return Ok(());
        }
        Err(anyhow::anyhow!("{}", mistakes.join("\n"))).exit(exit::RECIPE)
    }

    /// Runs the top level once, to know its values.
    fn read_globals(&self, globals: &Globals) -> anyhow::Result<()> {
        let mut scope = Scope::new();
        let run = || self.engine.run_ast_with_scope(&mut scope, &self.ast);
        let result = self.silent.during(run);
        result.map_err(|e| report::runtime(&self.code, "", &e)).exit(exit::RECIPE)?;
        let values = scope.iter().map(|(name, _, value)| (name.to_owned(), value));
        globals.borrow_mut().extend(values);
        Ok(())
    }
}

/// Digests of files in the directory of a recipe; none of what is not there, or no file.
pub fn digest_beside(dir: &Path) -> impl Fn(&str) -> Option<Sha256> {
    let dir = dir.to_owned();
    move |name| {
        let file = Dir::open(&dir).and_then(|dir| dir.read(name)).ok()?;
        Sha256::of_reader(file).ok().map(|(digest, _)| digest)
    }
}

/// An engine as recipes have it.
fn engine(context: &Shared, globals: &Globals, code: &Code, silent: &Silent) -> Engine {
    let mut engine = Engine::new();
    engine
        // Two `let installed` would make the state ambiguous; a misspelt field would silently be ().
        .set_allow_shadowing(false)
        .set_fail_on_invalid_map_property(true)
        .set_optimization_level(OptimizationLevel::Simple)
        .disable_symbol("eval");
    limits::set(&mut engine, context, globals, code);
    engine.set_module_resolver(modules::Library::new(code, silent));
    let package = context.borrow().package.clone();
    let (printing, debugging) = (silent.clone(), silent.clone());
    let name = package.clone();
    engine.on_print(move |text| {
        if printing.allows("print") {
            crate::voice::note(&format!("{name}: {text}"));
        }
    });
    engine.on_debug(move |text, _, at| {
        if debugging.allows("debug") {
            tell(&format!("{package}: {text} ({at})"));
        }
    });
    helpers::register(&mut engine, context, code.is_kept());
    engine
}
