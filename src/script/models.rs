//! Program models: `NAME.model.rhai` says what programs, packages and units do to a modelled machine.
//!
//! ```rhai
//! const MODEL = #{
//!     programs: ["step"],
//!     packages: #{ "step-cli": #{ version: "0.28.7-1", programs: ["step"] } },
//!     units: #{ "step-ca.service": #{ serves: "ca" } },
//! };
//!
//! fn run(machine, argv) { ... }       // text, #{ code, stdout, stderr }, or () for "nothing is known about this call"
//! fn listens(machine, argv) { ... }   // of a server that a unit started: its TCP ports
//! fn http(machine, request) { ... }   // text, #{ status, headers, body }, or () for 404
//! ```
//!
//! Several models may name one program (`tar`): they are asked in the order of their names, until one knows the call.
//!
//! Only the sandbox and tests load them. A model runs on a thread of its own, because scripts need more stack than
//! whoever calls a program has, and asks for what it needs of the machine over a channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rhai::{CallFnOptions, Dynamic, EvalAltResult, Position, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ModelMachine, from_json, to_json};
use super::blame::{End, Scene, explain};
use super::error::{Raised, Thrown};
use super::library::Script;
use super::place::span;
use super::{Library, check, engine};
use crate::command::Output;
use crate::finding::{Finding, Severity, did_you_mean};
use crate::model::ScriptKind;
use crate::op::{Op, OpResult};
use crate::request::Response;
use crate::sandbox::programs::{Identity, Inside, PackageModel, ProgramCall, Programs, Reached, UnitModel};

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

/// Keys of the map that `http` may answer.
pub(super) const RESPONSE_KEYS: [&str; 3] = ["status", "headers", "body"];

/// Functions of a model that are called from outside.
pub(super) const ENTRIES: [&str; 3] = [RUN, LISTENS, HTTP];
const RUN: &str = "run";
const LISTENS: &str = "listens";
const HTTP: &str = "http";

/// All program models of a library.
#[derive(Clone, Debug)]
pub struct Models(Arc<Inner>);

struct Inner {
    library: Library,
    scripts: Vec<Script>,
    /// Program -> indices of the scripts that model it.
    programs: BTreeMap<String, Vec<usize>>,
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
                    Ok(names) => {
                        names.into_iter().for_each(|name| self.programs.entry(name).or_default().push(next));
                    }
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

/// Why a model answered nothing that can be used.
enum Fault {
    /// What a double refused, the program refuses.
    Refused(String),
    /// The model is wrong.
    Mistake(String),
    /// It called `skip`.
    Skipped,
}

impl Inner {
    /// The models of a program that have this function.
    fn modelling(&self, call: &ProgramCall, function: &'static str) -> impl Iterator<Item = &Script> {
        let models = self.programs.get(call.name()).into_iter().flatten().filter_map(|index| self.scripts.get(*index));
        models.filter(move |script| script.syntax.function(function, 2).is_some())
    }

    /// Calls a function of a model on a thread of its own, and does for it what it asks of the machine.
    fn ask(
        &self,
        script: &Script,
        function: &str,
        call: &ProgramCall,
        argument: Dynamic,
        inside: &mut dyn Inside,
    ) -> Result<Dynamic, Fault> {
        let (asks, asked) = channel();
        let calling = Calling { call: call.clone(), identity: inside.identity(), asks };
        std::thread::scope(|scope| {
            let running = engine::thread(&format!("model {}", call.name()))
                .spawn_scoped(scope, move || evaluate(&self.library, script, function, calling, argument));
            let running = running.map_err(|error| Fault::Mistake(format!("the model could not be run: {error}")))?;
            serve(&asked, inside);
            running.join().unwrap_or_else(|_| Err(Fault::Mistake("the model ran into a mistake".to_owned())))
        })
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
        self.0.modelling(call, RUN).find_map(|script| {
            let answer = self.0.ask(script, RUN, call, argv(call), inside);
            answer.and_then(|answer| output(&answer)).unwrap_or_else(|fault| match fault {
                Fault::Refused(words) => Some(Output::failure(1, words)),
                Fault::Mistake(words) => Some(Output::failure(MODEL_FAILED, words)),
                Fault::Skipped => None,
            })
        })
    }

