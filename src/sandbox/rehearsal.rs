//! A sandbox that rehearses: what is not touched yet is read from the real node.

use crate::host::HostHandle;

/// What a rehearsal knows beside its world.
pub(super) struct Rehearsal {
    real: Option<HostHandle>,
}

impl Rehearsal {
    pub(super) fn new(real: Option<HostHandle>) -> Rehearsal {
        Rehearsal { real }
    }
}
