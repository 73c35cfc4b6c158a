//! Debian packages: what is installed, what can be, and what comes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::op::{OpError, OpErrorKind, OpResult, OpValue};
use crate::sandbox::programs::{PackageModel, Programs};

use super::Body;
use super::accounts::NewUser;
use super::around::{Around, Unmodelled};
use super::data::Data;
use super::state::{Power, State};
use super::tree::{Meta, Node};
use super::unit_file::Found;

/// Version of a package whose model names none.
const PLAIN_VERSION: &str = "1.0-1";

/// Packages of Debian itself that every modelled machine can install.
static DEBIAN: LazyLock<BTreeMap<String, PackageModel>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("packages.json")).expect("packages.json is checked by a test of this crate")
});

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Version.
    pub version: String,
    /// Files that go when it is removed; configuration files stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Units that stop when it is removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
}

/// What is known about a package.
pub(super) fn model(name: &str, programs: &dyn Programs) -> Option<PackageModel> {
    programs.package(name).or_else(|| DEBIAN.get(name).cloned())
}

impl State {
    pub(super) fn package_versions(&self) -> BTreeMap<String, String> {
        self.packages.iter().map(|(name, installed)| (name.clone(), installed.version.clone())).collect()
    }

    /// `apt-get update`.
    pub(super) fn refresh_packages(&mut self, around: &Around) -> OpResult {
        around.need_space("/var/lib/apt/lists")?;
        if around.faults.no_mirror {
            return Err(unreachable_mirror());
        }
        self.index = Some(Arc::new(self.sources()));
        Ok(OpValue::Done)
    }

    /// What the enabled apt sources say, one entry per line or deb822 stanza.
    pub(super) fn sources(&self) -> Vec<String> {
        let mut sources: Vec<String> = Vec::new();
        let mut lists = vec!["/etc/apt/sources.list".to_owned()];
        let directory = "/etc/apt/sources.list.d";
        lists.extend(self.tree.names(directory).iter().map(|name| format!("{directory}/{name}")));
        for path in lists {
            let Some(text) = self.tree.text(&path) else { continue };
            if path.ends_with(".list") {
                sources.extend(text.lines().map(str::trim).filter(|line| line.starts_with("deb ")).map(str::to_owned));
            } else if path.ends_with(".sources") {
                let stanzas = text.split("\n\n").map(str::trim).filter(|stanza| !stanza.is_empty());
                sources.extend(stanzas.filter(|stanza| !stanza.contains("Enabled: no")).map(str::to_owned));
            }
        }
        sources
    }
}

