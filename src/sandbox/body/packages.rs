//! Debian packages: what is installed, what can be, and what comes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::op::{OpError, OpErrorKind, OpResult, OpValue};
use crate::sandbox::programs::{PackageModel, Programs};

use super::Body;
use super::accounts::NewUser;
use super::around::{Around, Unmodelled};
use super::data::Data;
use super::state::{Power, State};
use super::template::Template;
use super::tree::{Meta, Node};
use super::unit_file::Found;
use super::watch;

/// Version of a package whose model names none.
const PLAIN_VERSION: &str = "1.0-1";

/// What stands in the file of a program that is only modelled.
pub(super) const PROGRAM_TEXT: &str = "\u{7f}ELF\n";

/// Packages of Debian itself (with the versions of bookworm) that every modelled machine can install.
static DEBIAN: LazyLock<BTreeMap<String, PackageModel>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("packages.json")).expect("packages.json is a map of package models")
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

impl Body {
    /// A machine of which nothing is known but that it has been running since then, and what is installed in it.
    pub fn running(since: Timestamp, packages: BTreeMap<String, String>, programs: &dyn Programs) -> Body {
        let mut body = Body::default();
        let installed = |(name, version): (String, String)| {
            let (mut files, mut units) = (Vec::new(), Vec::new());
            if let Some(model) = model(&name, programs) {
                let own = contents(&name, &model).into_iter().map(|(path, _)| path);
                files = own.filter(|path| !path.starts_with("/etc/")).collect();
                units = model.units;
            }
            (name, Installed { version, files, units })
        };
        body.state.packages = Arc::new(packages.into_iter().map(installed).collect());
        body.state.power = Power::On { since };
        body.told = body.state.clone();
        body
    }

    /// A machine of a template in which other packages are installed, with what those of them bring that are modelled.
    pub fn furnished(template: Template, packages: BTreeMap<String, String>, programs: &dyn Programs) -> Body {
        let mut body = Body::of_template(template);
        let there: Vec<String> = body.state.packages.keys().cloned().collect();
        for name in packages.keys().filter(|name| !there.contains(name)) {
            // Nothing is in the way but what another package brought.
            let _ = body.state.unpack(name, &model(name, programs).unwrap_or_default());
        }
        let installed = Arc::make_mut(&mut body.state.packages);
        installed.retain(|name, _| packages.contains_key(name));
        for (name, version) in packages {
            if let Some(installed) = installed.get_mut(&name) {
                installed.version = version;
            }
        }
        body.told = body.state.clone();
        body
    }
}

/// What is known about a package.
pub(super) fn model(name: &str, programs: &dyn Programs) -> Option<PackageModel> {
    programs.package(name).or_else(|| DEBIAN.get(name).cloned())
}

impl State {
    /// What is installed.
    pub(super) fn installed(&self) -> &BTreeMap<String, Installed> {
        watch::note(|seen| seen.packages = true);
        &self.packages
    }

    pub(super) fn package_versions(&self) -> BTreeMap<String, String> {
        self.installed().iter().map(|(name, installed)| (name.clone(), installed.version.clone())).collect()
    }

    /// Brings a package's files, users and units; its units are enabled as Debian's maintainer scripts do it.
    pub(super) fn unpack(&mut self, name: &str, model: &PackageModel) -> Result<(), OpError> {
        for user in &model.users {
            if self.accounts().user(user).is_none() {
                let home = Some("/nonexistent");
                self.add_user(&NewUser { name: user, uid: None, system: true, home, shell: None })?;
            }
        }
        for path in &model.dirs {
            self.tree.make_dirs(path).map_err(|errno| errno.at(path))?;
        }
        let mut kept = Vec::new();
        for (path, node) in contents(name, model) {
            let configuration = path.starts_with("/etc/");
            // dpkg keeps a configuration file that somebody put there before.
            if !configuration || self.tree.get(&path).is_none() {
                self.tree.place(&path, node).map_err(|errno| errno.at(&path))?;
            }
            if !configuration {
                kept.push(path);
            }
        }
        let installed = Installed { version: version_of(model).to_owned(), files: kept, units: model.units.clone() };
        Arc::make_mut(&mut self.packages).insert(name.to_owned(), installed);
        for unit in &model.units {
            if matches!(self.find_unit(unit), Found::File(fragment) if fragment.unit.installable()) {
                self.enable_unit(unit)?;
            }
        }
        Ok(())
    }

    /// Whether `/usr/sbin/policy-rc.d` keeps packages from starting their services: every such file in use forbids all
    /// of them, or says `exit 0`.
    fn policy_forbids_starts(&self) -> bool {
        self.tree.text("/usr/sbin/policy-rc.d").is_some_and(|text| !text.contains("exit 0"))
    }
}

