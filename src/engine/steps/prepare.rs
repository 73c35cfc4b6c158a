//! Prepare: what the guest's scripts need from Proxmox, asked before it is configured.

use super::scripts::{call, spec};
use super::{Done, Life, Result};
use crate::machine::{Machine, Report};
use crate::op::Place;
use crate::script::Entry;

/// Collects the answers of the scripts' `prepare`, who may look at the node.
pub(in crate::engine) fn prepare(life: &mut Life) -> Result<Done> {
    let report = Report { guest: Some(life.id()), events: life.run.stage.events.clone() };
    let node = Machine::new(life.handles.host.clone(), Place::Node, report);
    for (kind, name) in &life.planned.scripts {
        let spec = spec(life, *kind, name)?;
        if spec.has_prepare {
            let answer = call(life, &spec, Entry::Prepare, node.clone())?.prepared;
            life.prepared.devices.extend(answer.devices);
            life.prepared.mounts.extend(answer.mounts);
            life.prepared.features.extend(answer.features);
            life.prepared.lines.extend(answer.lines);
        }
    }
    Ok(Done::Unchanged)
}
