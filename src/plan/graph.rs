//! Who needs whom.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{DfsPostOrder, EdgeRef};
use petgraph::{Direction, algo};
use serde::{Deserialize, Serialize};

use crate::model::{Catalogue, Guest, GuestId, Origin, ScriptKind, ScriptSpec, Site};

/// Why one guest needs another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It is cloned from it.
    Clone,
    /// It says so.
    Dependency,
    /// A script of it reads this artifact, which the other one publishes.
    Artifact(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Clone => f.write_str("clone"),
            Why::Dependency => f.write_str("dependency"),
            Why::Artifact(name) => write!(f, "artifact {name}"),
        }
    }
}

/// A guest that another one needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// The guest that is needed.
    pub on: GuestId,
    /// Why.
    pub why: Why,
}

/// A need that no declared guest meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Who needs it.
    pub guest: GuestId,
    /// What is not declared.
    pub wants: Edge,
}

/// All declared guests and who needs whom. Edges of a guest are in a fixed order: its clone source, its dependencies in
/// the order of the file, then the publishers of the artifacts that its scripts read.
#[derive(Clone, Debug)]
pub struct Graph {
    graph: DiGraph<GuestId, Why>,
    index: HashMap<GuestId, NodeIndex>,
    missing: Vec<Missing>,
}

impl Graph {
    /// The graph of everything that is declared.
    pub fn new(site: &Site, catalogue: &Catalogue) -> Graph {
        let mut graph = DiGraph::with_capacity(site.guests.len(), site.guests.len() * 3);
        let index = site.guests.keys().map(|id| (*id, graph.add_node(*id))).collect();
        let mut built = Graph { graph, index, missing: Vec::new() };
        for guest in site.guests.values() {
            if let Origin::Clone(source) = guest.origin {
                built.connect(guest.id, source, Why::Clone);
            }
            for dependency in &guest.dependencies {
                built.connect(guest.id, *dependency, Why::Dependency);
            }
        }
        // After all others, because "nearest" is measured along clones and dependencies.
        for (guest, edge) in built.artifacts(site, catalogue) {
            built.connect(guest, edge.on, edge.why);
        }
        built
    }

    fn connect(&mut self, guest: GuestId, on: GuestId, why: Why) {
        match (self.index.get(&guest), self.index.get(&on)) {
            (Some(from), Some(to)) => _ = self.graph.add_edge(*from, *to, why),
            _ => self.missing.push(Missing { guest, wants: Edge { on, why } }),
        }
    }

    /// Edges from readers of artifacts to the nearest publisher. A guest that publishes an artifact itself needs nobody
    /// for it, and one that nobody publishes makes no edge.
    fn artifacts(&self, site: &Site, catalogue: &Catalogue) -> Vec<(GuestId, Edge)> {
        let mut publishers: BTreeMap<&str, Vec<GuestId>> = BTreeMap::new();
        for guest in site.guests.values() {
            for name in scripts(guest, catalogue).flat_map(|script| &script.publishes) {
                publishers.entry(name).or_default().push(guest.id);
            }
        }
        let mut edges = Vec::new();
        for guest in site.guests.values() {
            let mut seen = HashSet::new();
            for name in scripts(guest, catalogue).flat_map(|script| &script.consumes) {
                let Some(known) = publishers.get(name.as_str()).filter(|known| !known.contains(&guest.id)) else {
                    continue;
                };
                if seen.insert(name) {
                    let on = self.nearest(guest.id, known);
                    edges.push((guest.id, Edge { on, why: Why::Artifact(name.clone()) }));
                }
            }
        }
        edges
    }

    /// Of several publishers the one that is needed most directly, else the one declared first.
    fn nearest(&self, guest: GuestId, publishers: &[GuestId]) -> GuestId {
        match publishers {
            [only] => *only,
            several => {
                let mut needed = self.reach(guest, Direction::Outgoing);
                needed.find(|id| several.contains(id)).unwrap_or(several[0])
            }
        }
    }

    /// Needs that no declared guest meets, in the order of the files.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Whether the guest is declared.
    pub fn contains(&self, id: GuestId) -> bool {
        self.index.contains_key(&id)
    }

    /// All guests, in the order of the files.
    pub fn guests(&self) -> impl Iterator<Item = GuestId> {
        self.graph.node_weights().copied()
    }

    /// What a guest needs directly, in order. A guest may be needed for several reasons.
    pub fn needs(&self, id: GuestId) -> Vec<Edge> {
        let Some(node) = self.index.get(&id) else { return Vec::new() };
        // petgraph lists the newest edge first.
        let mut edges: Vec<Edge> = self
            .graph
            .edges(*node)
            .map(|edge| Edge { on: self.graph[edge.target()], why: edge.weight().clone() })
            .collect();
        edges.reverse();
        edges
    }

    /// Guests that need this one directly, in the order of the files, each once.
    pub fn needed_by(&self, id: GuestId) -> Vec<GuestId> {
        let Some(node) = self.index.get(&id) else { return Vec::new() };
        let mut nodes: Vec<NodeIndex> = self.graph.neighbors_directed(*node, Direction::Incoming).collect();
        nodes.sort();
        nodes.dedup();
        nodes.into_iter().map(|node| self.graph[node]).collect()
    }

