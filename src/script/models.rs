//! Program models: `NAME.model.rhai` says what programs, packages and units do to a modelled machine.
//!
//! ```rhai
//! const MODEL = #{
//!     programs: ["step"],
//!     packages: #{ "step-cli": #{ version: "0.28.7-1", programs: ["step"] } },
//!     units: #{ "step-ca.service": #{ serves: "ca" } },
//! };
//!
//! fn run(machine, argv) { ... }   // text, #{ code, stdout, stderr }, or () for "nothing is known about this call"
//! ```
//!
//! Only the sandbox and tests load them. A model runs on a thread of its own, because scripts need more stack than
//! whoever calls a program has, and asks for what it needs of the machine over a channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rhai::{CallFnOptions, Dynamic, EvalAltResult, Position, Scope};
use serde::Deserialize;
use serde_json::Value;

use super::api::{ModelMachine, to_json};
use super::blame::{End, Scene, explain};
use super::error::{Raised, Thrown};
use super::library::Script;
use super::place::span;
use super::{Library, check, engine};
use crate::command::Output;
use crate::finding::{Finding, Severity, did_you_mean};
use crate::model::ScriptKind;
use crate::op::{Op, OpResult};
use crate::sandbox::programs::{Identity, Inside, PackageModel, ProgramCall, Programs, UnitModel};

/// Exit status of a program whose model is at fault (`EX_SOFTWARE`).
const MODEL_FAILED: i32 = 70;

/// Keys of `MODEL`, and what each is for.
pub(super) const KEYS: [(&str, &str); 3] = [
    ("programs", "Programs that `run(machine, argv)` stands in for."),
    ("packages", "Packages by name: `#{ version, programs, units }`."),
    ("units", "Units by name, with what they serve."),
];

/// Keys of the map that `run` may answer.
pub(super) const ANSWER_KEYS: [&str; 3] = ["code", "stdout", "stderr"];

/// All program models of a library.
#[derive(Clone, Debug)]
pub struct Models(Arc<Inner>);

struct Inner {
    library: Library,
    scripts: Vec<Script>,
    /// Program -> index of the script that models it.
    programs: BTreeMap<String, usize>,
    packages: BTreeMap<String, PackageModel>,
    units: BTreeMap<String, UnitModel>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("programs", &self.programs.keys()).finish_non_exhaustive()
    }
}

impl Models {
    /// Compiles and checks all models that stand beside scripts.
    pub fn load(library: &Library) -> (Models, Vec<Finding>) {
        let mut inner = Inner {
            library: library.clone(),
            scripts: Vec::new(),
            programs: BTreeMap::new(),
            packages: BTreeMap::new(),
            units: BTreeMap::new(),
        };
        let mut findings = Vec::new();
        for kind in [ScriptKind::Feature, ScriptKind::App] {
            for stem in library.stems_with(kind, "model") {
                if let Some(model) = library.beside(kind, &stem, "model") {
                    findings.extend(inner.add(model));
                }
            }
        }
        (Models(Arc::new(inner)), findings)
    }
}

impl Models {
    /// The model beside a script.
    pub(super) fn beside(&self, kind: ScriptKind, name: &str) -> Option<&Script> {
        let source = self.0.library.beside(kind, name, "model")?.source;
        self.0.scripts.iter().find(|script| script.source.path == source.path)
    }
}

impl Inner {
    fn add(&mut self, script: Script) -> Vec<Finding> {
        let mut findings = check::model(&self.library, &script);
        self.declare(&script, &mut findings);
        if findings.iter().all(|finding| finding.severity < Severity::Error) {
            self.scripts.push(script);
        }
        findings
    }

    /// Takes in what `MODEL` says.
    fn declare(&mut self, script: &Script, findings: &mut Vec<Finding>) {
        if !script.parses() {
            return;
        }
        let source = &script.source;
        let constant = script.syntax.constants.iter().find(|constant| constant.name == "MODEL");
        let Some((constant, Some(Value::Object(model)))) = constant.map(|found| (found, found.value.literal())) else {
            let problem = "no `const MODEL = #{...}` made of literals says what is modelled";
            findings.push(Finding::error("no-metadata", problem).at(source, 0..0));
            return;
        };
        let error = |path: &[&str], message: String| {
            let at = constant.value.key(path).unwrap_or(constant.at);
            Finding::error("model", message).at(source, span(source, at))
        };
        let next = self.scripts.len();
        for (key, value) in model {
            let mut refuse = |name: Option<&str>, problem: String| {
                let path: Vec<&str> = [key.as_str()].into_iter().chain(name).collect();
                findings.push(error(&path, format!("`{}`: {problem}", path[path.len() - 1])));
            };
            match key.as_str() {
                "programs" => match serde_json::from_value::<Vec<String>>(value) {
                    Ok(names) => self.programs.extend(names.into_iter().map(|name| (name, next))),
                    Err(problem) => refuse(None, problem.to_string()),
                },
                "packages" => declared(value, &mut self.packages, refuse),
                "units" => declared(value, &mut self.units, refuse),
                _ => {
                    let known = KEYS.map(|(name, _)| name);
                    let hint = match did_you_mean(&key, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known: {}", known.join(", ")),
                    };
                    findings.push(error(&[&key], format!("`MODEL` has no field `{key}`")).hint(hint));
                }
            }
        }
    }
}

