//! `stacks/NAME/{docker-compose.yml, phoenix.json}`: Docker stacks.

use super::asked::Kind;
use super::decode::Fields;
use super::file::File;
use super::{firewall, mask, secrets};
use crate::model::{Stack, StackEnvironment, StackFile, StackValue};

/// Decodes a stack's manifest.
pub fn decode(name: &str, compose: &str, file: &File) -> Option<Stack> {
    let root = Fields::root(file)?;
    root.require("environments", "at least {\"production\": {}}");
    let mut stack = Stack {
        name: name.to_owned(),
        description: root.string("description").unwrap_or_default(),
        compose: compose.to_owned(),
        environments: Default::default(),
    };
    for member in root.table("environments") {
        if let Some(fields) = root.entry("environments", member) {
            stack.environments.insert(member.key.clone(), environment(fields, name));
        }
    }
    root.finish();
    Some(stack)
}

fn environment(fields: Fields, stack: &str) -> StackEnvironment {
    let mut environment = StackEnvironment {
        variables: fields.maps("variables").into_iter().filter_map(|fields| variable(fields, stack)).collect(),
        files: fields.maps("files").into_iter().filter_map(file).collect(),
        labels: Default::default(),
        firewall_rules: firewall::rules(&fields, "firewall_rules"),
    };
    for member in fields.table("services") {
        if let Some(service) = fields.entry("services", member) {
            environment.labels.insert(member.key.clone(), service.strings("traefik_labels"));
            service.finish();
        }
    }
    fields.finish();
    environment
}

/// A variable whose name says that it is a secret may not have its value here.
fn variable(fields: Fields, stack: &str) -> Option<(String, StackValue)> {
    fields.require("name", "the variable's name");
    let name = fields.string("name").unwrap_or_default();
    let member = fields.member("value", Kind::TextOrSecret);
    let value = match member.map(|member| &member.value) {
        None => Some(StackValue::Text(String::new())),
        Some(value) => match (secrets::named(value), value.text()) {
            (Some(secret), _) => Some(StackValue::Secret(secret)),
            (None, Some(_)) if mask::is_sensitive(&name) => {
                let stored_as = format!("{stack}_{}", name.to_lowercase());
                fields.file.lapse(secrets::plaintext(&name, &stored_as), value.span.clone());
                crate::model::SecretRef::new(stored_as).map(StackValue::Secret)
            }
            (None, Some(text)) => Some(StackValue::Text(text.to_owned())),
            (None, None) => {
                fields.reject("wrong-type", "value", format!("must be text or a secret, found {}", value.kind()));
                None
            }
        },
    };
    fields.finish();
    value.filter(|_| !name.is_empty()).map(|value| (name, value))
}

fn file(fields: Fields) -> Option<StackFile> {
    fields.require("source", "a path relative to the stack's folder");
    fields.require("destination_in_container", "the absolute path inside the container");
    let paths = fields.string("source").zip(fields.string("destination_in_container"));
    fields.finish();
    paths.map(|(source, destination)| StackFile { source, destination })
}
