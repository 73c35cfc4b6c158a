//! What the node lacks for what is declared, found before anything is begun: storages, bridges, templates, ids.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{EngineError, observe};
use super::sight::Sight;
use crate::finding::{Finding, did_you_mean};
use crate::host::Host;
use crate::model::{Guest, GuestId, GuestKind, Origin, Site};
use crate::op::{Op, OpValue, Place};
use crate::pve::inventory;
use crate::pve::vm::Snippets;

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
    findings.extend(origins(site, &sight, host)?);
    findings.extend(snippets(site, &sight));
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

/// What guests that are not there yet are made from. A missing template is noticed by `pct create` only after the disk
/// was made, so it is looked for here.
fn origins(site: &Site, sight: &Sight, host: &dyn Host) -> Result<Vec<Finding>, EngineError> {
    let by_file = wanted(site, |guest| match &guest.origin {
        _ if sight.inventory.guests.contains_key(&guest.id) => Vec::new(),
        Origin::Template(file) => vec![file.as_str()],
        Origin::Image(image) if !image.source.contains("://") => vec![image.source.as_str()],
        Origin::Image(_) | Origin::Clone(_) => Vec::new(),
    });
    let mut findings = Vec::new();
    let mut asked = Vec::new();
    for (file, guests) in by_file {
        let of_machines = site.guest(guests[0]).is_some_and(|guest| guest.kind == GuestKind::Vm);
        let (what, elsewhere, absent) = match of_machines {
            true => ("image", "image-storage", "image-absent"),
            false => ("template", "template-storage", "template-absent"),
        };
        match sight.inventory.path_of(file) {
            Some(path) => asked.push((what, absent, file, guests, Op::Stat { path })),
            None => findings.push(
                Finding::error(
                    elsewhere,
                    format!("the storage of {what} `{file}` ({}) is not on the node", list(&guests)),
                )
                .hint("files are named `STORAGE:vztmpl/FILE` or `STORAGE:import/FILE`, or by an absolute path"),
            ),
        }
    }
    let ops: Vec<Op> = asked.iter().map(|(.., op)| op.clone()).collect();
    let results = host.perform(Place::Node, &ops)?;
    for ((what, absent, file, guests, _), result) in asked.into_iter().zip(results) {
        if !matches!(result, Ok(OpValue::Stat(Some(_)))) {
            let finding = Finding::error(absent, format!("{what} `{file}` ({}) is not on the node", list(&guests)));
            let advice = match file.split_once(":vztmpl/") {
                Some((storage, file)) => format!("`pveam download {storage} {file}` fetches it"),
                None => "put the file there, or name another one".to_owned(),
            };
            findings.push(finding.hint(advice));
        }
    }
    Ok(findings)
}

/// Virtual machines made from an image get vendor data of cloud-init, which only some storages may hold.
fn snippets(site: &Site, sight: &Sight) -> Option<Finding> {
    let made =
        |guest: &&Guest| matches!(guest.origin, Origin::Image(_)) && !sight.inventory.guests.contains_key(&guest.id);
    let guests: Vec<GuestId> = site.guests.values().filter(made).map(|guest| guest.id).collect();
    let inventory = &sight.inventory;
    let absent = Snippets::storage(&inventory.storages, &inventory.node).is_none();
    (absent && !guests.is_empty()).then(|| {
        Finding::error("snippets-absent", format!("no storage of the node holds `snippets` ({})", list(&guests)))
            .hint(Snippets::advice(&inventory.storages, &inventory.node))
    })
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
