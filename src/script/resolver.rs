//! `import "lib/x" as x`: from the library, and from nowhere else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::Library;

/// Resolves imports of one run. Modules are evaluated once per run.
pub(crate) struct Resolver {
    library: Library,
    loaded: Mutex<BTreeMap<String, Shared<Module>>>,
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
        if let Some(module) = loaded().get(path) {
            return Ok(Shared::clone(module));
        }
        let Some(script) = self.library.module(path).filter(|script| script.parses()) else {
            return Err(Box::new(EvalAltResult::ErrorModuleNotFound(path.to_owned(), at)));
        };
        let module = Module::eval_ast_as_new(Scope::new(), &script.ast, engine)
            .map_err(|error| Box::new(EvalAltResult::ErrorInModule(path.to_owned(), error, at)))?;
        let module = Shared::new(module);
        loaded().insert(path.to_owned(), Shared::clone(&module));
        Ok(module)
    }
}
