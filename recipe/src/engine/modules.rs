//! `import "name"`: the libraries that a recipe may import, as they were read with it, and nothing else.
//!
//! Rhai's own resolver follows `..` and absolute paths, and reads when it is called: what was looked at would not be what runs. It
//! neither notices when a library imports itself. A library's top level runs once, and has no effects, as a recipe's.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope};

use super::limits::Silent;
use super::report::Failure;
use crate::code::Code;
use crate::exit;
use crate::recipe::check_name;
use crate::text::Top;

/// How many libraries may be imported by each other.
pub(super) const NESTED: usize = 16;

/// The libraries.
pub(super) struct Library {
    code: Code,
    silent: Silent,
    done: RefCell<BTreeMap<String, rhai::Shared<Module>>>,
    /// Those whose top level runs, each imported by the one before it.
    open: RefCell<Vec<String>>,
}

impl Library {
    pub(super) fn new(code: &Code, silent: &Silent) -> Self {
        Self {
            code: code.clone(),
            silent: silent.clone(),
            done: RefCell::default(),
            open: RefCell::default(),
        }
    }

    /// Runs the top level of a library.
    fn evaluate(&self, engine: &Engine, name: &str, text: &str) -> Result<Module, Box<EvalAltResult>> {
        let source = self.code.library(name);
        if !self.code.is_kept() {
            let top = Top::of_library(text);
            top.map_err(|e| Failure::saying(e.message, exit::RECIPE, Position::NONE))?;
        }
        let mut ast = engine.compile(text)?;
        ast.set_source(source);
        self.silent.during(|| Module::eval_ast_as_new(Scope::new(), &ast, engine))
    }
}

/// The text of a library.
///
/// # Errors
/// There is none of this name: why, with where it should be.
pub(super) fn find<'a>(code: &'a Code, name: &str) -> Result<&'a str, String> {
    let refused = |why: String| format!("cannot import {name:?}: {why}");
    check_name(name).map_err(refused)?;
    let text = code.libraries.get(name).map(String::as_str);
    text.ok_or_else(|| refused(format!("there is no {}", code.library(name))))
}

/// What is wrong if a library is imported by the last of these, of which each is imported by the one before.
pub(super) fn circle(open: &[impl AsRef<str>], name: &str) -> Option<String> {
    let from = open.iter().position(|other| other.as_ref() == name)?;
    let message = format!("the library `{name}` imports itself");
    let mut chain = open[from..].iter().skip(1).map(AsRef::as_ref).chain([name]);
    match (from + 1 == open.len(), chain.next()) {
        (false, Some(next)) => {
            let rest: String = chain.map(|next| format!(", which imports {next}")).collect();
            Some(format!("{message}: {name} imports {next}{rest}"))
        }
        _ => Some(message),
    }
}

impl ModuleResolver for Library {
    fn resolve(
        &self,
        engine: &Engine,
        _: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<rhai::Shared<Module>, Box<EvalAltResult>> {
        if let Some(module) = self.done.borrow().get(path) {
            return Ok(module.clone());
        }
        let refuse = |why: String| Failure::saying(why, exit::RECIPE, pos);
        let text = find(&self.code, path).map_err(refuse)?;
        if let Some(why) = circle(&self.open.borrow(), path) {
            return Err(refuse(why));
        }
        if self.open.borrow().len() == NESTED {
            return Err(refuse(format!("more than {NESTED} libraries import each other")));
        }
        self.open.borrow_mut().push(path.to_owned());
        let module = self.evaluate(engine, path, text);
        self.open.borrow_mut().pop();
        let inside = |e| Box::new(EvalAltResult::ErrorInModule(self.code.library(path), e, pos));
        let module = rhai::Shared::new(module.map_err(inside)?);
        self.done.borrow_mut().insert(path.to_owned(), module.clone());
        Ok(module)
    }
}
