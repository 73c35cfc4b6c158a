//! The handles through which one actor acts, built on the bare host that was given.

use std::sync::Arc;

use crate::event::{Event, Events, Stamped};
use crate::host::claims::Queue;
use crate::host::interrupt::{Interrupt, Interruptible};
use crate::host::record::{Counts, Recorder};
use crate::host::{Host, HostHandle};
use crate::model::GuestId;

/// What every actor of a run shares: who is told, who may stop it, and the line in which commands wait.
pub(super) struct Stage {
    pub(super) events: Events,
    pub(super) interrupt: Interrupt,
    pub(super) counts: Counts,
    line: Queue,
}

/// One actor's two ways to the same host.
#[derive(Clone)]
pub(super) struct Handles {
    /// Waits in line, and stops at an interrupt: for everything that is done to guests.
    pub(super) host: HostHandle,
    /// Does neither: for records and the journal, which are also kept after Ctrl-C.
    pub(super) keeper: HostHandle,
}

impl Stage {
    pub(super) fn new(bare: &HostHandle, events: Events, interrupt: Interrupt) -> Stage {
        Stage { events, interrupt, counts: Counts::default(), line: Queue::new(Arc::clone(bare)) }
    }

    /// The handles of the actor that owns `bare`, telling what it does on behalf of `guest`.
    pub(super) fn handles(&self, bare: HostHandle, guest: Option<GuestId>) -> Handles {
        let keeper: HostHandle = Arc::new(Recorder::new(bare, self.events.clone(), guest, self.counts.clone()));
        let stoppable = Arc::new(Interruptible::new(Arc::clone(&keeper), self.interrupt.clone()));
        let line = self.line.behind(stoppable);
        let host = match guest {
            Some(guest) => line.on_behalf_of(guest, self.events.clone()),
            None => line,
        };
        Handles { host: Arc::new(host), keeper }
    }

    /// Tells what happened, at the node's time.
    pub(super) fn tell(&self, host: &dyn Host, event: Event) {
        self.events.emit(Stamped { at: host.now(), event });
    }
}
