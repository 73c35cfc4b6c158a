//! Keys of a guest's Proxmox configuration that are handed on as they are: fields of the same name, and the lists
//! `pct_options` and `qm_options` for all others. Which there are, and what they may say, is in Proxmox's option table.

use std::collections::BTreeMap;

use super::decode::Fields;
use crate::finding::{Finding, did_you_mean};
use crate::model::GuestKind;
use crate::pve::property::Properties;
use crate::pve::table::{self, CommandSpec, Kind, Schema, grammar_of, table};
use crate::pve::tool::is_disk;

/// Keys of both kinds with a field of their own.
const FIELDS: [&str; 5] = ["cpulimit", "cpuunits", "description", "hookscript", "protection"];
/// Those of containers.
const LXC_FIELDS: [&str; 6] = ["cmode", "console", "debug", "entrypoint", "timezone", "tty"];
/// Those of virtual machines.
const VM_FIELDS: [&str; 19] = [
    "acpi",
    "affinity",
    "agent",
    "balloon",
    "bios",
    "boot",
    "cpu",
    "hotplug",
    "kvm",
    "localtime",
    "machine",
    "numa",
    "ostype",
    "rng0",
    "scsihw",
    "serial0",
    "sockets",
    "tablet",
    "vga",
];

/// Keys that follow from other fields: stem, and what declares it.
const DECLARED: [(&str, &str); 12] = [
    ("cores", "`cores` declares it"),
    ("memory", "`memory_mb` declares it"),
    ("nameserver", "the name servers of `network_config` declare it"),
    ("net", "`network_config` and `additional_networks` declare it"),
    ("onboot", "`start_at_boot` declares it"),
    ("searchdomain", "`network_config.searchdomain` declares it"),
    ("startup", "`boot_order`, `boot_delay` and `shutdown_timeout` declare it"),
    ("tags", "`tags` declares it"),
    ("template", "`is_template` declares it"),
    ("lock", "a lock is no part of a declaration"),
    ("unused", "disks that nothing uses are no part of a declaration"),
    ("vmid", "a guest's id is the key of its entry, or `vmid`"),
];
/// Those of containers.
const LXC_DECLARED: [(&str, &str); 8] = [
    ("dev", "`devices` declares it"),
    ("env", "write it in `lxc_options`: \"lxc.environment: NAME=VALUE\""),
    ("features", "write Proxmox's features as they are: \"nesting=1\""),
    ("hostname", "`name` declares it"),
    ("mp", "`zfs_volumes` and `mount_points` declare it"),
    ("rootfs", "`storage_pool`, `storage_size_gb` and `disk_options` declare it"),
    ("swap", "`swap_mb` declares it"),
    ("unprivileged", "`unprivileged` declares it"),
];
/// Those of virtual machines.
const VM_DECLARED: [(&str, &str); 12] = [
    ("autostart", "`start_at_boot` declares it"),
    ("bootdisk", "Proxmox replaced it by `boot`: \"order=scsi0\""),
    ("cdrom", "Proxmox writes it as ide2, where cloud-init's drive is"),
    ("cipassword", "passwords are no part of a declaration; `user_config.ssh_keys` lets people in"),
    ("ciuser", "`user_config.username` declares it"),
    ("ide2", "cloud-init's drive is there"),
    ("ipconfig", "`network_config.ip` and `additional_networks[].ip` declare it"),
    ("name", "`name` declares it"),
    ("scsi0", "`storage_pool`, `disk_size_gb` and `disk_options` declare it"),
    ("smp", "`cores` and `sockets` declare it"),
    ("sshkeys", "`user_config.ssh_keys` declares it"),
    ("vmstatestorage", "snapshots are taken without memory"),
];
/// Options of `set` that are no keys.
const NO_KEYS: [&str; 6] = ["delete", "digest", "revert", "force", "skiplock", "background_delay"];

/// The command that sets the keys of a kind of guest.
fn set(kind: GuestKind) -> &'static CommandSpec {
    let command = match kind {
        GuestKind::Lxc => "pct set",
        GuestKind::Vm => "qm set",
    };
    table().command(command).map(|(_, spec)| spec).expect("the option table has both `set` commands")
}

/// The keys with a field of their own: `cpulimit`, `timezone` ...
pub fn fields_of(kind: GuestKind) -> impl Iterator<Item = &'static str> {
    let own: &[&str] = match kind {
        GuestKind::Lxc => &LXC_FIELDS,
        GuestKind::Vm => &VM_FIELDS,
    };
    FIELDS.iter().chain(own).copied()
}

/// The keys that a guest declares by fields of their names.
pub fn declared(fields: &Fields, kind: GuestKind) -> BTreeMap<String, String> {
    let spec = set(kind);
    let value = |key: &'static str| Some((key.to_owned(), field(fields, key, spec.option(key)?)?));
    fields_of(kind).filter_map(value).collect()
}

