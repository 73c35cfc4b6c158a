//! SSH host keys. A clone of a container carries those of its source: they are replaced once. Those of a virtual machine
//! are cloud-init's business.

use std::time::Duration;

use super::{Done, Life, Result, StepError, difference};
use crate::command::Effect;
use crate::event::Cost;
use crate::model::GuestKind;
use crate::op::{Entry, Exec, Op, OpValue, UnitAction};

const SSH: &str = "/etc/ssh";

/// The names in the directory of the SSH server.
fn listed(life: &Life) -> Result<Vec<String>> {
    let listed = life.perform(life.place(), &[Op::List { path: SSH.to_owned() }])?;
    Ok(match listed.into_iter().next() {
        Some(OpValue::Entries(Some(entries))) => entries.into_iter().map(|Entry { name, .. }| name).collect(),
        _ => Vec::new(),
    })
}

fn keys(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| name.starts_with("ssh_host_")).map(|name| format!("{SSH}/{name}")).collect()
}

/// The files of the guest's keys.
pub(super) fn present(life: &Life) -> Result<Vec<String>> {
    Ok(keys(&listed(life)?))
}

/// Gives a clone keys of its own, before anything else is done inside.
pub(super) fn own(life: &mut Life) -> Result<Done> {
    if life.record.own_host_keys || !life.cloned() || life.guest.kind == GuestKind::Vm {
        return Ok(Done::Unchanged);
    }
    let place = life.place();
    let names = listed(life)?;
    // The server's own file, not the keys: a run that was cut off may have removed them already.
    if !names.iter().any(|name| name == "sshd_config") {
        life.record.own_host_keys = true;
        life.keep()?;
        return Ok(Done::Unchanged);
    }
    let mut ops: Vec<Op> = keys(&names).into_iter().map(|path| Op::Remove { path, recursive: false }).collect();
    ops.push(Op::Exec(Exec {
        argv: ["ssh-keygen", "-A"].map(str::to_owned).to_vec(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(60),
        effect: Effect::Change,
    }));
    let answers = life.perform(place, &ops)?;
    if let Some(OpValue::Output(output)) =
        answers.last().filter(|answer| matches!(answer, OpValue::Output(o) if !o.ok()))
    {
        return Err(StepError::new(format!("`ssh-keygen -A` failed: {}", output.tail(4))));
    }
    restart_ssh(life)?;
    life.changes(difference("SSH host keys", Some("those of the clone's source"), Some("its own"), Cost::None));
    life.record.own_host_keys = true;
    life.keep()?;
    Ok(Done::Changed)
}

/// A running daemon reads its keys only when it starts.
fn restart_ssh(life: &Life) -> Result<()> {
    let units = Op::Units { names: vec!["ssh.service".to_owned()] };
    let answers = life.perform(life.place(), &[units])?;
    let active =
        matches!(answers.first(), Some(OpValue::Units(units)) if units.iter().any(|unit| unit.active == "active"));
    if active {
        let restart = Op::Unit { name: "ssh.service".to_owned(), action: UnitAction::Restart };
        life.perform(life.place(), &[restart])?;
    }
    Ok(())
}
