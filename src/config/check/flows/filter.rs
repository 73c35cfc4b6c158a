//! What Proxmox's firewall does with a packet: the rules in order, the first match counts, then the policy.
//!
//! Aliases, sets and groups live on the node, where the configuration cannot see them; what macros stand for is
//! Proxmox's; an address given by DHCP is not known. A rule that hangs on one of these matches *perhaps*, and is then taken in favour of the flow: only what is
//! blocked for certain is reported.

use std::net::IpAddr;

use crate::model::{Cidr, Direction, Firewall, FirewallAction, FirewallRule};

/// Transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As a rule's `proto`.
    pub const fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// IANA's number, which a rule may say too.
    const fn number(self) -> &'static str {
        match self {
            Protocol::Tcp => "6",
            Protocol::Udp => "17",
        }
    }
}

/// An end of a packet's way, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// This address.
    At(IpAddr),
    /// An address that no rule names.
    Elsewhere,
    /// Some address.
    Unknown,
}

/// The first packet of a connection; answers pass by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it comes from.
    pub source: Party,
    /// Where it goes.
    pub dest: Party,
    /// Protocol.
    pub protocol: Protocol,
    /// Destination port.
    pub port: u16,
    /// The interface as the filtered machine's rules name it; absent: not known.
    pub interface: Option<&'a str>,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes, perhaps by a rule that cannot be judged.
    Passes,
    /// The rule of this number, counted from 0, stops it.
    Rule(usize),
    /// No rule accepts it, and the policy stops it.
    Policy,
}

/// Whether a rule, or a part of it, matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matches {
    No,
    Perhaps,
    Yes,
}

impl From<bool> for Matches {
    fn from(matches: bool) -> Matches {
        if matches { Matches::Yes } else { Matches::No }
    }
}

/// An item of a rule's `source` or `dest`.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// Both ends included.
    Range(IpAddr, IpAddr),
    /// An alias or a set of the node.
    Named,
}

/// An item of a rule's `port`.
#[derive(Clone, Debug)]
enum Ports {
    /// Both ends included.
    Range(u16, u16),
    /// A name of `/etc/services` that is not known here.
    Named,
}

/// A rule, taken apart.
#[derive(Clone, Debug)]
struct Rule {
    /// As declared, counted from 0.
    number: usize,
    direction: Direction,
    accepts: bool,
    interface: Option<String>,
    source: Vec<Addresses>,
    dest: Vec<Addresses>,
    protocol: Option<String>,
    ports: Vec<Ports>,
    /// It matches what a macro or a group of the node says.
    named: bool,
}

/// The rules and policies of one machine that is filtered.
#[derive(Clone, Debug)]
pub struct Filter {
    rules: Vec<Rule>,
    accepts_in: bool,
    accepts_out: bool,
}

impl Filter {
    /// The filter of a machine; `more` are rules after its own.
    pub fn new<'a>(firewall: &'a Firewall, more: impl IntoIterator<Item = &'a FirewallRule>) -> Filter {
        let accepts = |policy: Option<FirewallAction>, default| policy.unwrap_or(default) == FirewallAction::Accept;
        Filter {
            rules: firewall
                .rules
                .iter()
                .chain(more)
                .enumerate()
                .filter(|(_, rule)| !rule.disabled)
                .flat_map(Rule::of)
                .collect(),
            accepts_in: accepts(firewall.policy_in, FirewallAction::Drop),
            accepts_out: accepts(firewall.policy_out, FirewallAction::Accept),
        }
    }

    /// What happens to a packet that arrives here (`In`) or is sent from here (`Out`).
    pub fn verdict(&self, direction: Direction, packet: &Packet) -> Verdict {
        for rule in self.rules.iter().filter(|rule| rule.direction == direction) {
            match (rule.matches(packet), rule.accepts) {
                (Matches::No, _) | (Matches::Perhaps, false) => {}
                (_, true) => return Verdict::Passes,
                (Matches::Yes, false) => return Verdict::Rule(rule.number),
            }
        }
        let accepts = if direction == Direction::In { self.accepts_in } else { self.accepts_out };
        if accepts { Verdict::Passes } else { Verdict::Policy }
    }

    /// Every source that a rule for incoming traffic names.
    pub fn sources(&self) -> impl Iterator<Item = &Addresses> {
        self.rules.iter().filter(|rule| rule.direction == Direction::In).flat_map(|rule| &rule.source)
    }
}

impl Rule {
    /// A group holds rules for both ways, which perhaps accept.
    fn of((number, rule): (usize, &FirewallRule)) -> Vec<Rule> {
        let whole = Rule::new(number, rule);
        match rule.group {
            Some(_) => [Direction::In, Direction::Out]
                .map(|direction| Rule { direction, accepts: true, named: true, ..whole.clone() })
                .into(),
            None => vec![whole],
        }
    }