impl Body {
    /// `apt-get install`: all of them or none.
    pub(super) fn install(&mut self, names: &[String], around: &mut Around, took: &mut Duration) -> OpResult {
        around.need_space("/var/cache/apt/archives")?;
        let mut wanted = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.collect(name, around, &mut seen, &mut wanted)?;
        }
        if wanted.is_empty() {
            *took += Duration::from_secs(1);
            return Ok(OpValue::Done);
        }
        if around.faults.no_mirror {
            return Err(unreachable_mirror());
        }
        *took += Duration::from_millis((8_000 + 1_500 * wanted.len() as u64).min(20_000));
        let before = self.state.clone();
        for (name, model) in wanted {
            if let Err(error) = self.unpack(&name, &model, around, took) {
                self.state = before;
                return Err(error);
            }
        }
        Ok(OpValue::Done)
    }

    /// Adds a package that is not installed, and what it depends on before it.
    fn collect(
        &self,
        name: &str,
        around: &Around,
        seen: &mut BTreeSet<String>,
        wanted: &mut Vec<(String, PackageModel)>,
    ) -> Result<(), OpError> {
        let name = name.split('=').next().unwrap_or(name);
        if self.state.packages.contains_key(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let model = match model(name, around.programs) {
            Some(model) => model,
            None if around.unmodelled == Unmodelled::Unknown => PackageModel::default(),
            None => return Err(cannot_locate(name, " (no model names it: see `packages` in a `.model.rhai` file)")),
        };
        let index = self.state.index.as_deref().map(Vec::as_slice).unwrap_or_default();
        if !index.iter().any(|source| source.contains(&model.source)) && around.unmodelled == Unmodelled::Assumed {
            return Err(cannot_locate(name, ""));
        }
        for needed in &model.depends {
            self.collect(needed, around, seen, wanted)?;
        }
        wanted.push((name.to_owned(), model));
        Ok(())
    }

    /// Brings a package's files, users and units.
    fn unpack(
        &mut self,
        name: &str,
        model: &PackageModel,
        around: &mut Around,
        took: &mut Duration,
    ) -> Result<(), OpError> {
        let mut installed = Installed {
            version: if model.version.is_empty() { PLAIN_VERSION.to_owned() } else { model.version.clone() },
            files: Vec::new(),
            units: model.units.clone(),
        };
        for user in &model.users {
            if self.state.accounts().user(user).is_none() {
                let home = Some("/nonexistent");
                self.state.add_user(&NewUser { name: user, uid: None, system: true, home, shell: None }, around)?;
            }
        }
        let mut files: Vec<(String, u32, String)> = Vec::new();
        for program in &model.programs {
            let path = if program.starts_with('/') { program.clone() } else { format!("/usr/bin/{program}") };
            files.push((path, 0o755, PROGRAM_TEXT.to_owned()));
        }
        for (path, text) in &model.files {
            files.push((path.clone(), 0o644, text.clone()));
        }
        for unit in &model.units {
            if !model.files.keys().any(|file| file.ends_with(&format!("/{unit}"))) {
                let text = plain_unit(name, unit, &files);
                files.push((format!("/usr/lib/systemd/system/{unit}"), 0o644, text));
            }
        }
        for (path, mode, text) in files {
            let configuration = path.starts_with("/etc/");
            // dpkg keeps a configuration file that somebody put there before.
            if !configuration || self.state.tree.get(&path).is_none() {
                let node = Node::file(Meta::root(mode), Data::text(&text));
                self.state.tree.place(&path, node).map_err(|errno| errno.at(&path))?;
            }
            if !configuration {
                installed.files.push(path);
            }
        }
        Arc::make_mut(&mut self.state.packages).insert(name.to_owned(), installed);
        for unit in &model.units {
            self.introduce(unit, around, took)?;
        }
        Ok(())
    }

    /// What Debian's maintainer scripts do with a new unit: enabled and started, a failing start is no failure.
    fn introduce(&mut self, unit: &str, around: &mut Around, took: &mut Duration) -> Result<(), OpError> {
        let Found::File(fragment) = self.state.find_unit(unit) else { return Ok(()) };
        if !fragment.unit.installable() {
            return Ok(());
        }
        self.state.enable_unit(unit)?;
        if matches!(self.state.power, Power::On { .. })
            && self.state.has_systemd()
            && !self.state.policy_forbids_starts()
        {
            let _ = self.start_unit(unit, around, took);
        }
        Ok(())
    }

    /// `apt-get remove`: configuration files stay.
    pub(super) fn remove_packages(&mut self, names: &[String], around: &mut Around, took: &mut Duration) -> OpResult {
        let known = |name: &String| self.state.packages.contains_key(name) || model(name, around.programs).is_some();
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(cannot_locate(unknown, ""));
        }
        for name in names {
            let Some(installed) = self.state.packages.get(name).cloned() else { continue };
            *took += Duration::from_secs(2);
            for unit in &installed.units {
                // A unit that cannot be stopped goes with its files all the same.
                let _ = self.stop_unit(unit, around, took);
            }
            for path in &installed.files {
                self.state.remove(path, false)?;
            }
            Arc::make_mut(&mut self.state.packages).remove(name);
        }
        Ok(OpValue::Done)
    }
}

impl State {
    /// Whether `/usr/sbin/policy-rc.d` keeps packages from starting their services.
    fn policy_forbids_starts(&self) -> bool {
        self.tree.text("/usr/sbin/policy-rc.d").is_some_and(|text| text.contains("exit 101"))
    }
}

/// What stands in the file of a program that is only modelled.
pub(super) const PROGRAM_TEXT: &str = "\u{7f}ELF\n";

/// A unit file for a package whose model gives none: it starts the program of the same name, if the package has one.
fn plain_unit(package: &str, unit: &str, files: &[(String, u32, String)]) -> String {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, "service"));
    let description = format!("[Unit]\nDescription={package}\n");
    match kind {
        "service" => {
            let program = files.iter().map(|(path, ..)| path).find(|path| path.ends_with(&format!("/{stem}")));
            let program = program.map_or("/usr/bin/true", String::as_str);
            format!(
                "{description}\n[Service]\nType=notify\nExecStart={program}\nExecReload=/usr/bin/kill -HUP $MAINPID\n\n\
                 [Install]\nWantedBy=multi-user.target\n"
            )
        }
        "timer" => format!("{description}\n[Install]\nWantedBy=timers.target\n"),
        "socket" => format!("{description}\n[Install]\nWantedBy=sockets.target\n"),
        _ => description,
    }
}

fn cannot_locate(name: &str, remark: &str) -> OpError {
    OpError::new(OpErrorKind::Failed, format!("E: Unable to locate package {name}{remark}"))
}

fn unreachable_mirror() -> OpError {
    let message = "E: Failed to fetch the package index: Temporary failure resolving the mirror's name\n\
                   E: Some index files failed to download.";
    OpError::new(OpErrorKind::Failed, message)
}
