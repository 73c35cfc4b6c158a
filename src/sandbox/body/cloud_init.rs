//! What cloud-init does in a machine at its boots: a new instance is set up, an old one only counted.
//!
//! [`Body::cloud_init_begin`] comes before init starts units (name, users, keys, network), [`Body::cloud_init_finish`]
//! after it (packages, commands). User data wins over vendor data, key by key. What a key does that is not modelled
//! here is told as an error of cloud-init, never passed over.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::command::{CHANGE_TIMEOUT, Effect};
use crate::model::Cidr;
use crate::op::{Attributes, Content, Exec, Op, OpValue};
use crate::sandbox::double::yaml;
use crate::sandbox::programs::NoPrograms;

use super::Body;
use super::accounts::NewUser;
use super::around::Around;
use super::data::Data;
use super::packages;
use super::template::Template;
use super::tree::{Meta, Node};

/// Where cloud-init keeps what it knows of instances.
pub(super) const STATE: &str = "/var/lib/cloud";
/// Where it keeps what it knows of this boot.
pub(super) const RUN: &str = "/run/cloud-init";
/// The network that it wrote.
const NETPLAN: &str = "/etc/netplan/50-cloud-init.yaml";
/// From init to the end of cloud-init when there is nothing to set up.
const USUAL: Duration = Duration::from_millis(4500);
/// Setting up a new instance before any package.
const FIRST: Duration = Duration::from_millis(6000);
/// Bringing every package up to date.
const UPGRADE: Duration = Duration::from_secs(60);

/// Keys of cloud-config that change nothing which is modelled.
const WITHOUT_EFFECT: [&str; 16] = [
    "chpasswd",
    "disable_root",
    "final_message",
    "fqdn",
    "growpart",
    "hostname",
    "locale",
    "manage_etc_hosts",
    "package_reboot_if_required",
    "package_update",
    "preserve_hostname",
    "resize_rootfs",
    "ssh_deletekeys",
    "ssh_pwauth",
    "timezone",
    "users",
];
/// Keys of cloud-config that are modelled.
const MODELLED: [&str; 8] =
    ["bootcmd", "package_upgrade", "packages", "password", "runcmd", "ssh_authorized_keys", "user", "write_files"];

/// An interface as the machine's own network configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sandbox) struct Interface {
    /// Hardware address that it is known by.
    pub(in crate::sandbox) mac: String,
    /// Addresses with prefix.
    pub(in crate::sandbox) addresses: Vec<Cidr>,
    /// Asks for another address.
    pub(in crate::sandbox) dhcp: bool,
    /// Has the default route.
    pub(in crate::sandbox) routed: bool,
}

impl Body {
    /// A machine of a cloud image that had the agent and the NFS client installed.
    pub(in crate::sandbox) fn cloud_with_agent() -> Body {
        let mut body = Body::of_template(Template::Ubuntu2404Cloud);
        for name in ["qemu-guest-agent", "nfs-common"] {
            let model = packages::model(name, &NoPrograms).unwrap_or_default();
            // Nothing is in the way in an image.
            let _ = body.state.unpack(name, &model);
        }
        body
    }

    /// Whether cloud-init is there and not switched off.
    fn has_cloud_init(&self) -> bool {
        self.state.packages.contains_key("cloud-init")
            && self.state.tree.get("/etc/cloud/cloud-init.disabled").is_none()
    }

    /// Whether a unit is active.
    pub(in crate::sandbox) fn is_active(&self, unit: &str) -> bool {
        self.state.is_active(unit)
    }

    /// What `/etc/hostname` says.
    pub(in crate::sandbox) fn host_name(&self) -> String {
        self.state.tree.text("/etc/hostname").unwrap_or_default().trim().to_owned()
    }

    /// Starts a unit that something else than init wants; what is not there stays away.
    pub(in crate::sandbox) fn start_if_there(&mut self, unit: &str, around: &mut Around) {
        // A service that does not start shows in its state.
        let _ = self.start_unit(unit, around, &mut Duration::default());
    }

    /// Shows the kernel's interfaces with these hardware addresses.
    pub(in crate::sandbox) fn show_interfaces(&mut self, addresses: &[String]) {
        // Nothing there before the first boot.
        let _ = self.state.remove("/sys/class/net", true);
        let lo = ("lo".to_owned(), "00:00:00:00:00:00");
        let own = addresses.iter().zip(0..).map(|(address, at)| (format!("eth{at}"), address.as_str()));
        for (name, address) in own.chain([lo]) {
            // A directory in the way shows no interface.
            let _ = self.place(&format!("/sys/class/net/{name}/address"), 0o444, format!("{address}\n").into_bytes());
        }
    }

