//! Guests created by the production engine in a sandbox.

use std::sync::Arc;

use crate::engine::{self, Consent, Engine};
use crate::event::{Discard, Failure, Outcome};
use crate::host::HostHandle;
use crate::host::interrupt::Interrupt;
use crate::model::{GuestId, Site};
use crate::plan;
use crate::sandbox::Sandbox;
use crate::script::Library;

/// Creates guests of a site; answers the steps that changed something.
///
/// # Errors
/// Why a guest could not be created.
pub(super) fn run(
    sandbox: &Arc<Sandbox>,
    library: &Library,
    site: &Arc<Site>,
    targets: &[GuestId],
) -> Result<Vec<String>, Failure> {
    let request = plan::Request::new(plan::Verb::Create, targets.iter().copied());
    let plan = plan::make(site, library.catalogue(), &request).map_err(|error| Failure::new(error.to_string()))?;
    let host: HostHandle = Arc::clone(sandbox) as HostHandle;
    let summary = engine::run(Engine {
        host,
        site: Arc::clone(site),
        library: Arc::new(library.clone()),
        plan,
        events: Arc::new(Discard),
        interrupt: Interrupt::new(),
        outside: Arc::new(|_| None),
        options: engine::Options { command: "feature test".to_owned(), jobs: 1, consent: Consent::Given },
    })
    .map_err(|error| Failure::new(error.to_string()))?;
    let mut changed = Vec::new();
    for guest in summary.guests {
        if let Outcome::Failed { cause } = guest.outcome {
            return Err(cause);
        }
        for (step, outcome) in guest.steps {
            match outcome {
                Outcome::Changed => changed.push(format!("{step} of {}", guest.name)),
                Outcome::Failed { cause } => return Err(cause),
                Outcome::Unchanged | Outcome::Skipped { .. } => {}
            }
        }
    }
    Ok(changed)
}
