//! What the network looks like from inside a machine.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::op::{OpError, OpErrorKind, OpResult, OpValue};

use crate::sandbox::double;
use crate::sandbox::programs::{Inside, ProgramCall, UnitModel};

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

/// Who answers behind a port.
pub(in crate::sandbox) enum Server {
    /// A double, and the command line of its unit.
    Double(String, Vec<String>),
    /// A program whose model is a server, as its unit started it.
    Model(ProgramCall),
}

impl Body {
    /// TCP ports that the active units listen on.
    pub(super) fn listening(&mut self, around: &mut Around) -> BTreeSet<u16> {
        self.active_units().into_iter().flat_map(|(name, loaded)| self.ports_of(&name, &loaded, around)).collect()
    }

    /// Who answers behind a port.
    ///
    /// # Errors
    /// When nothing listens there, or nobody models what does.
    pub(in crate::sandbox) fn service_on(&mut self, port: u16, around: &mut Around) -> Result<Server, String> {
        let grafts = self.graft(around);
        let mut units = self.active_units().into_iter();
        let found = units.find(|(name, loaded)| self.ports_of(name, loaded, around).contains(&port));
        self.prune(grafts, around);
        let (name, loaded) = found.ok_or("connection refused")?;
        match unit_model(&name, around).map(|model| model.serves) {
            Some(Some(service)) => Ok(Server::Double(service, command_line(&UnitFile::parse([&loaded])))),
            Some(None) => Err(format!("nobody models what {name} answers (`serves` of a .model.rhai)")),
            None => Ok(Server::Model(self.server(&loaded))),
        }
    }

    /// The main program of a unit as it was started.
    fn server(&self, loaded: &str) -> ProgramCall {
        let unit = UnitFile::parse([loaded]);
        let argv = command_line(&unit);
        self.process(&unit, argv)
    }

    /// Certificates that this machine believes, in PEM.
    pub(in crate::sandbox) fn system_roots(&self) -> String {
        self.state.tree.text("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default()
    }

    /// Does something inside the machine, with the node's directories in place, as the server that runs there, if any.
    pub(in crate::sandbox) fn visit<T>(
        &mut self,
        around: &mut Around,
        server: Option<&ProgramCall>,
        work: impl FnOnce(&mut dyn Inside) -> T,
    ) -> T {
        let grafts = self.graft(around);
        let mut took = Duration::ZERO;
        let done = work(&mut Within { body: self, around, took: &mut took, call: server });
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
        let mut took = Duration::ZERO;
        match unit_model(name, around) {
            Some(UnitModel { listens, serves: Some(service) }) if listens.is_empty() => {
                let mut within = Within { body: self, around, took: &mut took, call: None };
                double::ports(&service, command_line(&UnitFile::parse([loaded])), &mut within)
            }
            Some(UnitModel { listens, .. }) => listens,
            None => {
                let server = self.server(loaded);
                let programs = around.programs;
                let mut within = Within { body: self, around, took: &mut took, call: Some(&server) };
                programs.listens(&server, &mut within).unwrap_or_default()
            }
        }
    }
}

/// What a unit does: as its model says, else what is known of Debian's own; none where only its program may tell.
fn unit_model(name: &str, around: &Around) -> Option<UnitModel> {
    around.programs.unit(name).or_else(|| match name {
        "ssh.service" | "ssh.socket" => Some(UnitModel { listens: vec![22], serves: None }),
        "nginx.service" => Some(UnitModel { listens: Vec::new(), serves: Some("nginx".to_owned()) }),
        _ => None,
    })
}

/// Program and arguments of a unit.
fn command_line(unit: &UnitFile) -> Vec<String> {
    unit.last("Service", "ExecStart").and_then(shlex::split).unwrap_or_default()
}
