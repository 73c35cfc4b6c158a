//! Facts of the machine a script runs against, and of what its verbs answered.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::json;

use super::given::from_json;
use super::signature::{Kind, Signature, Type, required};
use super::{Answer, Given, Ran, Verb, verb};
use crate::machine::Change;
use crate::model::{Guest, fits};
use crate::op::{Op, OpValue, Place};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};

/// The machine in a script's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The guest a script runs in.
    Guest,
    /// The guest as declared: in `prepare` it may not exist yet.
    Declared,
    /// The node.
    Node,
}

impl Subject {
    /// Its type as authors know it.
    pub fn shown_type(self) -> Type {
        match self {
            Subject::Guest | Subject::Declared => Type::Guest,
            Subject::Node => Type::Node,
        }
    }

    /// Refuses what this machine cannot do.
    pub fn allows(self, signature: &Signature) -> Result<(), Raised> {
        if !signature.on.contains(&self.shown_type()) {
            let problem = format!("a {} has no `{}`", self.shown_type().word(), signature.name);
            return Err(Thrown::invalid(problem).into());
        }
        if self == Subject::Declared && !DECLARED.contains(&signature.name) {
            let problem = format!("`guest.{}` in `prepare`: the guest may not exist yet", signature.name);
            let hint = format!("only what is declared can be read there: {}", DECLARED.join(", "));
            return Err(Thrown::invalid(problem).hint(hint).into());
        }
        Ok(())
    }
}

/// What is known of a guest before it exists.
pub(crate) const DECLARED: [&str; 9] =
    ["id", "name", "kind", "ip", "fqdn", "features", "config", "gpus", "has_feature"];

