//! `compose`.

use std::sync::Arc;

use super::signature::{Kind, Signature, Type, optional, required};
use super::{Answer, Given, Verb, verb};
use crate::machine::{self, COMPOSE_TIMEOUT, Compose, SealedJson};
use crate::script::context::Run;
use crate::script::error::{Raised, Thrown};
use crate::secret::Sealed;

const MACHINE: &[Type] = &[Type::Guest, Type::Node];

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[verb(
    Signature::method(
        MACHINE,
        "compose",
        "A Docker Compose project, up as its file says. Asks the containers too, not only the files.",
    )
    .takes(&[required("name", Kind::Text, "name of the project")])
    .options(&[
        optional("content", Kind::Content, "the compose file; may hold secrets"),
        optional("source", Kind::Text, "instead of `content`: a file beside the script"),
        optional("vars", Kind::Data, "variables: `source` is a template (Jinja syntax)"),
        optional("env", Kind::Contents, "variables that the compose file refers to; may hold secrets, kept in `.env`"),
        optional("dir", Kind::Path, "directory of its files; `/etc/phoenix/compose/NAME` if not given"),
        optional("watch", Kind::Texts, "files that containers read: when they differ, containers are made anew"),
        optional("timeout", Kind::Seconds, "until every service runs and is healthy; 300 if not given"),
        optional("absent", Kind::Bool, "whether it shall not be there (volumes stay); false if not given"),
    ])
    .returns(Type::Change)
    .changes()
    .errors(&[
        "when docker or its compose plugin is missing",
        "when the file is not valid: the old one stays",
        "when a service does not run in time: the error has its last log lines",
    ])
    .example(
        r#"guest.compose("web", #{
    source: "compose.yaml",
    env: #{ TOKEN: secret("web_token", #{ generate: 32 }) },
});"#,
    ),
    compose,
)];

fn compose(given: &Given<Arc<Run>>) -> Answer {
    let (name, dir) = (given.text("name")?, given.maybe_text("dir")?);
    if given.maybe_bool("absent").unwrap_or(false) {
        return given.run.changed(given.run.machine.compose_absent(&name, dir.as_deref())?);
    }
    let project = Compose {
        content: content(given)?,
        env: given.sealed_map("env")?,
        dir,
        watch: given.texts("watch")?,
        timeout: given.maybe_seconds("timeout").unwrap_or(COMPOSE_TIMEOUT),
    };
    given.run.changed(given.run.machine.compose(&name, &project)?)
}

/// The compose file, by one of the ways to give it.
fn content(given: &Given<Arc<Run>>) -> Result<Sealed, Raised> {
    match (given.maybe_sealed("content")?, given.maybe_text("source")?, given.data("vars")?) {
        (Some(content), None, None) => Ok(content),
        (None, Some(source), None) => Ok(Sealed::plain(given.run.asset_text(&source)?)),
        (None, Some(source), Some(vars)) => {
            let vars: SealedJson = given.run.resolve_json(&vars)?;
            Ok(machine::filled(&source, &given.run.asset_text(&source)?, &vars)?)
        }
        _ => Err(Thrown::invalid("`compose` takes `content`, or `source` with or without `vars`").into()),
    }
}