impl Body {
    /// `apt-get install`: all of them or none.
    pub(super) fn install(&mut self, names: &[String], around: &mut Around, took: &mut Duration) -> OpResult {
        if around.faults.disk_full {
            let message = "E: You don't have enough free space in /var/cache/apt/archives/.";
            return Err(OpError::new(OpErrorKind::NoSpace, message));
        }
        let index = self.state.package_index();
        let mut wanted = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.collect(name, &index, around, &mut seen, &mut wanted)?;
        }
        if wanted.is_empty() {
            *took += Duration::from_secs(1);
            return Ok(OpValue::Done);
        }
        around.need_lock("/var/lib/dpkg/lock-frontend", "the dpkg frontend lock")?;
        if around.faults.no_mirror {
            let base = self.state.mirrors().into_iter().next().unwrap_or_default();
            let url = |(name, _): &(String, PackageModel)| format!("{base}/pool/main/{}/{name}/{name}.deb", &name[..1]);
            let urls: Vec<String> = wanted.iter().map(url).collect();
            let last = "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?";
            return Err(super::sources::unresolved(&urls, last));
        }
        *took += Duration::from_millis((8_000 + 1_500 * wanted.len() as u64).min(20_000));
        let before = self.state.clone();
        for (name, model) in &wanted {
            if let Err(error) = self.state.unpack(name, model) {
                self.state = before;
                return Err(error);
            }
        }
        let started = matches!(self.state.power, Power::On { .. }) && self.state.has_systemd();
        if started && !self.state.policy_forbids_starts() {
            for unit in wanted.iter().flat_map(|(_, model)| &model.units) {
                if self.state.unit_state(unit).enabled == "enabled" {
                    // Debian's maintainer scripts go on when a service does not start.
                    let _ = self.start_unit(unit, around, took);
                }
            }
        }
        Ok(OpValue::Done)
    }

    /// Adds a package that is not installed, and what it depends on before it.
    fn collect(
        &self,
        name: &str,
        index: &[String],
        around: &Around,
        seen: &mut BTreeSet<String>,
        wanted: &mut Vec<(String, PackageModel)>,
    ) -> Result<(), OpError> {
        let (name, version) = name.split_once('=').map_or((name, None), |(name, version)| (name, Some(version)));
        if self.state.installed().contains_key(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let model = match model(name, around.programs) {
            Some(model) if is_rehearsed(around) => model,
            Some(model) if index.iter().any(|source| source.contains(&model.source)) => model,
            Some(_) => return Err(cannot_locate(name)),
            None if is_rehearsed(around) => PackageModel::default(),
            None => {
                let mut error = cannot_locate(name);
                error.message.push_str(" (not modelled: name it under `packages` in a .model.rhai file)");
                return Err(error);
            }
        };
        if let Some(version) = version.filter(|version| *version != version_of(&model) && !is_rehearsed(around)) {
            return Err(said(format!("E: Version '{version}' for '{name}' was not found")));
        }
        for needed in &model.depends {
            self.collect(needed, index, around, seen, wanted)?;
        }
        wanted.push((name.to_owned(), model));
        Ok(())
    }

    /// Names of all packages that begin so and are Debian's own or installed, as `apt-cache pkgnames` lists them.
    pub(super) fn package_names(&self, prefix: &str) -> BTreeSet<String> {
        let names = DEBIAN.keys().chain(self.state.packages.keys());
        names.filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// `apt-get remove`: configuration files stay.
    pub(super) fn remove_packages(&mut self, names: &[String], around: &mut Around, took: &mut Duration) -> OpResult {
        let known = |name: &String| self.state.packages.contains_key(name) || model(name, around.programs).is_some();
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(cannot_locate(unknown));
        }
        around.need_lock("/var/lib/dpkg/lock-frontend", "the dpkg frontend lock")?;
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

/// Everything that a package puts somewhere.
fn contents(name: &str, model: &PackageModel) -> Vec<(String, Node)> {
    let file = |mode, text: &str| Node::file(Meta::root(mode), Data::text(text));
    let mut contents: Vec<(String, Node)> = Vec::new();
    for program in &model.programs {
        let path = if program.starts_with('/') { program.clone() } else { format!("/usr/bin/{program}") };
        contents.push((path, file(0o755, PROGRAM_TEXT)));
    }
    contents.extend(model.files.iter().map(|(path, text)| (path.clone(), file(0o644, text))));
    contents.extend(model.links.iter().map(|(path, target)| (path.clone(), Node::link(target))));
    for unit in &model.units {
        if !model.files.keys().any(|path| path.ends_with(&format!("/{unit}"))) {
            let programs = contents.iter().map(|(path, _)| path.as_str());
            let text = plain_unit(name, unit, programs);
            contents.push((format!("/usr/lib/systemd/system/{unit}"), file(0o644, &text)));
        }
    }
    contents
}

/// A unit file for a package whose model gives none: it starts the program of the same name, if the package has one.
fn plain_unit<'a>(package: &str, unit: &str, mut paths: impl Iterator<Item = &'a str>) -> String {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, "service"));
    let description = format!("[Unit]\nDescription={package}\n");
    match kind {
        "service" => {
            let is_it = |path: &&str| !path.starts_with("/etc/") && path.ends_with(&format!("/{stem}"));
            let program = paths.find(is_it).unwrap_or("/usr/bin/true");
            let service = format!("Type=notify\nExecStart={program}\nExecReload=/usr/bin/kill -HUP $MAINPID\n");
            format!("{description}\n[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n")
        }
        "timer" => format!("{description}\n[Install]\nWantedBy=timers.target\n"),
        "socket" => format!("{description}\n[Install]\nWantedBy=sockets.target\n"),
        _ => description,
    }
}

/// A rehearsal on a real node does not know what its repositories have.
fn is_rehearsed(around: &Around) -> bool {
    around.unmodelled == Unmodelled::Unknown
}

/// The version that a package is installed in.
fn version_of(model: &PackageModel) -> &str {
    if model.version.is_empty() { PLAIN_VERSION } else { &model.version }
}

fn cannot_locate(name: &str) -> OpError {
    said(format!("E: Unable to locate package {name}"))
}

/// What apt says before it cannot go on, and why.
fn said(line: String) -> OpError {
    OpError::new(OpErrorKind::Failed, format!("Reading package lists...\nBuilding dependency tree...\n{line}"))
}
