//! `import "name"`: files of the recipes' `lib` directory, and nothing else.
//!
//! Rhai's own resolver follows `..` and absolute paths.

use std::path::PathBuf;

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::recipe::check_name;

/// The directory.
pub(super) struct Library {
    dir: PathBuf,
}

impl Library {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
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
        let file = self.dir.join(format!("{path}.rhai"));
        let text = std::fs::read_to_string(&file).map_err(|e| missing(format!("{}: {e}", file.display())))?;
        let inside = |e| Box::new(EvalAltResult::ErrorInModule(file.display().to_string(), e, pos));
        let mut ast = engine.compile(&text).map_err(|e| inside(Box::new(e.into())))?;
        ast.set_source(file.display().to_string());
        Module::eval_ast_as_new(Scope::new(), &ast, engine).map(Shared::new).map_err(inside)
    }
}
