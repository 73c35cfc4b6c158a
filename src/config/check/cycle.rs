//! Guests that need themselves.

use crate::config::guest::{Draft, id_of};
use crate::finding::Finding;
use crate::model::{Catalogue, GuestId, GuestKind, Site};
use crate::plan::{Graph, Why};

/// Reports a cycle as the path it is, with the reason of every step.
pub fn check(site: &Site, drafts: &[Draft], catalogue: &Catalogue) {
    let graph = Graph::new(site, catalogue);
    let Some(path) = graph.cycle() else { return };
    let steps: Vec<(GuestId, GuestId, Why)> = path
        .windows(2)
        .filter_map(|pair| {
            let edge = graph.needs(pair[0]).into_iter().find(|edge| edge.on == pair[1])?;
            Some((pair[0], pair[1], edge.why))
        })
        .collect();
    let arrows: Vec<String> = path.iter().map(ToString::to_string).collect();
    let reasons: Vec<String> = steps.iter().map(|(guest, on, why)| format!("{guest} needs {on} ({why})")).collect();
    let mut finding = Finding::error("cycle", format!("guests need each other in a circle: {}", arrows.join(" -> ")))
        .hint(format!("{}; one of these must go", reasons.join(", ")));
    let mut places = steps.iter().filter_map(|(guest, on, why)| {
        let draft = drafts.iter().find(|draft| draft.guest.id == *guest)?;
        Some((draft, draft.span(&field(draft, *on, why))))
    });
    let Some((first, span)) = places.next() else { return };
    if let Some((second, other)) = places.next() {
        finding = finding.related(&second.fields.file.source, other, "and this leads back");
    }
    first.fields.file.report(finding, span);
}

/// The field of the entry that makes the edge.
fn field(draft: &Draft, on: GuestId, why: &Why) -> String {
    match (why, draft.guest.kind) {
        (Why::Clone, GuestKind::Lxc) => "clone_from_ctid".to_owned(),
        (Why::Clone, GuestKind::Vm) => "clone_from_vmid".to_owned(),
        (Why::Dependency, _) => {
            let items = draft.fields.value.get("dependencies").map(|list| list.items()).unwrap_or_default();
            let at = items.iter().position(|item| id_of(item) == Some(on));
            format!("dependencies.{}", at.unwrap_or_default())
        }
        (Why::Artifact(_), _) => "features".to_owned(),
    }
}
