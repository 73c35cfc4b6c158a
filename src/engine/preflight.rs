//! What the node lacks for what is declared, found before anything is begun: storages, bridges, templates, ids.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{EngineError, observe};
use super::sight::Sight;
use crate::finding::{Finding, did_you_mean};
use crate::host::Host;
use crate::model::{Guest, GuestId, GuestKind, Origin, Site};
use crate::op::{Op, OpValue, Place};
use crate::pve::inventory;

/// Everything on the node that a declaration would fail on, each with what mends it.
///
/// # Errors
/// When the node cannot be read.
pub fn preflight(site: &Site, host: &dyn Host) -> Result<Vec<Finding>, EngineError> {
    let mut sight = observe(host)?;
    let details = inventory::details(&sight.inventory);
    sight.inventory.complete(&host.perform(Place::Node, &details)?);
    let mut findings = storages(site, &sight);
    findings.extend(bridges(site, &sight));
    findings.extend(templates(site, &sight, host)?);
    findings.extend(ids(site, &sight));
    Ok(findings)
}

/// Which guests want a thing, by the thing.
fn wanted<'a>(site: &'a Site, things: impl Fn(&'a Guest) -> Vec<&'a str>) -> BTreeMap<&'a str, Vec<GuestId>> {
    let mut by_thing: BTreeMap<&str, Vec<GuestId>> = BTreeMap::new();
    for guest in site.guests.values() {
        for thing in things(guest) {
            by_thing.entry(thing).or_default().push(guest.id);
        }
    }
    by_thing
}

fn list(guests: &[GuestId]) -> String {
    let ids: Vec<String> = guests.iter().map(GuestId::to_string).collect();
    format!("{} {}", if ids.len() == 1 { "guest" } else { "guests" }, ids.join(", "))
}

fn storages(site: &Site, sight: &Sight) -> Vec<Finding> {
    let node = &sight.inventory.node;
    let known = || sight.inventory.storages.iter().map(|storage| storage.id.as_str());
    let mut findings = Vec::new();
    for kind in [GuestKind::Lxc, GuestKind::Vm] {
        let content = if kind == GuestKind::Lxc { "rootdir" } else { "images" };
        let of_kind = |guest: &'_ Guest| guest.kind == kind;
        let by_storage = wanted(site, |guest| {
            let volumes = guest.volumes.iter().map(|volume| volume.storage.as_str());
            let all: BTreeSet<&str> = volumes.chain([guest.root.storage.as_str()]).collect();
            if of_kind(guest) { all.into_iter().collect() } else { Vec::new() }
        });
        for (id, guests) in by_storage {
            let who = list(&guests);
            let Some(storage) = sight.inventory.storage(id) else {
                let hint = match did_you_mean(id, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("storages of the node: {}", known().collect::<Vec<_>>().join(", ")),
                };
                findings.push(
                    Finding::error("storage-absent", format!("storage `{id}` ({who}) is not on node {node}"))
                        .hint(hint),
                );
                continue;
            };
            if storage.disabled {
                let finding = Finding::error("storage-disabled", format!("storage `{id}` ({who}) is disabled"));
                findings.push(finding.hint(format!("`pvesm set {id} --disable 0` enables it")));
            } else if !storage.is_on_node(node) {
                findings.push(Finding::error(
                    "storage-elsewhere",
                    format!("storage `{id}` ({who}) is not for node {node}"),
                ));
            } else if !storage.holds(content) {
                let all: Vec<&str> = storage.content.iter().map(String::as_str).chain([content]).collect();
                let finding =
                    Finding::error("storage-content", format!("storage `{id}` ({who}) does not hold `{content}`"));
                findings.push(finding.hint(format!("`pvesm set {id} --content {}` allows it", all.join(","))));
            }
        }
    }
    findings
}

fn bridges(site: &Site, sight: &Sight) -> Vec<Finding> {
    let known = &sight.inventory.bridges;
    wanted(site, |guest| {
        guest.nics.iter().map(|nic| nic.bridge.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    })
    .into_iter()
    .filter(|(bridge, _)| !known.contains(*bridge))
    .map(|(bridge, guests)| {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let finding =
            Finding::error("bridge-absent", format!("bridge `{bridge}` ({}) is not on the node", list(&guests)));
        finding
            .hint(format!("bridges of the node: {}", if names.is_empty() { "none".into() } else { names.join(", ") }))
    })
    .collect()
}

/// A missing template is noticed by `pct create` only after the disk was made, so it is looked for here.
fn templates(site: &Site, sight: &Sight, host: &dyn Host) -> Result<Vec<Finding>, EngineError> {
    let by_template = wanted(site, |guest| match (&guest.origin, guest.kind) {
        (Origin::Template(template), GuestKind::Lxc) if !sight.inventory.guests.contains_key(&guest.id) => {
            vec![template.as_str()]
        }
        _ => Vec::new(),
    });
    let mut findings = Vec::new();
    let mut asked = Vec::new();
    for (template, guests) in by_template {
        match path_of(template, sight) {
            Some(path) => asked.push((template, guests, Op::Stat { path })),
            None => findings.push(
                Finding::error(
                    "template-storage",
                    format!("the storage of template `{template}` ({}) is not on the node", list(&guests)),
                )
                .hint("templates are named `STORAGE:vztmpl/FILE`, or by an absolute path"),
            ),
        }
    }
    let ops: Vec<Op> = asked.iter().map(|(_, _, op)| op.clone()).collect();
    let results = host.perform(Place::Node, &ops)?;
    for ((template, guests, _), result) in asked.into_iter().zip(results) {
        if !matches!(result, Ok(OpValue::Stat(Some(_)))) {
            let finding = Finding::error(
                "template-absent",
                format!("template `{template}` ({}) is not on the node", list(&guests)),
            );
            let advice = match template.split_once(":vztmpl/") {
                Some((storage, file)) => format!("`pveam download {storage} {file}` fetches it"),
                None => "put the archive there, or name another one".to_owned(),
            };
            findings.push(finding.hint(advice));
        }
    }
    Ok(findings)
}

/// Where a template lies on the node: directory storages keep them below `template/cache`.
fn path_of(template: &str, sight: &Sight) -> Option<String> {
    if template.starts_with('/') {
        return Some(template.to_owned());
    }
    let (storage, file) = template.split_once(":vztmpl/")?;
    let path = sight.inventory.storage(storage)?.properties.get("path")?;
    Some(format!("{path}/template/cache/{file}"))
}

fn ids(site: &Site, sight: &Sight) -> Vec<Finding> {
    let mut findings = Vec::new();
    for guest in site.guests.values() {
        let Some(present) = sight.inventory.guests.get(&guest.id) else { continue };
        let name = present.name().unwrap_or("without a name");
        let ours = present.is_marked() && sight.records.contains_key(&guest.id);
        if present.kind != guest.kind {
            let text = format!(
                "guest {} is declared as {}, but is a {} ({name})",
                guest.id,
                guest.kind.noun(),
                present.kind.noun()
            );
            findings.push(Finding::error("id-of-other-kind", text).hint("declare another id"));
        } else if !ours {
            let text =
                format!("id {} is taken by a {} that phoenix did not make ({name})", guest.id, present.kind.noun());
            findings.push(
                Finding::error("id-taken", text).hint(format!(
                    "declare another id, or take it over with `phoenix create {0} --adopt {0}`",
                    guest.id
                )),
            );
        }
    }
    findings
}
