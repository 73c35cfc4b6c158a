//! `import "lib/x" as x`: from the library, and from nowhere else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::Library;
use super::error::{Raised, Thrown};

/// What is wrong with a module that imports itself, by way of others or not.
pub(crate) fn in_a_circle(path: &str) -> String {
    format!("the module `{path}` imports itself")
}

/// What to do about it.
pub(crate) const WAY_OUT: &str = "move what both need into a module of its own";

/// Resolves imports of one run. Modules are evaluated once per run.
pub(crate) struct Resolver {
    library: Library,
    /// Modules by path; nothing while one is evaluated.
    loaded: Mutex<BTreeMap<String, Option<Shared<Module>>>>,
}

impl Resolver {
    pub fn new(library: Library) -> Resolver {
        Resolver { library, loaded: Mutex::default() }
    }
}

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        _source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let loaded = || self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded().get(path) {
            Some(Some(module)) => return Ok(Shared::clone(module)),
            Some(None) => return Err(Raised::Error(Thrown::invalid(in_a_circle(path)).hint(WAY_OUT)).into()),
            None => {}
        }
        let Some(script) = self.library.module(path).filter(|script| script.parses()) else {
            return Err(Box::new(EvalAltResult::ErrorModuleNotFound(path.to_owned(), at)));
        };
        loaded().insert(path.to_owned(), None);
        let evaluated = Module::eval_ast_as_new(Scope::new(), &script.ast, engine);
        loaded().remove(path);
        let module =
            Shared::new(evaluated.map_err(|error| Box::new(EvalAltResult::ErrorInModule(path.to_owned(), error, at)))?);
        loaded().insert(path.to_owned(), Some(Shared::clone(&module)));
        Ok(module)
    }
}
