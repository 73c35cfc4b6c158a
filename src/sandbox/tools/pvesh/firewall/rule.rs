//! Rules: read, made, changed, moved, removed; and what Proxmox has against one.

use serde_json::{Map, Value};

use super::super::super::{bad_parameter, not_modelled};
use super::{Files, is_name, unmodified, with_digest};
use crate::pve::argv::Call;
use crate::pve::firewall_file::{FirewallFile, Rule, ip_version, is_part};
use crate::pve::format::split_list;
use crate::sandbox::session::{Done, fail};

/// Protocols that have ports.
const WITH_PORTS: [&str; 10] = ["udp", "17", "udplite", "136", "tcp", "6", "dccp", "33", "sctp", "132"];

/// Names of `/etc/protocols` that rules use.
const PROTOCOLS: [&str; 26] = [
    "ip",
    "icmp",
    "igmp",
    "ggp",
    "ipencap",
    "st",
    "tcp",
    "egp",
    "igp",
    "pup",
    "udp",
    "hmp",
    "rdp",
    "dccp",
    "ipv6",
    "ipv6-route",
    "ipv6-frag",
    "gre",
    "esp",
    "ah",
    "ipv6-icmp",
    "icmpv6",
    "ospf",
    "vrrp",
    "sctp",
    "udplite",
];

/// Names of `/etc/services` that rules use.
const SERVICES: [&str; 40] = [
    "echo",
    "discard",
    "ftp-data",
    "ftp",
    "ssh",
    "telnet",
    "smtp",
    "time",
    "whois",
    "domain",
    "bootps",
    "bootpc",
    "tftp",
    "gopher",
    "finger",
    "http",
    "kerberos",
    "pop3",
    "sunrpc",
    "auth",
    "nntp",
    "ntp",
    "netbios-ns",
    "imap2",
    "snmp",
    "snmp-trap",
    "bgp",
    "irc",
    "ldap",
    "https",
    "microsoft-ds",
    "isakmp",
    "syslog",
    "printer",
    "submission",
    "ldaps",
    "imaps",
    "pop3s",
    "mysql",
    "postgresql",
];

/// Names of ICMP messages.
const ICMP: [&str; 36] = [
    "any",
    "echo-reply",
    "destination-unreachable",
    "network-unreachable",
    "host-unreachable",
    "protocol-unreachable",
    "port-unreachable",
    "fragmentation-needed",
    "source-route-failed",
    "network-unknown",
    "host-unknown",
    "network-prohibited",
    "host-prohibited",
    "TOS-network-unreachable",
    "TOS-host-unreachable",
    "communication-prohibited",
    "host-precedence-violation",
    "precedence-cutoff",
    "source-quench",
    "redirect",
    "network-redirect",
    "host-redirect",
    "TOS-network-redirect",
    "TOS-host-redirect",
    "echo-request",
    "router-advertisement",
    "router-solicitation",
    "time-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "ip-header-bad",
    "required-option-missing",
    "timestamp-request",
    "timestamp-reply",
    "address-mask-request",
];

/// Macros by name.
const MACROS: &str = "Amanda Auth BGP BitTorrent BitTorrent32 CVS Ceph Citrix DAAP DCC DHCPfwd DHCPv6 DNS Distcc FTP \
    Finger GNUnet GRE Git HKP HTTP HTTPS ICPV2 ICQ IMAP IMAPS IPIP IPsec IPsecah IPsecnat IRC Jetdirect L2TP LDAP LDAPS \
    MDNS MSNP MSSQL Mail Munin MySQL NNTP NNTPS NTP NeighborDiscovery OSPF OpenVPN PCA PMG POP3 POP3S PPtP Ping \
    PostgreSQL Printer RDP RIP RNDC Razor Rdate Rsync SANE SMB SMBswat SMTP SMTPS SNMP SPAMD SPICEproxy SSH SVN SixXS \
    Squid Submission Syslog TFTP Telnet Telnets Time Trcrt VNC VNCL Web Webcache Webmin Whois";

/// Which rules of a file.
pub(super) enum List {
    /// Those of its owner.
    Own,
    /// Those of a security group.
    Group(String),
}

impl List {
    fn of<'f>(&self, file: &'f mut FirewallFile) -> Done<&'f mut Vec<Rule>> {
        match self {
            List::Own => Ok(&mut file.rules),
            List::Group(name) => match file.groups.get_mut(name) {
                Some(group) => Ok(&mut group.entries),
                None => Err(fail(format!("no such security group '{name}'"))),
            },
        }
    }
}

