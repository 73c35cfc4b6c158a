//! Named values that one guest's script publishes and its descendants read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::GuestId;

/// A published value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Name as declared, e.g. `step_ca/root.crt`.
    pub name: String,
    /// The guest it came from.
    pub publisher: GuestId,
    /// The value.
    pub value: String,
}

/// The artifacts of one run, shared by all its actors.
#[derive(Clone, Debug, Default)]
pub struct Artifacts(Arc<Mutex<BTreeMap<(String, GuestId), Artifact>>>);

impl Artifacts {
    /// Keeps a value, replacing an earlier one of the same publisher. Tells whether it differed from it (or was new).
    pub fn publish(&self, artifact: Artifact) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (artifact.name.clone(), artifact.publisher);
        let same = kept.get(&key).is_some_and(|old| old.value == artifact.value);
        kept.insert(key, artifact);
        !same
    }

    /// The value of this name that one of `publishers` published. Nearest first: earlier publishers win.
    pub fn get(&self, name: &str, publishers: &[GuestId]) -> Option<Artifact> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        publishers.iter().find_map(|id| kept.get(&(name.to_owned(), *id)).cloned())
    }

    /// Everything, by name and publisher.
    pub fn all(&self) -> Vec<Artifact> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
