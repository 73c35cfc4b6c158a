//! The stages of a guest's life, for both kinds of guest.

use super::order::{Script, specs};
use super::{Rest, Verb};
use crate::model::{Catalogue, Guest, GuestKind, ScriptKind, Step};

/// The steps of one guest for a verb.
///
/// | verb | steps |
/// |---|---|
/// | create, converge, up | the whole life, see [`life`] |
/// | start | start, ready, health |
/// | stop | stop |
/// | restart | stop, start, ready, health |
/// | delete | stop, destroy |
/// | health | health |
pub(super) fn of(
    verb: Verb,
    guest: &Guest,
    rest: Option<Rest>,
    scripts: &[Script],
    catalogue: &Catalogue,
) -> Vec<Step> {
    match verb {
        Verb::Create | Verb::Converge | Verb::Up => life(guest, rest, scripts, catalogue),
        Verb::Start => vec![Step::Start, Step::Ready, Step::Health],
        Verb::Stop => vec![Step::Stop],
        Verb::Restart => vec![Step::Stop, Step::Start, Step::Ready, Step::Health],
        Verb::Delete => vec![Step::Stop, Step::Destroy],
        Verb::Health => vec![Step::Health],
    }
}

/// A guest's life: from what its scripts ask of Proxmox to its last snapshot, or to a template.
///
/// A virtual machine that becomes a template is cleaned of what its clones must not share; containers get that as clones.
/// A guest that is not meant to run is stopped before its last snapshot. A template has no snapshots: Proxmox refuses
/// to convert a guest that has any.
pub fn life(guest: &Guest, rest: Option<Rest>, scripts: &[Script], catalogue: &Catalogue) -> Vec<Step> {
    let mut steps = Vec::new();
    if specs(scripts, catalogue).any(|spec| spec.has_prepare) {
        steps.push(Step::Prepare);
    }
    steps.extend([Step::Define, Step::Configure, Step::Storage, Step::Firewall, Step::Start, Step::Ready]);
    if !guest.vm.nfs.is_empty() {
        steps.push(Step::Mount);
    }
    let snapshots = [&guest.snapshots.before_features, &guest.snapshots.after_features, &guest.snapshots.template];
    let [before, after, source] = snapshots.map(|name| name.as_ref().filter(|_| !guest.is_template));
    steps.extend(before.cloned().map(Step::Snapshot));
    steps.extend(scripts.iter().map(|(kind, name)| match kind {
        ScriptKind::Feature => Step::Feature(name.clone()),
        ScriptKind::App => Step::App(name.clone()),
    }));
    steps.push(Step::Health);
    if guest.is_template && guest.kind == GuestKind::Vm {
        steps.push(Step::Clean);
    }
    if rest.is_some() {
        steps.push(Step::Stop);
    }
    steps.extend(after.cloned().map(Step::Snapshot));
    steps.extend(source.filter(|name| Some(*name) != before && Some(*name) != after).cloned().map(Step::Snapshot));
    if guest.is_template {
        steps.push(Step::Template);
    }
    steps
}
