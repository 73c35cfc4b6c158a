//! Verbs that wait for something, ask over HTTP, and get certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rhai::Dynamic;
use serde_json::json;

use super::given::from_json;
use super::signature::{Kind, Parameter, Signature, Type, optional, required};
use super::{Answer, Given, Verb, verb};
use crate::command::Effect;
use crate::machine::{Authority, CertificateSpec, Condition, Wait};
use crate::request::{Method, Request, Trust};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};

const MACHINE: &[Type] = &[Type::Guest, Type::Node];

/// Artifacts by which `certificate` finds the authority.
const ROOT: &str = "step_ca/root.crt";
const URL: &str = "step_ca/url";

const VERIFY: Parameter =
    optional("verify", Kind::Bool, "false believes anybody, for what makes its own certificate; true if not given");

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        Signature::method(MACHINE, "wait_for", "Waits until something holds: exactly one of these.")
            .options(&[
                optional("port", Kind::Port, "something listens on this TCP port of the machine"),
                optional("http", Kind::Url, "this URL answers with a status below 400, as the node sees it"),
                optional(
                    "roots",
                    Kind::Content,
                    "for `http`: certificates (PEM) to believe; the node's own if not given",
                ),
                VERIFY,
                optional("file", Kind::Path, "this path exists"),
                optional("command", Kind::Command, "this program succeeds"),
                optional("unit", Kind::Unit, "this unit is active"),
                optional("timeout", Kind::Seconds, "deadline; 60 seconds if not given"),
                optional("every", Kind::Seconds, "time between two questions; 1 second if not given"),
            ])
            .errors(&["at the deadline: the error says what was answered last"])
            .example(
                r#"guest.packages(["nginx"]);
guest.wait_for(#{ port: 80, timeout: 30 });"#,
            ),
        wait_for,
    ),
    verb(
        Signature::method(
            MACHINE,
            "http",
            "An HTTP request as the node sees the network. Answers `#{ status, body, headers }`.",
        )
        .takes(&[required("url", Kind::Url, "absolute URL")])
        .options(&[
            optional("roots", Kind::Content, "certificates (PEM) to believe; the node's own trust store if not given"),
            VERIFY,
            optional(
                "connect_to",
                Kind::Text,
                "`ADDRESS:PORT` to ask instead of where the URL's name resolves to; certificates are checked for the name",
            ),
            optional("method", Kind::Method, "`GET` if not given"),
            optional("headers", Kind::Contents, "headers besides the usual ones; may hold secrets"),
            optional("body", Kind::Content, "body; may hold secrets"),
            optional("timeout", Kind::Seconds, "time for the whole exchange; 10 seconds if not given"),
        ])
        .returns(Type::Record(&["status", "body", "headers"]))
        .errors(&["when nothing answers, or the certificate is not believed; any status is an answer"])
        .example(
            r#"guest.packages(["nginx"]);
let answer = guest.http(`http://${guest.ip}/`, #{ timeout: 5 });
if answer.status >= 500 {
    fail(`the web server answers ${answer.status}`);
}"#,
        ),
        http,
    ),
    verb(
        Signature::method(
            MACHINE,
            "certificate",
            "A certificate of the private authority and its key, renewed in time. The key stays in the machine.",
        )
        .takes(&[required("path", Kind::Path, "where the certificate goes, with its chain")])
        .options(&[
            required("names", Kind::Texts, "names and addresses; the first one is the subject"),
            required("key", Kind::Path, "where the key goes"),
            optional("owner", Kind::Text, "user of both files; root if not given"),
            optional("group", Kind::Text, "group of both files"),
            optional("mode", Kind::Mode, "permission bits of both files; if not given \"0644\", the key \"0600\""),
            optional("renew_before", Kind::Seconds, "renewed so long before its end; a third of its life if not given"),
            optional("lifetime", Kind::Seconds, "life asked for; the authority's own choice if not given"),
        ])
        .returns(Type::Change)
        .changes()
        .errors(&["when the authority does not answer, or refuses", "when what it answers is not what was asked for"])
        .example(
            r#"guest.certificate("/etc/ssl/web.crt", #{
    names: [guest.fqdn, guest.ip],
    key: "/etc/ssl/private/web.key",
});
guest.packages(["nginx"]);
guest.service("nginx.service", #{ watch: ["/etc/ssl/web.crt"], reload: true });"#,
        ),
        certificate,
    ),
];

