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
//! - [`report`]: errors with place, excerpt and chain of calls

pub mod context;
pub mod helpers;
pub mod capability;
mod names;
mod known;
mod look;
mod check;
mod modules;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use common::cli::Mark;
use common::hash::Sha256;
use rhai::{AST, CallFnOptions, Dynamic, Engine, OptimizationLevel, Scope};

use crate::code::Code;
use crate::dir::Dir;
use crate::exit;
use crate::text::Top;
use capability::Capabilities;
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
    code: Code,
    /// Where its text is, for messages.
    source: String,
}

/// The functions that `recipe` calls itself.
pub const PHASES: &[&str] =
    &["is_installed", "acquire", "build", "install", "post_install", "remove", "check_update"];

impl Program {
    /// Checks a recipe and makes it ready.
    ///
    /// # Errors
    /// It has mistakes; all that can be found without running it are (exit code [`exit::RECIPE`]).
    pub fn new(code: Code, context: Context) -> anyhow::Result<Self> {
        let globals = Globals::default();
        let context = Rc::new(RefCell::new(context));
        let engine = engine(&context, &globals, &code);
        let (source, text) = (code.recipe.path.display().to_string(), &code.text);
        let mut ast =
            engine.compile(text).map_err(|e| report::syntax(&source, text, &e)).exit(exit::RECIPE)?;
        ast.set_source(&source);
        let granted = Capabilities::of(&code, &digest_beside(&context.borrow().beside))?;
        context.borrow_mut().granted = granted;
        let program = Self { engine, ast, context, code, source };
        program.check()?;
        program.read_globals(&globals)?;
        Ok(program)
    }

    /// The same, where its text is not that of its recipe file, but of this one: messages have its lines.
    #[must_use]
    pub fn with_text_at(mut self, file: &Path) -> Self {
        self.source = file.display().to_string();
        self.ast.set_source(&self.source);
        self
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
        result.map_err(|e| report::runtime(&self.code, &self.source, phase, &e))
    }

    fn check(&self) -> anyhow::Result<()> {
        let top = Top::of(&self.code.text).unwrap_or_default();
        let source = self.ast.source().unwrap_or_default();
        let mistakes = check::mistakes(&self.engine, &self.ast, &self.code.text, &top);
        if mistakes.is_empty() {
            return Ok(());
        }
        let all: Vec<_> =
            mistakes.iter().map(|m| report::place(source, &self.code.text, m.position, &m.message)).collect();
        Err(anyhow::anyhow!("{}", all.join("\n"))).exit(exit::RECIPE)
    }

    /// Runs the top level once, to know its values.
    fn read_globals(&self, globals: &Globals) -> anyhow::Result<()> {
        let mut scope = Scope::new();
        let result = self.engine.run_ast_with_scope(&mut scope, &self.ast);
        result.map_err(|e| report::runtime(&self.code, &self.source, "", &e)).exit(exit::RECIPE)?;
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

/// An engine with all limits said: Rhai's defaults differ between debug and release.
fn engine(context: &Shared, globals: &Globals, code: &Code) -> Engine {
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
    engine.set_module_resolver(modules::Library::new(code));
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
