//! The order of a guest's scripts, and of guests at boot.

use std::collections::HashSet;

use crate::model::{Catalogue, Guest, GuestId, LxcNeeds, ScriptKind, ScriptSpec, Site};

/// A script of a guest, by kind and name.
pub type Script = (ScriptKind, String);

/// The features of a guest in the order declared, each after those that it `needs` or comes `after`, as far as the guest
/// lists them; the app last. Features of clone sources are not among them: the clone brings them.
pub fn scripts(guest: &Guest, catalogue: &Catalogue) -> Vec<Script> {
    let mut walk = Walk { guest, catalogue, seen: HashSet::new(), order: Vec::new() };
    for feature in &guest.features {
        walk.visit(feature);
    }
    let features = walk.order.into_iter().map(|name| (ScriptKind::Feature, name.to_owned()));
    features.chain(guest.app.iter().map(|name| (ScriptKind::App, name.clone()))).collect()
}

struct Walk<'a> {
    guest: &'a Guest,
    catalogue: &'a Catalogue,
    seen: HashSet<&'a str>,
    order: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// A feature after all that go before it. Of features that go before each other the first declared wins.
    fn visit(&mut self, feature: &'a str) {
        if !self.seen.insert(feature) {
            return;
        }
        if let Some(spec) = self.catalogue.get(ScriptKind::Feature, feature) {
            for before in spec.needs.iter().chain(&spec.after) {
                if self.guest.features.contains(before) {
                    self.visit(before);
                }
            }
        }
        self.order.push(feature);
    }
}

/// What the scripts of a guest declare, as far as the catalogue knows them.
pub fn specs<'a>(scripts: &'a [Script], catalogue: &'a Catalogue) -> impl Iterator<Item = &'a ScriptSpec> {
    scripts.iter().filter_map(|(kind, name)| catalogue.get(*kind, name))
}

/// What the scripts of a container need of Proxmox: its own, and the features of the guests it is cloned from, because
/// what a source runs its clones run too.
pub fn lxc_needs(site: &Site, guest: &Guest, scripts: &[Script], catalogue: &Catalogue) -> LxcNeeds {
    let sources = site.clone_ancestry(guest.id).into_iter().flat_map(|source| &source.features);
    let inherited = sources.filter_map(|name| catalogue.get(ScriptKind::Feature, name));
    specs(scripts, catalogue).chain(inherited).fold(LxcNeeds::default(), |all, spec| LxcNeeds {
        nesting: all.nesting || spec.lxc.nesting,
        keyctl: all.keyctl || spec.lxc.keyctl,
        fuse: all.fuse || spec.lxc.fuse,
    })
}

/// All guests in the order in which the node starts them: by declared position, those without one last, ties by id.
pub fn boot(site: &Site) -> Vec<GuestId> {
    let mut ids: Vec<GuestId> = site.guests.keys().copied().collect();
    ids.sort_by_key(|id| (site.guest(*id).and_then(|guest| guest.boot.order).unwrap_or(u32::MAX), *id));
    ids
}