/// Takes in a map of named things.
fn declared<T: for<'de> Deserialize<'de>>(
    value: Value,
    into: &mut BTreeMap<String, T>,
    mut refuse: impl FnMut(Option<&str>, String),
) {
    let Value::Object(entries) = value else { return refuse(None, "must be a map by name".to_owned()) };
    for (name, value) in entries {
        match serde_json::from_value(value) {
            Ok(thing) => {
                into.insert(name, thing);
            }
            Err(problem) => refuse(Some(&name), problem.to_string()),
        }
    }
}

impl Programs for Models {
    fn knows(&self, program: &str) -> bool {
        self.0.programs.contains_key(program)
    }

    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
        let script = self.0.scripts.get(*self.0.programs.get(call.name())?)?;
        script.syntax.function("run", 2)?;
        let (asks, asked) = channel();
        let calling = Calling { call: call.clone(), identity: inside.identity(), asks };
        std::thread::scope(|scope| {
            let running = engine::thread(&format!("model {}", call.name()))
                .spawn_scoped(scope, move || run(&self.0.library, script, calling));
            let running = match running {
                Ok(running) => running,
                Err(error) => {
                    return Some(Output::failure(MODEL_FAILED, format!("the model could not be run: {error}")));
                }
            };
            serve(&asked, inside);
            running.join().unwrap_or_else(|_| Some(Output::failure(MODEL_FAILED, "the model ran into a mistake")))
        })
    }

    fn package(&self, name: &str) -> Option<PackageModel> {
        self.0.packages.get(name).cloned()
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        self.0.units.get(name).cloned()
    }
}

/// Answers a model until it has ended and let go of its side of the channel.
fn serve(asked: &Receiver<Ask>, inside: &mut dyn Inside) {
    for ask in asked {
        // A model that does not wait for its answer any more has been ended.
        match ask {
            Ask::Perform(op, answer) => _ = answer.send(inside.perform(&op)),
            Ask::Double { service, verb, options, answer } => _ = answer.send(inside.double(&service, &verb, options)),
        }
    }
}

fn run(library: &Library, script: &Script, calling: Calling) -> Option<Output> {
    let argv: rhai::Array = calling.call.argv.iter().map(|word| word.clone().into()).collect();
    let engine = engine::for_model(Dynamic::from(calling), library);
    let arguments = (ModelMachine, argv);
    let answer =
        engine.call_fn_with_options::<Dynamic>(CallFnOptions::new(), &mut Scope::new(), &script.ast, "run", arguments);
    match answer {
        Ok(answer) => output(&answer).unwrap_or_else(|problem| Some(Output::failure(MODEL_FAILED, problem))),
        Err(error) => {
            // What a double refuses, the program refuses.
            if let Some(words) = refused(&error) {
                return Some(Output::failure(1, words));
            }
            let scene = Scene {
                source: &script.source,
                file: &|path| {
                    (path == script.source.path).then(|| Arc::clone(&script.source)).or_else(|| library.file(path))
                },
                entry: script.syntax.function("run", 2).map_or(Position::new(1, 1), |function| function.at),
                last_call: None,
                mask: &str::to_owned,
            };
            Some(match explain(error, &scene) {
                End::Error(error) => {
                    let failure = error.failure();
                    let trace = failure.trace.unwrap_or_default();
                    Output::failure(MODEL_FAILED, format!("the model is at fault: {}\n{trace}", failure.message))
                }
                End::Skipped(_) => return None,
            })
        }
    }
}

/// The words of a double that refused, if nothing in the model caught them.
fn refused(error: &EvalAltResult) -> Option<String> {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => refused(inner),
        EvalAltResult::ErrorRuntime(token, _) => {
            token.read_lock::<Thrown>().filter(|thrown| thrown.kind == "double").map(|thrown| thrown.message.clone())
        }
        _ => None,
    }
}

/// What a model answered.
fn output(answer: &Dynamic) -> Result<Option<Output>, String> {
    if answer.is_unit() {
        return Ok(None);
    }
    let wrong = || "the model must answer a text, `#{ code, stdout, stderr }` or `()`".to_owned();
    match to_json(answer) {
        Ok(Value::String(stdout)) => Ok(Some(Output::success(stdout))),
        Ok(Value::Object(fields)) => {
            let mut output = Output::default();
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("code", Value::Number(code)) => {
                        output.code = code.as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(1);
                    }
                    ("stdout", Value::String(text)) => output.stdout = text.into_bytes(),
                    ("stderr", Value::String(text)) => output.stderr = text.into_bytes(),
                    _ => return Err(wrong()),
                }
            }
            Ok(Some(output))
        }
        _ => Err(wrong()),
    }
}

/// One call of a modelled program: the context of a model's verbs.
#[derive(Clone)]
pub(crate) struct Calling {
    /// The program and what it was given.
    pub call: ProgramCall,
    /// The machine.
    pub identity: Identity,
    asks: Sender<Ask>,
}

/// What a model asks of the machine.
enum Ask {
    Perform(Op, Sender<OpResult>),
    Double { service: String, verb: String, options: Value, answer: Sender<Result<Value, String>> },
}

impl Calling {
    /// One plain read or write in the machine.
    pub fn perform(&self, op: Op) -> Result<OpResult, Raised> {
        self.ask(|answer| Ask::Perform(op, answer))
    }

    /// Asks a double.
    pub fn double(&self, service: String, verb: String, options: Value) -> Result<Result<Value, String>, Raised> {
        self.ask(|answer| Ask::Double { service, verb, options, answer })
    }

    fn ask<T>(&self, ask: impl FnOnce(Sender<T>) -> Ask) -> Result<T, Raised> {
        let (answer, answered) = channel();
        let gone = || Raised::Error(Thrown::invalid("the machine is gone"));
        self.asks.send(ask(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())
    }
}
