//! High availability: the guests that Proxmox's HA manager keeps in the state that was asked of it.
//!
//! What is asked for is in `/etc/pve/ha/resources.cfg`, what the manager made of it in `/etc/pve/ha/manager_status`. For
//! such a guest `pct` and `qm` only file a request when it is started, stopped or migrated, and succeed before
//! anything happened; destroying it needs `--purge 1`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{GuestId, GuestKind};

/// What the manager was asked to keep a guest as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Running; started again when it dies.
    #[serde(alias = "enabled")]
    Started,
    /// Stopped, but moved away from a node that fails.
    Stopped,
    /// Stopped and left alone; the way out of an error.
    Disabled,
    /// As if it were not managed at all.
    Ignored,
}

impl Asked {
    /// Proxmox's word.
    pub const fn word(self) -> &'static str {
        match self {
            Asked::Started => "started",
            Asked::Stopped => "stopped",
            Asked::Disabled => "disabled",
            Asked::Ignored => "ignored",
        }
    }

    /// What a word of Proxmox's asks for; `enabled` is an old one for `started`.
    pub fn of_word(word: &str) -> Option<Asked> {
        match word {
            "started" | "enabled" => Some(Asked::Started),
            "stopped" => Some(Asked::Stopped),
            "disabled" => Some(Asked::Disabled),
            "ignored" => Some(Asked::Ignored),
            _ => None,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A guest that the manager looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// Container or virtual machine.
    pub kind: GuestKind,
    /// What was asked for.
    pub asked: Asked,
    /// The manager's own word for how it is (`started`, `error`, `fence`, ...); absent until it took notice.
    pub state: Option<String>,
}

impl Managed {
    /// The manager gave it up; only `disabled` brings it out of that.
    pub fn is_in_error(&self) -> bool {
        self.state.as_deref() == Some("error")
    }
}

/// The name of a guest among the manager's resources: `ct:101`.
pub fn sid(kind: GuestKind, id: GuestId) -> String {
    match kind {
        GuestKind::Lxc => format!("ct:{id}"),
        GuestKind::Vm => format!("vm:{id}"),
    }
}

/// The guest behind such a name; a bare id has no kind.
pub fn of_sid(sid: &str) -> Option<(GuestKind, GuestId)> {
    let (kind, id) = sid.split_once(':')?;
    let kind = match kind {
        "ct" => GuestKind::Lxc,
        "vm" => GuestKind::Vm,
        _ => return None,
    };
    Some((kind, id.parse().ok()?))
}

/// The guests that the manager looks after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ha(BTreeMap<GuestId, Managed>);

impl Ha {
    /// Understands the two files; what is not understood in them is passed over, as a guest that is not managed.
    pub fn parse(resources: &str, manager_status: &str) -> Ha {
        #[derive(Deserialize)]
        struct Status {
            #[serde(default)]
            service_status: BTreeMap<String, Service>,
        }
        #[derive(Deserialize)]
        struct Service {
            state: Option<String>,
        }
        let status = serde_json::from_str::<Status>(manager_status).map(|status| status.service_status);
        let mut states = status.unwrap_or_default();
        let mut managed: BTreeMap<GuestId, Managed> = BTreeMap::new();
        let mut last = None;
        for line in resources.lines() {
            if let Some(property) = line.strip_prefix(['\t', ' ']) {
                let guest = last.and_then(|id| managed.get_mut(&id));
                let asked = property.trim().strip_prefix("state").and_then(|word| Asked::of_word(word.trim()));
                if let (Some(guest), Some(asked)) = (guest, asked) {
                    guest.asked = asked;
                }
                continue;
            }
            // `ct: 101` here, `ct:101` elsewhere.
            let name = line.replace(' ', "");
            last = of_sid(name.trim()).map(|(kind, id)| {
                let state = states.remove(&sid(kind, id)).and_then(|service| service.state);
                managed.insert(id, Managed { kind, asked: Asked::Started, state });
                id
            });
        }
        Ha(managed)
    }

    /// The guest as the manager knows it, if it looks after it. One that it was told to ignore is not among them.
    pub fn manages(&self, id: GuestId) -> Option<&Managed> {
        self.0.get(&id).filter(|managed| managed.asked != Asked::Ignored)
    }

    /// All guests that it knows.
    pub fn resources(&self) -> impl Iterator<Item = (GuestId, &Managed)> {
        self.0.iter().map(|(id, managed)| (*id, managed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCES: &str = "\
ct: 101
\tgroup all
\tmax_restart 2
\tstate stopped

vm: 201

ct: 102
\tstate ignored
pool: backup
\tstate started
";

    const STATUS: &str = r#"{"master_node":"pve","node_status":{"pve":"online"},"timestamp":1767225600,
        "service_status":{"ct:101":{"node":"pve","state":"error","uid":"x"},"vm:201":{"node":"pve2","state":"started"}}}"#;

    #[test]
    fn both_files_are_understood() {
        let ha = Ha::parse(RESOURCES, STATUS);
        let id = |number: u32| GuestId::try_from(number).unwrap();
        let stopped = ha.manages(id(101)).unwrap();
        assert_eq!((stopped.kind, stopped.asked, stopped.is_in_error()), (GuestKind::Lxc, Asked::Stopped, true));
        let machine = ha.manages(id(201)).unwrap();
        assert_eq!((machine.kind, machine.asked, machine.is_in_error()), (GuestKind::Vm, Asked::Started, false));
        assert_eq!(ha.manages(id(102)), None, "ignored is as good as not managed");
        assert_eq!(ha.resources().count(), 3);
        assert_eq!(Ha::parse("", ""), Ha::default());
    }
}
