//! Starting and stopping a machine.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::GuestKind;
use crate::sandbox::programs::Identity;

use super::Body;
use super::around::Around;
use super::builtin::{MOUNTS, mounted_at_boot};
use super::data;
use super::state::{Power, State};
use super::tree::{Kind, Last, Node, Spot};
use super::unit_file::{Found, UNIT_DIRS};

/// So long after the start of init nothing answers to `systemctl`.
const SILENT: Duration = Duration::from_millis(300);
/// So long after the start of init it is still starting units.
const STARTING: Duration = Duration::from_millis(2500);
/// So long after the start of init the network is configured.
pub(super) const NETWORK: Duration = Duration::from_millis(1200);

impl Body {
    /// Starts init: everything that the default target wants is started; nothing else runs.
    pub fn boot(&mut self, around: &mut Around) {
        let grafts = self.graft(around);
        self.state.power = Power::On { since: around.identity.now };
        self.state.units = Arc::default();
        self.start_kernel(around);
        if self.state.has_systemd() {
            self.name_machine(around);
            let mut unheard = Duration::ZERO;
            let mut seen = BTreeSet::new();
            let mut wanted = VecDeque::from(["default.target".to_owned()]);
            while let Some(asked) = wanted.pop_front() {
                let Found::File(fragment) = self.state.find_unit(&asked) else { continue };
                if seen.insert(fragment.name.clone()) {
                    wanted.extend(self.state.wanted_by(&fragment.name, &fragment.unit));
                    // A unit that fails shows in its state, as after a real boot.
                    let _ = self.bring_up(&fragment.name, &fragment.unit, around, &mut unheard);
                }
            }
        }
        self.prune(grafts, around);
    }

    /// Stops everything; what lived in memory is gone.
    pub fn halt(&mut self) {
        self.state.power = Power::Off;
        self.state.units = Arc::default();
        for path in ["/proc", "/run", "/tmp"] {
            if let Ok(Spot { names, node: Some(node), .. }) = self.state.tree.resolve(path, Last::Followed)
                && node.entries().is_some_and(|entries| !entries.is_empty())
            {
                // Found there a line above.
                let _ = self.state.tree.put(&names, Node { meta: node.meta, kind: Kind::Dir(Default::default()) });
            }
        }
    }

    /// What the kernel and the first moments of init make of `/proc`: parameters and the table of mounts.
    fn start_kernel(&mut self, around: &Around) {
        self.start_parameters(around.identity.kind == Some(GuestKind::Lxc));
        let mut mounts = "rootfs / rootfs rw,relatime 0 0\n".to_owned();
        let mounted = around.binds.iter().filter(|bind| !bind.at.starts_with("/proc/"));
        mounts.extend(mounted.map(|bind| format!("{} {} none rw,relatime 0 0\n", bind.from, bind.at)));
        mounts += &mounted_at_boot(&self.state, around);
        // `/proc` is the template's own.
        let _ = self.place(MOUNTS, 0o444, mounts.into_bytes());
    }

    /// Gives a machine that has none an id, as systemd does (machine-id(5)); another one at every time and place.
    fn name_machine(&mut self, around: &Around) {
        let id = self.state.tree.text("/etc/machine-id").unwrap_or_default();
        if matches!(id.trim(), "" | "uninitialized") {
            let Identity { id, name, now, .. } = &around.identity;
            let digest = data::sha256(format!("{id:?} {name} {now}").as_bytes());
            // `/etc` is the template's own.
            let _ = self.place("/etc/machine-id", 0o444, format!("{}\n", &digest[..32]).into_bytes());
        }
    }

    /// Whether the machine runs, and since when.
    pub fn power(&self) -> Power {
        self.state.power
    }
}

impl State {
    pub(super) fn has_systemd(&self) -> bool {
        self.is_program("/usr/lib/systemd/systemd")
    }

    /// Time since init was started; none when the machine is off.
    pub(super) fn uptime(&self, now: Timestamp) -> Option<Duration> {
        match self.power {
            Power::Off => None,
            Power::On { since } => Some(Duration::try_from(now.duration_since(since)).unwrap_or_default()),
        }
    }

    /// systemd's word for how far init is.
    pub(super) fn system_state(&self, now: Timestamp) -> &'static str {
        match self.uptime(now) {
            None => "offline",
            Some(uptime) if uptime < SILENT || !self.has_systemd() => "offline",
            Some(uptime) if uptime < STARTING => "starting",
            Some(_) if self.all_units().values().any(|runtime| runtime.active == "failed") => "degraded",
            Some(_) => "running",
        }
    }

    /// Units that this one pulls in.
    fn wanted_by(&self, name: &str, unit: &super::unit_file::UnitFile) -> Vec<String> {
        let mut wanted: Vec<String> = ["Wants", "Requires"].iter().flat_map(|key| unit.words("Unit", key)).collect();
        for directory in ["wants", "requires"] {
            for dir in UNIT_DIRS {
                let links = self.tree.names(&format!("{dir}/{name}.{directory}"));
                wanted.extend(links.iter().map(|link| link.to_string()));
            }
        }
        wanted
    }
}
