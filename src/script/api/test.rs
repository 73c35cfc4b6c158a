//! What script tests can call: guests, what became of them, and asserts.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::{Value, json};

use super::given::{from_json, to_json};
use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Given, Verb, verb};
use crate::machine::File;
use crate::model::fits;
use crate::op::Op;
use crate::script::error::{Raised, ScriptError, Thrown};
use crate::script::harness::{Case, StagedGuest};
use crate::script::run::{Entry, ScriptReport};
use crate::secret::Sealed;

/// A guest in a test's hand.
#[derive(Clone)]
pub(crate) struct TestGuest(Arc<dyn StagedGuest>);

const ON: &[Type] = &[Type::TestGuest];
const PATH: Parameter = required("path", Kind::Path, "where in the guest");
const SCRIPT: Parameter = required("script", Kind::Text, "a feature or an app");
const PARAMS: Parameter = optional("params", Kind::Map, "its parameters, over its fallbacks");

pub(super) const VERBS: &[Verb<Case>] = &[
    verb(
        Signature::function("guest", "A running guest of the test's own.")
            .options(&[
                optional("id", Kind::Int, "its id; 200 if not given"),
                optional("name", Kind::Text, "its host name; `guest` if not given"),
                optional("ip", Kind::Text, "its address with prefix; `192.0.2.200/24` if not given"),
                optional(
                    "template",
                    Kind::Text,
                    "volume id of the template that it is made from; Debian 13 if not given",
                ),
                optional("features", Kind::Texts, "features that it is declared with"),
                optional("app", Kind::Text, "its app"),
                optional("gpus", Kind::Data, "numbers of the node's GPUs that it sees"),
                optional("config", Kind::Map, "its declaration as `guest.config` shows it"),
                optional("roles", Kind::Texts, "its roles"),
                optional("service", Kind::Text, "name that the router publishes it as"),
                optional("packages", Kind::Texts, "packages that are installed already"),
                optional("files", Kind::Contents, "files that are there already: path and text"),
                optional("artifacts", Kind::Contents, "artifacts that somebody has published: name and value"),
                optional("others", Kind::Data, "other declared guests: a list of maps like this one"),
                optional("domain", Kind::Text, "internal DNS suffix; `example.org` if not given"),
            ])
            .returns(Type::TestGuest)
            .errors(&["when an option makes no sense: a wrong id or address, a template that nobody models"])
            .example(
                r#"let g = guest(#{ name: "web", packages: ["curl"], files: #{ "/etc/motd": "hello" } });
assert_eq(g.read("/etc/motd"), "hello");"#,
            ),
        |given| {
            let mut declared = serde_json::Map::new();
            for option in given.signature.options {
                if let Some(value) = given.dynamic(option.name) {
                    declared.insert(option.name.to_owned(), to_json(&value)?);
                }
            }
            let made = (given.run.maker)(Value::Object(declared)).map_err(|problem| Thrown::new("guest", problem))?;
            Ok(Dynamic::from(TestGuest(made)))
        },
    ),
    verb(
        Signature::method(ON, "apply", "Applies a script. Answers `#{ changed, skipped, published }`.")
            .takes(&[SCRIPT, PARAMS])
            .returns(Type::Record(&["changed", "skipped", "published"]))
            .errors(&["as the script does", "when a parameter is unknown, missing or of another type"])
            .example(
                r#"let g = guest(#{});
assert(g.apply("base_setup", #{ extra_packages: ["nginx"] }).changed);
assert(!g.apply("base_setup", #{ extra_packages: ["nginx"] }).changed);"#,
            ),
        |given| {
            let report = run(given, Entry::Apply)?;
            let published: Vec<String> = report.published.into_iter().map(|artifact| artifact.name).collect();
            Ok(from_json(&json!({ "changed": report.changed, "skipped": report.skipped, "published": published })))
        },
    ),
    verb(
        Signature::method(ON, "health", "Asks a script for the guest's health; an unhealthy one is an error.")
            .takes(&[SCRIPT, PARAMS])
            .errors(&["when the guest is not healthy"])
            .example(
                r#"let g = guest(#{});
g.apply("base_setup");
g.health("base_setup");"#,
            ),
        |given| run(given, Entry::Health).map(|_| Dynamic::UNIT),
    ),
    verb(
        Signature::method(ON, "remove", "Runs the script's `remove`. Answers whether it changed anything.")
            .takes(&[SCRIPT, PARAMS])
            .returns(Type::Bool)
            .errors(&["as the script does"])
            .example(
                r#"let g = guest(#{});
g.apply("docker");
assert(g.remove("docker"));"#,
            ),
        |given| run(given, Entry::Remove).map(|report| report.changed.into()),
    ),
    verb(
        Signature::method(ON, "read", "A file's text, or `()` if there is none.")
            .takes(&[PATH])
            .returns(Type::Any)
            .example(
                r#"let g = guest(#{});
assert_eq(g.read("/etc/hostname").trimmed(), "guest");"#,
            ),
        |given| Ok(guest(given)?.machine().read(&given.text("path")?)?.map_or(Dynamic::UNIT, Dynamic::from)),
    ),
    verb(
        Signature::method(ON, "exists", "Whether anything is at a path.")
            .takes(&[PATH])
            .returns(Type::Bool)
            .example(r#"assert(!guest(#{}).exists("/etc/nginx"));"#),
        |given| Ok(guest(given)?.machine().exists(&given.text("path")?)?.into()),
    ),
    verb(
        Signature::method(ON, "write", "Changes a file behind the script's back.")
            .takes(&[PATH, required("text", Kind::Text, "the whole text")])
            .errors(&["when the directory above is missing"])
            .example(
                r#"let g = guest(#{});
g.write("/etc/motd", "by hand");
assert_eq(g.read("/etc/motd"), "by hand");"#,
            ),
        |given| {
            guest(given)?.machine().file(&given.text("path")?, &File::text(Sealed::plain(given.text("text")?)))?;
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::method(ON, "has_package", "Whether a Debian package is installed.")
            .takes(&[required("name", Kind::Text, "the package")])
            .returns(Type::Bool)
            .example(
                r#"let g = guest(#{ packages: ["nginx"] });
assert(g.has_package("nginx"));"#,
            ),
        |given| Ok(guest(given)?.machine().facts()?.packages.contains_key(&given.text("name")?).into()),
    ),
    verb(
        Signature::method(ON, "unit_is_active", "Whether a unit is active.")
            .takes(&[required("name", Kind::Text, "the unit")])
            .returns(Type::Bool)
            .example(
                r#"let g = guest(#{ packages: ["nginx"] });
assert(g.unit_is_active("nginx.service"));"#,
            ),
        |given| {
            let machine = guest(given)?.machine().clone();
            let answer = machine.host().perform(machine.place(), &[Op::Units { names: vec![given.text("name")?] }])?;
            let active = answer.into_iter().any(|answer| {
                matches!(answer, Ok(crate::op::OpValue::Units(units)) if units.iter().any(|unit| unit.active == "active"))
            });
            Ok(active.into())
        },
    ),
    verb(
        Signature::method(ON, "artifact", "What the guest published, or `()`.")
            .takes(&[required("name", Kind::Text, "the artifact")])
            .returns(Type::Any)
            .example(
                r#"let g = guest(#{ name: "ca" });
g.apply("step_ca");
assert(g.artifact("step_ca/url").starts_with("https://"));"#,
            ),
        |given| Ok(guest(given)?.artifact(&given.text("name")?).map_or(Dynamic::UNIT, Dynamic::from)),
    ),
    verb(
        Signature::method(ON, "log", "Everything that could change something inside the guest so far, one line each.")
            .returns(Type::Array)
            .example(
                r#"let g = guest(#{});
g.apply("base_setup", #{ packages: [], extra_packages: [] });
assert(g.log().some(|line| line.contains("locale")));"#,
            ),
        |given| Ok(guest(given)?.did().into_iter().map(Dynamic::from).collect::<rhai::Array>().into()),
    ),
    verb(
        Signature::method(ON, "assert_ran", "Fails unless lines of the log fit these patterns, in this order.")
            .takes(&[required("patterns", Kind::Texts, "patterns of `*` and `?`")])
            .errors(&["when no line fits the next pattern"])
            .example(
                r#"let g = guest(#{});
g.apply("base_setup", #{ extra_packages: ["nginx"] });
g.assert_ran(["install *nginx*"]);"#,
            ),
        |given| {
            let did = guest(given)?.did();
            let mut rest = did.iter();
            for pattern in given.texts("patterns")? {
                if !rest.any(|line| fits(&pattern, line)) {
                    let mut thrown =
                        Thrown::new("assert", format!("nothing that ran fits `{pattern}` (in this order)"));
                    thrown.output = Some(did.join("\n"));
                    return Err(thrown.into());
                }
            }
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::function("assert", "Fails unless something is true.")
            .takes(&[
                required("condition", Kind::Bool, "what must be true"),
                optional("message", Kind::Any, "what is wrong otherwise"),
            ])
            .errors(&["when the condition is false"])
            .example(r#"assert(1 + 1 == 2, "sums are wrong");"#),
        |given| match given.maybe_bool("condition") {
            Some(true) => Ok(Dynamic::UNIT),
            _ => {
                let message = if given.has("message") { given.raw_text("message") } else { "not true".to_owned() };
                Err(Thrown::new("assert", message).into())
            }
        },
    ),
    verb(
        Signature::function("assert_eq", "Fails unless two values are equal.")
            .takes(&[required("left", Kind::Any, "one"), required("right", Kind::Any, "the other")])
            .errors(&["when they differ"])
            .example("assert_eq([1, 2], [1, 2]);"),
        |given| {
            let (left, right) = (shown(given, "left")?, shown(given, "right")?);
            if left == right {
                return Ok(Dynamic::UNIT);
            }
            Err(Thrown::new("assert", format!("{left} is not {right}")).into())
        },
    ),
    verb(
        Signature::function("assert_throws", "Fails unless a closure fails with a message that holds a text.")
            .takes(&[
                required("closure", Kind::Function, "what must fail"),
                optional("text", Kind::Text, "part of the message"),
            ])
            .errors(&["when the closure does not fail, or fails with another message"])
            .example(
                r#"let g = guest(#{});
assert_throws(|| g.health("docker"), "the daemon does not answer");"#,
            ),
        |given| {
            let wanted = given.text("text")?;
            let found = match given.call("closure") {
                Ok(_) => return Err(Thrown::new("assert", "nothing failed").into()),
                Err(Raised::Script(error)) => message(&error),
                Err(Raised::Error(thrown)) => thrown.message,
                Err(ended) => return Err(ended),
            };
            if found.contains(&wanted) {
                return Ok(Dynamic::UNIT);
            }
            Err(Thrown::new("assert", format!("it failed otherwise: {found}")).into())
        },
    ),
];

/// The message of whatever a closure failed with.
fn message(error: &rhai::EvalAltResult) -> String {
    use rhai::EvalAltResult::{ErrorInFunctionCall, ErrorRuntime};
    match error {
        ErrorInFunctionCall(_, _, inner, _) => message(inner),
        ErrorRuntime(token, _) => match token.read_lock::<Thrown>() {
            Some(thrown) => thrown.message.clone(),
            None => token.to_string(),
        },
        other => other.to_string(),
    }
}

fn shown(given: &Given<Case>, name: &'static str) -> Result<Value, Raised> {
    to_json(&given.dynamic(name).unwrap_or_default())
}

fn guest(given: &Given<Case>) -> Result<Arc<dyn StagedGuest>, Raised> {
    match given.subject.read_lock::<TestGuest>() {
        Some(guest) => Ok(Arc::clone(&guest.0)),
        None => Err(Thrown::invalid("called on something else than `guest(#{...})`").into()),
    }
}

fn run(given: &Given<Case>, entry: Entry) -> Result<ScriptReport, Raised> {
    let params = given.data("params")?.unwrap_or_default();
    guest(given)?.run(entry, &given.text("script")?, &params).map_err(|error| match error {
        ScriptError::Interrupted => Raised::End(crate::script::error::Ended::Interrupted),
        other => {
            let failure = other.failure();
            let parts = [failure.output, failure.trace];
            Raised::Error(Thrown {
                kind: "script",
                message: failure.message,
                command: failure.command,
                output: Some(parts.into_iter().flatten().collect::<Vec<_>>().join("\n"))
                    .filter(|text| !text.is_empty()),
                code: None,
                hint: failure.hint,
            })
        }
    })
}