fn trust(given: &Given<Arc<Run>>) -> Result<Trust, Raised> {
    Ok(match given.maybe_sealed("roots")? {
        Some(roots) => Trust::Roots(roots.expose().to_owned()),
        None if given.maybe_bool("verify") == Some(false) => Trust::Anybody,
        None => Trust::System,
    })
}

fn wait_for(given: &Given<Arc<Run>>) -> Answer {
    let mut conditions = Vec::new();
    conditions.extend(given.maybe_port("port").map(Condition::Port));
    if let Some(url) = given.maybe_text("http")? {
        conditions.push(Condition::Http(Box::new(Request::get(url).trust(trust(given)?))));
    }
    conditions.extend(given.maybe_text("file")?.map(Condition::File));
    if given.has("command") {
        conditions.push(Condition::Command(given.command("command")?));
    }
    conditions.extend(given.maybe_text("unit")?.map(Condition::Unit));
    let [condition] = conditions.as_slice() else {
        let problem = "`wait_for` waits for one of `port`, `http`, `file`, `command`, `unit`";
        return Err(Thrown::invalid(problem).into());
    };
    let usual = Wait::default();
    let wait = Wait {
        timeout: given.maybe_seconds("timeout").unwrap_or(usual.timeout),
        every: given.maybe_seconds("every").unwrap_or(usual.every),
    };
    given.run.machine.wait_for(condition, wait)?;
    Ok(Dynamic::UNIT)
}

fn http(given: &Given<Arc<Run>>) -> Answer {
    let method = match given.maybe_text("method")?.as_deref() {
        None | Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some("DELETE") => Method::Delete,
        Some(other) => return Err(Thrown::invalid(format!("`{other}` is no method of HTTP that is known here")).into()),
    };
    let effect = match method {
        Method::Get | Method::Head => Effect::Read,
        _ => Effect::Change,
    };
    if effect == Effect::Change {
        given.run.may_change(given.signature)?;
    }
    let request = Request {
        method,
        headers: given.sealed_map("headers")?.into_iter().collect(),
        body: given.maybe_sealed("body")?,
        connect_to: connect_to(given)?,
        trust: trust(given)?,
        timeout: given.maybe_seconds("timeout").unwrap_or(Duration::from_secs(10)),
        effect,
        ..Request::get(given.text("url")?)
    };
    let response = given.run.machine.http(&request)?;
    let headers: serde_json::Map<String, serde_json::Value> =
        response.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let body = String::from_utf8_lossy(&response.body);
    Ok(from_json(&json!({ "status": response.status, "body": body, "headers": headers })))
}

fn connect_to(given: &Given<Arc<Run>>) -> Result<Option<SocketAddr>, Raised> {
    let Some(text) = given.maybe_text("connect_to")? else { return Ok(None) };
    match text.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => Err(Thrown::invalid(format!("`{text}` is no `ADDRESS:PORT`")).into()),
    }
}

fn certificate(given: &Given<Arc<Run>>) -> Answer {
    let run = given.run;
    let authority = Authority { url: run.artifact(URL, None)?, root_pem: run.artifact(ROOT, None)? };
    let spec = CertificateSpec {
        names: given.texts("names")?,
        cert: given.text("path")?,
        key: given.text("key")?,
        attributes: super::files::attributes(given)?,
        renew_before: given.maybe_seconds("renew_before"),
        lifetime: given.maybe_seconds("lifetime"),
    };
    let key = run.secrets.provisioner_key()?;
    run.changed(run.machine.certificate(&spec, &authority, &key)?)
}