    /// The first stages, with what the datasource offers. Answers whether this is a new instance.
    pub(in crate::sandbox) fn cloud_init_begin(
        &mut self,
        instance: &str,
        user: &str,
        network: &str,
        vendor: Option<&str>,
        around: &Around,
    ) -> bool {
        if !self.has_cloud_init() {
            return false;
        }
        let known = self.state.tree.text(&format!("{STATE}/data/instance-id")).unwrap_or_default();
        let directory = format!("{STATE}/instances/{instance}");
        self.note(&format!("{STATE}/data/instance-id"), 0o644, &format!("{instance}\n"));
        self.note(&format!("{directory}/user-data.txt"), 0o600, user);
        self.note(&format!("{directory}/vendor-data.txt"), 0o600, vendor.unwrap_or_default());
        let _ = self.state.remove(&format!("{STATE}/instance"), true);
        let _ = self.state.link(&format!("{STATE}/instance"), &directory);
        let _ = self.place_dir(RUN);
        if known.trim() == instance {
            return false;
        }
        // What cannot be read is told at the end.
        let config = merged(user, vendor).unwrap_or_default();
        self.set_names(&config);
        self.set_network(network);
        self.set_users(&config);
        for name in self.state.tree.names("/etc/ssh") {
            if name.starts_with("ssh_host_") {
                let _ = self.state.remove(&format!("/etc/ssh/{name}"), false);
            }
        }
        let mut identity = around.identity.clone();
        identity.name = text(&config, "hostname").unwrap_or_else(|| identity.name.clone());
        let _ = self.make_host_keys(&identity);
        true
    }

    /// The last stages, and what is told of all of them. Answers how long after init they ended.
    pub(in crate::sandbox) fn cloud_init_finish(&mut self, first: bool, around: &mut Around) -> Duration {
        if !self.has_cloud_init() {
            return USUAL;
        }
        if self.state.tree.get(RUN).is_none() {
            self.note(&format!("{RUN}/disabled"), 0o644, "");
            return USUAL;
        }
        let mut took = USUAL;
        let mut errors = Vec::new();
        if first {
            took += FIRST;
            let instance = |name: &str| self.state.tree.text(&format!("{STATE}/instance/{name}")).unwrap_or_default();
            match merged(&instance("user-data.txt"), Some(&instance("vendor-data.txt"))) {
                Ok(config) => self.set_up(&config, around, &mut took, &mut errors),
                Err(reason) => errors.push(format!("Failed loading yaml blob. {reason}")),
            }
        }
        let finished = around.identity.now.as_microsecond() as f64 / 1e6 + took.as_secs_f64();
        self.note(&format!("{STATE}/instance/boot-finished"), 0o644, &format!("{finished:.2}\n"));
        let status = json!({"v1": {
            "datasource": "DataSourceNoCloud [seed=/dev/sr0]",
            "modules-final": {"errors": errors, "finished": finished},
            "stage": null,
        }});
        self.note(&format!("{RUN}/status.json"), 0o644, &status.to_string());
        let result = json!({"v1": {"datasource": "DataSourceNoCloud [seed=/dev/sr0]", "errors": errors}});
        self.note(&format!("{RUN}/result.json"), 0o644, &result.to_string());
        took
    }

    /// A file of cloud-init's own; `/var` and `/run` are the image's, so nothing is in the way.
    fn note(&mut self, path: &str, mode: u32, text: &str) {
        let _ = self.place(path, mode, text.as_bytes());
    }

    fn set_names(&mut self, config: &Map<String, Value>) {
        let Some(name) = text(config, "hostname") else { return };
        self.note("/etc/hostname", 0o644, &format!("{name}\n"));
        if config.get("manage_etc_hosts") == Some(&Value::Bool(true)) {
            let fqdn = text(config, "fqdn").unwrap_or_else(|| name.clone());
            let hosts = format!(
                "127.0.1.1 {fqdn} {name}\n127.0.0.1 localhost\n\n::1 localhost ip6-localhost ip6-loopback\n\
                 ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
            );
            self.note("/etc/hosts", 0o644, &hosts);
        }
    }

