//! A sandbox that rehearses on a real node: what no predicted change has touched is read there, everything else is
//! answered by the model. Nothing that may change anything is ever sent.
//!
//! A machine that is [known] (the node, guests that really run) gets a modelled body over it at the first predicted
//! change, which learns of the real machine what it turns out to need. A guest that the rehearsal made itself is
//! modelled from the beginning. A real guest that does not run has an inside that nobody can read: it is *unknown*, and
//! so is every copy of it, and a copy of a guest that runs.

mod known;
mod overlay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::body::{Answer, Bind, Seen, watch};
use super::clock::Moment;
use super::config::Section;
use super::core::Core;
use super::world::{NODE, World, body_of};
use super::{double, guest, node_files, start_files};
use crate::command::Effect;
use crate::host::{HostError, HostHandle};
use crate::model::GuestId;
use crate::op::{Op, OpResult, Place};
use crate::request::Request;
use known::{Known, unknown};
use overlay::Overlay;

/// So often a path that a guest shows of the node is asked for anew.
const ROUNDS: usize = 64;

/// What a rehearsal knows beside its world.
pub(super) struct Rehearsal {
    real: Option<HostHandle>,
    /// Guests that ran on the real node when the rehearsal began.
    ran: BTreeSet<GuestId>,
    overlays: Mutex<BTreeMap<String, Overlay>>,
}

/// What is known of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// It can be read, and may have been changed since.
    Real,
    /// The rehearsal made it.
    Modelled,
    /// It is there, but cannot be read.
    Dark,
}

impl Rehearsal {
    /// A rehearsal on this world, with the real node behind it if there is one.
    pub(super) fn new(real: Option<HostHandle>, world: &mut World) -> Rehearsal {
        if real.is_some() {
            world.rehearses();
        }
        let ran = world.guests().filter(|guest| guest.running.is_some()).map(|guest| guest.id).collect();
        Rehearsal { real, ran, overlays: Mutex::default() }
    }

    /// The real node, where there is one.
    pub(super) fn real(&self) -> Option<&HostHandle> {
        self.real.as_ref()
    }

    /// Whether a change was predicted at a path of the node.
    pub(super) fn predicted_on_node(&self, path: &str) -> bool {
        self.overlays().get(NODE).is_some_and(|overlay| overlay.predicts(path))
    }

    /// Whether a guest is read from the real one.
    pub(super) fn is_real(&self, world: &World, id: GuestId) -> bool {
        self.real.is_some() && self.knowledge(world, id) == Knowledge::Real
    }

    /// Whether a guest's inside cannot be known.
    pub(super) fn is_dark(&self, world: &World, id: GuestId) -> bool {
        self.real.is_some() && self.knowledge(world, id) == Knowledge::Dark
    }

    /// Whether a real guest answers a request as it will answer it then: nothing that its service looks at for that is
    /// predicted to be otherwise.
    pub(super) fn serves_as_before(
        &self,
        world: &mut World,
        core: &Core,
        now: Moment,
        id: GuestId,
        (port, request): (u16, &Request),
    ) -> bool {
        let (Some(real), Some(kind)) = (&self.real, world.guest(id).map(|guest| guest.kind)) else { return false };
        let mut overlays = self.overlays();
        let name = body_of(id);
        let overlay = overlays.entry(name.clone()).or_default();
        if overlay.is_untouched() || overlay.serves_otherwise() {
            return overlay.is_untouched();
        }
        let mut known = Known { real, overlay, world, core, now, place: Place::Guest(id, kind), name };
        let answered = known.speculate(|known| {
            guest::inside(known.world, core, id, now, |body, around| {
                around.binds = &[];
                double::answer(body, around, port, request).is_ok()
            })
        });
        known.take_changes();
        answered.is_ok_and(|(_, seen)| !known.overlay.affects(&seen))
    }

    fn overlays(&self) -> MutexGuard<'_, BTreeMap<String, Overlay>> {
        self.overlays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knowledge(&self, world: &World, id: GuestId) -> Knowledge {
        let name = body_of(id);
        if world.is_unknowable(&name) {
            Knowledge::Dark
        } else if world.body(&name).is_some() && !world.is_known_in_part(&name) {
            Knowledge::Modelled
        } else if self.ran.contains(&id) {
            Knowledge::Real
        } else {
            Knowledge::Dark
        }
    }

