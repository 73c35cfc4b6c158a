//! What changes did to a world, in pieces small enough to be appended to its file, and done again when it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bodies::Bodies;
use super::body::{Body, BodyChange, Misfit};
use super::clock::Moment;
use super::ha::Resource;
use super::storage::{Storage, Volume};
use super::world::{Guest, Template, World};
use crate::host::HostError;
use crate::model::{GuestId, GuestKind};

/// What one or several changes did to a world.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Record {
    now: Moment,
    random: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    guests: BTreeMap<GuestId, Option<Guest>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, Option<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storages: Option<Vec<Storage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    templates: Option<Vec<Template>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ha: Option<BTreeMap<String, Resource>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bodies: Vec<(String, Edit)>,
}

/// What happened to the inside of a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Edit {
    /// It came out of this template.
    Unpacked(String),
    /// It was copied from another machine.
    Forked(String),
    /// It is gone.
    Dropped,
    /// It changed.
    Changed(Vec<BodyChange>),
}

/// What was touched since the last record.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) guests: BTreeSet<GuestId>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) storages: bool,
    pub(super) templates: bool,
    pub(super) images: bool,
    pub(super) ha: bool,
    /// What happened to bodies, in order, as far as it is told already.
    pub(super) edits: Vec<(String, Edit)>,
    /// Bodies that may have more to tell.
    pub(super) bodies: BTreeSet<String>,
}

impl World {
    /// What changed since this was asked last, stamped with the clock; nothing if nothing did.
    pub(super) fn take_record(&mut self, now: Moment) -> Option<Record> {
        for name in std::mem::take(&mut self.touched.bodies) {
            self.tell_body(&name);
        }
        let touched = std::mem::take(&mut self.touched);
        let record = Record {
            now,
            random: self.random,
            guests: touched.guests.into_iter().map(|id| (id, self.guests.get(&id).cloned())).collect(),
            volumes: touched.volumes.into_iter().map(|id| (id.clone(), self.volumes.get(&id).cloned())).collect(),
            storages: touched.storages.then(|| self.storages.clone()),
            templates: touched.templates.then(|| self.templates.clone()),
            images: touched.images.then(|| self.images.clone()),
            ha: touched.ha.then(|| self.ha.clone()),
            bodies: touched.edits,
        };
        if record.is_empty() {
            return None;
        }
        self.now = now;
        Some(record)
    }

    /// Does a recorded change again.
    ///
    /// # Errors
    /// When it does not fit this world.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), Misfit> {
        self.now = record.now;
        self.random = record.random;
        for (id, guest) in record.guests {
            replace(&mut self.guests, id, guest);
        }
        for (id, volume) in record.volumes {
            replace(&mut self.volumes, id, volume);
        }
        if let Some(storages) = record.storages {
            self.storages = storages;
        }
        if let Some(templates) = record.templates {
            self.templates = templates;
        }
        if let Some(images) = record.images {
            self.images = images;
        }
        if let Some(ha) = record.ha {
            self.ha = ha;
        }
        for (name, edit) in record.bodies {
            match edit {
                Edit::Unpacked(template) => {
                    let body = self.unpacked(&template);
                    self.bodies.insert(name, body);
                }
                Edit::Forked(from) => {
                    if let Some(body) = self.bodies.get_mut(&from).map(Body::fork) {
                        self.bodies.insert(name, body);
                    }
                }
                Edit::Dropped => {
                    self.bodies.remove(&name);
                }
                Edit::Changed(changes) => {
                    let body = self.bodies.entry(name).or_default();
                    for change in changes {
                        body.apply(change)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn replace<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Record {
    /// Does to the real insides of containers what was done to modelled ones. What changed in a model alone is nothing
    /// there.
    pub(super) fn embody(&self, bodies: &dyn Bodies, world: &World) -> Result<(), HostError> {
        for (name, edit) in &self.bodies {
            let id = name.split('@').next().and_then(|id| id.parse().ok());
            let is_modelled = id.is_none_or(|id| world.guest(id).is_some_and(|guest| guest.kind == GuestKind::Vm));
            if is_modelled {
                continue;
            }
            match edit {
                Edit::Unpacked(template) => bodies.unpack(name, template)?,
                Edit::Forked(from) => bodies.fork(from, name)?,
                Edit::Dropped => bodies.forget(name)?,
                Edit::Changed(_) => {}
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.guests.is_empty()
            && self.volumes.is_empty()
            && self.storages.is_none()
            && self.templates.is_none()
            && self.images.is_none()
            && self.ha.is_none()
            && self.bodies.is_empty()
    }
}