    /// Writes what a version 1 network configuration says, for netplan.
    fn set_network(&mut self, network: &str) {
        let parsed = yaml::parse(network).unwrap_or_default();
        let entries = parsed["config"].as_array().cloned().unwrap_or_default();
        let dns = entries.iter().find(|entry| entry["type"] == "nameserver").cloned().unwrap_or_default();
        let mut plan = "network:\n  version: 2\n  ethernets:\n".to_owned();
        let mut resolv = String::new();
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for entry in entries.iter().filter(|entry| entry["type"] == "physical") {
            let (name, mac) = (entry["name"].as_str().unwrap_or("eth0"), entry["mac_address"].as_str().unwrap_or(""));
            plan += &format!("    {name}:\n      match:\n        macaddress: \"{mac}\"\n");
            let subnets = entry["subnets"].as_array().cloned().unwrap_or_default();
            if subnets.iter().any(|subnet| subnet["type"] == "dhcp4") {
                plan += "      dhcp4: true\n";
            }
            let addresses: Vec<String> = subnets.iter().filter_map(address).collect();
            if !addresses.is_empty() {
                plan += "      addresses:\n";
                plan.extend(addresses.iter().map(|address| format!("      - \"{address}\"\n")));
            }
            if let Some(gateway) = subnets.iter().find_map(|subnet| subnet["gateway"].as_str()) {
                plan += &format!("      routes:\n      - to: \"default\"\n        via: \"{gateway}\"\n");
            }
            plan += &format!("      set-name: \"{name}\"\n");
        }
        resolv.extend(words(&dns["address"]).iter().map(|server| format!("nameserver {server}\n")));
        let domains = words(&dns["search"]);
        if !domains.is_empty() {
            resolv += &format!("search {}\n", domains.join(" "));
        }
        self.note(NETPLAN, 0o600, &plan);
        self.note("/etc/resolv.conf", 0o644, &resolv);
    }

    /// Interfaces as the machine's network configuration says them.
    pub(in crate::sandbox) fn configured_interfaces(&self) -> Vec<Interface> {
        let plan = yaml::parse(&self.state.tree.text(NETPLAN).unwrap_or_default()).unwrap_or_default();
        let interfaces = plan["network"]["ethernets"].as_object().cloned().unwrap_or_default();
        let interface = |(_, value): (String, Value)| Interface {
            mac: value["match"]["macaddress"].as_str().unwrap_or_default().to_owned(),
            addresses: value["addresses"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|address| address.as_str()?.parse().ok())
                .collect(),
            dhcp: value["dhcp4"] == true,
            routed: value["routes"].as_array().is_some_and(|routes| !routes.is_empty()),
        };
        interfaces.into_iter().map(interface).collect()
    }

