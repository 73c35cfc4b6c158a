//! systemd's units: their states, and how they are enabled.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::op::{OpError, OpErrorKind, UnitState};

use super::state::State;
use super::tree::{Kind, Last, Node};
use super::unit_file::{Found, Fragment, UNIT_DIRS, UnitFile, full_name};
use super::watch;

/// State of a unit that is not simply inactive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// `active` or `failed`.
    pub active: String,
    /// `running`, `exited`, `listening`, `failed` ...
    pub sub: String,
    /// Its settings as they were loaded; a changed file counts after a reload only. Empty where that is not known: as
    /// its file says.
    pub loaded: String,
}

impl State {
    /// The unit's own name: aliases are followed.
    pub(super) fn unit_name(&self, name: &str) -> String {
        let name = full_name(name);
        match self.find_unit(&name) {
            Found::File(fragment) => fragment.name,
            Found::Missing | Found::Masked => name,
        }
    }

    /// All units that are not simply inactive.
    pub(super) fn all_units(&self) -> &BTreeMap<String, Runtime> {
        watch::note(|seen| seen.all_units = true);
        &self.units
    }

    /// Whether a unit is active.
    pub(super) fn is_active(&self, name: &str) -> bool {
        watch::note(|seen| _ = seen.units.insert(name.to_owned()));
        self.units.get(name).is_some_and(|runtime| runtime.active == "active")
    }

    pub(super) fn unit_states(&self, names: &[String]) -> Vec<UnitState> {
        names.iter().map(|name| self.unit_state(name)).collect()
    }

    pub(super) fn unit_state(&self, asked: &str) -> UnitState {
        let name = full_name(asked);
        let found = self.find_unit(&name);
        let own = match &found {
            Found::File(fragment) => fragment.name.as_str(),
            Found::Missing | Found::Masked => &name,
        };
        watch::note(|seen| _ = seen.units.insert(own.to_owned()));
        let runtime = self.units.get(own);
        let load = match found {
            Found::Missing => "not-found",
            Found::Masked => "masked",
            Found::File(_) => "loaded",
        };
        UnitState {
            name: asked.to_owned(),
            load: load.to_owned(),
            active: runtime.map_or("inactive", |runtime| &runtime.active).to_owned(),
            sub: runtime.map_or("dead", |runtime| &runtime.sub).to_owned(),
            enabled: self.enablement(&name, &found).to_owned(),
        }
    }

