//! Script tests: `NAME.test.rhai` beside a script, every `fn test_*()` a case of its own.
//!
//! ```rhai
//! const PARAMS = #{ port: 8080 };      // parameters of the built-in case, and handy for others
//! const GUEST = #{ gpus: [0] };        // what else the guest of the built-in case is
//! const REAL = #{ os: "debian-12" };   // what a run in a real container needs otherwise
//!
//! fn test_installs_the_package() {
//!     let g = guest(#{ packages: ["curl"] });
//!     g.apply("my_feature", global::PARAMS);
//!     g.assert_ran(["install nginx", "start nginx.service"]);
//!     assert(!g.apply("my_feature", global::PARAMS).changed);
//! }
//! ```
//!
//! Guests are made by whoever runs the file ([`crate::testing`]); this room only lets scripts speak to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{CallFnOptions, Dynamic, Position, Scope};
use serde_json::{Map, Value};

use super::api::Context;
use super::api::signature::Signature;
use super::blame::{End, Scene, explain};
use super::error::{Raised, ScriptError};
use super::library::Script;
use super::run::{Entry, ScriptReport};
use super::{Library, STACK, check, engine};
use crate::event::Failure;
use crate::finding::{Finding, Severity};
use crate::machine::Machine;
use crate::model::{GuestId, RealRun, ScriptKind};
use crate::secret::Sealed;

/// A guest that a test asked for.
pub trait StagedGuest: Send + Sync {
    /// Its id.
    fn id(&self) -> GuestId;

    /// Runs one entry of a feature or an app in it.
    ///
    /// # Errors
    /// As [`super::run()`]; wrong parameters too.
    fn run(&self, entry: Entry, script: &str, params: &Value) -> Result<ScriptReport, ScriptError>;

    /// The guest as a machine, for looking at what became of it.
    fn machine(&self) -> &Machine;

    /// What it published under a name.
    fn artifact(&self, name: &str) -> Option<String>;

    /// Everything that could change something inside it since the test got it, one line each.
    fn did(&self) -> Vec<String>;
}

/// Makes a guest as a test describes it.
pub type Maker = Arc<dyn Fn(Value) -> Result<Arc<dyn StagedGuest>, String> + Send + Sync>;

/// The tests of one script.
pub struct TestFile {
    library: Library,
    script: Script,
    findings: Vec<Finding>,
}

impl TestFile {
    /// The test file beside a script, if there is one.
    pub fn load(library: &Library, kind: ScriptKind, name: &str) -> Option<TestFile> {
        let script = Script::compile(library.beside(kind, name, "test")?);
        let findings = check::test(library, kind, name, &script);
        Some(TestFile { library: library.clone(), script, findings })
    }

    /// What is wrong with the file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether it can be run.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }

    /// Names of the cases, in the order of the file.
    pub fn cases(&self) -> Vec<String> {
        let functions = self.script.syntax.functions.iter();
        functions.filter(|f| f.name.starts_with("test_") && f.params.is_empty()).map(|f| f.name.clone()).collect()
    }

    /// `const PARAMS`: parameters for the case that every script has.
    pub fn params(&self) -> BTreeMap<String, Value> {
        self.constant("PARAMS").into_iter().collect()
    }

    /// `const GUEST`: what else the guest of that case is, as `guest(#{...})` takes it.
    pub fn guest(&self) -> Map<String, Value> {
        self.constant("GUEST")
    }

    /// `const REAL`: what a run in a real container needs otherwise.
    ///
    /// # Errors
    /// What such a constant cannot say.
    pub fn real(&self) -> Result<RealRun, String> {
        RealRun::read(self.constant("REAL")).map_err(|error| format!("`const REAL`: {error}"))
    }

    fn constant(&self, name: &str) -> Map<String, Value> {
        let constant = self.script.syntax.constants.iter().find(|constant| constant.name == name);
        match constant.and_then(|constant| constant.value.literal()) {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        }
    }

    /// Runs one case.
    ///
    /// # Errors
    /// Why it failed, with its line.
    pub fn run(&self, case: &str, maker: Maker) -> Result<(), Failure> {
        // A script runs inside the test, on the same thread.
        let builder = std::thread::Builder::new().name(case.to_owned()).stack_size(2 * STACK);
        std::thread::scope(|scope| {
            let running = builder.spawn_scoped(scope, || self.run_here(case, maker));
            let running = running.map_err(|error| Failure::new(format!("the case could not be run: {error}")))?;
            running.join().unwrap_or_else(|_| Err(Failure::new("the case ran into a mistake of this program")))
        })
    }

    fn run_here(&self, case: &str, maker: Maker) -> Result<(), Failure> {
        let context = Case { maker, last_call: Arc::default() };
        let engine = engine::for_test(Dynamic::from(context.clone()), &self.library);
        let options = CallFnOptions::new();
        let called = engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), &self.script.ast, case, ());
        let Err(error) = called else { return Ok(()) };
        let source = &self.script.source;
        let scene = Scene {
            source,
            file: &|path| if path == source.path { Some(Arc::clone(source)) } else { self.library.file(path) },
            entry: self.script.syntax.function(case, 0).map_or(Position::NONE, |function| function.at),
            last_call: context.last_call.lock().unwrap_or_else(PoisonError::into_inner).take(),
            mask: &str::to_owned,
        };
        match explain(error, &scene) {
            End::Skipped(_) => Ok(()),
            End::Error(error) => Err(error.failure()),
        }
    }
}

/// The context of a test's verbs.
#[derive(Clone)]
pub(crate) struct Case {
    pub maker: Maker,
    last_call: Arc<Mutex<Option<(String, Position)>>>,
}

impl Context for Case {
    fn begins(&self, _: &'static Signature, source: Option<&str>, at: Position) -> Result<(), Raised> {
        let call = Some((source.unwrap_or_default().to_owned(), at));
        *self.last_call.lock().unwrap_or_else(PoisonError::into_inner) = call;
        Ok(())
    }

    fn resolve(&self, text: &str) -> Result<Sealed, Raised> {
        Ok(Sealed::plain(text))
    }
}