    /// The image's own user, renamed by `user`, with its keys and password.
    fn set_users(&mut self, config: &Map<String, Value>) {
        let OpValue::Os { id, .. } = self.state.os().unwrap_or(OpValue::Done) else { return };
        let name = text(config, "user").unwrap_or(id);
        if self.state.accounts().user(&name).is_none() {
            let new = NewUser { name: &name, uid: None, system: false, home: None, shell: Some("/bin/bash") };
            // A name that useradd refuses makes no user, as there.
            let _ = self.state.add_user(&new);
            let _ = self.state.add_to_group(&name, "sudo");
            let rule = format!("{name} ALL=(ALL) NOPASSWD:ALL\n");
            self.note("/etc/sudoers.d/90-cloud-init-users", 0o440, &rule);
        }
        let accounts = self.state.accounts();
        let Some(user) = accounts.user(&name) else { return };
        let keys: String = config
            .get("ssh_authorized_keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|key| format!("{key}\n"))
            .collect();
        let owned = |mode, data| Node {
            meta: Meta { mode, uid: user.uid, gid: user.gid },
            ..Node::file(Meta::root(mode), data)
        };
        let path = format!("{}/.ssh/authorized_keys", user.home);
        let _ = self.state.tree.place(&path, owned(0o600, Data::text(&keys)));
        if let Some(password) = text(config, "password") {
            let shadow = self.state.tree.text("/etc/shadow").unwrap_or_default();
            let set = |line: &str| match line.strip_prefix(&format!("{name}:")).and_then(|rest| rest.split_once(':')) {
                Some((_, rest)) => format!("{name}:{password}:{rest}\n"),
                None => format!("{line}\n"),
            };
            let _ = self.state.replace_text("/etc/shadow", &shadow.lines().map(set).collect::<String>());
        }
    }

    /// Files, packages and commands of a new instance.
    fn set_up(
        &mut self,
        config: &Map<String, Value>,
        around: &mut Around,
        took: &mut Duration,
        errors: &mut Vec<String>,
    ) {
        for key in config.keys().map(String::as_str) {
            if !WITHOUT_EFFECT.contains(&key) && !MODELLED.contains(&key) {
                errors.push(format!("sandbox: cloud-config key `{key}` is not modelled"));
            }
        }
        self.run_lines(config, "bootcmd", around, took, errors);
        for file in config.get("write_files").and_then(Value::as_array).into_iter().flatten() {
            self.write_file(file, around, took, errors);
        }
        if config.get("package_upgrade") == Some(&Value::Bool(true)) {
            *took += UPGRADE;
        }
        self.install_all(config, around, took, errors);
        self.run_lines(config, "runcmd", around, took, errors);
    }

    fn install_all(
        &mut self,
        config: &Map<String, Value>,
        around: &mut Around,
        took: &mut Duration,
        errors: &mut Vec<String>,
    ) {
        let names: Vec<String> = config
            .get("packages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        if names.is_empty() {
            return;
        }
        let index = match around.default_route {
            true => self.answer(&Op::RefreshPackages, around, took).map(drop),
            false => Err(self.state.unresolved_index()),
        };
        if let Err(error) = index.and_then(|()| self.install(&names, around, took).map(drop)) {
            let reason = error.message.lines().next().unwrap_or_default().to_owned();
            errors.push(format!(
                "('package_update_upgrade_install', ProcessExecutionError(\"Unexpected error while running command. \
                 Command: apt-get install {}: {reason}\"))",
                names.join(" ")
            ));
        }
    }

    fn run_lines(
        &mut self,
        config: &Map<String, Value>,
        key: &str,
        around: &mut Around,
        took: &mut Duration,
        errors: &mut Vec<String>,
    ) {
        let lines = config.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut failed = 0;
        for line in &lines {
            let argv: Vec<String> = match line {
                Value::Array(words) => {
                    words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect()
                }
                other => {
                    let line = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                    ["sh".to_owned(), "-c".to_owned(), line].into()
                }
            };
            let exec = Exec {
                argv,
                env: std::collections::BTreeMap::new(),
                cwd: None,
                stdin: None,
                user: None,
                timeout: CHANGE_TIMEOUT,
                effect: Effect::Change,
            };
            match self.answer(&Op::Exec(exec), around, took) {
                Ok(OpValue::Output(output)) if output.ok() => {}
                _ => failed += 1,
            }
        }
        if failed > 0 && key == "runcmd" {
            errors.push(
                "('scripts_user', RuntimeError('Runparts: 1 failures (runcmd) in 1 attempted commands'))".to_owned(),
            );
        } else if failed > 0 {
            errors.push(format!("('{key}', ProcessExecutionError('Unexpected error while running command.'))"));
        }
    }

    fn write_file(&mut self, file: &Value, around: &mut Around, took: &mut Duration, errors: &mut Vec<String>) {
        let (Some(path), content) = (file["path"].as_str(), file["content"].as_str().unwrap_or_default()) else {
            errors.push("('write_files', KeyError('path'))".to_owned());
            return;
        };
        if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            let _ = self.place_dir(above);
        }
        let mode = file["permissions"].as_str().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
        let write = Op::Write {
            path: path.to_owned(),
            content: Content::Bytes(content.as_bytes().into()),
            attributes: Attributes { mode: Some(mode), ..Attributes::default() },
            guard: None,
        };
        if let Err(error) = self.answer(&write, around, took) {
            errors.push(format!("('write_files', OSError('{}'))", error.message));
        }
    }
}

/// User data over vendor data. Without cloud-config in them there is nothing to do.
fn merged(user: &str, vendor: Option<&str>) -> Result<Map<String, Value>, String> {
    let mut merged = Map::new();
    for text in [vendor.unwrap_or_default(), user] {
        if !text.starts_with("#cloud-config") {
            continue;
        }
        match yaml::parse(text)? {
            Value::Object(map) => merged.extend(map),
            Value::Null => {}
            _ => return Err("cloud-config is no map".to_owned()),
        }
    }
    Ok(merged)
}

fn text(config: &Map<String, Value>, key: &str) -> Option<String> {
    match config.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Address with prefix of a static subnet.
fn address(subnet: &Value) -> Option<String> {
    let address = subnet["address"].as_str()?;
    let Some(mask) = subnet["netmask"].as_str() else { return Some(address.to_owned()) };
    let mask: std::net::Ipv4Addr = mask.parse().ok()?;
    Some(format!("{address}/{}", u32::from(mask).leading_ones()))
}