const GUEST: &[Type] = &[Type::Guest];
const MACHINE: &[Type] = &[Type::Guest, Type::Node];
const NODE: &[Type] = &[Type::Node];
const CHANGE: &[Type] = &[Type::Change];
const OUTPUT: &[Type] = &[Type::Output];
const ERROR: &[Type] = &[Type::Error];

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(Signature::property(GUEST, "id", Type::Int, "The guest's id."), |given| {
        Ok(Dynamic::from(i64::from(given.run.guest()?.id.get())))
    }),
    verb(Signature::property(MACHINE, "name", Type::Text, "Its name; of a guest also its host name."), |given| {
        Ok(match subject(given) {
            Subject::Node => given.run.site.node.name.clone().unwrap_or_else(|| "node".to_owned()).into(),
            _ => given.run.guest()?.name.clone().into(),
        })
    }),
    verb(Signature::property(MACHINE, "kind", Type::Text, "`lxc`, `vm` or `node`."), |given| {
        Ok(match subject(given) {
            Subject::Node => "node".into(),
            _ => given.run.guest()?.kind.to_string().into(),
        })
    }),
    verb(
        Signature::property(MACHINE, "ip", Type::Any, "Its first declared address without prefix, or `()`."),
        |given| {
            let address = match subject(given) {
                Subject::Node => given.run.site.node.address.map(|cidr| cidr.address),
                _ => given.run.guest()?.ip(),
            };
            Ok(address.map_or(Dynamic::UNIT, |address| address.to_string().into()))
        },
    ),
    verb(Signature::property(GUEST, "fqdn", Type::Text, "`NAME.DOMAIN`."), |given| {
        Ok(fqdn(given.run.guest()?, &given.run.site.domain).into())
    }),
    verb(
        Signature::property(
            MACHINE,
            "os",
            Type::Record(&["id", "version", "codename", "arch"]),
            "Its operating system: `id`, `version`, `codename`, `arch`.",
        ),
        |given| {
            let os = &given.run.machine.facts()?.os;
            Ok(from_json(&json!({ "id": os.id, "version": os.version, "codename": os.codename, "arch": os.arch })))
        },
    ),
    verb(
        Signature::property(
            GUEST,
            "features",
            Type::Array,
            "Features of the guest and of the guests it is cloned from.",
        ),
        |given| {
            let guests = given.run.site.clone_ancestry(given.run.guest()?.id);
            let names = guests.iter().rev().flat_map(|guest| guest.features.iter());
            Ok(names.map(|name| Dynamic::from(name.clone())).collect::<rhai::Array>().into())
        },
    ),
    verb(
        Signature::property(GUEST, "config", Type::Map, "The guest's declaration as it stands in the file."),
        |given| Ok(from_json(&given.run.guest()?.config)),
    ),
    verb(
        Signature::property(GUEST, "gpus", Type::Array, "Numbers of the node's GPUs that are shared with the guest."),
        |given| {
            let gpus = given.run.guest()?.lxc.gpus.iter();
            Ok(gpus.map(|gpu| Dynamic::from(i64::from(*gpu))).collect::<rhai::Array>().into())
        },
    ),
    verb(
        Signature::method(GUEST, "has_feature", "Whether the guest, or a guest it is cloned from, lists a feature.")
            .takes(&[required("name", Kind::Text, "the feature")])
            .returns(Type::Bool)
            .example(
                r#"if guest.has_feature("docker") {
    guest.packages(["ctop"], #{ state: "absent" });
}"#,
            ),
        |given| Ok(given.run.site.has_feature(given.run.guest()?.id, &given.text("name")?).into()),
    ),
    verb(
        Signature::method(MACHINE, "package_version", "The installed version of a Debian package, or `()`.")
            .takes(&[required("name", Kind::Text, "the package")])
            .returns(Type::Any)
            .example(
                r#"guest.packages(["nginx"]);
if !version_at_least(guest.package_version("nginx"), "1.18") {
    fail("this nginx is too old");
}"#,
            ),
        |given| {
            let facts = given.run.machine.facts()?;
            let version = facts.packages.get(&given.text("name")?).cloned();
            Ok(version.map_or(Dynamic::UNIT, Dynamic::from))
        },
    ),
    verb(
        Signature::method(NODE, "devices", "Device files whose name fits a pattern: maps of `path`, `major`, `minor`.")
            .takes(&[required("pattern", Kind::Path, "a path whose last part may hold `*` and `?`")])
            .returns(Type::Array)
            .example(
                r#"for device in node.devices("/dev/nvidia*") {
    info(`${device.path} is ${device.major}:${device.minor}`);
}"#,
            ),
        devices,
    ),
    verb(
        Signature::method(
            MACHINE,
            "driver_version",
            "Version of the NVIDIA kernel module that is loaded, or `()`: the node's, also inside of its containers.",
        )
        .returns(Type::Any)
        .example(
            r#"let version = guest.driver_version();
if version != () {
    info("NVIDIA's driver is " + version);
}"#,
        ),
        |given| {
            // Not `read`: files below /proc have no size.
            let text = given.run.machine.read("/proc/driver/nvidia/version")?.unwrap_or_default();
            let version = text
                .split_whitespace()
                .find(|word| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
            Ok(version.map_or(Dynamic::UNIT, |version| version.to_owned().into()))
        },
    ),
    verb(Signature::property(CHANGE, "changed", Type::Bool, "Whether anything was changed."), |given| {
        change(given, |change| change.changed.into())
    }),
    verb(Signature::property(CHANGE, "what", Type::Text, "What it was about."), |given| {
        change(given, |change| change.what.clone().into())
    }),
    verb(Signature::property(CHANGE, "diff", Type::Text, "Differences of files, as a unified diff."), |given| {
        change(given, |change| change.diff().into())
    }),
    verb(Signature::property(OUTPUT, "ok", Type::Bool, "Whether it ended with exit status 0."), |given| {
        ran(given, |ran| Ok(ran.output()?.ok().into()))
    }),
    verb(Signature::property(OUTPUT, "code", Type::Int, "Exit status."), |given| {
        ran(given, |ran| Ok(i64::from(ran.output()?.code).into()))
    }),
    verb(Signature::property(OUTPUT, "stdout", Type::Text, "What it wrote."), |given| {
        ran(given, |ran| Ok(ran.output()?.text().into()))
    }),
    verb(Signature::property(OUTPUT, "stderr", Type::Text, "What it wrote to standard error."), |given| {
        ran(given, |ran| Ok(String::from_utf8_lossy(&ran.output()?.stderr).into_owned().into()))
    }),
    verb(Signature::property(OUTPUT, "changed", Type::Bool, "Whether it ran."), |given| {
        ran(given, |ran| Ok(ran.change.changed.into()))
    }),
    verb(Signature::property(OUTPUT, "change", Type::Change, "The change that it counts as."), |given| {
        ran(given, |ran| Ok(Dynamic::from(ran.change.clone())))
    }),
    verb(
        Signature::method(OUTPUT, "json", "What it wrote, read as JSON.")
            .returns(Type::Any)
            .errors(&["when it is no JSON"])
            .example(
                r#"let answer = guest.probe(["cat", "/etc/docker/daemon.json"]);
if answer.ok {
    info(`docker's log driver is ${answer.json()["log-driver"]}`);
}"#,
            ),
        |given| {
            ran(given, |ran| match serde_json::from_slice(&ran.output()?.stdout) {
                Ok(value) => Ok(from_json(&value)),
                Err(error) => Err(Thrown::invalid(format!("the output is no JSON: {error}")).into()),
            })
        },
    ),
    verb(Signature::property(ERROR, "kind", Type::Text, "Class: `fail`, `exec`, `packages`, `wait` ..."), |given| {
        thrown(given, |error| error.kind.into())
    }),
    verb(Signature::property(ERROR, "message", Type::Text, "What went wrong."), |given| {
        thrown(given, |error| error.message.clone().into())
    }),
    verb(Signature::property(ERROR, "code", Type::Any, "Exit status of the program that failed, or `()`."), |given| {
        thrown(given, |error| error.code.map_or(Dynamic::UNIT, |code| i64::from(code).into()))
    }),
    verb(Signature::property(ERROR, "output", Type::Text, "Last lines of the program that failed."), |given| {
        thrown(given, |error| error.output.clone().unwrap_or_default().into())
    }),
];