    /// systemd's word for how a unit is enabled; empty where there is no file.
    fn enablement(&self, name: &str, found: &Found) -> &'static str {
        let fragment = match found {
            Found::Missing => return "",
            Found::Masked => return "masked",
            Found::File(fragment) => fragment,
        };
        if fragment.name != name {
            return "alias";
        }
        let linked = |dir: &str| {
            self.tree.names(dir).iter().any(|entry| {
                (entry.ends_with(".wants") || entry.ends_with(".requires"))
                    && self.tree.names(&format!("{dir}/{entry}")).iter().any(|link| link.as_ref() == name)
            })
        };
        let aliased = || {
            let aliases = fragment.unit.words("Install", "Alias");
            aliases.iter().any(|alias| self.unit_name(alias) == name && self.linked_in_etc(alias))
        };
        if linked("/etc/systemd/system") || aliased() {
            "enabled"
        } else if linked("/run/systemd/system") {
            "enabled-runtime"
        } else if !fragment.unit.installable() {
            "static"
        } else if fragment.unit.starting("Install", "").all(|(key, _)| key == "Also") {
            "indirect"
        } else {
            "disabled"
        }
    }

    fn linked_in_etc(&self, name: &str) -> bool {
        let path = format!("/etc/systemd/system/{name}");
        self.tree.resolve(&path, Last::Itself).is_ok_and(|spot| spot.node.is_some())
    }

    /// `systemctl daemon-reload`: what is loaded becomes what the files say.
    pub(super) fn reload_units(&mut self) {
        let known = self.units.iter().filter(|(_, runtime)| !runtime.loaded.is_empty());
        for name in known.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if let Found::File(fragment) = self.find_unit(&name) {
                let loaded = fragment.unit.text();
                if self.units.get(&name).is_some_and(|runtime| runtime.loaded != loaded)
                    && let Some(runtime) = Arc::make_mut(&mut self.units).get_mut(&name)
                {
                    runtime.loaded = loaded;
                }
            }
        }
    }

    /// What a unit is about to run as: as loaded while it is active, else as its file says now.
    pub(super) fn settings(&self, fragment: &Fragment) -> UnitFile {
        match self.units.get(&fragment.name) {
            Some(runtime) if runtime.active == "active" && !runtime.loaded.is_empty() => {
                UnitFile::parse([&runtime.loaded])
            }
            _ => fragment.unit.clone(),
        }
    }

    /// Makes a unit active, or failed.
    pub(super) fn set_runtime(&mut self, name: &str, active: &str, sub: &str, unit: &UnitFile) {
        let runtime = Runtime { active: active.to_owned(), sub: sub.to_owned(), loaded: unit.text() };
        Arc::make_mut(&mut self.units).insert(name.to_owned(), runtime);
    }

    pub(super) fn set_inactive(&mut self, name: &str) {
        if self.units.contains_key(name) {
            Arc::make_mut(&mut self.units).remove(name);
        }
    }

    /// `systemctl enable`, with its words.
    pub(super) fn enable_unit(&mut self, asked: &str) -> Result<String, OpError> {
        let name = full_name(asked);
        let fragment = match self.find_unit(&name) {
            Found::File(fragment) => fragment,
            Found::Masked => {
                let file = format!("Unit file /etc/systemd/system/{name} is masked.");
                return Err(failed(format!("Failed to enable unit: {file}")));
            }
            Found::Missing => {
                return Err(failed(format!("Failed to enable unit: Unit file {name} does not exist.")));
            }
        };
        if !fragment.unit.installable() {
            return Ok("The unit files have no installation config (WantedBy=, RequiredBy=, Also=,\n\
                 Alias= settings in the [Install] section, and DefaultInstance= for template\n\
                 units). This means they are not meant to be enabled or disabled using systemctl.\n"
                .to_owned());
        }
        let mut said = String::new();
        for (key, directory) in [("WantedBy", "wants"), ("RequiredBy", "requires")] {
            for target in fragment.unit.words("Install", key) {
                let at = format!("/etc/systemd/system/{target}.{directory}/{}", fragment.name);
                said.push_str(&self.link_unit(&at, &fragment.path)?);
            }
        }
        for alias in fragment.unit.words("Install", "Alias") {
            said.push_str(&self.link_unit(&format!("/etc/systemd/system/{alias}"), &fragment.path)?);
        }
        for also in fragment.unit.words("Install", "Also") {
            // Units that name each other are enabled once.
            if self.unit_state(&also).enabled == "disabled" {
                said.push_str(&self.enable_unit(&also)?);
            }
        }
        self.reload_units();
        Ok(said)
    }

    fn link_unit(&mut self, at: &str, path: &str) -> Result<String, OpError> {
        if self.tree.resolve(at, Last::Itself).is_ok_and(|spot| spot.node.is_some()) {
            return Ok(String::new());
        }
        self.tree.place(at, Node::link(path)).map_err(|errno| errno.at(at))?;
        Ok(format!("Created symlink {at} → {path}.\n"))
    }

    /// `systemctl disable`, with its words.
    pub(super) fn disable_unit(&mut self, asked: &str) -> Result<String, OpError> {
        let name = full_name(asked);
        let found = self.find_unit(&name);
        if found == Found::Missing {
            return Err(failed(format!("Failed to disable unit: Unit file {name} does not exist.")));
        }
        let mut gone = Vec::new();
        let etc = UNIT_DIRS[0];
        for entry in self.tree.names(etc) {
            if entry.ends_with(".wants") || entry.ends_with(".requires") {
                gone.push(format!("{etc}/{entry}/{name}"));
            }
        }
        if let Found::File(fragment) = &found {
            gone.extend(fragment.unit.words("Install", "Alias").iter().map(|alias| format!("{etc}/{alias}")));
        }
        let mut said = String::new();
        for path in gone {
            let Ok(spot) = self.tree.resolve(&path, Last::Itself) else { continue };
            if matches!(spot.node.as_deref(), Some(Node { kind: Kind::Link(_), .. })) {
                self.tree.take(&spot.names);
                said.push_str(&format!("Removed \"{path}\".\n"));
            }
        }
        self.reload_units();
        Ok(said)
    }
}

/// A failure with systemctl's words.
pub(super) fn failed(message: impl Into<String>) -> OpError {
    OpError::new(OpErrorKind::Failed, message)
}