/// A field, of the type and within the limits that the option table says.
fn field(fields: &Fields, key: &'static str, schema: &'static Schema) -> Option<String> {
    let most = || schema.max.unwrap_or(f64::from(u32::MAX));
    match schema.kind {
        Kind::Boolean => fields.flag(key).map(|on| u8::from(on).to_string()),
        // Limits of whole numbers are whole.
        Kind::Integer => {
            let least = schema.min.unwrap_or_default() as u64;
            fields.whole::<u64>(key, least..=most() as u64).map(|number| number.to_string())
        }
        Kind::Number => fields.decimal(key, schema.min.unwrap_or_default(), most()),
        Kind::String | Kind::Array if !schema.choices.is_empty() => {
            let choices: Vec<_> = schema.choices.iter().map(|word| (word.as_str(), word.clone())).collect();
            fields.choice(key, &choices)
        }
        Kind::String | Kind::Array => fields.string(key),
    }
}

/// An item of a list of options.
enum Item {
    /// Proxmox's features of containers.
    Features(Vec<(String, String)>),
    /// A key of the configuration.
    Key(String, String),
}

/// Adds what the list `pct_options` or `qm_options` says: keys to `options`, features of containers to `features`.
pub fn listed(
    fields: &Fields,
    kind: GuestKind,
    options: &mut BTreeMap<String, String>,
    features: &mut BTreeMap<String, String>,
) {
    let list = match kind {
        GuestKind::Lxc => "pct_options",
        GuestKind::Vm => "qm_options",
    };
    for (text, span) in fields.texts(list) {
        match item(kind, list, text) {
            Ok(Item::Features(found)) => features.extend(found),
            Ok(Item::Key(key, value)) => {
                if options.get(&key).is_some_and(|other| *other != value) {
                    let finding = Finding::error("two-values", format!("`{key}` is declared twice"));
                    fields.file.report(finding.hint("keep one of them"), span);
                } else {
                    options.insert(key, value);
                }
            }
            Err(finding) => fields.file.report(*finding, span),
        }
    }
}

/// `NAME=VALUE`, `--NAME VALUE`, or `nesting=1,keyctl=1`.
fn item(kind: GuestKind, list: &str, text: &str) -> Result<Item, Box<Finding>> {
    let bare = text.trim().trim_start_matches('-');
    let name = bare.split(['=', ' ']).next().unwrap_or_default();
    let spec = set(kind);
    let grammar = (kind == GuestKind::Lxc).then(|| grammar_of("pct set", "features")).flatten();
    let is_feature = |name: &str| grammar.is_some_and(|grammar| grammar.contains_key(name));
    if is_feature(name) {
        return features(bare).map(Item::Features);
    }
    if let Some(why) = refusal(kind, name) {
        return Err(Finding::error("declared-option", format!("`{name}` is not for `{list}`")).hint(why).into());
    }
    if spec.option(name).is_none() {
        let known = spec.options.keys().map(String::as_str).filter(|name| refusal(kind, name).is_none());
        let known = known.chain(grammar.into_iter().flatten().map(|(name, _)| name.as_str()));
        let mut finding = Finding::error("unknown-option", format!("Proxmox knows no option `{name}`"));
        finding.hint = did_you_mean(name, known).map(|near| match near.strip_suffix('N') {
            Some(stem) => format!("did you mean `{stem}0`, or another number that Proxmox knows?"),
            None => format!("did you mean `{near}`?"),
        });
        return Err(finding.into());
    }
    let Some((_, value)) = bare.split_once(['=', ' ']).filter(|(_, value)| !value.trim().is_empty()) else {
        let finding = Finding::error("bad-value", format!("`{text}` must be NAME=VALUE")).hint(match name {
            "" => "for example \"protection=1\"".to_owned(),
            name => format!("write \"{name}=VALUE\""),
        });
        return Err(finding.into());
    };
    let value = value.trim();
    if is_disk(kind, name) && allocates(value) {
        let finding = Finding::error("new-disk", format!("`{name}={value}` would make a new disk with every run"));
        return Err(finding.hint("name a volume that is there: STORAGE:vm-ID-disk-1").into());
    }
    Ok(Item::Key(name.to_owned(), value.to_owned()))
}

/// `nesting=1,keyctl=1`.
fn features(text: &str) -> Result<Vec<(String, String)>, Box<Finding>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let one = |part: &str| match part.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => {
            let finding = Finding::error("bad-value", format!("`{part}` must be NAME=VALUE"));
            Err(finding.hint(format!("write \"{part}=1\"")).into())
        }
    };
    parts.map(one).collect()
}

/// Why a key is not for these lists: something else declares it.
fn refusal(kind: GuestKind, name: &str) -> Option<&'static str> {
    let own: &[(&str, &str)] = match kind {
        GuestKind::Lxc => &LXC_DECLARED,
        GuestKind::Vm => &VM_DECLARED,
    };
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'N');
    let found = DECLARED.iter().chain(own).find(|(key, _)| *key == name || *key == stem);
    found
        .map(|(_, why)| *why)
        .or_else(|| NO_KEYS.contains(&name).then_some("it is an option of the command, not a key of the configuration"))
}

/// Whether a key of the configuration may stand in `pct_options` or `qm_options`.
pub fn is_listed(kind: GuestKind, key: &str) -> bool {
    refusal(kind, key).is_none()
}