    fn new(number: usize, rule: &FirewallRule) -> Rule {
        let words = |text: &Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).map(|word| word.trim().to_owned()).collect()
        };
        Rule {
            number,
            direction: rule.direction,
            accepts: rule.action == FirewallAction::Accept,
            interface: rule.interface.clone(),
            source: words(&rule.source).iter().map(|word| Addresses::new(word)).collect(),
            dest: words(&rule.dest).iter().map(|word| Addresses::new(word)).collect(),
            protocol: rule.protocol.as_ref().map(|protocol| protocol.to_lowercase()),
            ports: words(&rule.port).iter().map(|word| Ports::new(word)).collect(),
            named: rule.macro_name.is_some(),
        }
    }

    /// Every part of it must match.
    fn matches(&self, packet: &Packet) -> Matches {
        // Proxmox leaves out a rule with ports and no protocol.
        if self.protocol.is_none() && !self.ports.is_empty() {
            return Matches::No;
        }
        let interface = match (&self.interface, packet.interface) {
            (None, _) => Matches::Yes,
            (Some(_), None) => Matches::Perhaps,
            (Some(named), Some(interface)) => (named == interface).into(),
        };
        let protocol = self
            .protocol
            .as_deref()
            .is_none_or(|protocol| protocol == packet.protocol.word() || protocol == packet.protocol.number());
        let any = |found: Vec<Matches>| found.into_iter().max().unwrap_or(Matches::Yes);
        let parts = [
            interface,
            protocol.into(),
            any(self.source.iter().map(|addresses| addresses.hold(packet.source)).collect()),
            any(self.dest.iter().map(|addresses| addresses.hold(packet.dest)).collect()),
            any(self.ports.iter().map(|ports| ports.hold(packet.port)).collect()),
            if self.named { Matches::Perhaps } else { Matches::Yes },
        ];
        parts.into_iter().min().unwrap_or(Matches::Yes)
    }
}

impl Addresses {
    fn new(word: &str) -> Addresses {
        let range = |from: &str, to: &str| Some(Addresses::Range(from.parse().ok()?, to.parse().ok()?));
        let network = || {
            let network = word.parse::<Cidr>().ok()?;
            Some(Addresses::Range(network.network().address, network.last()))
        };
        let found = range(word, word).or_else(network).or_else(|| {
            let (from, to) = word.split_once('-')?;
            range(from, to)
        });
        found.unwrap_or(Addresses::Named)
    }

    fn hold(&self, party: Party) -> Matches {
        match (self, party) {
            (Addresses::Named, _) | (_, Party::Unknown) => Matches::Perhaps,
            (Addresses::Range(from, to), Party::At(address)) => {
                (from.is_ipv4() == address.is_ipv4() && (from..=to).contains(&&address)).into()
            }
            (Addresses::Range(from, to), Party::Elsewhere) => {
                (from.is_unspecified() && Cidr { address: *from, prefix: 0 }.last() == *to).into()
            }
        }
    }
}

/// The ports of `/etc/services` that platforms are made of.
const SERVICES: [(&str, u16); 6] =
    [("ssh", 22), ("domain", 53), ("http", 80), ("https", 443), ("nfs", 2049), ("mdns", 5353)];

impl Ports {
    fn new(word: &str) -> Ports {
        let number = |text: &str| {
            let service = SERVICES.iter().find(|(name, _)| *name == text).map(|(_, port)| *port);
            service.or_else(|| text.parse().ok())
        };
        let (from, to) = word.split_once(':').unwrap_or((word, word));
        number(from).zip(number(to)).map_or(Ports::Named, |(from, to)| Ports::Range(from, to))
    }

    fn hold(&self, port: u16) -> Matches {
        match self {
            Ports::Range(from, to) => (from..=to).contains(&&port).into(),
            Ports::Named => Matches::Perhaps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> FirewallRule {
        let mut words = text.split_whitespace();
        let direction = if words.next() == Some("in") { Direction::In } else { Direction::Out };
        let action = match words.next() {
            Some("ACCEPT") => FirewallAction::Accept,
            Some("DROP") => FirewallAction::Drop,
            _ => FirewallAction::Reject,
        };
        let mut rule = FirewallRule { direction, action, ..FirewallRule::default() };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let field = match key {
                "iface" => &mut rule.interface,
                "source" => &mut rule.source,
                "dest" => &mut rule.dest,
                "proto" => &mut rule.protocol,
                _ => &mut rule.port,
            };
            *field = Some(value.to_owned());
        }
        rule
    }

    fn filter(rules: &[&str]) -> Filter {
        let rules: Vec<FirewallRule> = rules.iter().map(|text| rule(text)).collect();
        Filter::new(&Firewall { enabled: true, rules, ..Firewall::default() }, [])
    }

    fn from(source: Party) -> Packet<'static> {
        let dest = Party::At("192.0.2.20".parse().unwrap());
        Packet { source, dest, protocol: Protocol::Tcp, port: 443, interface: Some("net0") }
    }

