//! `import "name"`: the libraries that a recipe may import, as they were read with it, and nothing else.
//!
//! Rhai's own resolver follows `..` and absolute paths, and reads when it is called: what was looked at would not be what runs.

use std::path::PathBuf;

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::code::Code;
use crate::digest::Libraries;
use crate::recipe::check_name;

/// The libraries.
pub(super) struct Library {
    /// Where they were, for messages.
    dir: PathBuf,
    texts: Libraries,
}

impl Library {
    pub(super) fn new(code: &Code) -> Self {
        Self { dir: code.lib(), texts: code.libraries.clone() }
    }
}

impl ModuleResolver for Library {
    fn resolve(
        &self,
        engine: &Engine,
        _: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let missing =
            |why: String| Box::new(EvalAltResult::ErrorModuleNotFound(format!("{path}: {why}"), pos));
        check_name(path).map_err(missing)?;
        let file = self.dir.join(format!("{path}.rhai")).display().to_string();
        let text = self.texts.get(path).ok_or_else(|| missing(format!("there is no {file}")))?;
        let inside = |e| Box::new(EvalAltResult::ErrorInModule(file.clone(), e, pos));
        let mut ast = engine.compile(text).map_err(|e| inside(Box::new(e.into())))?;
        ast.set_source(file.clone());
        Module::eval_ast_as_new(Scope::new(), &ast, engine).map(Shared::new).map_err(inside)
    }
}
