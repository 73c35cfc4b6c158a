//! Firewall files of guests: `/etc/pve/firewall/ID.fw`, written whole.

use std::fmt::Write as _;

use super::guest_config::GuestConfig;
use crate::model::{Direction, Firewall, FirewallAction, FirewallRule, GuestId};

/// Options of a guest's firewall that are on or off.
pub const FLAGS: [&str; 5] = ["dhcp", "ipfilter", "macfilter", "ndp", "radv"];

/// How traffic can be logged.
pub const LOG_LEVELS: [&str; 9] = ["nolog", "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Ports that a rule can hold; a range counts as two.
pub const MOST_PORTS: usize = 15;

/// What Proxmox takes an option for that is not there.
const DEFAULTS: [(&str, &str); 7] = [
    ("dhcp", "0"),
    ("ipfilter", "0"),
    ("log_level_in", "nolog"),
    ("log_level_out", "nolog"),
    ("macfilter", "1"),
    ("ndp", "1"),
    ("radv", "0"),
];

/// Proxmox's macros: names for protocol and ports.
#[rustfmt::skip]
pub const MACROS: [&str; 86] = [
    "Amanda", "Auth", "BGP", "BitTorrent", "BitTorrent32", "CVS", "Ceph", "Citrix", "DAAP", "DCC", "DHCPfwd", "DHCPv6",
    "DNS", "Distcc", "FTP", "Finger", "GNUnet", "GRE", "Git", "HKP", "HTTP", "HTTPS", "ICPV2", "ICQ", "IMAP", "IMAPS",
    "IPIP", "IPsec", "IPsecah", "IPsecnat", "IRC", "Jetdirect", "L2TP", "LDAP", "LDAPS", "MDNS", "MSNP", "MSSQL", "Mail",
    "Munin", "MySQL", "NNTP", "NNTPS", "NTP", "NeighborDiscovery", "OSPF", "OpenVPN", "PCA", "PMG", "POP3", "POP3S",
    "PPtP", "Ping", "PostgreSQL", "Printer", "RDP", "RIP", "RNDC", "Razor", "Rdate", "Rsync", "SANE", "SMB", "SMBswat",
    "SMTP", "SMTPS", "SNMP", "SPAMD", "SPICEproxy", "SSH", "SVN", "SixXS", "Squid", "Submission", "Syslog", "TFTP",
    "Telnet", "Telnets", "Time", "Trcrt", "VNC", "VNCL", "Web", "Webcache", "Webmin", "Whois",
];

/// Where the firewall file of a guest is.
pub fn path(id: GuestId) -> String {
    format!("/etc/pve/firewall/{id}.fw")
}

/// A firewall file taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What the model can say.
    pub firewall: Firewall,
    /// Lines that it cannot.
    pub foreign: Vec<String>,
}

/// The whole file.
pub fn render(firewall: &Firewall) -> String {
    let mut text = format!("[OPTIONS]\n\nenable: {}\n", u8::from(firewall.enabled));
    let mut line = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("writing to a String cannot fail");
        text.push('\n');
    };
    for (key, policy) in [("policy_in", firewall.policy_in), ("policy_out", firewall.policy_out)] {
        if let Some(policy) = policy {
            line(format_args!("{key}: {}", word(policy)));
        }
    }
    for (key, value) in &firewall.options {
        line(format_args!("{key}: {value}"));
    }
    if !firewall.aliases.is_empty() {
        line(format_args!("\n[ALIASES]\n"));
    }
    for (name, address) in &firewall.aliases {
        line(format_args!("{name} {address}"));
    }
    for (name, entries) in &firewall.ipsets {
        line(format_args!("\n[IPSET {name}]\n"));
        for entry in entries {
            line(format_args!("{entry}"));
        }
    }
    line(format_args!("\n[RULES]\n"));
    for rule in &firewall.rules {
        line(format_args!("{}", self::line(rule)));
    }
    text
}

