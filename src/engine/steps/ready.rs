//! Ready: the guest can be reached, init and cloud-init have finished, the address is there, the way out is there.

use std::time::Duration;

use super::cloud_init::{self, CloudInit};
use super::{Done, Life, Result, StepError, host_keys};
use crate::event::{Failure, Level};
use crate::host::HostError;
use crate::model::{Address, GuestKind};
use crate::op::{Op, OpValue};
use crate::pve::guest;

/// First pause between two looks; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a started guest may take. The first boot of a virtual machine installs the agent that it is reached by.
fn deadline(kind: GuestKind) -> Duration {
    Duration::from_secs(match kind {
        GuestKind::Lxc => 180,
        GuestKind::Vm => 600,
    })
}

/// Waits until the guest is ready, and tells what it waits for.
pub(in crate::engine) fn ready(life: &mut Life) -> Result<Done> {
    if life.guest.is_imported() && life.planned.scripts.is_empty() && life.guest.health_checks.is_empty() {
        return Ok(Done::Skipped("it was imported, and nothing is done inside".to_owned()));
    }
    let (began, deadline) = (life.handles.host.now(), deadline(life.guest.kind));
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    let mut watch = Watch::default();
    while let Some(missing) = watch.missing(life)? {
        if missing.text != told {
            life.waiting(&missing.text);
            told.clone_from(&missing.text);
        }
        let waited = Duration::try_from(life.handles.host.now().duration_since(began)).unwrap_or_default();
        if waited >= deadline {
            let message = format!("not ready after {} s: {}", deadline.as_secs(), missing.text);
            return Err(StepError::with_hint(message, missing.hint));
        }
        life.handles.host.sleep(pause)?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    host_keys::own(life)
}

struct Missing {
    text: String,
    hint: String,
}

impl Missing {
    fn some(text: impl Into<String>, hint: impl Into<String>) -> Option<Missing> {
        Some(Missing { text: text.into(), hint: hint.into() })
    }
}

/// What was learnt while waiting.
#[derive(Default)]
struct Watch {
    older_cloud_init: bool,
}

impl Watch {
    /// The first thing that is not there yet.
    fn missing(&mut self, life: &Life) -> Result<Option<Missing>> {
        let Some(answers) = self.ask(life)? else {
            if !guest::has_channel(life.defined()?) {
                return Err(StepError::with_hint(
                    "it was started without a channel for its guest agent, so nothing inside can be reached",
                    format!("`agent` counts from the next cold start: `phoenix restart {}`", life.id()),
                ));
            }
            return Ok(Missing::some(
                "its guest agent does not answer",
                format!(
                    "the console of the machine shows what it does (`qm terminal {0}`); `qm guest cmd {0} ping` asks the \
                     agent, which the package qemu-guest-agent inside has to bring",
                    life.id()
                ),
            ));
        };
        let [OpValue::SystemState(state), OpValue::Network { addresses, default_route }, rest @ ..] =
            answers.as_slice()
        else {
            return Err(StepError::new("the guest answered something else than its state"));
        };
        let cloud_init = match rest.first() {
            Some(OpValue::Output(output)) => cloud_init::read(output),
            _ => CloudInit::Done(Vec::new()),
        };
        if let CloudInit::Failed(words) = cloud_init {
            return Err(cloud_init_failed(life, words));
        }
        Ok(self
            .setting_up(life, &cloud_init)
            .or_else(|| booting(life, state))
            .or_else(|| network(life, addresses, *default_route)))
    }

    /// The answers; none while the agent of a virtual machine is silent.
    fn ask(&self, life: &Life) -> Result<Option<Vec<OpValue>>> {
        let mut ops = vec![Op::SystemState, Op::Network];
        if life.guest.kind == GuestKind::Lxc {
            return life.perform(life.place(), &ops).map(Some);
        }
        ops.push(cloud_init::status(self.older_cloud_init));
        let results = match life.handles.host.perform(life.place(), &ops) {
            Err(HostError::Unreachable { .. }) => return Ok(None),
            // It may end for a moment while cloud-init installs or restarts it.
            Err(HostError::Lost { .. }) => return Ok(None),
            other => other?,
        };
        ops.iter()
            .zip(results)
            .map(|(op, result)| result.map_err(|error| StepError::op(op, &error)))
            .collect::<Result<_>>()
            .map(Some)
    }

    fn setting_up(&mut self, life: &Life, cloud_init: &CloudInit) -> Option<Missing> {
        match cloud_init {
            CloudInit::Running | CloudInit::Failed(_) => {
                let log = life.tool().inside("tail /var/log/cloud-init-output.log");
                Missing::some("cloud-init is at it", format!("`{log}` shows what it does"))
            }
            CloudInit::Older => {
                self.older_cloud_init = true;
                Missing::some("cloud-init is asked in its older words", "")
            }
            CloudInit::Done(complaints) => {
                for complaint in complaints {
                    life.says(Level::Debug, format!("cloud-init: {complaint}"));
                }
                None
            }
        }
    }
}

fn cloud_init_failed(life: &Life, words: String) -> StepError {
    StepError::Failed(Box::new(Failure {
        output: Some(words),
        hint: Some(format!(
            "`{}` tells more; `phoenix delete {}` and a new run make it anew",
            life.tool().inside("cat /var/log/cloud-init-output.log"),
            life.id()
        )),
        ..Failure::new("cloud-init failed")
    }))
}

fn booting(life: &Life, state: &str) -> Option<Missing> {
    match state {
        "running" => None,
        "degraded" => {
            life.says(Level::Debug, "init reports failed units (`systemctl --failed`)");
            None
        }
        _ => {
            let jobs = life.tool().inside("systemctl list-jobs");
            Missing::some(format!("init is `{state}`"), format!("`{jobs}` shows what it waits for"))
        }
    }
}

fn network(life: &Life, addresses: &[String], default_route: bool) -> Option<Missing> {
    let nics = &life.guest.nics;
    for nic in nics {
        let Some(wanted) = nic.address.cidr().map(|cidr| cidr.to_string()) else { continue };
        if !addresses.contains(&wanted) {
            return Missing::some(
                format!("{} has no address {wanted}", nic.name),
                format!("`{}` and the bridge `{}` tell more", life.tool().inside("ip address"), nic.bridge),
            );
        }
    }
    if addresses.is_empty() && nics.iter().any(|nic| nic.address != Address::Manual) {
        return Missing::some("no address yet", "is there a DHCP server on the bridge?");
    }
    if !default_route && nics.iter().any(|nic| nic.gateway.is_some()) {
        let route = life.tool().inside("ip route");
        return Missing::some("no default route", format!("`{route}` and the declared gateway tell more"));
    }
    None
}