/// Answers a request about rules.
pub(super) fn run(files: &mut Files, call: &Call, method: &str, list: &List, rest: &[&str]) -> Done<Value> {
    let rules = list.of(&mut files.own)?.clone();
    let group = matches!(list, List::Group(_));
    let objects: Vec<Map<String, Value>> = rules.iter().map(|rule| object(files, group, rule)).collect();
    let (mut shown, digest) = with_digest(objects);
    if method == "create" {
        let mut rule = Rule { enabled: call.option("enable").is_some_and(|word| word != "0"), ..Rule::default() };
        fill(&mut rule, call);
        accept(files, group, call, &mut rule)?;
        list.of(&mut files.own)?.insert(0, rule);
        return Ok(Value::Null);
    }
    let Some(word) = rest.first() else {
        for (at, item) in shown.iter_mut().enumerate() {
            item["pos"] = at.into();
        }
        return Ok(shown.into());
    };
    let message = format!("type check ('integer') failed - got '{word}'");
    let at: usize = word.parse().map_err(|_| bad_parameter(call, "pos", &message))?;
    if method != "get" {
        unmodified(call, &digest)?;
    }
    if at >= rules.len() {
        return Err(fail(format!("no rule at position {at}")));
    }
    match method {
        "get" => {
            let mut rule = shown.swap_remove(at);
            // Read alone, it is the word of the path.
            rule["pos"] = (*word).into();
            return Ok(rule);
        }
        "delete" => _ = list.of(&mut files.own)?.remove(at),
        "set" => change(files, call, list, at, rules)?,
        _ => return Err(not_modelled(call)),
    }
    Ok(Value::Null)
}

/// Moves a rule, or changes it.
fn change(files: &mut Files, call: &Call, list: &List, at: usize, rules: Vec<Rule>) -> Done {
    let to = call.option("moveto").and_then(|to| to.parse::<usize>().ok()).filter(|to| *to != at);
    let mut rules = rules;
    if let Some(to) = to {
        let rule = rules.remove(at);
        // The place is counted with the rule still in its own.
        let to = if to > at { to - 1 } else { to };
        rules.insert(to.min(rules.len()), rule);
    } else {
        let mut rule = rules[at].clone();
        if let Some(enable) = call.option("enable") {
            rule.enabled = enable != "0";
        }
        fill(&mut rule, call);
        for name in call.option("delete").map(split_list).unwrap_or_default() {
            remove(&mut rule, name).map_err(|message| bad_parameter(call, "delete", &message))?;
        }
        accept(files, matches!(list, List::Group(_)), call, &mut rule)?;
        rules[at] = rule;
    }
    *list.of(&mut files.own)? = rules;
    Ok(())
}

/// Takes the parameters over; an empty one removes what was there.
fn fill(rule: &mut Rule, call: &Call) {
    for (name, value) in &call.options {
        let value = (!value.is_empty() && value != "-").then(|| value.clone());
        match name.as_str() {
            "type" => rule.direction = value.unwrap_or_default(),
            "action" => rule.action = value.unwrap_or_default(),
            "macro" => rule.macro_name = value,
            "comment" => rule.comment = value,
            name if is_part(name) => match value {
                Some(value) => _ = rule.parts.insert(name.to_owned(), value),
                None => _ = rule.parts.remove(name),
            },
            _ => {}
        }
    }
}

fn remove(rule: &mut Rule, name: &str) -> Result<(), String> {
    match name {
        "type" | "action" => return Err(format!("unable to delete required property '{name}'")),
        "macro" => rule.macro_name = None,
        "comment" => rule.comment = None,
        // A rule that says nothing about it counts.
        "enable" => rule.enabled = true,
        "pos" | "digest" => {}
        name if is_part(name) => _ = rule.parts.remove(name),
        name => return Err(format!("no such property ('{name}')")),
    }
    Ok(())
}

/// Refuses a rule that is wrong, with Proxmox's first objection.
fn accept(files: &Files, group: bool, call: &Call, rule: &mut Rule) -> Done {
    if let Some(name) = rule.macro_name.as_deref().and_then(preferred) {
        rule.macro_name = Some(name.to_owned());
    }
    match format_error(rule).or_else(|| verify(files, group, rule).into_iter().next()) {
        Some(Objection { name, message }) => Err(bad_parameter(call, name, &message)),
        None => Ok(()),
    }
}

fn preferred(name: &str) -> Option<&'static str> {
    MACROS.split_whitespace().find(|known| known.eq_ignore_ascii_case(name))
}

/// What Proxmox has against one part of a rule.
struct Objection {
    name: &'static str,
    message: String,
}

