//! Ready: init has finished, the address is there, the way out is there. A clone gets SSH host keys of its own here.

use std::time::Duration;

use super::{Done, Life, Result, StepError, difference};
use crate::command::Effect;
use crate::event::{Cost, Level};
use crate::op::{Entry, Exec, Op, OpValue, UnitAction};

/// How long a started guest may take.
const DEADLINE: Duration = Duration::from_secs(180);
/// First pause between two looks; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const SSH: &str = "/etc/ssh";

/// Waits until the guest is ready, and tells what it waits for.
pub(in crate::engine) fn ready(life: &mut Life) -> Result<Done> {
    let began = life.handles.host.now();
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    while let Some(missing) = missing(life)? {
        if missing.text != told {
            life.waiting(&missing.text);
            told.clone_from(&missing.text);
        }
        let waited = Duration::try_from(life.handles.host.now().duration_since(began)).unwrap_or_default();
        if waited >= DEADLINE {
            let message = format!("not ready after {} s: {}", DEADLINE.as_secs(), missing.text);
            return Err(StepError::with_hint(message, missing.hint));
        }
        life.handles.host.sleep(pause)?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    own_host_keys(life)
}

struct Missing {
    text: String,
    hint: String,
}

/// The first thing that is not there yet.
fn missing(life: &Life) -> Result<Option<Missing>> {
    let answers = life.perform(life.place(), &[Op::SystemState, Op::Network])?;
    let [OpValue::SystemState(state), OpValue::Network { addresses, default_route }] = answers.as_slice() else {
        return Err(StepError::new("the guest answered something else than its state"));
    };
    let id = life.id();
    if state == "degraded" {
        life.says(Level::Debug, "init reports failed units (`systemctl --failed`)");
    } else if state != "running" {
        return Ok(Some(Missing {
            text: format!("init is `{state}`"),
            hint: format!("`pct exec {id} -- systemctl list-jobs` shows what it waits for"),
        }));
    }
    for nic in &life.guest.nics {
        let Some(wanted) = nic.address.cidr().map(|cidr| cidr.to_string()) else { continue };
        if !addresses.contains(&wanted) {
            return Ok(Some(Missing {
                text: format!("{} has no address {wanted}", nic.name),
                hint: format!("`pct exec {id} -- ip address` and the bridge `{}` tell more", nic.bridge),
            }));
        }
    }
    if addresses.is_empty() && !life.guest.nics.is_empty() {
        return Ok(Some(Missing {
            text: "no address yet".to_owned(),
            hint: "is there a DHCP server on the bridge?".to_owned(),
        }));
    }
    if !default_route && life.guest.nics.iter().any(|nic| nic.gateway.is_some()) {
        return Ok(Some(Missing {
            text: "no default route".to_owned(),
            hint: format!("`pct exec {id} -- ip route` and the declared gateway tell more"),
        }));
    }
    Ok(None)
}

/// Clones carry the SSH host keys of their source: they are replaced once, before anything else is done inside.
fn own_host_keys(life: &mut Life) -> Result<Done> {
    if life.record.own_host_keys || !life.cloned() {
        return Ok(Done::Unchanged);
    }
    let place = life.place();
    let listed = life.perform(place, &[Op::List { path: SSH.to_owned() }])?;
    let names: Vec<String> = match listed.into_iter().next() {
        Some(OpValue::Entries(Some(entries))) => entries.into_iter().map(|Entry { name, .. }| name).collect(),
        _ => Vec::new(),
    };
    // The server's own file, not the keys: a run that was cut off may have removed them already.
    if !names.iter().any(|name| name == "sshd_config") {
        life.record.own_host_keys = true;
        life.keep()?;
        return Ok(Done::Unchanged);
    }
    let keys = names.iter().filter(|name| name.starts_with("ssh_host_"));
    let mut ops: Vec<Op> = keys.map(|name| Op::Remove { path: format!("{SSH}/{name}"), recursive: false }).collect();
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
