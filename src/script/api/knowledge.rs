//! What a script may know beyond its machine: the declared site, secrets, artifacts, its own assets.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::json;

use super::facts::fqdn;
use super::given::from_json;
use super::signature::{Kind, Signature, Type, optional, required};
use super::{Answer, Given, Verb, verb};
use crate::machine::Generate;
use crate::model::{Guest, GuestId, Role, Site};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};
use crate::secret::SecretName;

/// The declared site in a script's hand.
#[derive(Clone)]
pub(super) struct SiteView(Arc<Site>);

const SITE: &[Type] = &[Type::Site];
const MACHINE: &[Type] = &[Type::Guest, Type::Node];

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        Signature::function("secret", "A secret of the store, as an opaque text: shown nowhere, put in by verbs only.")
            .takes(&[required("name", Kind::Text, "name in the store")])
            .options(&[
                optional("generate", Kind::Int, "made with so many characters if the store has none"),
                optional("charset", Kind::Text, "characters to choose from; letters and digits if not given"),
            ])
            .returns(Type::Text)
            .errors(&["when the store has none of this name and `generate` is not given"])
            .example(
                r#"let token = secret("web_token", #{ generate: 40 });
guest.file("/etc/web.env", #{ content: "TOKEN=" + token, mode: "0600" });"#,
            ),
        secret,
    ),
    verb(
        Signature::function(
            "artifact",
            "What another guest's script published, as an opaque text. Declare it in `consumes`.",
        )
        .takes(&[required("name", Kind::Text, "the artifact")])
        .options(&[optional("from", Kind::Any, "id or name of the publisher, if there are several")])
        .returns(Type::Text)
        .errors(&[
            "when `consumes` does not list it",
            "when no guest that this one depends on has published it",
            "when several have, and `from` says not which",
        ])
        .example(r#"guest.file("/etc/ssl/platform.crt", #{ content: artifact("step_ca/root.crt") });"#),
        |given| {
            let name = given.text("name")?;
            let from = match given.dynamic("from") {
                Some(word) => Some(guest_by(&given.run.site, &word)?.id),
                None => None,
            };
            let value = given.run.artifact(&name, from)?;
            Ok(given.run.state().vault.artifact(&name, value).into())
        },
    ),
    verb(
        Signature::method(
            MACHINE,
            "publish",
            "Publishes a file's text, or a value, as an artifact. Declare it in `publishes`.",
        )
        .takes(&[required("name", Kind::Text, "the artifact"), optional("path", Kind::Path, "a file of the machine")])
        .options(&[optional("value", Kind::Text, "instead of a file: the value itself")])
        .changes()
        .errors(&["when `publishes` does not list it", "when there is no such file"])
        .example(r#"guest.publish("web/url", #{ value: `http://${guest.fqdn}/` });"#),
        publish,
    ),
    verb(
        Signature::function("asset", "The text of a file in the folder beside the script.")
            .takes(&[required("path", Kind::Text, "path below that folder")])
            .returns(Type::Text)
            .errors(&["when there is no such file, or it is no text"])
            .example(r#"guest.file("/etc/motd", #{ content: asset("motd") + guest.name });"#),
        |given| Ok(given.run.asset_text(&given.text("path")?)?.into()),
    ),
    verb(
        Signature::function("config", "A value of the hypervisor's configuration file.")
            .takes(&[
                required("path", Kind::Text, "dotted path, such as `network.gateway`"),
                optional("fallback", Kind::Any, "answered when there is none; `()` if not given"),
            ])
            .returns(Type::Any)
            .example(r#"info("guests of this node are behind " + (config("network.gateway") ?? "nobody"));"#),
        |given| {
            let path = given.text("path")?;
            let found = path.split('.').try_fold(&given.run.site.node.raw, |value, part| value.get(part));
            Ok(match found {
                Some(value) => from_json(value),
                None => given.dynamic("fallback").unwrap_or_default(),
            })
        },
    ),
    verb(
        Signature::function(
            "provisioner",
            "The key with which phoenix asks for certificates, as the authority's provisioner: its public half.",
        )
        .returns(Type::Map)
        .example(r#"guest.json("/etc/provisioners.json", [provisioner()]);"#),
        |given| {
            let key = given.run.secrets.provisioner_key()?;
            Ok(from_json(&json!({ "type": "JWK", "name": key.name(), "key": key.public_jwk() })))
        },
    ),
    verb(
        Signature::function("site", "The declared site.")
            .returns(Type::Site)
            .example(r#"guest.line("/etc/resolv.conf", "search " + site().domain, #{ matching: "^search " });"#),
        |given| Ok(Dynamic::from(SiteView(Arc::clone(&given.run.site)))),
    ),
    verb(Signature::property(SITE, "domain", Type::Text, "Internal DNS suffix."), |given| {
        Ok(site(given)?.domain.clone().into())
    }),
    verb(
        Signature::property(SITE, "services", Type::Array, "Names that the router publishes as `NAME.DOMAIN`."),
        |given| {
            let site = site(given)?;
            let names = site.guests.values().filter_map(|guest| guest.traefik_service.as_ref());
            Ok(names.map(|service| Dynamic::from(service.name.clone())).collect::<rhai::Array>().into())
        },
    ),
    verb(
        Signature::method(SITE, "guest", "A declared guest: `#{ id, name, kind, ip, fqdn, features, roles }`.")
            .takes(&[required("guest", Kind::Any, "id or name")])
            .returns(Type::Record(&["id", "name", "kind", "ip", "fqdn", "features", "roles"]))
            .errors(&["when no guest of this id or name is declared"])
            .example(
                r#"let self = site().guest(guest.id);
guest.hosts(self.fqdn, self.ip);"#,
            ),
        |given| {
            let site = site(given)?;
            Ok(shown(guest_by(&site, &given.dynamic("guest").unwrap_or_default())?, &site))
        },
    ),
    verb(
        Signature::method(SITE, "with_role", "Declared guests with a role.")
            .takes(&[required("role", Kind::Text, "`ca`, `router`, `gateway` ...")])
            .returns(Type::Array)
            .example(
                r#"for gateway in site().with_role("gateway") {
    guest.hosts(gateway.fqdn, gateway.ip);
}"#,
            ),
        |given| {
            let site = site(given)?;
            let role = role(&given.text("role")?);
            Ok(site.with_role(&role).map(|guest| shown(guest, &site)).collect::<rhai::Array>().into())
        },
    ),
    verb(
        Signature::method(
            SITE,
            "with_feature",
            "Declared guests that have a feature, or inherit it from what they are cloned from.",
        )
        .takes(&[required("feature", Kind::Text, "the feature")])
        .returns(Type::Array)
        .example(
            r#"let hosts = site().with_feature("docker").map(|host| host.fqdn);
guest.file("/etc/docker-hosts", #{ content: hosts.join("\n") });"#,
        ),
        |given| {
            let site = site(given)?;
            let feature = given.text("feature")?;
            let guests = site.guests.values().filter(|guest| site.has_feature(guest.id, &feature));
            Ok(guests.map(|guest| shown(guest, &site)).collect::<rhai::Array>().into())
        },
    ),
];

fn site(given: &Given<Arc<Run>>) -> Result<Arc<Site>, Raised> {
    match given.subject.read_lock::<SiteView>() {
        Some(view) => Ok(Arc::clone(&view.0)),
        None => Err(Thrown::invalid("called on something else than `site()`").into()),
    }
}

fn role(word: &str) -> Role {
    match word {
        "ca" => Role::Ca,
        "router" => Role::Router,
        "gateway" => Role::Gateway,
        "portainer" => Role::Portainer,
        "docker" => Role::Docker,
        other => Role::Other(other.to_owned()),
    }
}

fn role_word(role: &Role) -> String {
    match serde_json::to_value(role) {
        Ok(serde_json::Value::String(word)) => word,
        _ => format!("{role:?}"),
    }
}

fn guest_by<'a>(site: &'a Site, word: &Dynamic) -> Result<&'a Guest, Raised> {
    let found = match word.as_int() {
        Ok(id) => u32::try_from(id).ok().and_then(|id| GuestId::try_from(id).ok()).and_then(|id| site.guest(id)),
        Err(_) => site.find(&word.to_string()),
    };
    found.ok_or_else(|| Thrown::invalid(format!("no guest `{word}` is declared")).into())
}

fn shown(guest: &Guest, site: &Site) -> Dynamic {
    from_json(&json!({
        "id": guest.id,
        "name": guest.name,
        "kind": guest.kind,
        "ip": guest.ip(),
        "fqdn": fqdn(guest, &site.domain),
        "features": guest.features,
        "roles": guest.roles.iter().map(role_word).collect::<Vec<_>>(),
    }))
}

fn secret(given: &Given<Arc<Run>>) -> Answer {
    let name = SecretName(given.text("name")?);
    let value = match given.maybe_int("generate") {
        None => given.run.secrets.get(&name)?,
        Some(length) => {
            let length =
                usize::try_from(length).ok().filter(|length| (8..=1024).contains(length)).ok_or_else(|| {
                    Thrown::invalid(format!("`generate` of `secret` cannot be {length}: 8 to 1024 characters"))
                })?;
            let mut how = Generate { length, ..Generate::default() };
            if let Some(charset) = given.maybe_text("charset")? {
                how.charset = charset;
            }
            given.run.secrets.get_or_generate(&name, &how)?
        }
    };
    Ok(given.run.state().vault.secret(&name, value).into())
}

fn publish(given: &Given<Arc<Run>>) -> Answer {
    let name = given.text("name")?;
    let value = match (given.maybe_text("path")?, given.maybe_text("value")?) {
        (Some(path), None) => given.run.machine.publish(&path)?,
        (None, Some(value)) => value,
        _ => return Err(Thrown::invalid("`publish` takes a path or `#{ value: ... }`").into()),
    };
    given.run.publish(&name, value)?;
    Ok(Dynamic::UNIT)
}