fn object(files: &Files, group: bool, rule: &Rule) -> Map<String, Value> {
    let mut object: Map<String, Value> =
        rule.parts.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    object.insert("type".to_owned(), rule.direction.clone().into());
    object.insert("action".to_owned(), rule.action.clone().into());
    object.insert("enable".to_owned(), u8::from(rule.enabled).into());
    for (name, value) in [("macro", &rule.macro_name), ("comment", &rule.comment)] {
        if let Some(value) = value {
            object.insert(name.to_owned(), value.clone().into());
        }
    }
    if let Some(version) = version_of(files, rule) {
        object.insert("ipversion".to_owned(), version.into());
    }
    let wrong: Map<String, Value> = verify(files, group, rule)
        .into_iter()
        .rev()
        .map(|objection| (objection.name.to_owned(), objection.message.into()))
        .collect();
    if !wrong.is_empty() {
        object.insert("errors".to_owned(), wrong.into());
    }
    object
}

/// The version of IP that a rule is about, if it says.
fn version_of(files: &Files, rule: &Rule) -> Option<u8> {
    let by_protocol = match rule.parts.get("proto").map(String::as_str) {
        Some("icmp") => Some(4),
        Some("icmpv6" | "ipv6-icmp") => Some(6),
        _ => None,
    };
    let of_address = |name: &str| {
        let address = rule.parts.get(name)?;
        let first = address.split([',', '-']).next()?;
        ip_version(first).or_else(|| ip_version(&resolve(files, address)?))
    };
    by_protocol.or_else(|| of_address("source")).or_else(|| of_address("dest"))
}

/// The address that an alias stands for.
fn resolve(files: &Files, name: &str) -> Option<String> {
    let (scope, name) = match name.split_once('/') {
        Some((scope @ ("dc" | "guest"), name)) => (Some(scope), name),
        Some(_) => return None,
        None => (None, name),
    };
    let key = name.to_ascii_lowercase();
    let own = (files.cluster.is_none() || scope != Some("dc")).then_some(&files.own);
    let shared = files.cluster.as_ref().filter(|_| scope != Some("guest"));
    own.into_iter().chain(shared).find_map(|file| file.aliases.get(&key)).map(|alias| alias.cidr.clone())
}

/// Whether a parameter has its format.
type Check = fn(&str) -> Result<(), String>;

