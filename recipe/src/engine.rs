//! A recipe's code: checked before anything runs, then one function a phase.
//!
//! text + [`Context`] -> [`Program`]; a phase -> effects below the build directory and the stage, or an error that points into
//! the recipe. Variables of the top level (`pkg`) can be read in every function, however deep, and are never changed by one.
//!
//! - [`context`]: what helpers work on
//! - [`helpers`]: the table of functions that recipes can call
//! - [`check`]: mistakes that are found without running anything
//! - [`modules`]: `import`, confined to the recipes' `lib` directory
//! - [`report`]: errors with place, excerpt and chain of calls

pub mod context;
pub mod helpers;
mod check;
mod modules;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use common::cli::Mark;
use rhai::{AST, CallFnOptions, Dynamic, Engine, OptimizationLevel, Scope};

use crate::exit;
use crate::recipe::Recipe;
use crate::text::Top;
pub use context::{Cage, Context, Ran, Rehash};

/// What recipes' functions share with each other.
pub type Shared = Rc<RefCell<Context>>;

/// Values of the top level, as functions see them.
type Globals = Rc<RefCell<BTreeMap<String, Dynamic>>>;

/// A recipe that can run.
pub struct Program {
    engine: Engine,
    ast: AST,
    context: Shared,
    recipe: Recipe,
    text: String,
}

/// The functions that `recipe` calls itself.
pub const PHASES: &[&str] =
    &["is_installed", "acquire", "build", "install", "post_install", "remove", "check_update"];

impl Program {
    /// Checks a recipe and makes it ready.
    ///
    /// # Errors
    /// It has mistakes; all that can be found without running it are (exit code [`exit::RECIPE`]).
    pub fn new(recipe: Recipe, text: String, context: Context) -> anyhow::Result<Self> {
        let globals = Globals::default();
        let lib = recipe.path.parent().map(|dir| dir.join("lib")).unwrap_or_default();
        let context = Rc::new(RefCell::new(context));
        let engine = engine(&context, &globals, lib);
        let source = recipe.path.display().to_string();
        let mut ast =
            engine.compile(&text).map_err(|e| report::syntax(&source, &text, &e)).exit(exit::RECIPE)?;
        ast.set_source(source);
        let program = Self { engine, ast, context, recipe, text };
        program.check()?;
        program.read_globals(&globals)?;
        Ok(program)
    }

    /// What is wrong with a recipe, without making it ready.
    ///
    /// # Errors
    /// As [`Program::new`].
    pub fn lint(recipe: Recipe, text: String) -> anyhow::Result<()> {
        Self::new(recipe, text, Context::nowhere()?).map(drop)
    }

    /// Whether the recipe has this phase.
    #[must_use]
    pub fn has(&self, phase: &str) -> bool {
        self.recipe.has(phase)
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
        result.map_err(|e| report::runtime(&self.recipe.path, &self.text, phase, &e))
    }

    fn check(&self) -> anyhow::Result<()> {
        let top = Top::of(&self.text).unwrap_or_default();
        let source = self.ast.source().unwrap_or_default();
        let mistakes = check::mistakes(&self.engine, &self.ast, &self.text, &top);
        if mistakes.is_empty() {
            return Ok(());
        }
        let all: Vec<_> =
            mistakes.iter().map(|m| report::place(source, &self.text, m.position, &m.message)).collect();
        Err(anyhow::anyhow!("{}", all.join("\n"))).exit(exit::RECIPE)
    }

    /// Runs the top level once, to know its values.
    fn read_globals(&self, globals: &Globals) -> anyhow::Result<()> {
        let mut scope = Scope::new();
        let result = self.engine.run_ast_with_scope(&mut scope, &self.ast);
        result.map_err(|e| report::runtime(&self.recipe.path, &self.text, "", &e)).exit(exit::RECIPE)?;
        let values = scope.iter().map(|(name, _, value)| (name.to_owned(), value));
        globals.borrow_mut().extend(values);
        Ok(())
    }
}

/// An engine with all limits said: Rhai's defaults differ between debug and release.
fn engine(context: &Shared, globals: &Globals, lib: std::path::PathBuf) -> Engine {
    let mut engine = Engine::new();
    engine
        .set_max_operations(50_000_000)
        .set_max_call_levels(64)
        .set_max_expr_depths(64, 32)
        .set_max_string_size(16 << 20)
        .set_max_array_size(1 << 20)
        .set_max_map_size(1 << 16)
        .set_max_variables(1000)
        .set_max_functions(500)
        .set_max_modules(50)
        // Two `let installed` would make the state ambiguous; a misspelt field would silently be ().
        .set_allow_shadowing(false)
        .set_fail_on_invalid_map_property(true)
        .set_optimization_level(OptimizationLevel::Simple)
        .disable_symbol("eval");
    engine.set_module_resolver(modules::Library::new(lib));
    let interrupt = context.borrow().interrupt.clone();
    engine.on_progress(move |_| interrupt.is_set().then_some(Dynamic::UNIT));
    let package = context.borrow().package.clone();
    engine.on_print(move |text| crate::voice::note(&format!("{package}: {text}")));
    let package = context.borrow().package.clone();
    engine.on_debug(move |text, _, at| common::cli::tell(&format!("{package}: {text} ({at})")));
    let globals = globals.clone();
    #[expect(deprecated, reason = "not deprecated, but marked as one that may change")]
    engine.on_var(move |name, _, scope| match scope.scope().contains(name) {
        true => Ok(None),
        false => Ok(globals.borrow().get(name).map(|value| value.clone().into_read_only())),
    });
    helpers::register(&mut engine, context);
    engine
}