    fn at(address: &str) -> Party {
        Party::At(address.parse().unwrap())
    }

    #[test]
    fn the_first_rule_that_matches_counts_then_the_policy() {
        let known = at("192.0.2.7");
        let table: &[(&[&str], Party, Verdict)] = &[
            (&[], known, Verdict::Policy),
            (&["in ACCEPT"], known, Verdict::Passes),
            (&["out ACCEPT"], known, Verdict::Policy),
            (&["in DROP source=192.0.2.0/24", "in ACCEPT"], known, Verdict::Rule(0)),
            (&["in ACCEPT proto=tcp port=443", "in REJECT"], known, Verdict::Passes),
            (&["in DROP source=198.51.100.0/24", "in ACCEPT"], known, Verdict::Passes),
            // Addresses.
            (&["in ACCEPT source=192.0.2.7"], known, Verdict::Passes),
            (&["in ACCEPT source=198.51.100.1,192.0.2.7"], known, Verdict::Passes),
            (&["in ACCEPT source=192.0.2.1-192.0.2.9"], known, Verdict::Passes),
            (&["in ACCEPT source=192.0.2.8-192.0.2.9"], known, Verdict::Policy),
            (&["in ACCEPT source=192.0.2.128/25"], known, Verdict::Policy),
            (&["in ACCEPT dest=192.0.2.20"], known, Verdict::Passes),
            (&["in ACCEPT dest=192.0.2.21"], known, Verdict::Policy),
            (&["in ACCEPT source=2001:db8::/32"], known, Verdict::Policy),
            (&["in ACCEPT source=2001:db8::/32"], at("2001:db8::1"), Verdict::Passes),
            // Ports and protocols.
            (&["in ACCEPT proto=tcp port=80,https"], known, Verdict::Passes),
            (&["in ACCEPT proto=tcp port=400:500"], known, Verdict::Passes),
            (&["in ACCEPT proto=tcp port=444:500"], known, Verdict::Policy),
            (&["in ACCEPT proto=udp port=443"], known, Verdict::Policy),
            (&["in ACCEPT proto=6 port=443"], known, Verdict::Passes),
            (&["in ACCEPT proto=icmp"], known, Verdict::Policy),
            (&["in ACCEPT port=443"], known, Verdict::Policy),
            // Interfaces.
            (&["in ACCEPT iface=net0"], known, Verdict::Passes),
            (&["in ACCEPT iface=net1"], known, Verdict::Policy),
            // What cannot be judged is taken in favour of the flow.
            (&["in ACCEPT source=+dc/friends"], known, Verdict::Passes),
            (&["in DROP source=+dc/foes", "in ACCEPT"], known, Verdict::Passes),
            (&["in ACCEPT proto=tcp port=gopher"], known, Verdict::Passes),
            (&["in ACCEPT source=192.0.2.7"], Party::Unknown, Verdict::Passes),
            (&["in DROP source=192.0.2.7", "in ACCEPT"], Party::Unknown, Verdict::Passes),
            // Anybody else.
            (&["in ACCEPT source=192.0.2.0/24"], Party::Elsewhere, Verdict::Policy),
            (&["in ACCEPT source=0.0.0.0/0"], Party::Elsewhere, Verdict::Passes),
        ];
        for (rules, source, verdict) in table {
            assert_eq!(filter(rules).verdict(Direction::In, &from(*source)), *verdict, "{rules:?} from {source:?}");
        }
    }

    #[test]
    fn policies_are_proxmox_s_own_unless_declared() {
        let firewall = Firewall {
            enabled: true,
            policy_in: Some(FirewallAction::Accept),
            policy_out: Some(FirewallAction::Reject),
            ..Firewall::default()
        };
        let packet = from(at("192.0.2.7"));
        let declared = Filter::new(&firewall, []);
        assert_eq!(declared.verdict(Direction::In, &packet), Verdict::Passes);
        assert_eq!(declared.verdict(Direction::Out, &packet), Verdict::Policy);
        assert_eq!(filter(&[]).verdict(Direction::In, &packet), Verdict::Policy);
        assert_eq!(filter(&[]).verdict(Direction::Out, &packet), Verdict::Passes);
    }

    #[test]
    fn rules_of_stacks_come_after_the_guest_s_own() {
        let own = Firewall { enabled: true, rules: vec![rule("in DROP source=192.0.2.7")], ..Firewall::default() };
        let filter = Filter::new(&own, &[rule("in ACCEPT")]);
        assert_eq!(filter.verdict(Direction::In, &from(at("192.0.2.7"))), Verdict::Rule(0));
        assert_eq!(filter.verdict(Direction::In, &from(at("192.0.2.8"))), Verdict::Passes);
    }
}