/// What the named formats of parameters say; each ends in an empty line.
fn format_error(rule: &Rule) -> Option<Objection> {
    let checks: [(&'static str, Check); 6] = [
        ("dest", addresses),
        ("dport", |ports| self::ports(ports, true)),
        ("icmp-type", icmp),
        ("proto", protocol),
        ("source", addresses),
        ("sport", |ports| self::ports(ports, false)),
    ];
    checks.into_iter().find_map(|(name, check)| {
        let message = check(rule.parts.get(name)?).err()?;
        Some(Objection { name, message: format!("invalid format - {message}\n") })
    })
}

fn icmp(name: &str) -> Result<(), String> {
    const V6: [&str; 12] = [
        "no-route",
        "beyond-scope",
        "address-unreachable",
        "failed-policy",
        "reject-route",
        "packet-too-big",
        "bad-header",
        "unknown-header-type",
        "unknown-option",
        "neighbor-solicitation",
        "neighbour-solicitation",
        "neighbor-advertisement",
    ];
    let known = ICMP.contains(&name) || V6.contains(&name);
    if known { Ok(()) } else { Err(format!("invalid icmp-type value '{name}'")) }
}

fn protocol(name: &str) -> Result<(), String> {
    let known = PROTOCOLS.contains(&name) || name.parse::<u8>().is_ok_and(|number| number <= 142);
    if known { Ok(()) } else { Err(format!("unknown protocol '{name}'")) }
}

/// Port numbers, ranges and names of services.
fn ports(text: &str, icmp: bool) -> Result<(), String> {
    if text.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    let number = |word: &str| word.parse::<u32>().map(|port| (port, port <= 65535));
    let mut count = 0;
    for item in text.split(',') {
        let range = item.split_once(':').map(|(from, to)| (number(from), number(to)));
        match (range, number(item)) {
            (Some((Ok((from, from_ok)), Ok((to, to_ok)))), _) => {
                count += 2;
                if !from_ok || !to_ok {
                    return Err(format!("invalid port '{}'", if from_ok { to } else { from }));
                }
                if from > to {
                    return Err(format!("backwards range '{from}:{to}' not allowed, did you mean '{to}:{from}'?"));
                }
            }
            (_, Ok((_, true))) => count += 1,
            _ if SERVICES.contains(&item) || (icmp && ICMP.contains(&item)) => {}
            _ => return Err(format!("invalid port '{item}'")),
        }
    }
    if count > 15 { Err("too many entries in port list (> 15 numbers)".to_owned()) } else { Ok(()) }
}

/// Addresses, networks, a range, an alias or a set.
fn addresses(text: &str) -> Result<(), String> {
    let name = text.strip_prefix("dc/").or_else(|| text.strip_prefix("guest/")).unwrap_or(text);
    if text.starts_with('+') || is_name(name) {
        return Ok(());
    }
    if text.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    let mut version = None;
    let elements: Vec<&str> = text.split(',').collect();
    for element in &elements {
        let ends: Vec<&str> = element.split('-').collect();
        let first = ends.first().copied().unwrap_or_default();
        let Some(found) = ends.iter().all(|end| ip_version(end).is_some()).then(|| ip_version(first)).flatten() else {
            return Err(format!("invalid IP address: Invalid chars in IP {element}"));
        };
        if version.is_some_and(|version| version != found) {
            return Err(format!("detected mixed ipv4/ipv6 addresses in address list '{text}'"));
        }
        version = Some(found);
    }
    if elements.len() > 1 && elements.iter().any(|element| element.contains('-')) {
        return Err("you can't use a range in a list".to_owned());
    }
    Ok(())
}

/// All that is wrong with a rule, in the order in which Proxmox looks.
fn verify(files: &Files, group: bool, rule: &Rule) -> Vec<Objection> {
    let mut found = Vec::new();
    let mut object_to = |name: &'static str, message: String| found.push(Objection { name, message });
    let part = |name: &str| rule.parts.get(name).map(String::as_str);
    let environment = if group { "group" } else { files.owner.word() };
    let guest = matches!(environment, "ct" | "vm");
    let (direction, action) = (rule.direction.as_str(), rule.action.as_str());

    let allowed = match direction {
        "in" | "out" => true,
        "forward" => !guest,
        "group" => !group,
        _ => false,
    };
    if !allowed {
        object_to("type", format!("invalid rule type '{direction}' for rule_env '{environment}'"));
    }
    match direction {
        "group" if !is_name(action) => object_to("action", "invalid characters in security group name".to_owned()),
        "in" | "out" | "forward" => {
            if direction == "forward" && action == "REJECT" {
                object_to("action", "cannot define REJECT rules on forward chain".to_owned());
            }
            if !matches!(action, "ACCEPT" | "DROP" | "REJECT") {
                object_to("action", format!("unknown action '{action}'"));
            }
        }
        _ => {}
    }
    if let Some(interface) = part("iface") {
        if group {
            object_to("type", "parameter -i not allowed for this rule type".to_owned());
        }
        let number = interface.strip_prefix("net").unwrap_or_default();
        if guest && (number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit())) {
            object_to("iface", "value does not match the regex pattern 'net\\d+'".to_owned());
        }
    }
    if let Some(name) = rule.macro_name.as_deref().filter(|name| preferred(name).is_none()) {
        object_to("macro", format!("unknown macro '{name}'"));
    }
    let proto = part("proto");
    let is_icmp = matches!(proto, Some("icmp" | "icmpv6" | "ipv6-icmp" | "1" | "58"));
    for name in ["dport", "sport"] {
        if part(name).is_none() {
            continue;
        }
        match proto {
            None => object_to("proto", format!("missing property - '{name}' requires this property")),
            Some(proto) if !(WITH_PORTS.contains(&proto) || is_icmp && name == "dport") => {
                object_to(if name == "dport" { "dport" } else { "sport" }, no_ports(proto));
            }
            Some(_) => {}
        }
    }
    if part("icmp-type").is_some() {
        if !is_icmp {
            object_to("proto", "missing property - 'icmp-type' requires this property".to_owned());
        }
        if part("dport").is_some() {
            object_to("icmp-type", "'icmp-type' cannot be specified together with 'dport'".to_owned());
        }
    }
    for name in ["source", "dest"] {
        let Some(value) = part(name) else { continue };
        if let Some(set) = value.strip_prefix('+') {
            let set = ["guest/", "dc/", "sdn/"].iter().find_map(|scope| set.strip_prefix(scope)).unwrap_or(set);
            let known = files.own.sets.contains_key(set)
                || files.cluster.as_ref().is_some_and(|cluster| cluster.sets.contains_key(set));
            if !known {
                object_to(name, format!("no such ipset '{set}'"));
            }
        } else if let Err(message) = addresses(value) {
            object_to(name, message);
        } else if ip_version(value.split([',', '-']).next().unwrap_or(value)).is_none()
            && resolve(files, value).is_none()
        {
            object_to(name, format!("no such alias '{value}'"));
        }
    }
    found
}

fn no_ports(protocol: &str) -> String {
    format!("protocol '{protocol}' does not support ports")
}
