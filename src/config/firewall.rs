//! Firewall rules and policies of the node, of guests and of stacks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::asked::Kind;
use super::decode::Fields;
use super::json::Data;
use crate::finding::{Finding, did_you_mean};
use crate::model::{Cidr, Direction, Firewall, FirewallAction, FirewallRule};
use crate::pve::firewall::{FLAGS, LOG_LEVELS, MACROS, MOST_PORTS};

const ACTIONS: [(&str, FirewallAction); 3] =
    [("ACCEPT", FirewallAction::Accept), ("DROP", FirewallAction::Drop), ("REJECT", FirewallAction::Reject)];

const DIRECTIONS: [(&str, Direction); 2] = [("in", Direction::In), ("out", Direction::Out)];

/// Protocols that have ports, by name and by IANA's number.
const WITH_PORTS: [&str; 10] = ["tcp", "6", "udp", "17", "udplite", "136", "sctp", "132", "dccp", "33"];
/// Protocols that have types of messages.
const WITH_TYPES: [&str; 6] = ["icmp", "1", "ipv6-icmp", "icmpv6", "icmp6", "58"];

/// The `firewall` of a guest.
pub fn of_guest(fields: &Fields) -> Firewall {
    let Some(fields) = fields.map("firewall") else { return Firewall::default() };
    let flags = FLAGS.into_iter().filter_map(|name| Some((name, u8::from(fields.flag(name)?).to_string())));
    let levels = ["log_level_in", "log_level_out"].into_iter();
    let levels = levels.filter_map(|name| Some((name, log_level(&fields, name)?)));
    let firewall = Firewall {
        enabled: fields.flag_or("enabled", false),
        policy_in: fields.choice("default_input_policy", &ACTIONS),
        policy_out: fields.choice("default_output_policy", &ACTIONS),
        options: flags.chain(levels).map(|(name, value)| (name.to_owned(), value)).collect(),
        aliases: aliases(&fields),
        ipsets: ipsets(&fields),
        rules: rules(&fields, "rules"),
    };
    let named: BTreeSet<String> =
        firewall.aliases.keys().chain(firewall.ipsets.keys()).map(|name| name.to_lowercase()).collect();
    for (at, rule) in firewall.rules.iter().enumerate() {
        for (name, list) in [("source", &rule.source), ("dest", &rule.dest)] {
            let own = list.as_deref().and_then(|text| text.trim_start_matches('+').strip_prefix("guest/"));
            if let Some(unknown) = own.filter(|name| !named.contains(&name.to_lowercase())) {
                let finding = Finding::error("bad-rule", format!("this firewall has no alias or set `{unknown}`"))
                    .hint("declare it in `aliases` or `ipsets`, or name one of the node: dc/NAME");
                let place = fields.value.at(&format!("rules.{at}.{name}"));
                fields.file.report(finding, place.map_or(fields.place.clone(), |value| value.span.clone()));
            }
        }
    }
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
        ..Firewall::default()
    };
    fields.finish();
    firewall
}

fn log_level(fields: &Fields, name: &'static str) -> Option<String> {
    fields.choice(name, &LOG_LEVELS.map(|level| (level, level.to_owned())))
}

/// Names for an address or a network.
fn aliases(fields: &Fields) -> BTreeMap<String, String> {
    fields.key("aliases", Kind::Text);
    let mut found = BTreeMap::new();
    for member in fields.table("aliases") {
        let refuse = |what: String| {
            fields.file.report(Finding::error("bad-alias", what), member.value.span.clone());
        };
        match member.value.text() {
            _ if fields.file.is_recording() => {}
            _ if !is_name(&member.key, 64) => refuse(name_rule("an alias", &member.key)),
            Some(text) if is_ip(text) || text.parse::<Cidr>().is_ok() => {
                found.insert(member.key.clone(), text.to_owned());
            }
            _ => refuse(format!("the alias `{}` must be an address or a network", member.key)),
        }
    }
    found
}

