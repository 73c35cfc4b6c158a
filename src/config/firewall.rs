//! Firewall rules and policies of the node, of guests and of stacks.

use std::net::IpAddr;

use super::decode::Fields;
use crate::finding::Finding;
use crate::model::{Cidr, Direction, Firewall, FirewallAction, FirewallRule};

const ACTIONS: [(&str, FirewallAction); 3] =
    [("ACCEPT", FirewallAction::Accept), ("DROP", FirewallAction::Drop), ("REJECT", FirewallAction::Reject)];

const DIRECTIONS: [(&str, Direction); 2] = [("in", Direction::In), ("out", Direction::Out)];

/// The `firewall` of a guest.
pub fn of_guest(fields: &Fields) -> Firewall {
    let Some(fields) = fields.map("firewall") else { return Firewall::default() };
    let firewall =
        Firewall { enabled: fields.flag_or("enabled", false), rules: rules(&fields, "rules"), ..Firewall::default() };
    fields.finish();
    firewall
}

/// The `firewall` of the whole node.
pub fn of_node(fields: Fields) -> Firewall {
    let firewall = Firewall {
        enabled: fields.flag_or("enabled", false),
        policy_in: fields.choice("default_input_policy", &ACTIONS),
        policy_out: fields.choice("default_output_policy", &ACTIONS),
        rules: rules(&fields, "global_firewall_rules"),
    };
    fields.finish();
    firewall
}

/// A list of rules.
pub fn rules(fields: &Fields, name: &'static str) -> Vec<FirewallRule> {
    fields.maps(name).into_iter().filter_map(rule).collect()
}

fn rule(fields: Fields) -> Option<FirewallRule> {
    fields.require("type", "`in` or `out`, seen from the filtered machine");
    fields.require("action", "`ACCEPT`, `DROP` or `REJECT`");
    let direction = fields.choice("type", &DIRECTIONS);
    let action = fields.choice("action", &ACTIONS);
    let rule = FirewallRule {
        direction: direction.unwrap_or(Direction::In),
        action: action.unwrap_or(FirewallAction::Drop),
        interface: fields.string("iface"),
        source: fields.string("source"),
        dest: fields.string("dest"),
        protocol: fields.string("proto"),
        port: fields.string("port"),
        comment: fields.string("comment"),
    };
    if rule.port.is_some() && rule.protocol.is_none() {
        let finding = Finding::error("bad-rule", "a rule with `port` needs `proto`")
            .hint("Proxmox ignores such a rule; add \"proto\": \"tcp\" or \"udp\"");
        fields.file.report(finding, fields.span("port"));
    }
    for name in ["source", "dest"] {
        check(&fields, name, is_address, "an address, a network, a range, or the name of an alias or set");
    }
    check(&fields, "port", is_port, "ports like 443, 8000:8100 or ssh");
    check(
        &fields,
        "proto",
        |word| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "a protocol like tcp, udp or icmp",
    );
    fields.finish();
    direction.and(action).map(|_| rule)
}

/// Reports the first word of a comma-separated field that is not what is expected. Proxmox skips a broken rule with
/// nothing but a line in its log.
fn check(fields: &Fields, name: &str, fits: impl Fn(&str) -> bool, expected: &str) {
    let Some(text) = fields.value.get(name).and_then(|value| value.text()) else { return };
    if let Some(word) = text.split(',').map(str::trim).find(|word| word.is_empty() || !fits(word)) {
        fields.reject("bad-rule", name, format!("must be {expected}, found `{word}`"));
    }
}

/// Part of a rule's `source` or `dest`.
fn is_address(word: &str) -> bool {
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
    let range = word.split_once('-').is_some_and(|(from, to)| is_ip(from) && is_ip(to));
    let name = word.trim_start_matches('+');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/'));
    is_ip(word) || word.parse::<Cidr>().is_ok() || range || is_name
}

/// Part of a rule's `port`.
fn is_port(word: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let range = word.split_once(':').is_some_and(|(from, to)| number(from) && number(to));
    let service = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    number(word) || range || service
}
