//! Which of the needed flows the declared rules block, and where.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::filter::{Addresses, Filter, Packet, Party, Verdict};
use super::needs::{self, End, Flow};
use crate::model::{Catalogue, Direction, FirewallAction, FirewallRule, Guest, GuestId, Site};

/// How Proxmox calls the first interface of a guest in its rules.
const FIRST_INTERFACE: &str = "net0";

/// A flow that does not pass.
#[derive(Debug)]
pub struct Blocked {
    /// The flow, with only the ports that are blocked.
    pub flow: Flow,
    /// The ends that stop it: one or both.
    pub obstacles: Vec<Obstacle>,
}

/// What stops a flow at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Whose firewall it is: the node's or a guest's.
    pub at: End,
    /// The rule that stops it, counted from 0; absent: the policy.
    pub rule: Option<usize>,
    /// The rule that lets it through, to stand before the one that stops it.
    pub missing: FirewallRule,
}

/// All flows that are blocked for certain.
pub fn blocked(site: &Site, catalogue: &Catalogue) -> Vec<Blocked> {
    let filters = Filters::new(site);
    let mut blocked: Vec<Blocked> = Vec::new();
    for flow in needs::flows(site, catalogue) {
        for port in &flow.ports {
            let part = Flow { ports: vec![*port], ..flow.clone() };
            let obstacles = filters.obstacles(&part, *port);
            if obstacles.is_empty() {
                continue;
            }
            // Ports of one flow that the same things stop are one finding, and one rule.
            let alike = |last: &&mut Blocked| {
                let stops = |of: &[Obstacle]| of.iter().map(|one| (one.at, one.rule)).collect::<Vec<_>>();
                Flow { ports: part.ports.clone(), ..last.flow.clone() } == part
                    && stops(&last.obstacles) == stops(&obstacles)
            };
            match blocked.last_mut().filter(alike) {
                Some(last) => {
                    last.flow.ports.push(*port);
                    let ports: Vec<String> = last.flow.ports.iter().map(u16::to_string).collect();
                    for obstacle in &mut last.obstacles {
                        obstacle.missing.port = Some(ports.join(","));
                    }
                }
                None => blocked.push(Blocked { flow: part, obstacles }),
            }
        }
    }
    blocked
}

/// The filters of all machines that are filtered.
struct Filters<'a> {
    site: &'a Site,
    node: Option<Filter>,
    guests: HashMap<GuestId, Filter>,
    /// Addresses of the platform itself: whoever has one of these is no client.
    own: HashSet<IpAddr>,
}