/// Takes a file apart.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut section = Section::Foreign;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = Section::read(line);
            match &section {
                Section::Foreign => parsed.foreign.push(line.to_owned()),
                Section::Set(name) => _ = parsed.firewall.ipsets.entry(name.clone()).or_default(),
                _ => {}
            }
            continue;
        }
        let bare = line.split('#').next().unwrap_or_default().trim();
        let known = match &section {
            Section::Options => option(&mut parsed.firewall, bare),
            Section::Aliases => alias(&mut parsed.firewall, bare),
            Section::Set(name) => {
                let entry = bare.replace(char::is_whitespace, "");
                parsed.firewall.ipsets.get_mut(name).map(|entries| entries.push(entry))
            }
            Section::Rules => rule(line).map(|rule| parsed.firewall.rules.push(rule)),
            Section::Foreign => None,
        };
        if known.is_none() {
            parsed.foreign.push(line.to_owned());
        }
    }
    parsed
}

enum Section {
    Options,
    Aliases,
    Set(String),
    Rules,
    Foreign,
}

impl Section {
    fn read(line: &str) -> Section {
        let inside = line.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
        let (first, name) = inside.split_once(' ').unwrap_or((inside, ""));
        match (first.to_ascii_lowercase().as_str(), name.trim()) {
            ("options", "") => Section::Options,
            ("aliases", "") => Section::Aliases,
            ("rules", "") => Section::Rules,
            ("ipset", name) if !name.is_empty() => Section::Set(name.to_ascii_lowercase()),
            _ => Section::Foreign,
        }
    }
}

/// Whether a file says exactly what is declared, however it is laid out and spelt.
pub fn says(text: &str, declared: &Firewall) -> bool {
    // Both sides take the same way, so that comments and spellings that the file cannot hold do not count.
    meaning(parse(text)) == meaning(parse(&render(declared)))
}

/// The switches that have to be on for a guest to be filtered, beside its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Whether the firewall of the whole node (of the cluster) is on.
    pub cluster: bool,
    /// Interfaces of the guest that are not filtered: `net1`.
    pub unfiltered: Vec<String>,
}

impl Switches {
    /// How they stand: `cluster` is the text of `cluster.fw`, `config` the guest's configuration.
    pub fn of(cluster: Option<&str>, config: &GuestConfig) -> Switches {
        let is_nic = |key: &str| key.strip_prefix("net").is_some_and(|number| number.parse::<u32>().is_ok());
        let filtered = |value: &str| value.split(',').any(|part| part.trim() == "firewall=1");
        let nics = config.current.entries().filter(|(key, value)| is_nic(key) && !filtered(value));
        Switches {
            cluster: cluster.is_some_and(|text| parse(text).firewall.enabled),
            unfiltered: nics.map(|(key, _)| key.to_owned()).collect(),
        }
    }

    /// What is not filtered although the guest's firewall is on, and what to switch on; absent: everything is.
    pub fn complaint(&self) -> Option<String> {
        if !self.cluster {
            let text = "its firewall is on, but nothing is filtered: `enable: 1` is missing in /etc/pve/firewall/cluster.fw; \
                        phoenix does not switch it on, as it decides who reaches the node too";
            return Some(text.to_owned());
        }
        (!self.unfiltered.is_empty()).then(|| {
            format!(
                "its firewall is on, but {} is not filtered: `firewall=1` is missing there",
                self.unfiltered.join(", ")
            )
        })
    }
}

/// What a file comes to: options at their defaults say nothing, the order of names and of entries of sets neither.
fn meaning(mut parsed: Parsed) -> Parsed {
    let firewall = &mut parsed.firewall;
    firewall.policy_in = firewall.policy_in.filter(|policy| *policy != FirewallAction::Drop);
    firewall.policy_out = firewall.policy_out.filter(|policy| *policy != FirewallAction::Accept);
    firewall.options.retain(|key, value| !DEFAULTS.contains(&(key.as_str(), value.as_str())));
    let lower = |(name, address): (&String, &String)| (name.to_lowercase(), address.clone());
    firewall.aliases = firewall.aliases.iter().map(lower).collect();
    firewall.ipsets.values_mut().for_each(|entries| entries.sort());
    for rule in &mut firewall.rules {
        rule.log = rule.log.take().filter(|level| level != "nolog");
        rule.protocol = rule.protocol.take().map(|protocol| protocol.to_lowercase());
    }
    parsed
}