/// `STORAGE:SIZE`.
fn allocates(value: &str) -> bool {
    let volume = value.split(',').next().unwrap_or_default();
    let volume = volume.split_once(':').map(|(_, volume)| volume);
    value.contains("import-from=") || volume.is_some_and(|volume| volume.parse::<f64>().is_ok())
}

/// `disk_options`: parts of the value of the root disk (`discard=on`), checked against its grammar.
pub fn of_disk(fields: &Fields, kind: GuestKind) -> BTreeMap<String, String> {
    let (command, key) = match kind {
        GuestKind::Lxc => ("pct set", "rootfs"),
        GuestKind::Vm => ("qm set", "scsi0"),
    };
    let mut found = BTreeMap::new();
    for (text, span) in fields.texts("disk_options") {
        match disk_option(command, key, text) {
            Ok(parts) => found.extend(parts),
            Err(finding) => fields.file.report(*finding, span),
        }
    }
    found
}

/// Parts of a disk's value that follow from other fields, or from the disk itself.
const OF_THE_DISK: [&str; 7] = ["file", "volume", "size", "format", "import-from", "media", "mp"];

fn disk_option(command: &str, key: &str, text: &str) -> Result<Vec<(String, String)>, Box<Finding>> {
    let parts = features(text)?;
    let grammar = grammar_of(command, key).expect("disks are property strings");
    for (name, value) in &parts {
        if OF_THE_DISK.contains(&name.as_str()) {
            let finding = Finding::error("declared-option", format!("`{name}` is not for `disk_options`"));
            return Err(finding.hint("storage and size have fields of their own").into());
        }
        if !grammar.contains_key(name) {
            let mut finding = Finding::error("unknown-option", format!("a disk has no option `{name}`"));
            let known = grammar.keys().map(String::as_str).filter(|name| !OF_THE_DISK.contains(name));
            finding.hint = did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"));
            return Err(finding.into());
        }
        // As a whole value the part is checked, with its booleans as Proxmox writes them.
        table::check(command, key, &format!("local:volume,{name}={value}"))
            .map_err(|message| Finding::error("proxmox-refuses", format!("Proxmox refuses `{text}`: {message}")))?;
    }
    let whole = parts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
    let parsed = Properties::of_option(command, key, &whole).unwrap_or_default();
    Ok(parsed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Where an option stands in the entry: its field, or its item of a list.
pub fn place(fields: &Fields, kind: GuestKind, key: &str) -> String {
    if fields.value.get(key).is_some() {
        return key.to_owned();
    }
    let list = match kind {
        GuestKind::Lxc => "pct_options",
        GuestKind::Vm => "qm_options",
    };
    let items = fields.value.get(list).into_iter().flat_map(|list| list.items());
    let says = |part: &str| part.trim().trim_start_matches('-').split(['=', ' ']).next() == Some(key);
    let mut texts = items.map(|item| item.text().unwrap_or_default());
    let at = texts.position(|text| text.split(',').any(says));
    at.map_or_else(|| list.to_owned(), |at| format!("{list}.{at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: GuestKind, text: &str) -> String {
        match item(kind, "list", text) {
            Ok(Item::Features(found)) => format!("features {found:?}"),
            Ok(Item::Key(key, value)) => format!("{key} = {value}"),
            Err(finding) => format!("{} ({})", finding.message, finding.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn options_and_features_of_containers() {
        let read = |text| read(GuestKind::Lxc, text);
        assert_eq!(read("nesting=1, keyctl=1"), r#"features [("nesting", "1"), ("keyctl", "1")]"#);
        assert_eq!(read("arch=arm64"), "arch = arm64");
        assert_eq!(read("--ostype debian"), "ostype = debian");
        assert_eq!(read("nestign=1"), "Proxmox knows no option `nestign` (did you mean `nesting`?)");
        assert_eq!(read("nesting"), "`nesting` must be NAME=VALUE (write \"nesting=1\")");
        assert_eq!(read("memory=512"), "`memory` is not for `list` (`memory_mb` declares it)");
        assert!(read("net3=name=eth3").contains("additional_networks"));
        assert!(read("delete=memory").contains("option of the command"));
    }

    #[test]
    fn options_of_virtual_machines() {
        let read = |text| read(GuestKind::Vm, text);
        assert_eq!(read("hostpci0=0000:01:00,pcie=1"), "hostpci0 = 0000:01:00,pcie=1");
        assert_eq!(read("ide0=local:iso/tools.iso,media=cdrom"), "ide0 = local:iso/tools.iso,media=cdrom");
        assert!(read("scsi1=local:32").contains("new disk"));
        assert!(read("cipassword=x").contains("ssh_keys"));
        assert_eq!(read("nesting=1"), "Proxmox knows no option `nesting` ()");
    }

    #[test]
    fn every_field_is_in_the_option_table() {
        for kind in [GuestKind::Lxc, GuestKind::Vm] {
            for key in fields_of(kind) {
                assert!(set(kind).option(key).is_some(), "{key}");
                assert_eq!(refusal(kind, key), None, "{key}");
            }
        }
    }
}