impl<'a> Filters<'a> {
    fn new(site: &'a Site) -> Filters<'a> {
        let on = site.node.firewall.enabled;
        let filtered =
            |guest: &&Guest| on && guest.firewall.enabled && guest.nics.first().is_some_and(|nic| nic.firewall);
        let guests = site.guests.values().filter(filtered);
        let own = site.guests.values().filter_map(Guest::ip).chain(site.node.address.map(|own| own.address));
        Filters {
            site,
            node: on.then(|| Filter::new(&site.node.firewall, [])),
            guests: guests.map(|guest| (guest.id, Filter::new(&guest.firewall, stack_rules(site, guest)))).collect(),
            own: own.collect(),
        }
    }

    fn of(&self, end: End) -> Option<&Filter> {
        match end {
            End::Node => self.node.as_ref(),
            End::Guest(id) => self.guests.get(&id),
            End::Client | End::Outside(_) => None,
        }
    }

    /// What stops a flow at a port: nothing, one end or both.
    fn obstacles(&self, flow: &Flow, port: u16) -> Vec<Obstacle> {
        let ends = [(flow.from, Direction::Out), (flow.to, Direction::In)];
        ends.into_iter().filter_map(|(at, direction)| self.obstacle(flow, port, at, direction)).collect()
    }

    fn obstacle(&self, flow: &Flow, port: u16, at: End, direction: Direction) -> Option<Obstacle> {
        let filter = self.of(at)?;
        let dest = self.party(flow.to);
        let sources = match flow.from {
            End::Client => self.clients(filter),
            from => vec![self.party(from)],
        };
        let interface = self.interface(at, flow);
        let verdict = |source: &Party| {
            filter.verdict(direction, &Packet { source: *source, dest, protocol: flow.protocol, port, interface })
        };
        let verdicts: Vec<Verdict> = sources.iter().map(verdict).collect();
        // The flow passes when it passes for anybody: which clients may come is the operator's choice.
        if verdicts.contains(&Verdict::Passes) {
            return None;
        }
        let named = |party| match party {
            Party::At(address) => Some(address.to_string()),
            Party::Elsewhere | Party::Unknown => None,
        };
        let missing = FirewallRule {
            direction,
            action: FirewallAction::Accept,
            source: if direction == Direction::In { named(self.party(flow.from)) } else { None },
            dest: if direction == Direction::Out { named(dest) } else { None },
            protocol: Some(flow.protocol.word().to_owned()),
            port: Some(port.to_string()),
            comment: Some(flow.purpose.clone()),
            ..FirewallRule::default()
        };
        let rule = verdicts.first().and_then(|verdict| match verdict {
            Verdict::Rule(number) => Some(*number),
            Verdict::Passes | Verdict::Policy => None,
        });
        Some(Obstacle { at, rule, missing })
    }

    fn party(&self, end: End) -> Party {
        let known = |address: Option<IpAddr>| address.map_or(Party::Unknown, Party::At);
        match end {
            End::Client => Party::Elsewhere,
            End::Node => known(self.site.node.address.map(|own| own.address)),
            End::Guest(id) => known(self.site.guest(id).and_then(Guest::ip)),
            End::Outside(address) => Party::At(address),
        }
    }

    /// The interface by which a flow comes to a machine or leaves it, as its rules name it: of guests always the first
    /// one, of the node the bridge of the guest at the other end.
    fn interface(&self, at: End, flow: &Flow) -> Option<&str> {
        let other = if at == flow.to { flow.from } else { flow.to };
        match (at, other) {
            (End::Guest(_), _) => Some(FIRST_INTERFACE),
            (_, End::Guest(id)) => {
                let nic = self.site.guest(id)?.nics.first()?;
                nic.vlan.is_none().then_some(nic.bridge.as_str())
            }
            _ => None,
        }
    }

    /// Clients of every sort that the rules tell apart: one that no rule names, and of every source that a rule names
    /// the first address that is not the platform's own.
    fn clients(&self, filter: &Filter) -> Vec<Party> {
        let named = filter.sources().filter_map(|addresses| match addresses {
            Addresses::Range(from, to) => self.first_foreign(*from, *to),
            Addresses::Named => None,
        });
        std::iter::once(Party::Elsewhere).chain(named.map(Party::At)).collect()
    }

    fn first_foreign(&self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let enough = self.own.len() + 1;
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (u32::from(from)..=u32::from(to))
                .take(enough)
                .map(|address| IpAddr::V4(address.into()))
                .find(|address| !self.own.contains(address)),
            (IpAddr::V6(from), IpAddr::V6(to)) => (u128::from(from)..=u128::from(to))
                .take(enough)
                .map(|address| IpAddr::V6(address.into()))
                .find(|address| !self.own.contains(address)),
            _ => None,
        }
    }
}

