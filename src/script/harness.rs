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
//! A test with a parameter is run once for each row of its table:
//!
//! ```rhai
//! const CASES = #{ ports: #{ "a low one": #{ port: 80 }, "a high one": #{ port: 8080 } } };
//!
//! fn test_ports(row) { ... row.port ... }
//! ```
//!
//! Guests are made by whoever runs the file ([`crate::testing`]); this room only lets scripts speak to them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{CallFnOptions, Dynamic, Position, Scope};
use serde_json::{Map, Value};

use super::api::signature::Signature;
use super::api::{Context, from_json};
use super::blame::{End, Scene, explain};
use super::error::Raised;
use super::library::Script;
use super::staged::Maker;
use super::{Library, STACK, check, engine};
use crate::event::Failure;
use crate::finding::{Finding, Severity};
use crate::model::{RealRun, ScriptKind};
use crate::secret::Sealed;

/// How functions begin that are tests.
pub(super) const TEST: &str = "test_";

/// The constant with the tables of tests that take a row: `#{ name: #{ "row": ... } }` for `fn test_name(row)`.
pub(super) const TABLES: &str = "CASES";

/// Stack that a case needs: a script runs inside the test, on the same thread.
pub const TEST_STACK: usize = 2 * STACK;

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct TestCase {
    /// `test_x`, or `test_x: row` where the function takes a row of a table.
    pub name: String,
    /// The function.
    function: String,
    /// What it takes.
    row: Option<Value>,
}

/// The tests of one script.
pub struct TestFile {
    library: Library,
    script: Script,
    findings: Vec<Finding>,
}

impl TestFile {
    /// The test file beside a script, if there is one.
    pub fn load(library: &Library, kind: ScriptKind, name: &str) -> Option<TestFile> {
        let script = library.beside(kind, name, "test")?;
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

    /// The cases, in the order of the file; those of a table in the order of their names.
    pub fn cases(&self) -> Vec<TestCase> {
        let mut tables = self.constant(TABLES);
        let tests = self.script.syntax.functions.iter().filter(|function| function.name.starts_with(TEST));
        tests
            .flat_map(|function| {
                let name = function.name.clone();
                if function.params.is_empty() {
                    return vec![TestCase { name: name.clone(), function: name, row: None }];
                }
                let Some(Value::Object(rows)) = tables.remove(&name[TEST.len()..]) else { return Vec::new() };
                let case = |(row, value)| TestCase {
                    name: format!("{name}: {row}"),
                    function: name.clone(),
                    row: Some(value),
                };
                rows.into_iter().map(case).collect()
            })
            .collect()
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

    /// Runs one case, on the thread of the caller, which needs [`TEST_STACK`] bytes of stack.
    ///
    /// # Errors
    /// Why it failed, with its line.
    pub fn run(&self, case: &TestCase, maker: Maker) -> Result<(), Failure> {
        let run = AssertUnwindSafe(|| self.called(case, maker));
        catch_unwind(run).unwrap_or_else(|_| Err(Failure::new("the case ran into a mistake of this program")))
    }

    fn called(&self, case: &TestCase, maker: Maker) -> Result<(), Failure> {
        let context = Case { maker, last_call: Arc::default() };
        let engine = engine::for_test(Dynamic::from(context.clone()), &self.library);
        let options = CallFnOptions::new();
        let (ast, function) = (&self.script.ast, case.function.as_str());
        let row: Vec<Dynamic> = case.row.iter().map(from_json).collect();
        let arity = row.len();
        let called = engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), ast, function, row);
        let Err(error) = called else { return Ok(()) };
        let source = &self.script.source;
        let scene = Scene {
            source,
            file: &|path| if path == source.path { Some(Arc::clone(source)) } else { self.library.file(path) },
            entry: self.script.syntax.function(function, arity).map_or(Position::NONE, |function| function.at),
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
