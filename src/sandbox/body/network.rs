//! What the network looks like from inside a machine.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::op::{OpError, OpErrorKind, OpResult, OpValue};

use crate::sandbox::double;
use crate::sandbox::programs::{Inside, UnitModel};

use super::Body;
use super::around::Around;
use super::boot::NETWORK;
use super::exec::Within;
use super::state::State;
use super::unit_file::{Found, UnitFile};
use super::units::Runtime;

impl State {
    /// Addresses and default route: those of the guest's configuration, once the network is up; the node's always is.
    pub(super) fn network(&self, around: &Around) -> OpValue {
        let up = || self.uptime(around.identity.now).is_some_and(|uptime| uptime >= NETWORK);
        if around.identity.id.is_some() && !up() {
            return OpValue::Network { addresses: Vec::new(), default_route: false };
        }
        let addresses = around.addresses.iter().map(ToString::to_string).collect();
        OpValue::Network { addresses, default_route: around.default_route }
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

impl Body {
    /// TCP ports that the active units listen on.
    pub(super) fn listening(&mut self, around: &mut Around) -> BTreeSet<u16> {
        self.active_units().into_iter().flat_map(|(name, loaded)| self.ports_of(&name, &loaded, around)).collect()
    }

    /// Name of the double behind a port, and the command line of its unit.
    ///
    /// # Errors
    /// When nothing listens there, or nobody models what does.
    pub(in crate::sandbox) fn service_on(
        &mut self,
        port: u16,
        around: &mut Around,
    ) -> Result<(String, Vec<String>), String> {
        let grafts = self.graft(around);
        let mut units = self.active_units().into_iter();
        let found = units.find(|(name, loaded)| self.ports_of(name, loaded, around).contains(&port));
        self.prune(grafts, around);
        let (name, loaded) = found.ok_or("connection refused")?;
        let service = unit_model(&name, around).serves;
        let service =
            service.ok_or_else(|| format!("nobody models what {name} answers (`serves` of a .model.rhai)"))?;
        Ok((service, command_line(&loaded)))
    }

    /// Certificates that this machine believes, in PEM.
    pub(in crate::sandbox) fn system_roots(&self) -> String {
        self.state.tree.text("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default()
    }

    /// Does something inside the machine, with the node's directories in place.
    pub(in crate::sandbox) fn visit<T>(&mut self, around: &mut Around, work: impl FnOnce(&mut dyn Inside) -> T) -> T {
        let grafts = self.graft(around);
        let mut took = Duration::ZERO;
        let done = work(&mut Within { body: self, around, took: &mut took, call: None });
        self.prune(grafts, around);
        done
    }

    /// Names of the active units, and what they were loaded with.
    fn active_units(&self) -> Vec<(String, String)> {
        let active = self.state.all_units().iter().filter(|(_, runtime)| runtime.active == "active");
        let loaded = |name: &String, runtime: &Runtime| match self.state.find_unit(name) {
            Found::File(fragment) if runtime.loaded.is_empty() => fragment.unit.text(),
            _ => runtime.loaded.clone(),
        };
        active.map(|(name, runtime)| (name.clone(), loaded(name, runtime))).collect()
    }

    fn ports_of(&mut self, name: &str, loaded: &str, around: &mut Around) -> Vec<u16> {
        match unit_model(name, around) {
            UnitModel { listens, serves: Some(service) } if listens.is_empty() => {
                let mut took = Duration::ZERO;
                let mut within = Within { body: self, around, took: &mut took, call: None };
                double::ports(&service, command_line(loaded), &mut within)
            }
            UnitModel { listens, .. } => listens,
        }
    }
}

/// What a unit does: as its model says, else what is known of Debian's own.
fn unit_model(name: &str, around: &Around) -> UnitModel {
    let own = || match name {
        "ssh.service" | "ssh.socket" => UnitModel { listens: vec![22], serves: None },
        "nginx.service" => UnitModel { listens: Vec::new(), serves: Some("nginx".to_owned()) },
        _ => UnitModel::default(),
    };
    around.programs.unit(name).unwrap_or_else(own)
}

/// Program and arguments of a unit.
fn command_line(loaded: &str) -> Vec<String> {
    let unit = UnitFile::parse([loaded]);
    unit.last("Service", "ExecStart").and_then(shlex::split).unwrap_or_default()
}
