//! What program models (`NAME.model.rhai`) can call: a plain look into the modelled machine, and the doubles.

use rhai::{Dynamic, Position};

use super::given::{from_json, to_json};
use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Context, Given, Verb, verb};
use crate::op::{Attributes, Content, Op, OpValue};
use crate::script::error::{Raised, Thrown};
use crate::script::models::Calling;
use crate::secret::Sealed;

/// The modelled machine in a model's hand; whatever it does goes through the [`Calling`] that the engine's tag holds.
#[derive(Clone, Copy)]
pub(crate) struct ModelMachine;

const ON: &[Type] = &[Type::Model];
const PATH: Parameter = required("path", Kind::Path, "where in the machine");

pub(super) const VERBS: &[Verb<Calling>] = &[
    verb(Signature::property(ON, "name", Type::Text, "Host name."), |given| Ok(given.run.identity.name.clone().into())),
    verb(Signature::property(ON, "id", Type::Any, "The guest's id, or `()` on the node."), |given| {
        Ok(given.run.identity.id.map_or(Dynamic::UNIT, |id| i64::from(id.get()).into()))
    }),
    verb(Signature::property(ON, "ip", Type::Any, "First address, or `()`."), |given| {
        Ok(given.run.identity.ip.map_or(Dynamic::UNIT, |ip| ip.to_string().into()))
    }),
    verb(Signature::property(ON, "env", Type::Map, "Environment that the program was given."), |given| {
        let env = given.run.call.env.iter();
        Ok(Dynamic::from_map(env.map(|(name, value)| (name.as_str().into(), value.clone().into())).collect()))
    }),
    verb(Signature::property(ON, "stdin", Type::Text, "Standard input of the program."), |given| {
        Ok(given.run.call.stdin.clone().into())
    }),
    verb(Signature::property(ON, "user", Type::Text, "User that the program runs as."), |given| {
        Ok(given.run.call.user.clone().into())
    }),
    verb(Signature::property(ON, "cwd", Type::Text, "Working directory of the program."), |given| {
        Ok(given.run.call.cwd.clone().into())
    }),
    verb(
        Signature::method(ON, "read", "A file's text, or `()` if there is none.")
            .takes(&[PATH])
            .returns(Type::Any)
            .example(
                r#"let state = machine.read("/var/lib/tool/state") ?? "none";
return "state: " + state;"#,
            ),
        |given| match op(given, Op::Read { path: given.text("path")?, limit: 1 << 20 })? {
            OpValue::Bytes(Some(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned().into()),
            _ => Ok(Dynamic::UNIT),
        },
    ),
    verb(
        Signature::method(ON, "exists", "Whether anything is at a path.").takes(&[PATH]).returns(Type::Bool).example(
            r#"if !machine.exists("/etc/tool.conf") {
    return #{ code: 1, stderr: "no configuration" };
}"#,
        ),
        |given| Ok(matches!(op(given, Op::Stat { path: given.text("path")? })?, OpValue::Stat(Some(_))).into()),
    ),
    verb(
        Signature::method(ON, "write", "A file, with the directories above it.")
            .takes(&[PATH, required("text", Kind::Text, "the whole text")])
            .options(&[
                optional("mode", Kind::Mode, "permission bits"),
                optional("owner", Kind::Text, "user name"),
                optional("group", Kind::Text, "group name"),
            ])
            .example(
                r#"machine.write("/var/lib/tool/state", "ready", #{ mode: "0600" });
return "";"#,
            ),
        |given| {
            let path = given.text("path")?;
            if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
                op(given, Op::MakeDir { path: above.to_owned(), attributes: Attributes::default() })?;
            }
            let mode = given.maybe_text("mode")?.and_then(|mode| u32::from_str_radix(&mode, 8).ok());
            let attributes = Attributes { mode, owner: given.maybe_text("owner")?, group: given.maybe_text("group")? };
            let content = Content::Text(Sealed::plain(given.text("text")?));
            op(given, Op::Write { path, content, attributes, guard: None })?;
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::method(ON, "remove", "Nothing at a path, whatever was there.").takes(&[PATH]).example(
            r#"machine.remove("/var/lib/tool");
return "";"#,
        ),
        |given| {
            op(given, Op::Remove { path: given.text("path")?, recursive: true })?;
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::method(ON, "has_package", "Whether a Debian package is installed.")
            .takes(&[required("name", Kind::Text, "the package")])
            .returns(Type::Bool)
            .example(
                r#"if !machine.has_package("tool-plugins") {
    return #{ code: 1, stderr: "there are no plugins" };
}"#,
            ),
        |given| {
            let name = given.text("name")?;
            Ok(matches!(op(given, Op::Packages)?, OpValue::Packages(all) if all.contains_key(&name)).into())
        },
    ),
    verb(
        Signature::method(ON, "unit_is_active", "Whether a unit is active.")
            .takes(&[required("name", Kind::Text, "the unit")])
            .returns(Type::Bool)
            .example(r#"return if machine.unit_is_active("tool.service") { "running" } else { "stopped" };"#),
        |given| {
            let names = vec![given.text("name")?];
            let active = match op(given, Op::Units { names })? {
                OpValue::Units(units) => units.iter().any(|unit| unit.active == "active"),
                _ => false,
            };
            Ok(active.into())
        },
    ),
    verb(
        Signature::method(
            ON,
            "double",
            "Asks a double of a service to do something to this machine. Its refusal is the program's failure.",
        )
        .takes(&[
            required("service", Kind::Text, "`ca`, `traefik`, `nginx`, `docker`"),
            required("verb", Kind::Text, "what to do"),
            required("options", Kind::Data, "with what"),
        ])
        .returns(Type::Any)
        .errors(&["when there is no such double, or it has no such verb", "as the program whose double it is"])
        .example(r#"return machine.double("nginx", "test", #{ argv: ["nginx", "-t"] });"#),
        |given| {
            let options = to_json(&given.dynamic("options").unwrap_or_default())?;
            let answer = given.run.double(given.text("service")?, given.text("verb")?, options)?;
            answer.map(|value| from_json(&value)).map_err(|words| Thrown::new("double", words).into())
        },
    ),
];

fn op(given: &Given<Calling>, op: Op) -> Result<OpValue, Raised> {
    let shown = op.to_string();
    given.run.perform(op)?.map_err(|error| Thrown::new("machine", format!("{shown}: {error}")).into())
}

impl Context for Calling {
    fn begins(&self, _: &'static Signature, _: Option<&str>, _: Position) -> Result<(), Raised> {
        Ok(())
    }

    fn resolve(&self, text: &str) -> Result<Sealed, Raised> {
        Ok(Sealed::plain(text))
    }
}
