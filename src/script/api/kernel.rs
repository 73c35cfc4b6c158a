//! Verbs about the kernel and the life of the machine: restarts and modules.

use std::sync::Arc;

use super::signature::{Kind, Signature, Type, optional, required};
use super::{Answer, Given, Verb, verb};
use crate::machine::Change;
use crate::machine::{REBOOT_TIMEOUT, Reboot};
use crate::script::context::Run;

const GUEST: &[Type] = &[Type::Guest];
const MACHINE: &[Type] = &[Type::Guest, Type::Node];

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        Signature::method(
            GUEST,
            "reboot",
            "Restarts the guest and waits until it is back. What runs after it sees the machine anew. Give it a guard.",
        )
        .options(&[
            optional("when", Kind::Bool, "restarted only if true, such as `.changed` of a change; true if not given"),
            optional("only_if", Kind::Command, "restarted only if this program succeeds"),
            optional("unless", Kind::Command, "not restarted if this program succeeds"),
            optional("watch", Kind::Texts, "restarted only if these files differ from those of the last restart"),
            optional("timeout", Kind::Seconds, "so long it may take to go, and to come back; 300 seconds if not given"),
        ])
        .returns(Type::Change)
        .changes()
        .errors(&[
            "when the guest does not go, or does not come back in time",
            "at the fourth restart by the same script",
        ])
        .example(r#"guest.reboot(#{ only_if: "test -e /run/reboot-required" });"#),
        reboot,
    ),
    verb(
        Signature::method(
            MACHINE,
            "module_load",
            "A module of the kernel, now and at boot. Not in containers: they share the node's kernel.",
        )
        .takes(&[required("name", Kind::Text, "the module")])
        .options(&[optional(
            "parameters",
            Kind::Settings,
            "its parameters; of a module that is loaded they count from its next load",
        )])
        .returns(Type::Change)
        .changes()
        .errors(&["in containers", "when the kernel has no such module"])
        .example(
            r#"if guest.kind == "vm" {
    guest.module_load("nbd", #{ parameters: #{ max_part: 8 } });
}"#,
        ),
        |given| {
            let parameters = given.plain_map("parameters")?;
            given.run.changed(given.run.machine.module_load(&given.text("name")?, &parameters)?)
        },
    ),
];

fn reboot(given: &Given<Arc<Run>>) -> Answer {
    let options = Reboot {
        unless: given.command("unless")?,
        only_if: given.command("only_if")?,
        watch: given.texts("watch")?,
        timeout: given.maybe_seconds("timeout").unwrap_or(REBOOT_TIMEOUT),
    };
    match given.maybe_bool("when") {
        Some(false) => given.run.changed(Change::none("reboot")),
        _ => given.run.changed(given.run.machine.reboot(&options)?),
    }
}