/// Named sets of addresses, networks and aliases.
fn ipsets(fields: &Fields) -> BTreeMap<String, Vec<String>> {
    fields.key("ipsets", Kind::Texts);
    let mut found = BTreeMap::new();
    for member in fields.table("ipsets") {
        let refuse = |what: String, span: &std::ops::Range<usize>| {
            fields.file.report(Finding::error("bad-set", what), span.clone())
        };
        if fields.file.is_recording() {
            continue;
        }
        let Data::List(items) = &member.value.data else {
            refuse(
                format!("the set `{}` must be a list of text, found {}", member.key, member.value.kind()),
                &member.key_span,
            );
            continue;
        };
        if !is_name(&member.key, 64) {
            refuse(name_rule("a set", &member.key), &member.key_span);
        }
        let mut entries: Vec<String> = Vec::new();
        for item in items {
            let text = item.text().unwrap_or_default();
            let bare = text.strip_prefix('!').unwrap_or(text).trim();
            let everything = bare.parse::<Cidr>().is_ok_and(|cidr| cidr.prefix == 0);
            let alias = bare.rsplit_once('/').map_or(bare, |(_, name)| name);
            if everything || !(is_ip(bare) || bare.parse::<Cidr>().is_ok() || is_name(alias, 64)) {
                refuse(format!("a set holds addresses, networks below /0 and aliases, found `{text}`"), &item.span);
            } else {
                entries.push(text.replace(' ', ""));
            }
        }
        found.insert(member.key.clone(), entries);
    }
    found
}

/// A list of rules.
pub fn rules(fields: &Fields, name: &'static str) -> Vec<FirewallRule> {
    fields.maps(name).into_iter().filter_map(rule).collect()
}

fn rule(fields: Fields) -> Option<FirewallRule> {
    let group = fields.string("group");
    if group.is_none() {
        fields.require_here("type", "`in` or `out`, seen from the filtered machine");
        fields.require_here("action", "`ACCEPT`, `DROP` or `REJECT`");
    }
    let direction = fields.choice("type", &DIRECTIONS);
    let action = fields.choice("action", &ACTIONS);
    let rule = FirewallRule {
        direction: direction.unwrap_or_default(),
        action: action.unwrap_or_default(),
        group,
        macro_name: macro_name(&fields),
        interface: fields.string("iface"),
        source: fields.string("source"),
        dest: fields.string("dest"),
        protocol: fields.string("proto"),
        port: fields.string("port"),
        source_port: fields.string("source_port"),
        icmp_type: fields.string("icmp_type"),
        log: log_level(&fields, "log"),
        disabled: !fields.flag_or("enabled", true),
        comment: fields.string("comment"),
    };
    for name in ["source", "dest"] {
        addresses(&fields, name);
    }
    for name in ["port", "source_port"] {
        ports(&fields, name);
    }
    words(
        &fields,
        "proto",
        |word| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "a protocol like tcp, udp or icmp",
    );
    fit_together(&fields, &rule);
    fields.finish();
    let whole = rule.group.is_some() || direction.and(action).is_some();
    whole.then_some(rule)
}

/// The macro in Proxmox's spelling.
fn macro_name(fields: &Fields) -> Option<String> {
    let written = fields.text("macro")?;
    let found = MACROS.iter().find(|known| known.eq_ignore_ascii_case(written));
    if found.is_none() {
        let mut finding = Finding::error("bad-rule", format!("Proxmox knows no macro `{written}`"));
        finding.hint = did_you_mean(written, MACROS).map(|near| format!("did you mean `{near}`?"));
        fields.file.report(finding, fields.span("macro"));
    }
    found.map(|name| (*name).to_owned())
}

/// What Proxmox says against parts that stand beside each other; it skips such a rule with nothing but a line in its
/// log.
fn fit_together(fields: &Fields, rule: &FirewallRule) {
    let refuse = |name: &str, what: &str, hint: &str| {
        fields.file.report(Finding::error("bad-rule", what).hint(hint), fields.span(name));
    };
    if let Some(group) = &rule.group {
        if !is_name(group, 18) {
            refuse("group", &name_rule("a group", group), "a security group of the node's firewall");
        }
        let others = ["type", "action", "macro", "source", "dest", "proto", "port", "source_port", "icmp_type", "log"];
        if let Some(other) = others.into_iter().find(|name| fields.value.get(name).is_some()) {
            refuse(other, &format!("`{other}` has no effect beside `group`"), "the group's own rules say it");
        }
        return;
    }
    let protocol = rule.protocol.as_deref().map(str::to_lowercase);
    if rule.macro_name.is_some() {
        if let Some(own) = ["proto", "port"].into_iter().find(|name| fields.value.get(name).is_some()) {
            refuse(own, &format!("`{own}` stands beside `macro`"), "the macro says protocol and ports itself");
        }
    } else {
        for (name, text) in [("port", &rule.port), ("source_port", &rule.source_port)] {
            match &protocol {
                _ if text.is_none() => {}
                None => refuse(
                    name,
                    &format!("a rule with `{name}` needs `proto`"),
                    "Proxmox ignores such a rule; add \"proto\": \"tcp\" or \"udp\"",
                ),
                Some(protocol) if !WITH_PORTS.contains(&protocol.as_str()) => {
                    refuse(name, &format!("{protocol} has no ports"), "ports are of tcp, udp, udplite, sctp and dccp");
                }
                Some(_) => {}
            }
        }
    }
    if rule.icmp_type.is_some() && !protocol.as_deref().is_some_and(|protocol| WITH_TYPES.contains(&protocol)) {
        refuse("icmp_type", "`icmp_type` needs `proto`", "add \"proto\": \"icmp\" or \"ipv6-icmp\"");
    }
    let families: BTreeSet<bool> =
        [&rule.source, &rule.dest].into_iter().flatten().filter_map(|text| family(text)).collect();
    if families.len() > 1 {
        refuse("dest", "`source` and `dest` mix IPv4 and IPv6", "write one rule for each");
    }
}