    fn listens(&self, server: &ProgramCall, inside: &mut dyn Inside) -> Option<Vec<u16>> {
        let script = self.0.modelling(server, LISTENS).next()?;
        let answer = self.0.ask(script, LISTENS, server, argv(server), inside).ok()?;
        let ports = answer.into_typed_array::<i64>().ok()?;
        Some(ports.into_iter().filter_map(|port| u16::try_from(port).ok()).collect())
    }

    fn respond(&self, server: &ProgramCall, reached: &Reached, inside: &mut dyn Inside) -> Result<Response, String> {
        let script = self.0.modelling(server, HTTP).next();
        let script =
            script.ok_or_else(|| format!("the model of {} has no `fn http(machine, request)`", server.name()))?;
        let answer = self.0.ask(script, HTTP, server, request(server, reached), inside);
        answer.and_then(|answer| response(&answer)).map_err(|fault| match fault {
            Fault::Refused(words) | Fault::Mistake(words) => words,
            Fault::Skipped => "connection closed".to_owned(),
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

fn evaluate(
    library: &Library,
    script: &Script,
    function: &str,
    calling: Calling,
    argument: Dynamic,
) -> Result<Dynamic, Fault> {
    let engine = engine::for_model(Dynamic::from(calling), library);
    let (options, mut scope) = (CallFnOptions::new(), Scope::new());
    let arguments = (ModelMachine, argument);
    let called = engine.call_fn_with_options::<Dynamic>(options, &mut scope, &script.ast, function, arguments);
    called.map_err(|error| {
        if let Some(words) = refused(&error) {
            return Fault::Refused(words);
        }
        let scene = Scene {
            source: &script.source,
            file: &|path| {
                (path == script.source.path).then(|| Arc::clone(&script.source)).or_else(|| library.file(path))
            },
            entry: script.syntax.function(function, 2).map_or(Position::new(1, 1), |function| function.at),
            last_call: None,
            mask: &str::to_owned,
        };
        match explain(error, &scene) {
            End::Error(error) => {
                let failure = error.failure();
                let trace = failure.trace.unwrap_or_default();
                Fault::Mistake(format!("the model is at fault: {}\n{trace}", failure.message))
            }
            End::Skipped(_) => Fault::Skipped,
        }
    })
}

/// What `run` and `listens` are called with.
fn argv(call: &ProgramCall) -> Dynamic {
    call.argv.iter().map(|word| Dynamic::from(word.clone())).collect::<rhai::Array>().into()
}

/// What `http` is called with.
fn request(server: &ProgramCall, reached: &Reached) -> Dynamic {
    let Reached { request, port, path } = reached;
    let headers = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.expose().into()));
    from_json(&json!({
        "method": request.method.word(),
        "path": path,
        "port": port,
        "headers": headers.collect::<serde_json::Map<String, Value>>(),
        "body": request.body.as_ref().map_or("", |body| body.expose()),
        "argv": server.argv,
    }))
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

/// What `run` answered.
fn output(answer: &Dynamic) -> Result<Option<Output>, Fault> {
    if answer.is_unit() {
        return Ok(None);
    }
    let wrong = || Fault::Mistake("`run` must answer a text, `#{ code, stdout, stderr }` or `()`".to_owned());
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

/// What `http` answered. A body that is no text is JSON.
fn response(answer: &Dynamic) -> Result<Response, Fault> {
    let wrong = || Fault::Mistake("`http` must answer a text, `#{ status, headers, body }` or `()`".to_owned());
    let (mut status, mut headers, mut body) = (200, serde_json::Map::new(), Value::Null);
    match to_json(answer) {
        Ok(Value::Null) => status = 404,
        Ok(Value::String(text)) => body = Value::String(text),
        Ok(Value::Object(fields)) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("status", Value::Number(number)) => {
                        status = number.as_u64().and_then(|number| u16::try_from(number).ok()).ok_or_else(wrong)?;
                    }
                    ("headers", Value::Object(given)) => headers = given,
                    ("body", given) => body = given,
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    let (kind, body) = match body {
        Value::Null => ("text/plain", Vec::new()),
        Value::String(text) => ("text/plain", text.into_bytes()),
        json => ("application/json", json.to_string().into_bytes()),
    };
    headers.entry("content-type").or_insert_with(|| kind.into());
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect();
    Ok(Response { status, headers, body, chain: Vec::new() })
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
