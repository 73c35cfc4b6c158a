//! How machines are kept in a world file: as differences from layers that they share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Body;
use super::change::{self, BodyChange, Misfit};
use super::state::State;

/// A frozen inside that machines were forked from.
#[derive(Debug, Default)]
pub(super) struct Layer {
    state: State,
    base: Option<Arc<Layer>>,
}

impl Layer {
    /// A frozen state that grew out of another.
    pub(super) fn over(base: Arc<Layer>, state: State) -> Layer {
        Layer { state, base: Some(base) }
    }

    /// A frozen state that grew out of a machine's layer. Where no other machine is over that layer, it is left out.
    pub(super) fn grown(layer: &Arc<Layer>, state: State) -> Layer {
        let needed = Arc::strong_count(layer) > 1 || layer.base.is_none();
        let base = if needed { Some(Arc::clone(layer)) } else { layer.base.clone() };
        Layer { state, base }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

/// A machine as it is kept: a layer and what is different.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Number of the layer in the table; absent: an empty machine.
    pub layer: Option<usize>,
    /// What is different.
    pub changes: Vec<BodyChange>,
}

/// The table of layers of one world file. Machines and snapshots that share a layer share its entry.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layers {
    table: Vec<Entry>,
    /// The layers themselves as far as they are at hand, by number.
    #[serde(skip)]
    live: BTreeMap<usize, Arc<Layer>>,
    /// Layers that whoever reads the file makes again, by name.
    #[serde(skip)]
    known: Vec<(String, Arc<Layer>)>,
}

/// A layer of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    /// One that is made again.
    Known {
        /// Its name.
        known: String,
    },
    /// One that is kept.
    Kept(Saved),
}

/// A world file whose layers do not hang together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLayers {
    /// A machine is said to be over a layer that the table does not have, or not before it.
    #[error("layer {0} is not in the table of layers")]
    Missing(usize),
    /// A layer is said to be known that is not.
    #[error("nothing is known of a layer called `{0}`")]
    Unknown(String),
    /// A change does not fit.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

impl Layers {
    /// Names what a machine is now. What grew out of it is kept as a difference; it itself is not kept at all, so it has
    /// to be made known again before anything is loaded.
    pub fn know(&mut self, name: &str, body: &mut Body) {
        let layer = body.fork().base;
        self.known.push((name.to_owned(), layer));
    }

    /// Keeps a machine: enters the layers that are not in the table yet.
    pub fn save(&mut self, body: &Body) -> Saved {
        let layer = self.number(&body.base);
        Saved { layer, changes: change::between(body.base.state(), &body.state) }
    }

    fn number(&mut self, layer: &Arc<Layer>) -> Option<usize> {
        if let Some((number, _)) = self.live.iter().find(|(_, live)| Arc::ptr_eq(live, layer)) {
            return Some(*number);
        }
        let known = self.known.iter().find(|(_, known)| Arc::ptr_eq(known, layer)).map(|(name, _)| name.clone());
        let entry = match (known, &layer.base) {
            (Some(known), _) => Entry::Known { known },
            (None, Some(base)) => {
                Entry::Kept(Saved { layer: self.number(base), changes: change::between(base.state(), &layer.state) })
            }
            (None, None) => {
                Entry::Kept(Saved { layer: None, changes: change::between(&State::default(), &layer.state) })
            }
        };
        if matches!(&entry, Entry::Kept(saved) if saved.layer.is_none() && saved.changes.is_empty()) {
            return None;
        }
        let number = self.table.len();
        self.table.push(entry);
        self.live.insert(number, Arc::clone(layer));
        Some(number)
    }

    /// Makes a kept machine again. Machines over one layer share it again.
    ///
    /// # Errors
    /// When the table or a change is damaged.
    pub fn load(&mut self, saved: &Saved) -> Result<Body, BadLayers> {
        let base = match saved.layer {
            Some(number) => self.layer(number)?,
            None => Arc::default(),
        };
        let mut body = Body::on(base);
        for change in &saved.changes {
            body.apply(change.clone())?;
        }
        Ok(body)
    }

    fn layer(&mut self, number: usize) -> Result<Arc<Layer>, BadLayers> {
        if let Some(layer) = self.live.get(&number) {
            return Ok(Arc::clone(layer));
        }
        let saved = match self.table.get(number).cloned().ok_or(BadLayers::Missing(number))? {
            Entry::Kept(saved) => saved,
            Entry::Known { known } => {
                let found = self.known.iter().find(|(name, _)| *name == known).map(|(_, layer)| Arc::clone(layer));
                return found.ok_or(BadLayers::Unknown(known));
            }
        };
        let base = match saved.layer {
            // A layer is entered after the one it grew out of, so this ends.
            Some(base) if base < number => Some(self.layer(base)?),
            Some(base) => return Err(BadLayers::Missing(base)),
            None => None,
        };
        let mut state = base.as_ref().map(|base| base.state.clone()).unwrap_or_default();
        for change in saved.changes {
            state.apply(change)?;
        }
        let layer = Arc::new(Layer { state, base });
        self.live.insert(number, Arc::clone(&layer));
        Ok(layer)
    }
}