/// Whether the addresses of a list are IPv4; absent: they are names, or none.
fn family(text: &str) -> Option<bool> {
    let first = text.split(',').next()?.trim();
    let address = first.split(['/', '-']).next()?;
    address.parse::<IpAddr>().ok().map(|address| address.is_ipv4())
}

/// `source` or `dest`: one name of an alias or set, one range, or a list of addresses and networks of one family.
fn addresses(fields: &Fields, name: &str) {
    words(fields, name, is_address, "an address, a network, a range, or the name of an alias or set");
    let Some(text) = fields.value.get(name).and_then(|value| value.text()) else { return };
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let families: BTreeSet<bool> = items.iter().filter_map(|item| family(item)).collect();
    if families.len() > 1 {
        fields.reject("bad-rule", name, "mixes IPv4 and IPv6: write one rule for each");
    }
    let alone = |item: &&&str| item.contains('-') || !(is_ip(item) || item.parse::<Cidr>().is_ok());
    if let Some(item) = items.iter().find(alone).filter(|item| items.len() > 1 && is_address(item)) {
        fields.reject(
            "bad-rule",
            name,
            format!(
                "is a list, in which Proxmox takes addresses and networks only: write a rule of its own for `{item}`"
            ),
        );
    }
}

fn ports(fields: &Fields, name: &str) {
    words(fields, name, is_port, "ports like 443, 8000:8100 or ssh");
    let Some(text) = fields.value.get(name).and_then(|value| value.text()) else { return };
    let slots: usize = text.split(',').map(|word| if word.contains(':') { 2 } else { 1 }).sum();
    if slots > MOST_PORTS {
        let what = format!("holds {slots} ports, a range counting as two: Proxmox takes {MOST_PORTS}; write two rules");
        fields.reject("bad-rule", name, what);
    }
}

/// Reports the first word of a comma-separated field that is not what is expected.
fn words(fields: &Fields, name: &str, fits: impl Fn(&str) -> bool, expected: &str) {
    let Some(text) = fields.value.get(name).and_then(|value| value.text()) else { return };
    if let Some(word) = text.split(',').map(str::trim).find(|word| word.is_empty() || !fits(word)) {
        fields.reject("bad-rule", name, format!("must be {expected}, found `{word}`"));
    }
}

fn name_rule(what: &str, name: &str) -> String {
    let most = if what == "a group" { 18 } else { 64 };
    format!("`{name}` cannot be the name of {what}: a letter, then letters, digits, `_` and `-`, at most {most}")
}

/// A name of Proxmox's firewall.
fn is_name(word: &str, most: usize) -> bool {
    (2..=most).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Part of a rule's `source` or `dest`.
fn is_address(word: &str) -> bool {
    let range = word.split_once('-').is_some_and(|(from, to)| is_ip(from) && is_ip(to));
    let name = word.strip_prefix('+').unwrap_or(word);
    let scopes: &[&str] = if word.starts_with('+') { &["dc/", "guest/", "sdn/"] } else { &["dc/", "guest/"] };
    let bare = scopes.iter().find_map(|scope| name.strip_prefix(scope)).unwrap_or(name);
    is_ip(word) || word.parse::<Cidr>().is_ok() || range || is_name(bare, 64)
}

/// Part of a rule's `port`.
fn is_port(word: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let range =
        word.split_once(':').is_some_and(|(from, to)| number(from).zip(number(to)).is_some_and(|(a, b)| a <= b));
    let service = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    number(word).is_some() || range || service
}
