//! The declaration of a guest that somebody else made: everything that fields can say, read from its configuration, and
//! compared with it as a plan would. What a plan would change after all is left out again, until it changes nothing.

mod firewall;
mod lxc;
mod network;
mod options;
mod vm;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::layout;
use crate::config::{self, Dir, HYPERVISOR, LXC, VM};
use crate::engine::{Sight, drift};
use crate::finding::{Finding, Severity};
use crate::model::{Catalogue, GuestId, GuestKind};
use crate::pve::difference::KeyDifference;
use crate::pve::inventory::Present;
use crate::pve::{MARK, firewall as fw};

/// A key of a guest's configuration that the declaration does not say: it stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// `vmgenid`, `rootfs`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Why it is left.
    pub why: String,
}

/// A guest as a declaration.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its id.
    pub id: GuestId,
    /// Its kind.
    pub kind: GuestKind,
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is a template.
    pub template: bool,
    /// Its entry in the file of its kind.
    pub entry: Value,
    /// What its entry does not say.
    pub left: Vec<Left>,
}

impl Declared {
    /// The entry as it is written at this indentation.
    pub fn text(&self, indent: usize) -> String {
        layout::value(&self.entry, indent)
    }
}

/// Fields whose values name and place the guest: they are never left out.
const FIXED: [&str; 4] = ["vmid", "name", "imported", "unprivileged"];
/// Together they say what interfaces there are.
const NETWORK: [&str; 4] = ["network_config", "additional_networks", "mac_address", "network_bridge"];

/// The declaration of a guest of this node. `hypervisor` is the text of that file of the configuration: what it says of
/// all guests counts for this one too.
///
/// # Errors
/// What cannot be said in a way that a plan would leave alone, in words.
pub fn declare(sight: &Sight, id: GuestId, present: &Present, hypervisor: &str) -> Result<Declared, String> {
    let text = sight.inventory.firewalls.get(&id.to_string());
    let mut entry = match present.kind {
        GuestKind::Lxc => lxc::entry(present),
        GuestKind::Vm => vm::entry(id, present),
    };
    if let Some(firewall) = text.and_then(|text| firewall::entry(text)) {
        entry.insert("firewall".to_owned(), firewall);
    }
    let bench = Bench { sight, id, kind: present.kind, hypervisor, firewall: text.map(String::as_str) };
    let (entry, dropped) = settle(&bench, entry)?;
    let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let left = left(present, &entry, text.is_some(), &dropped);
    Ok(Declared {
        id,
        kind: present.kind,
        name,
        running: present.running,
        template: present.config.is_template(),
        entry: Value::Object(entry),
        left,
    })
}

/// Where a declaration is tried.
struct Bench<'a> {
    sight: &'a Sight,
    id: GuestId,
    kind: GuestKind,
    hypervisor: &'a str,
    firewall: Option<&'a str>,
}

/// What is against a declaration.
struct Verdict {
    errors: Vec<Finding>,
    differences: Vec<KeyDifference>,
    firewall: bool,
}

impl Verdict {
    fn badness(&self) -> usize {
        self.errors.len() * 100 + self.differences.len() + usize::from(self.firewall)
    }

    fn words(&self) -> String {
        let errors = self.errors.iter().map(|finding| finding.message.clone());
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let differences =
            self.differences.iter().map(|one| format!("{} {} -> {}", one.key, word(&one.from), word(&one.to)));
        let firewall = self.firewall.then(|| "its firewall file".to_owned());
        errors.chain(differences).chain(firewall).collect::<Vec<_>>().join("; ")
    }
}

impl Bench<'_> {
    fn try_out(&self, entry: &Map<String, Value>) -> Result<Verdict, String> {
        let dir = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).map_err(|error| format!("{name}: {error}"))
        };
        write(HYPERVISOR, self.hypervisor)?;
        let (name, file) = match self.kind {
            GuestKind::Lxc => (LXC, json!({ "lxc_configs": { self.id.to_string(): entry } })),
            GuestKind::Vm => (VM, json!({ "vms": [entry] })),
        };
        write(name, &file.to_string())?;
        let loaded = config::load(&Dir::Real(dir.path().to_owned()), &Catalogue::default());
        let in_it = |finding: &Finding| finding.place.as_ref().is_some_and(|place| place.source.path.ends_with(name));
        let errors: Vec<Finding> =
            loaded.findings.into_iter().filter(|one| one.severity == Severity::Error && in_it(one)).collect();
        let site = loaded.site.unwrap_or_default();
        let Some(guest) = site.guest(self.id) else {
            return Ok(Verdict { errors, differences: Vec::new(), firewall: false });
        };
        let mut differences = drift(&site, &Catalogue::default(), self.sight, guest);
        differences.retain(|one| !is_mark(one));
        let declares = entry.contains_key("firewall");
        let firewall = declares && !self.firewall.is_some_and(|text| fw::says(text, &guest.firewall));
        Ok(Verdict { errors, differences, firewall })
    }
}

/// Whether a difference is nothing but phoenix's tag.
pub fn is_mark(difference: &KeyDifference) -> bool {
    let tags = |text: &Option<String>| -> std::collections::BTreeSet<String> {
        let text = text.as_deref().unwrap_or_default();
        text.split([';', ',', ' ']).filter(|tag| !tag.is_empty() && *tag != MARK).map(str::to_owned).collect()
    };
    difference.key == "tags" && tags(&difference.from) == tags(&difference.to)
}

