//! The firewall of a guest, from its file.

use serde_json::{Map, Value, json};

use crate::model::{Direction, Firewall, FirewallAction, FirewallRule};
use crate::pve::firewall::{FLAGS, parse};

/// The field `firewall`; none where the file says more than it can.
pub(super) fn entry(text: &str) -> Option<Value> {
    let parsed = parse(text);
    let Firewall { enabled, policy_in, policy_out, options, aliases, ipsets, rules } = parsed.firewall;
    if !parsed.foreign.is_empty() {
        return None;
    }
    let mut entry = Map::new();
    entry.insert("enabled".to_owned(), enabled.into());
    for (field, policy) in [("default_input_policy", policy_in), ("default_output_policy", policy_out)] {
        entry.extend(policy.map(|policy| (field.to_owned(), word(policy).into())));
    }
    for (name, value) in options {
        let value = if FLAGS.contains(&name.as_str()) { Value::from(value == "1") } else { value.into() };
        entry.insert(name, value);
    }
    if !aliases.is_empty() {
        entry.insert("aliases".to_owned(), json!(aliases));
    }
    if !ipsets.is_empty() {
        entry.insert("ipsets".to_owned(), json!(ipsets));
    }
    if !rules.is_empty() {
        entry.insert("rules".to_owned(), rules.iter().map(rule).collect());
    }
    Some(Value::Object(entry))
}

fn word(action: FirewallAction) -> &'static str {
    match action {
        FirewallAction::Accept => "ACCEPT",
        FirewallAction::Drop => "DROP",
        FirewallAction::Reject => "REJECT",
    }
}

fn rule(rule: &FirewallRule) -> Value {
    let mut entry = Map::new();
    let mut say = |field: &str, value: Option<&str>| entry.extend(value.map(|value| (field.to_owned(), value.into())));
    match &rule.group {
        Some(group) => say("group", Some(group)),
        None => {
            say("type", Some(if rule.direction == Direction::In { "in" } else { "out" }));
            say("action", Some(word(rule.action)));
        }
    }
    for (field, value) in [
        ("macro", &rule.macro_name),
        ("iface", &rule.interface),
        ("source", &rule.source),
        ("dest", &rule.dest),
        ("proto", &rule.protocol),
        ("port", &rule.port),
        ("source_port", &rule.source_port),
        ("icmp_type", &rule.icmp_type),
        ("log", &rule.log),
        ("comment", &rule.comment),
    ] {
        say(field, value.as_deref());
    }
    if rule.disabled {
        entry.insert("enabled".to_owned(), false.into());
    }
    Value::Object(entry)
}