fn word(action: FirewallAction) -> &'static str {
    match action {
        FirewallAction::Accept => "ACCEPT",
        FirewallAction::Drop => "DROP",
        FirewallAction::Reject => "REJECT",
    }
}

fn action(word: &str) -> Option<FirewallAction> {
    [FirewallAction::Accept, FirewallAction::Drop, FirewallAction::Reject]
        .into_iter()
        .find(|action| self::word(*action).eq_ignore_ascii_case(word))
}

/// A rule in the order in which Proxmox writes its parts.
fn line(rule: &FirewallRule) -> String {
    let direction = match rule.direction {
        Direction::In => "IN",
        Direction::Out => "OUT",
    };
    let mut line = if rule.disabled { "|".to_owned() } else { String::new() };
    match (&rule.group, &rule.macro_name) {
        (Some(group), _) => line.push_str(&format!("GROUP {group}")),
        (None, Some(name)) => line.push_str(&format!("{direction} {name}({})", word(rule.action))),
        (None, None) => line.push_str(&format!("{direction} {}", word(rule.action))),
    }
    let parts = [
        ("-i", &rule.interface),
        ("-source", &rule.source),
        ("-dest", &rule.dest),
        ("-p", &rule.protocol),
        ("-dport", &rule.port),
        ("-sport", &rule.source_port),
        ("-log", &rule.log),
        ("-icmp-type", &rule.icmp_type),
    ];
    for (flag, value) in parts.into_iter().filter_map(|(flag, value)| Some((flag, value.as_ref()?))) {
        line.push_str(&format!(" {flag} {}", value.replace(' ', "")));
    }
    if let Some(comment) = rule.comment.as_deref().map(one_line).filter(|comment| !comment.is_empty()) {
        line.push_str(&format!(" # {comment}"));
    }
    line
}

