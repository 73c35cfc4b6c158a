//! What the network looks like from inside a machine.

use std::collections::BTreeSet;

use crate::op::{OpError, OpErrorKind, OpResult, OpValue};

use super::around::Around;
use super::boot::NETWORK;
use super::state::State;

impl State {
    /// Addresses and default route: those of the guest's configuration, once the network is up.
    pub(super) fn network(&self, around: &Around) -> OpValue {
        if self.uptime(around.identity.now).is_none_or(|uptime| uptime < NETWORK) {
            return OpValue::Network { addresses: Vec::new(), default_route: false };
        }
        let addresses = around.addresses.iter().map(ToString::to_string).collect();
        OpValue::Network { addresses, default_route: around.default_route }
    }

    /// TCP ports that the active units listen on.
    pub(super) fn listening(&self, around: &Around) -> BTreeSet<u16> {
        let active = self.units.iter().filter(|(_, runtime)| runtime.active == "active");
        active.flat_map(|(name, _)| self.ports_of(name, around)).collect()
    }

    /// TCP ports that a unit listens on while it is active.
    pub(super) fn ports_of(&self, name: &str, around: &Around) -> Vec<u16> {
        match around.programs.unit(name) {
            Some(model) => model.listens,
            None if matches!(name, "ssh.service" | "ssh.socket") => vec![22],
            None => Vec::new(),
        }
    }

    /// What `/etc/os-release` says. Every modelled machine is an amd64 one, as every Proxmox node is.
    pub(super) fn os(&self) -> OpResult {
        let missing = || OpError::new(OpErrorKind::NotFound, "/etc/os-release: No such file or directory");
        let text = self.tree.text("/etc/os-release").ok_or_else(missing)?;
        let field = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        Ok(OpValue::Os {
            id: field("ID"),
            version: field("VERSION_ID"),
            codename: field("VERSION_CODENAME"),
            arch: "amd64".to_owned(),
        })
    }
}
