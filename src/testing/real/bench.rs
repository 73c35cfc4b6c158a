//! Where the container of a run stands, so that whoever ends the run can take it away.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lab::{Base, LabError, Throwaway};
use crate::model::GuestId;

/// At most one container. Clones are the same bench.
#[derive(Clone, Default)]
pub struct Bench(Arc<Mutex<Option<Throwaway>>>);

impl Bench {
    /// Boots a container; answers its id and its address.
    pub(super) fn boot(&self, base: &Base, lab: &Path) -> Result<(GuestId, String), LabError> {
        // Held meanwhile: who wants it cleared waits for the boot, which takes a second.
        let mut place = self.place();
        drop(place.take());
        let container = place.insert(Throwaway::boot(base, lab)?);
        Ok((container.id(), container.address()))
    }

    /// Destroys the container, if there is one.
    pub fn clear(&self) {
        drop(self.place().take());
    }

    fn place(&self) -> MutexGuard<'_, Option<Throwaway>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