    /// Whether any declared guest is cloned from this one.
    pub fn is_clone_source(&self, id: GuestId) -> bool {
        let node = self.index.get(&id);
        node.is_some_and(|node| {
            self.graph.edges_directed(*node, Direction::Incoming).any(|edge| *edge.weight() == Why::Clone)
        })
    }

    /// The targets and everything they need, each once, needs first: the depth-first post-order from the targets as
    /// typed. Targets that are not declared are left out.
    pub fn order(&self, targets: &[GuestId]) -> Vec<GuestId> {
        let mut walk = DfsPostOrder::empty(&self.graph);
        let mut order = Vec::new();
        for node in targets.iter().filter_map(|id| self.index.get(id)) {
            walk.move_to(*node);
            while let Some(next) = walk.next(&self.graph) {
                order.push(self.graph[next]);
            }
        }
        order
    }

    /// The same guests as [`Graph::order`], as a set.
    pub fn closure(&self, targets: &[GuestId]) -> HashSet<GuestId> {
        self.order(targets).into_iter().collect()
    }

    /// The same guests as [`Graph::order`], in levels: the guests of one level need only guests of earlier ones.
    pub fn levels(&self, targets: &[GuestId]) -> Vec<Vec<GuestId>> {
        let mut level_of: HashMap<GuestId, usize> = HashMap::new();
        let mut levels: Vec<Vec<GuestId>> = Vec::new();
        for id in self.order(targets) {
            let needs = self.needs(id);
            let level = needs.iter().filter_map(|edge| level_of.get(&edge.on)).max().map_or(0, |level| level + 1);
            level_of.insert(id, level);
            if levels.len() == level {
                levels.push(Vec::new());
            }
            levels[level].push(id);
        }
        levels
    }

    /// Everything a guest needs, directly or not, nearest first.
    pub fn ancestors(&self, id: GuestId) -> Vec<GuestId> {
        self.reach(id, Direction::Outgoing).collect()
    }

    /// Everything that needs a guest, directly or not, nearest first.
    pub fn dependents(&self, id: GuestId) -> Vec<GuestId> {
        self.reach(id, Direction::Incoming).collect()
    }

    fn reach(&self, id: GuestId, direction: Direction) -> impl Iterator<Item = GuestId> {
        let start: Vec<NodeIndex> = self.index.get(&id).copied().into_iter().collect();
        let mut seen = vec![false; self.graph.node_count()];
        start.iter().for_each(|node| seen[node.index()] = true);
        Reach { graph: &self.graph, direction, seen, queue: start, at: 0 }.skip(1)
    }

    /// A guest that needs itself, as a path that ends where it begins: `[a, b, a]` says that a needs b and b needs a.
    /// Of several the one that is declared first, by its shortest path.
    pub fn cycle(&self) -> Option<Vec<GuestId>> {
        let looped = |node: NodeIndex| self.graph.find_edge(node, node).is_some();
        let start = algo::tarjan_scc(&self.graph)
            .into_iter()
            .filter(|component| component.len() > 1 || looped(component[0]))
            .flatten()
            .min()?;
        let mut came_from = HashMap::from([(start, start)]);
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            let mut next: Vec<NodeIndex> = self.graph.neighbors(node).collect();
            next.reverse();
            if next.contains(&start) {
                let mut path = vec![start, node];
                while path.last() != Some(&start) {
                    path.push(came_from[&path[path.len() - 1]]);
                }
                return Some(path.into_iter().rev().map(|node| self.graph[node]).collect());
            }
            for other in next {
                if let Entry::Vacant(entry) = came_from.entry(other) {
                    entry.insert(node);
                    queue.push_back(other);
                }
            }
        }
        None
    }
}

/// A walk from guest to guest, nearest first; of equally near ones in the order of edges (outgoing) or of the files
/// (incoming). It begins with where it starts.
struct Reach<'a> {
    graph: &'a DiGraph<GuestId, Why>,
    direction: Direction,
    seen: Vec<bool>,
    queue: Vec<NodeIndex>,
    at: usize,
}

impl Iterator for Reach<'_> {
    type Item = GuestId;

    fn next(&mut self) -> Option<GuestId> {
        let node = *self.queue.get(self.at)?;
        self.at += 1;
        let before = self.queue.len();
        self.queue.extend(self.graph.neighbors_directed(node, self.direction));
        match self.direction {
            // petgraph lists the newest edge first.
            Direction::Outgoing => self.queue[before..].reverse(),
            Direction::Incoming => self.queue[before..].sort(),
        }
        let mut kept = before;
        for new in before..self.queue.len() {
            let node = self.queue[new];
            if !std::mem::replace(&mut self.seen[node.index()], true) {
                self.queue[kept] = node;
                kept += 1;
            }
        }
        self.queue.truncate(kept);
        Some(self.graph[node])
    }
}

/// The scripts of a guest that the catalogue knows: its features as declared, then its app.
fn scripts<'a>(guest: &'a Guest, catalogue: &'a Catalogue) -> impl Iterator<Item = &'a ScriptSpec> {
    let features = guest.features.iter().filter_map(|name| catalogue.get(ScriptKind::Feature, name));
    features.chain(guest.app.iter().filter_map(|name| catalogue.get(ScriptKind::App, name)))
}