fn one_line(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn option(firewall: &mut Firewall, line: &str) -> Option<()> {
    let (key, value) = line.split_once(':')?;
    let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
    match (key.as_str(), value) {
        ("enable", "1") => firewall.enabled = true,
        ("enable", "0") => firewall.enabled = false,
        ("policy_in", value) => firewall.policy_in = Some(action(value)?),
        ("policy_out", value) => firewall.policy_out = Some(action(value)?),
        ("log_level_in" | "log_level_out", level) if LOG_LEVELS.contains(&level) => {
            firewall.options.insert(key, value.to_owned());
        }
        (flag, "0" | "1") if FLAGS.contains(&flag) => {
            firewall.options.insert(key, value.to_owned());
        }
        _ => return None,
    }
    Some(())
}

fn alias(firewall: &mut Firewall, line: &str) -> Option<()> {
    let (name, address) = line.split_once(char::is_whitespace)?;
    firewall.aliases.insert(name.to_owned(), address.trim().to_owned());
    Some(())
}

fn rule(line: &str) -> Option<FirewallRule> {
    let (line, comment) = match line.split_once('#') {
        Some((line, comment)) => (line, Some(one_line(comment)).filter(|comment| !comment.is_empty())),
        None => (line, None),
    };
    let (line, disabled) = line.strip_prefix('|').map_or((line, false), |line| (line, true));
    let mut words = line.split_whitespace();
    let mut rule = FirewallRule { disabled, comment, ..FirewallRule::default() };
    match words.next()?.to_ascii_uppercase().as_str() {
        "IN" => rule.direction = Direction::In,
        "OUT" => rule.direction = Direction::Out,
        "GROUP" => rule.group = Some(words.next()?.to_lowercase()),
        _ => return None,
    }
    if rule.group.is_none() {
        let what = words.next()?;
        let (name, decides) = what.strip_suffix(')').and_then(|what| what.split_once('(')).unzip();
        rule.action = action(decides.unwrap_or(what))?;
        if let Some(name) = name {
            rule.macro_name = Some((*MACROS.iter().find(|known| known.eq_ignore_ascii_case(name))?).to_owned());
        }
    }
    while let Some(flag) = words.next() {
        let field = match flag.trim_start_matches('-') {
            "i" | "iface" => &mut rule.interface,
            "source" => &mut rule.source,
            "dest" => &mut rule.dest,
            "p" | "proto" => &mut rule.protocol,
            "dport" => &mut rule.port,
            "sport" => &mut rule.source_port,
            "log" => &mut rule.log,
            "icmp-type" => &mut rule.icmp_type,
            _ => return None,
        };
        *field = Some(words.next()?.to_owned());
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Firewall {
        let text = |text: &str| Some(text.to_owned());
        Firewall {
            enabled: true,
            policy_in: Some(FirewallAction::Drop),
            policy_out: Some(FirewallAction::Reject),
            options: [("dhcp".to_owned(), "1".to_owned()), ("log_level_in".to_owned(), "info".to_owned())].into(),
            aliases: [("printer".to_owned(), "192.0.2.30".to_owned())].into(),
            ipsets: [("offices".to_owned(), vec!["192.0.2.0/24".to_owned(), "!192.0.2.7".to_owned()])].into(),
            rules: vec![
                FirewallRule {
                    action: FirewallAction::Accept,
                    interface: text("net0"),
                    source: text("192.0.2.0/24, 198.51.100.7"),
                    protocol: text("tcp"),
                    port: text("80,443"),
                    log: text("warning"),
                    comment: text("browsers\nand others"),
                    ..FirewallRule::default()
                },
                FirewallRule {
                    action: FirewallAction::Accept,
                    macro_name: text("SSH"),
                    source: text("+guest/offices"),
                    ..FirewallRule::default()
                },
                FirewallRule { group: text("web"), interface: text("net0"), ..FirewallRule::default() },
                FirewallRule { direction: Direction::Out, disabled: true, ..FirewallRule::default() },
            ],
        }
    }

    #[test]
    fn the_whole_file_is_rendered() {
        let expected = "[OPTIONS]\n\nenable: 1\npolicy_in: DROP\npolicy_out: REJECT\ndhcp: 1\nlog_level_in: info\n\n\
             [ALIASES]\n\nprinter 192.0.2.30\n\n[IPSET offices]\n\n192.0.2.0/24\n!192.0.2.7\n\n[RULES]\n\n\
             IN ACCEPT -i net0 -source 192.0.2.0/24,198.51.100.7 -p tcp -dport 80,443 -log warning # browsers and others\n\
             IN SSH(ACCEPT) -source +guest/offices\nGROUP web -i net0\n|OUT DROP\n";
        assert_eq!(render(&declared()), expected);
        assert_eq!(parse(expected).foreign, [""; 0]);
    }

    #[test]
    fn a_file_in_another_spelling_says_the_same() {
        assert!(says(&render(&declared()), &declared()));
        assert!(says(
            "[options]\nndp: 1\nenable: 1\nlog_level_in: info\nlog_level_out: nolog\npolicy_out: reject\ndhcp: 1\n\
             [IPSET Offices] # where we work\n! 192.0.2.7\n192.0.2.0/24 # main\n[aliases]\nPrinter  192.0.2.30 # loud\n\
             [RULES]\nin accept --iface net0 -source 192.0.2.0/24,198.51.100.7 -p TCP -dport 80,443 -log warning # browsers and others\n\
             IN ssh(ACCEPT) -source +guest/offices -log nolog\nGROUP web -i net0\n|OUT DROP",
            &declared()
        ));
    }

    #[test]
    fn whatever_else_stands_there_is_a_difference() {
        let changed = render(&declared()) + "IN Nonsense(DROP)\nFORWARD DROP\n[group web]\nIN ACCEPT\n";
        assert!(!says(&changed, &declared()));
        assert_eq!(parse(&changed).foreign, ["IN Nonsense(DROP)", "FORWARD DROP", "[group web]", "IN ACCEPT"]);
    }

    #[test]
    fn the_order_of_rules_counts() {
        let mut swapped = declared();
        swapped.rules.swap(0, 1);
        assert!(!says(&render(&swapped), &declared()));
    }
}
