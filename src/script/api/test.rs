//! What script tests can call: guests, and what became of them.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::{Value, json};

use super::asserts::state;
use super::given::{from_json, to_json};
use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Given, Verb, verb};
use crate::event::Failure;
use crate::machine::File;
use crate::script::error::{Ended, Raised, ScriptError, Thrown};
use crate::script::harness::Case;
use crate::script::run::{Entry, ScriptReport};
use crate::script::staged::StagedGuest;
use crate::secret::Sealed;

/// A guest in a test's hand.
#[derive(Clone)]
pub(crate) struct TestGuest(Arc<dyn StagedGuest>);

const ON: &[Type] = &[Type::TestGuest];
pub(super) const PATH: Parameter = required("path", Kind::Path, "where in the guest");
pub(super) const SCRIPT: Parameter = required("script", Kind::Text, "a feature or an app");
pub(super) const PARAMS: Parameter = optional("params", Kind::Map, "its parameters, over its fallbacks");

/// What `apply` answers.
const REPORT: Type = Type::Record(&["changed", "skipped", "published"]);

/// What a guest is, as data.
const GUEST: &[Parameter] = &[
    optional("kind", Kind::Text, "`lxc`, `vm` or `node`; a container if not given"),
    optional("os", Kind::Text, "`debian-12`, `debian-13` or `ubuntu-24.04`; Debian 13 if not given"),
    optional("id", Kind::Int, "its id; 200 and on if not given"),
    optional("name", Kind::Text, "its host name; `guest` if not given"),
    optional("ip", Kind::Text, "its address with prefix; `192.0.2.200/24` if not given"),
    optional("template", Kind::Text, "volume id of the template that it is made from; that of its system if not given"),
    optional("features", Kind::Texts, "features that it is declared with"),
    optional("app", Kind::Text, "its app"),
    optional("params", Kind::Map, "parameters of its features by their names, as declared"),
    optional("applied", Kind::Texts, "features that were applied to it before, with `params`"),
    optional("gpus", Kind::Data, "numbers of the node's GPUs that it sees"),
    optional("config", Kind::Map, "its declaration as `guest.config` shows it"),
    optional("roles", Kind::Texts, "its roles"),
    optional("service", Kind::Text, "name that the router publishes it as"),
    optional("packages", Kind::Texts, "packages that are installed already"),
    optional("users", Kind::Map, "users that are there already: `#{ name: #{ groups, home, shell, system } }`"),
    optional("files", Kind::Map, "files that are there already: path and text, or `#{ text, mode, owner, group }`"),
    optional("units", Kind::Map, "units that are there already: `#{ \"x.service\": #{ content, running, enabled } }`"),
    optional("artifacts", Kind::Contents, "artifacts that somebody has published: name and value"),
    optional("secrets", Kind::Contents, "secrets that the node keeps: name and value"),
    optional("running", Kind::Bool, "whether it runs; `true` if not given"),
    optional("others", Kind::Data, "other declared guests, which do not exist: a list of maps like this one"),
    optional("domain", Kind::Text, "internal DNS suffix; `example.org` if not given"),
    optional("strict", Kind::Bool, "whether a program that nobody models fails; `true` if not given"),
];