/// Leaves out what is refused or would be changed, until nothing is.
fn settle(bench: &Bench, mut entry: Map<String, Value>) -> Result<(Map<String, Value>, Vec<String>), String> {
    let mut dropped: Vec<String> = Vec::new();
    loop {
        let verdict = bench.try_out(&entry)?;
        let worst = verdict.badness();
        if worst == 0 {
            return Ok((entry, dropped));
        }
        let mut best: Option<(usize, Map<String, Value>, Vec<String>)> = None;
        for (without, names) in variants(&entry) {
            let badness = bench.try_out(&without)?.badness();
            if badness < worst && best.as_ref().is_none_or(|(least, ..)| badness < *least) {
                best = Some((badness, without, names));
            }
        }
        let Some((_, without, names)) = best else { return Err(verdict.words()) };
        dropped.extend(names);
        entry = without;
    }
}

/// The entry without one item of a list, without one field, without all of its network.
fn variants(entry: &Map<String, Value>) -> Vec<(Map<String, Value>, Vec<String>)> {
    let mut variants = Vec::new();
    for (key, value) in entry.iter().filter(|(key, _)| !FIXED.contains(&key.as_str())) {
        for at in 0..value.as_array().map_or(0, Vec::len) {
            let mut without = entry.clone();
            if let Some(items) = without.get_mut(key).and_then(Value::as_array_mut) {
                items.remove(at);
                if items.is_empty() {
                    without.shift_remove(key);
                }
            }
            variants.push((without, vec![key.clone()]));
        }
        for part in value.as_object().into_iter().flatten().map(|(part, _)| part) {
            let mut without = entry.clone();
            if let Some(parts) = without.get_mut(key).and_then(Value::as_object_mut) {
                parts.shift_remove(part);
            }
            variants.push((without, vec![format!("{key}.{part}")]));
        }
        let mut without = entry.clone();
        without.shift_remove(key);
        variants.push((without, vec![key.clone()]));
    }
    let mut without = entry.clone();
    let gone: Vec<String> =
        NETWORK.iter().filter(|key| without.shift_remove(**key).is_some()).map(|key| (*key).to_owned()).collect();
    if gone.len() > 1 {
        variants.push((without, gone));
    }
    variants
}

/// Keys that are nobody's to declare.
const INTERNAL: [&str; 8] = ["digest", "lock", "parent", "snaptime", "meta", "vmgenid", "smbios1", "template"];

/// Keys of the configuration that the entry does not say.
fn left(present: &Present, entry: &Map<String, Value>, has_firewall: bool, dropped: &[String]) -> Vec<Left> {
    let said = said(present.kind, entry);
    let leave =
        |key: &str, value: &str, why: &str| Left { key: key.to_owned(), value: value.to_owned(), why: why.to_owned() };
    let mut left = Vec::new();
    for (key, value) in present.config.current.entries().filter(|(key, _)| !said(key)) {
        let why = match key {
            key if INTERNAL.contains(&key) => "Proxmox's own",
            key if key.starts_with("unused") => "a disk that nothing uses",
            "cipassword" => "passwords are no part of a declaration",
            _ if dropped.is_empty() => "no field says it",
            _ => "no field says it as it is",
        };
        if !matches!(key, "digest" | "parent" | "template") {
            let shown = if key == "cipassword" { "..." } else { value };
            left.push(leave(key, shown, why));
        }
    }
    let pending = present.config.pending().into_iter().flat_map(|pending| pending.entries());
    left.extend(pending.map(|(key, value)| leave(key, value, "waits for its next start")));
    if has_firewall && !entry.contains_key("firewall") {
        left.push(leave("firewall", "its whole file", "it says more than fields can"));
    }
    left
}

/// Whether an entry says a key, whole or in part.
fn said<'e>(kind: GuestKind, entry: &'e Map<String, Value>) -> impl Fn(&str) -> bool + 'e {
    move |key: &str| {
        let has = |field: &str| entry.contains_key(field);
        let network = |part: &str| entry.get("network_config").and_then(|network| network.get(part)).is_some();
        let number = |stem: &str| key.strip_prefix(stem).and_then(|number| number.parse::<usize>().ok());
        let items = |list: &str| entry.get(list).and_then(Value::as_array).map_or(0, Vec::len);
        if let Some(number) = number("net").or_else(|| number("ipconfig")) {
            return has("network_config") && number <= items("additional_networks");
        }
        let listed = |list: &str, key: &str| {
            let items = entry.get(list).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).any(|item| item.split('=').next() == Some(key))
        };
        let of_both = match key {
            "onboot" => has("start_at_boot"),
            "startup" => ["boot_order", "boot_delay", "shutdown_timeout"].iter().any(|field| has(field)),
            "tags" => true,
            "memory" => has("memory_mb"),
            "nameserver" => network("nameservers") || network("nameserver"),
            "searchdomain" => network("searchdomain"),
            key => has(key) || listed("pct_options", key) || listed("qm_options", key),
        };
        let own = match (kind, key) {
            (GuestKind::Lxc, "hostname") | (GuestKind::Vm, "name") => true,
            (GuestKind::Lxc, "swap") => has("swap_mb"),
            (GuestKind::Lxc, "rootfs") => has("storage_pool"),
            (GuestKind::Vm, "scsi0") => has("storage_pool"),
            (GuestKind::Lxc, "features") => has("pct_options"),
            (GuestKind::Vm, "ciuser") => entry.get("user_config").is_some_and(|user| user.get("username").is_some()),
            (GuestKind::Vm, "sshkeys") => entry.get("user_config").is_some_and(|user| user.get("ssh_keys").is_some()),
            (GuestKind::Lxc, key) if number("mp").is_some() => {
                let _ = key;
                items("zfs_volumes") + items("mount_points") > 0
            }
            (GuestKind::Lxc, _) if number("dev").is_some() => items("devices") > 0,
            _ => false,
        };
        of_both || own
    }
}