    fn why_dark(&self, world: &World, name: &str) -> &'static str {
        if world.is_unknowable(name) {
            "what is inside: it is a copy of what cannot be read"
        } else {
            "what is inside: it did not run, so it cannot be read"
        }
    }

    /// A whole batch of reads in one round trip, where nothing of it can be answered otherwise.
    pub(super) fn look(&self, world: &World, place: Place, ops: &[Op]) -> Option<Result<Vec<OpResult>, HostError>> {
        let real = self.real.as_ref()?;
        let (name, own) = match place {
            Place::Node => (NODE.to_owned(), !ops.iter().any(|op| node_files::is_answered_by_world(world, op))),
            Place::Guest(id, _) => (body_of(id), self.knowledge(world, id) == Knowledge::Real),
        };
        let untouched = self.overlays().get(&name).is_none_or(Overlay::is_untouched);
        let only_reads = ops.iter().all(|op| op.effect() == Effect::Read);
        (own && untouched && only_reads).then(|| real.perform(place, ops))
    }

    /// Does an Op, read from the real machine or predicted; `None` where the model alone answers.
    pub(super) fn perform(
        &self,
        world: &mut World,
        core: &Core,
        now: Moment,
        place: Place,
        op: &Op,
    ) -> Option<Result<Answer, HostError>> {
        let real = self.real.as_ref()?;
        let name = match place {
            Place::Node if node_files::is_answered_by_world(world, op) => return None,
            Place::Node => NODE.to_owned(),
            Place::Guest(id, _) => match self.knowledge(world, id) {
                Knowledge::Modelled => return self.show_node(world, core, now, id, op).transpose(),
                Knowledge::Dark => return Some(Ok(unknown(self.why_dark(world, &body_of(id))))),
                Knowledge::Real => body_of(id),
            },
        };
        let mut overlays = self.overlays();
        let overlay = overlays.entry(name.clone()).or_default();
        let mut known = Known { real, overlay, world, core, now, place, name };
        Some(match op.effect() {
            Effect::Read => known.look(op),
            Effect::Change => known.predict(op),
        })
    }

    /// Does an Op in a modelled guest that shows directories or devices of the node: those are learnt of the real node.
    fn show_node(
        &self,
        world: &mut World,
        core: &Core,
        now: Moment,
        id: GuestId,
        op: &Op,
    ) -> Result<Option<Answer>, HostError> {
        let binds = guest::binds_of(world, id);
        let Some(real) = self.real.as_ref().filter(|_| !binds.is_empty()) else { return Ok(None) };
        let mut overlays = self.overlays();
        let overlay = overlays.entry(NODE.to_owned()).or_default();
        let place = Place::Node;
        for _ in 0..ROUNDS {
            let before = [body_of(id), NODE.to_owned()].map(|name| (world.body(&name).cloned(), name));
            let (answer, seen) = watch(|| guest::perform(world, core, id, now, op));
            let mut known = Known { real, overlay: &mut *overlay, world, core, now, place, name: NODE.to_owned() };
            if !known.lacks_any(&on_node(&seen, &binds)) {
                let changes = known.take_changes();
                overlay.note(&changes);
                return Ok(Some(answer));
            }
            for (body, name) in before {
                if let Some(body) = body {
                    world.place_body(&name, body);
                }
            }
            let mut known = Known { real, overlay: &mut *overlay, world, core, now, place, name: NODE.to_owned() };
            known.learn_of(&on_node(&seen, &binds))?;
        }
        Ok(Some(unknown("what the node shows inside is not known")))
    }

    /// A real guest was stopped and started: Proxmox writes its files anew, out of what its configuration says now.
    pub(super) fn restarted(&self, world: &mut World, core: &Core, id: GuestId, now: Moment, config: &Section) {
        let (Some(real), Some(kind)) = (&self.real, world.guest(id).map(|guest| guest.kind)) else { return };
        let mut overlays = self.overlays();
        let name = body_of(id);
        let overlay = overlays.entry(name.clone()).or_default();
        let place = Place::Guest(id, kind);
        let resolv_conf = world.resolv_conf.clone();
        let mut known = Known { real, overlay, world, core, now, place, name };
        let written = known.speculate(|known| {
            guest::inside(known.world, core, id, now, |body, around| {
                around.binds = &[];
                start_files::write_files(body, around, config, &resolv_conf);
            });
        });
        let changes = known.take_changes();
        // A guest that cannot be read just now is taken to have been right before.
        if written.is_ok() {
            known.overlay.note(&changes);
        }
    }
}

/// What was looked at as far as it lies on the node: where it is shown, and where it comes from.
fn on_node(seen: &Seen, binds: &[Bind]) -> Seen {
    let below = |path: &str, directory: &str| -> Option<String> {
        path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(str::to_owned)
    };
    let shown = |path: &String| binds.iter().find_map(|bind| Some(format!("{}{}", bind.from, below(path, &bind.at)?)));
    let source =
        |path: &String| binds.iter().any(|bind| below(&bind.from, path).is_some() || below(path, &bind.from).is_some());
    let mut paths: BTreeSet<String> = seen.paths.iter().filter_map(shown).collect();
    paths.extend(seen.paths.iter().filter(|path| source(path)).cloned());
    let listed = seen.listed.iter().filter_map(shown).collect();
    Seen { paths, listed, ..Seen::default() }
}
