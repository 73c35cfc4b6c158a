//! Firewall rules and policies of the node, of guests and of stacks.

use super::decode::Fields;
use crate::finding::Finding;
use crate::model::{Direction, Firewall, FirewallAction, FirewallRule};

const ACTIONS: [(&str, FirewallAction); 3] =
    [("ACCEPT", FirewallAction::Accept), ("DROP", FirewallAction::Drop), ("REJECT", FirewallAction::Reject)];

const DIRECTIONS: [(&str, Direction); 2] = [("in", Direction::In), ("out", Direction::Out)];

/// The `firewall` of a guest.
pub fn of_guest(fields: &Fields) -> Firewall {
    let Some(fields) = fields.map("firewall") else { return Firewall::default() };
    let firewall = Firewall {
        enabled: fields.flag("enabled").unwrap_or_default(),
        rules: rules(&fields, "rules"),
        ..Firewall::default()
    };
    fields.finish();
    firewall
}

/// The `firewall` of the whole node.
pub fn of_node(fields: Fields) -> Firewall {
    let firewall = Firewall {
        enabled: fields.flag("enabled").unwrap_or_default(),
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
    fields.finish();
    direction.and(action).map(|_| rule)
}