pub(super) const VERBS: &[Verb<Case>] = &[
    verb(
        Signature::function("guest", "A running guest of the test's own.")
            .options(GUEST)
            .returns(Type::TestGuest)
            .errors(&["when an option makes no sense: a wrong id or address, a template that nobody models"])
            .example(
                r#"let g = guest(#{ name: "web", packages: ["curl"], files: #{ "/etc/motd": "hello" } });
assert_eq(g.read("/etc/motd"), "hello");"#,
            ),
        |given| {
            let mut described = serde_json::Map::new();
            for option in given.signature.options {
                if let Some(value) = given.dynamic(option.name) {
                    described.insert(option.name.to_owned(), to_json(&value)?);
                }
            }
            let mut made = (given.run.maker)(vec![Value::Object(described)]).map_err(failure)?;
            Ok(made.pop().map_or(Dynamic::UNIT, |guest| Dynamic::from(TestGuest(guest))))
        },
    ),
    verb(
        Signature::function("guests", "Guests on one node, which read each other's artifacts: a map of them by name.")
            .takes(&[required("described", Kind::Map, "name and what `guest` takes, of each")])
            .returns(Type::Map)
            .errors(&["as `guest`"])
            .example(
                r#"let all = guests(#{ ca: #{ ip: "192.0.2.3/24" }, web: #{} });
all.ca.apply("step_ca");
all.web.apply("trusted_ca");
assert(all.web.exists("/usr/local/share/ca-certificates"));"#,
            ),
        |given| {
            let Some(Value::Object(described)) = given.data("described")? else { return Ok(Dynamic::UNIT) };
            let names: Vec<String> = described.keys().cloned().collect();
            let described = described.into_iter().map(|(name, mut guest)| {
                if let Value::Object(members) = &mut guest {
                    members.entry("name").or_insert(Value::String(name));
                }
                guest
            });
            let made = (given.run.maker)(described.collect()).map_err(failure)?;
            let made = made.into_iter().map(|guest| Dynamic::from(TestGuest(guest)));
            Ok(Dynamic::from_map(names.into_iter().map(Into::into).zip(made).collect()))
        },
    ),
    verb(
        Signature::method(ON, "apply", "Applies a script. Answers `#{ changed, skipped, published }`.")
            .takes(&[SCRIPT, PARAMS])
            .returns(REPORT)
            .errors(&["as the script does", "when a parameter is unknown, missing or of another type"])
            .example(
                r#"let g = guest(#{});
assert(g.apply("base_setup", #{ extra_packages: ["nginx"] }).changed);
assert(!g.apply("base_setup", #{ extra_packages: ["nginx"] }).changed);"#,
            ),
        |given| run(given, Entry::Apply).map(told),
    ),
    verb(
        Signature::method(
            ON,
            "apply_twice",
            "Applies a script, and once more: neither that nor a rehearsal of it may change anything. Answers as `apply`.",
        )
        .takes(&[SCRIPT, PARAMS])
        .returns(REPORT)
        .errors(&["as the script does", "when the second time changes something"])
        .example(r#"assert(guest(#{}).apply_twice("base_setup").changed);"#),
        |given| {
            let report = run(given, Entry::Apply)?;
            unchanged(given)?;
            Ok(told(report))
        },
    ),
    verb(
        Signature::method(
            ON,
            "assert_unchanged",
            "Applies a script: neither that nor a rehearsal of it may change anything.",
        )
        .takes(&[SCRIPT, PARAMS])
        .errors(&["as the script does", "when it changes something"])
        .example(
            r#"let g = guest(#{ applied: ["base_setup"] });
g.assert_unchanged("base_setup");"#,
        ),
        |given| unchanged(given).map(|()| Dynamic::UNIT),
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
        Signature::method(ON, "prepare", "Asks a script what the guest needs of the node. Answers the paths of the devices.")
            .takes(&[SCRIPT, PARAMS])
            .returns(Type::Array)
            .errors(&["as the script does"])
            .example(
                r#"let g = guest(#{ gpus: [0] });
assert("/dev/nvidia0" in g.prepare("nvidia"));"#,
            ),
        |given| {
            let devices = run(given, Entry::Prepare)?.prepared.devices;
            Ok(devices.into_keys().map(Dynamic::from).collect::<rhai::Array>().into())
        },
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
            let state = state(&guest(given)?.machine(), &given.text("name")?)?;
            Ok((state.active == "active").into())
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
];

pub(super) fn guest(given: &Given<Case>) -> Result<Arc<dyn StagedGuest>, Raised> {
    match given.subject.read_lock::<TestGuest>() {
        Some(guest) => Ok(Arc::clone(&guest.0)),
        None => Err(Thrown::invalid("called on something else than `guest(#{...})`").into()),
    }
}

fn run(given: &Given<Case>, entry: Entry) -> Result<ScriptReport, Raised> {
    let params = given.data("params")?.unwrap_or_default();
    guest(given)?.run(entry, &given.text("script")?, &params).map_err(ended)
}

/// Why a script did not come to its end, inside of a test.
fn ended(error: ScriptError) -> Raised {
    match error {
        ScriptError::Interrupted => Raised::End(Ended::Interrupted),
        other => failure(other.failure()),
    }
}

/// A failure as the error of a verb.
pub(super) fn failure(failure: Failure) -> Raised {
    let parts = [failure.output, failure.trace];
    Raised::Error(Thrown {
        kind: "script",
        message: failure.message,
        command: failure.command,
        output: Some(parts.into_iter().flatten().collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty()),
        code: None,
        hint: failure.hint,
    })
}

/// A script's report as tests see it.
fn told(report: ScriptReport) -> Dynamic {
    let published: Vec<String> = report.published.into_iter().map(|artifact| artifact.name).collect();
    from_json(&json!({ "changed": report.changed, "skipped": report.skipped, "published": published }))
}

/// Fails if applying a script changes something now, or a rehearsal says that it would.
fn unchanged(given: &Given<Case>) -> Result<(), Raised> {
    let (guest, script) = (guest(given)?, given.text("script")?);
    let params = given.data("params")?.unwrap_or_default();
    let before = guest.did().len();
    let rehearsed = match guest.rehearse(&script, &params) {
        // It depends on what cannot be known beforehand: that predicts nothing.
        Err(ScriptError::Unknown { .. }) => ScriptReport::default(),
        other => other.map_err(ended)?,
    };
    let report = guest.run(Entry::Apply, &script, &params).map_err(ended)?;
    let did = guest.did().split_off(before);
    let problem = match () {
        () if report.changed || !did.is_empty() => format!("`{script}` still changes something"),
        () if rehearsed.changed => format!("a rehearsal of `{script}` predicts a change, and there is none"),
        () => return Ok(()),
    };
    let output = Some(did.join("\n")).filter(|text| !text.is_empty());
    let hint = Some("guard `exec`, and compare before writing: verbs do so by themselves".to_owned());
    Err(Thrown { output, hint, ..Thrown::new("assert", problem) }.into())
}
