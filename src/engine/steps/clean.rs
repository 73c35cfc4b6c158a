//! Clean: what made a virtual machine this one and no other goes before it becomes a template, so that every clone gets
//! its own: cloud-init's state, SSH host keys, the machine id. The next boot would make them anew, so it is stopped next.

use std::sync::Arc;
use std::time::Duration;

use super::{Done, Life, Result, StepError, difference, host_keys};
use crate::command::{Cost, Effect};
use crate::engine::record::Irreversible;
use crate::op::{Attributes, Content, Exec, Op, OpValue};

const MACHINE_ID: &str = "/etc/machine-id";
const LIMIT: Duration = Duration::from_secs(120);

/// Cleans the running machine.
pub(in crate::engine) fn clean(life: &mut Life) -> Result<Done> {
    life.changes(difference("identity", Some("of this machine"), Some("left to its clones"), Cost::None));
    life.begin(Irreversible::Clean)?;
    let keys = host_keys::present(life)?;
    let mut ops: Vec<Op> = keys.into_iter().map(|path| Op::Remove { path, recursive: false }).collect();
    ops.push(Op::Write {
        path: MACHINE_ID.to_owned(),
        content: Content::Bytes(Arc::from([])),
        attributes: Attributes::default(),
        guard: None,
    });
    ops.push(Op::Exec(Exec {
        argv: ["cloud-init", "clean", "--logs"].map(str::to_owned).to_vec(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: LIMIT,
        effect: Effect::Change,
    }));
    match life.perform(life.place(), &ops)?.last() {
        Some(OpValue::Output(output)) if output.ok() => Ok(Done::Changed),
        Some(OpValue::Output(output)) => Err(StepError::new(format!(
            "`cloud-init clean --logs` failed with exit status {}: {}",
            output.code,
            output.tail(4)
        ))),
        _ => Err(StepError::new("no answer to `cloud-init clean --logs`")),
    }
}
