//! The graph for readers: a tree of lines, or Mermaid.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Edge, Graph, Why};
use crate::model::{GuestId, GuestKind, Site};

/// What the targets need, as a tree; without targets what all guests need, beginning with those that nobody needs.
/// A guest that was drawn before is named only, with `...` where it has needs of its own.
///
/// ```text
/// 101 gateway
/// ├─ 100 base (clone)
/// └─ 102 ca (dependency, artifact step_ca/root.crt)
///    └─ 100 base (clone)
/// ```
pub fn text(site: &Site, graph: &Graph, targets: &[GuestId]) -> String {
    let mut tree = Tree { site, graph, drawn: HashSet::new(), out: String::new() };
    for root in roots(graph, targets) {
        tree.guest(root, "", "", "");
    }
    tree.out
}

/// Guests that nobody needs, and the first of every circle that nobody else needs.
fn roots(graph: &Graph, targets: &[GuestId]) -> Vec<GuestId> {
    if !targets.is_empty() {
        return targets.to_vec();
    }
    let mut roots: Vec<GuestId> = graph.guests().filter(|id| graph.needed_by(*id).is_empty()).collect();
    let mut reached = graph.closure(&roots);
    for id in graph.guests() {
        if !reached.contains(&id) {
            roots.push(id);
            reached.extend(graph.order(&[id]));
        }
    }
    roots
}

struct Tree<'a> {
    site: &'a Site,
    graph: &'a Graph,
    drawn: HashSet<GuestId>,
    out: String,
}

impl Tree<'_> {
    fn guest(&mut self, id: GuestId, first: &str, further: &str, why: &str) {
        let needs = grouped(&self.graph.needs(id));
        let again = !self.drawn.insert(id) && !needs.is_empty();
        let _ = write!(self.out, "{first}{}{why}", label(self.site, id));
        self.out.push_str(if again { " ...\n" } else { "\n" });
        if again {
            return;
        }
        for (at, (on, why)) in needs.iter().enumerate() {
            let (branch, beside) = if at + 1 == needs.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let why = format!(" ({})", reasons(why));
            self.guest(*on, &format!("{further}{branch}"), &format!("{further}{beside}"), &why);
        }
    }
}

/// Edges with all reasons for the same guest together, in the order of the first.
fn grouped(edges: &[Edge]) -> Vec<(GuestId, Vec<Why>)> {
    let mut groups: Vec<(GuestId, Vec<Why>)> = Vec::new();
    for edge in edges {
        match groups.iter_mut().find(|(on, _)| *on == edge.on) {
            Some((_, why)) => why.push(edge.why.clone()),
            None => groups.push((edge.on, vec![edge.why.clone()])),
        }
    }
    groups
}

/// Reasons in a line: `clone, dependency, artifact a b`.
fn reasons(why: &[Why]) -> String {
    let mut line = String::new();
    for (at, one) in why.iter().enumerate() {
        let _ = match (at.checked_sub(1).map(|before| &why[before]), one) {
            (Some(Why::Artifact(_)), Why::Artifact(name)) => write!(line, " {name}"),
            (Some(_), _) => write!(line, ", {one}"),
            (None, _) => write!(line, "{one}"),
        };
    }
    line
}

fn label(site: &Site, id: GuestId) -> String {
    match site.guest(id) {
        Some(guest) => format!("{id} {}", guest.name),
        None => id.to_string(),
    }
}

/// A Mermaid flowchart of the targets and what they need; without targets of all guests. Arrows lead from what is needed
/// to who needs it: thick for clones, thin for dependencies, dotted with their names for artifacts. Virtual machines have
/// round ends, templates double sides.
pub fn mermaid(site: &Site, graph: &Graph, targets: &[GuestId]) -> String {
    let all: Vec<GuestId> = if targets.is_empty() { graph.guests().collect() } else { targets.to_vec() };
    let order = graph.order(&all);
    let mut out = String::from("flowchart LR\n");
    for id in &order {
        let name = label(site, *id).replace('"', "#quot;");
        let guest = site.guest(*id);
        let (open, close) = match guest {
            Some(guest) if guest.is_template => ("[[", "]]"),
            Some(guest) if guest.kind == GuestKind::Vm => ("([", "])"),
            _ => ("[", "]"),
        };
        let _ = writeln!(out, "  g{id}{open}\"{name}\"{close}");
    }
    for id in &order {
        for (on, why) in grouped(&graph.needs(*id)) {
            let mut artifacts = Vec::new();
            for why in why {
                let _ = match why {
                    Why::Clone => writeln!(out, "  g{on} ==> g{id}"),
                    Why::Dependency => writeln!(out, "  g{on} --> g{id}"),
                    Why::Artifact(name) => {
                        artifacts.push(name);
                        Ok(())
                    }
                };
            }
            if !artifacts.is_empty() {
                let _ = writeln!(out, "  g{on} -. \"{}\" .-> g{id}", artifacts.join("<br/>"));
            }
        }
    }
    out
}
