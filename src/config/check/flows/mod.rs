//! Flows that the platform needs and the declared firewall rules block.
//!
//! [`needs`] derives the flows, [`filter`] is Proxmox's firewall, [`mod@blocked`] asks the one about the other. A guest
//! is filtered when the whole node's firewall, the guest's own and that of its interface are on; then its own rules
//! count, followed by those of the stacks it deploys. The node's rules and policies are for the node itself, never for
//! guests.

mod blocked;
mod filter;
mod needs;

use std::collections::HashMap;
use std::ops::Range;

use self::blocked::{Obstacle, blocked};
use self::needs::{End, Flow};
use crate::config::decode::Fields;
use crate::config::file::File;
use crate::config::guest::Draft;
use crate::finding::Finding;
use crate::model::{Catalogue, Direction, GuestId, Site};

/// Reports every blocked flow with the rules that open it.
pub fn check(site: &Site, drafts: &[Draft], root: &Fields, catalogue: &Catalogue) {
    let drafts: HashMap<GuestId, &Draft> = drafts.iter().map(|draft| (draft.guest.id, draft)).collect();
    for blocked in blocked(site, catalogue) {
        let Flow { from, to, protocol, ports, purpose } = &blocked.flow;
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let why = blocked.obstacles.iter().map(|obstacle| obstacle.why(site)).collect::<Vec<_>>().join(", and ");
        let message = format!(
            "{} cannot reach {} at {} {} ({purpose}): {why}",
            name(site, *from),
            name(site, *to),
            protocol.word(),
            ports.join(","),
        );
        let hints: Vec<String> = blocked.obstacles.iter().map(|obstacle| obstacle.remedy(site)).collect();
        let mut finding = Finding::warning("blocked-flow", message).hint(hints.join("; "));
        let mut places = blocked.obstacles.iter().filter_map(|obstacle| place(obstacle, &drafts, root));
        let Some((file, span)) = places.next() else { continue };
        if let Some((other, span)) = places.next() {
            finding = finding.related(&other.source, span, "and here");
        }
        file.report(finding, span);
    }
}

/// An end as the operator knows it.
fn name(site: &Site, end: End) -> String {
    match end {
        End::Client => "clients".to_owned(),
        End::Node => "the node".to_owned(),
        End::Guest(id) => site.guest(id).map_or_else(|| id.to_string(), |guest| format!("{id} ({})", guest.name)),
        End::Outside(address) => address.to_string(),
    }
}

impl Obstacle {
    fn why(&self, site: &Site) -> String {
        let at = name(site, self.at);
        match self.rule {
            Some(number) => format!("rule {} of {at} stops it", number + 1),
            None => format!("no rule of {at} accepts it"),
        }
    }

    /// The rule to add, as it stands in the file.
    fn remedy(&self, site: &Site) -> String {
        let rule = &self.missing;
        let direction = if rule.direction == Direction::In { "in" } else { "out" };
        let fields = [
            ("type", Some(direction)),
            ("action", Some("ACCEPT")),
            ("source", rule.source.as_deref()),
            ("dest", rule.dest.as_deref()),
            ("proto", rule.protocol.as_deref()),
            ("port", rule.port.as_deref()),
            ("comment", rule.comment.as_deref()),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some(format!("\"{name}\": {}", serde_json::Value::from(value?))));
        let rule = fields.collect::<Vec<_>>().join(", ");
        let place = match self.rule {
            Some(number) => format!("before rule {} of", number + 1),
            None => "to the rules of".to_owned(),
        };
        format!("add {place} {}: {{{rule}}}", name(site, self.at))
    }
}

/// Where an obstacle stands: the rule, else the firewall's section.
fn place<'a>(
    obstacle: &Obstacle,
    drafts: &HashMap<GuestId, &'a Draft<'a>>,
    root: &'a Fields<'a>,
) -> Option<(&'a File, Range<usize>)> {
    let (fields, sections, rules) = match obstacle.at {
        End::Guest(id) => (&drafts.get(&id)?.fields, ["firewall", ""], "rules"),
        _ => (root, ["firewall", "shared_volumes.firewall"], "global_firewall_rules"),
    };
    let section = sections.into_iter().filter(|path| !path.is_empty()).find_map(|path| fields.value.at(path));
    let Some(section) = section else { return Some((fields.file, fields.place.clone())) };
    let list = section.member(rules);
    let rule = obstacle.rule.zip(list).and_then(|(number, list)| list.value.items().get(number));
    let span = match (rule, list) {
        (Some(rule), _) => rule.span.clone(),
        (None, Some(list)) => list.key_span.clone(),
        (None, None) => section.span.start..section.span.start + 1,
    };
    Some((fields.file, span))
}