/// Name by which other machines know a guest.
pub(super) fn fqdn(guest: &Guest, domain: &str) -> String {
    if domain.is_empty() { guest.name.clone() } else { format!("{}.{domain}", guest.name) }
}

fn subject(given: &Given<Arc<Run>>) -> Subject {
    given.subject.clone().try_cast().unwrap_or(Subject::Guest)
}

fn change(given: &Given<Arc<Run>>, read: impl Fn(&Change) -> Dynamic) -> Answer {
    Ok(given.subject.read_lock::<Change>().map_or(Dynamic::UNIT, |change| read(&change)))
}

fn ran(given: &Given<Arc<Run>>, read: impl Fn(&Ran) -> Answer) -> Answer {
    given.subject.read_lock::<Ran>().map_or(Ok(Dynamic::UNIT), |ran| read(&ran))
}

fn thrown(given: &Given<Arc<Run>>, read: impl Fn(&Thrown) -> Dynamic) -> Answer {
    Ok(given.subject.read_lock::<Thrown>().map_or(Dynamic::UNIT, |thrown| read(&thrown)))
}

fn devices(given: &Given<Arc<Run>>) -> Answer {
    let pattern = given.text("pattern")?;
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
    let folder = if folder.is_empty() { "/" } else { folder };
    let host = given.run.machine.host();
    let listed = host.perform(Place::Node, &[Op::List { path: folder.to_owned() }])?;
    let entries = match listed.into_iter().next() {
        Some(Ok(OpValue::Entries(entries))) => entries.unwrap_or_default(),
        _ => Vec::new(),
    };
    let paths = entries.iter().filter(|entry| fits(name, &entry.name));
    let paths: Vec<String> = paths.map(|entry| format!("{}/{}", folder.trim_end_matches('/'), entry.name)).collect();
    let stats: Vec<Op> = paths.iter().map(|path| Op::Stat { path: path.clone() }).collect();
    let answers = if stats.is_empty() { Vec::new() } else { host.perform(Place::Node, &stats)? };
    let found = paths.iter().zip(answers).filter_map(|(path, answer)| match answer {
        Ok(OpValue::Stat(Some(stat))) => {
            let (major, minor) = stat.device?;
            Some(from_json(&json!({ "path": path, "major": major, "minor": minor })))
        }
        _ => None,
    });
    Ok(found.collect::<rhai::Array>().into())
}