/// The rules that stacks add to the guest that deploys them.
fn stack_rules<'a>(site: &'a Site, guest: &'a Guest) -> impl Iterator<Item = &'a FirewallRule> {
    guest.vm.stacks.iter().flat_map(|used| {
        let stack = site.stacks.iter().find(|stack| stack.name == used.name);
        let environment = stack.and_then(|stack| stack.environments.get(&used.environment));
        environment.into_iter().flat_map(|environment| &environment.firewall_rules)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Dir, load};

    fn platform() -> Site {
        let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
        load(&Dir::Real(etc), &Catalogue::default()).site.unwrap()
    }

    fn told(site: &Site) -> Vec<(End, End, Vec<u16>)> {
        let blocked = blocked(site, &Catalogue::default()).into_iter();
        blocked.map(|blocked| (blocked.flow.from, blocked.flow.to, blocked.flow.ports)).collect()
    }

    fn firewall(site: &mut Site, end: End) -> &mut Vec<FirewallRule> {
        match end {
            End::Guest(id) => &mut site.guests.get_mut(&id).unwrap().firewall.rules,
            _ => &mut site.node.firewall.rules,
        }
    }

    #[test]
    fn nothing_is_filtered_unless_three_switches_are_on() {
        let router = "router";
        let stop = |change: fn(&mut Site, GuestId)| {
            let mut site = platform();
            let id = site.find(router).unwrap().id;
            site.guests.get_mut(&id).unwrap().firewall.rules.clear();
            change(&mut site, id);
            told(&site).into_iter().filter(|(_, to, _)| *to == End::Guest(id)).count()
        };
        assert_eq!(stop(|_, _| {}), 3, "gateway, node and authority");
        assert_eq!(stop(|site, _| site.node.firewall.enabled = false), 0);
        assert_eq!(stop(|site, id| site.guests.get_mut(&id).unwrap().firewall.enabled = false), 0);
        assert_eq!(stop(|site, id| site.guests.get_mut(&id).unwrap().nics[0].firewall = false), 0);
    }

    #[test]
    fn whoever_is_of_the_platform_is_no_client() {
        let to_gateway = |sources: &[&str]| {
            let mut site = platform();
            let id = site.find("gateway").unwrap().id;
            let rules = firewall(&mut site, End::Guest(id));
            rules.retain(|rule| rule.port.as_deref() == Some("80,443"));
            rules[0].source = Some(sources.join(","));
            told(&site).into_iter().filter(|(from, ..)| *from == End::Client).collect::<Vec<_>>().len()
        };
        assert_eq!(to_gateway(&["10.20.0.12", "10.20.0.2"]), 1, "the router and the node");
        assert_eq!(to_gateway(&["10.20.0.99"]), 0);
        assert_eq!(to_gateway(&["10.20.0.0/24"]), 0);
        assert_eq!(to_gateway(&["10.20.0.9-10.20.0.10"]), 1, "the base and the authority");
        assert_eq!(to_gateway(&["2001:db8::/32"]), 0);
    }

    /// Rules that concern the platform in every way, good and bad.
    fn any_rule() -> impl Strategy<Value = FirewallRule> {
        let some = |words: &'static [&'static str]| {
            prop::option::of(prop::sample::select(words)).prop_map(|word| word.map(str::to_owned))
        };
        let addresses =
            some(&["10.20.0.0/24", "10.20.0.12", "10.20.0.2", "10.20.0.10-10.20.0.15", "+dc/set", "9.9.9.9"]);
        let ports = some(&["443", "80,443", "9000:9500", "domain", "2049", "gopher"]);
        let action = prop::sample::select(&[FirewallAction::Accept, FirewallAction::Drop, FirewallAction::Reject]);
        let direction = prop::sample::select(&[Direction::In, Direction::Out]);
        (direction, action, addresses.clone(), addresses, some(&["tcp", "udp", "icmp"]), ports).prop_map(
            |(direction, action, source, dest, protocol, port)| FirewallRule {
                direction,
                action,
                source,
                dest,
                protocol,
                port,
                ..FirewallRule::default()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_rules_that_are_named_open_the_flow_and_close_none(
            rules in prop::collection::vec((0..7usize, any_rule()), 0..24),
            policy_out in prop::option::of(Just(FirewallAction::Drop)),
        ) {
            let mut site = platform();
            site.node.firewall.policy_out = policy_out;
            let guests: Vec<End> = site.guests.keys().copied().map(End::Guest).chain([End::Node]).collect();
            for guest in site.guests.values_mut() {
                guest.firewall.rules.clear();
            }
            for (at, rule) in rules {
                firewall(&mut site, guests[at % guests.len()]).push(rule);
            }
            let before = told(&site);
            for one in blocked(&site, &Catalogue::default()) {
                let mut mended = site.clone();
                for obstacle in &one.obstacles {
                    let rules = firewall(&mut mended, obstacle.at);
                    let at = obstacle.rule.unwrap_or(rules.len()).min(rules.len());
                    rules.insert(at, obstacle.missing.clone());
                }
                let after = told(&mended);
                let flow = (one.flow.from, one.flow.to, one.flow.ports.clone());
                let open = |of: &[(End, End, Vec<u16>)]| -> Vec<(End, End, u16)> {
                    of.iter().flat_map(|(from, to, ports)| ports.iter().map(|port| (*from, *to, *port))).collect()
                };
                let (before, after) = (open(&before), open(&after));
                prop_assert!(after.iter().all(|still| before.contains(still)));
                let protocols = before.iter().filter(|one| (one.0, one.1) == (flow.0, flow.1)).count();
                let left = after.iter().filter(|one| (one.0, one.1) == (flow.0, flow.1)).count();
                prop_assert!(left + flow.2.len() <= protocols, "{flow:?} is still blocked");
            }
        }
    }
}
