//! What is read from others, given any bytes: one function per kind, called by the fuzz target of its name, and by the ordinary
//! tests with all that fuzzing has found so far (`corpus/NAME`). Each says what must hold beside not panicking.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use phoenix::command::Effect;
use phoenix::config::Dir;
use phoenix::model::Catalogue;
use phoenix::op::{Exec, Op, OpValue};
use phoenix::pve::guest_config::{GuestConfig, decode, encode};
use phoenix::pve::property::Properties;
use phoenix::pve::table::{Grammar, Schema, grammar_of, table};
use phoenix::pve::{argv, firewall, format, ha, inventory, qm, refusal, schema, size, storage, version};
use phoenix::script::{Library, Roots};

/// Takes whatever bytes, and must not panic.
pub type Entry = fn(&[u8]);

/// All of them, by name.
pub const ALL: &[(&str, Entry)] = &[
    ("guest_config", guest_config),
    ("property", property),
    ("texts", texts),
    ("answers", answers),
    ("world", world),
    ("storage_cfg", storage_cfg),
    ("config", config),
    ("guest_firewall", guest_firewall),
    ("command_line", command_line),
    ("node_files", node_files),
];

/// A guest's configuration file: what nobody touches keeps its bytes.
pub fn guest_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = GuestConfig::parse(text);
    assert_eq!(config.render(), text);
    let keys: Vec<(String, String)> = config.current.entries().map(owned).collect();
    // Setting and removing again what was not there changes nothing, but a missing newline in front of it.
    let mut changed = config.clone();
    if changed.current.get("zz").is_none() {
        changed.current.set("zz", "new");
        assert_eq!(GuestConfig::parse(&changed.render()).current.get("zz"), Some("new"));
        assert!(changed.current.remove("zz"));
        assert_eq!(changed.render().replace('\n', ""), text.replace('\n', ""));
    }
    // Each key can be set, and nothing else moves.
    for (key, _) in &keys {
        let mut changed = config.clone();
        changed.current.set(key, "1");
        let again = GuestConfig::parse(&changed.render());
        assert_eq!(again.current.get(key), Some("1"));
        let others = |config: &GuestConfig| -> Vec<(String, String)> {
            config.current.entries().filter(|(name, _)| name != key).map(owned).collect()
        };
        assert_eq!(others(&again), others(&config));
        assert!(again.snapshots().eq(config.snapshots()));
    }
    let raw: Vec<(String, String)> = config.current.raw().map(owned).collect();
    let mut same = config.clone();
    same.current.set_raw(&raw);
    assert_eq!(same.render(), text);
    let mut without = config.clone();
    without.current.set_raw(&[]);
    assert_eq!(GuestConfig::parse(&without.render()).current.raw().count(), 0);
    let entries: Vec<(String, String)> = without.current.entries().map(owned).collect();
    assert_eq!(entries, keys);
    let _ = (config.coming("memory"), config.lock(), config.is_template(), config.current.description());
    assert_eq!(decode(&encode(text)), text);
    let _ = decode(text);
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Every option of every command that has a grammar.
fn options() -> &'static [(&'static str, &'static str, &'static Schema, Option<&'static Grammar>)] {
    type Found = (&'static str, &'static str, &'static Schema, Option<&'static Grammar>);
    static OPTIONS: LazyLock<Vec<Found>> = LazyLock::new(|| {
        let of = |(command, spec): (&'static str, &'static phoenix::pve::table::CommandSpec)| {
            spec.named().map(move |(option, schema)| (command, option.as_str(), schema, grammar_of(command, option)))
        };
        table().commands().flat_map(of).collect()
    });
    &OPTIONS
}

/// Two bytes choose an option, the rest is its value: it is judged, and a property string survives being printed.
pub fn property(data: &[u8]) {
    let Some((choice, data)) = data.split_first_chunk::<2>() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (command, option, schema, grammar) = options()[usize::from(u16::from_le_bytes(*choice)) % options().len()];
    let _ = schema::check(schema, option, text);
    let Some(grammar) = grammar else { return };
    let Ok(parsed) = Properties::parse(text, grammar) else { return };
    let printed = parsed.print(grammar);
    let again = Properties::parse(&printed, grammar);
    let again = again.unwrap_or_else(|error| panic!("{command} --{option}: {text:?} as {printed:?}: {error}"));
    let pairs = |properties: &Properties| -> BTreeMap<String, String> { properties.iter().map(owned).collect() };
    assert_eq!(pairs(&again), pairs(&parsed), "{command} --{option}: {text:?} as {printed:?}");
    assert_eq!(again.print(grammar), printed);
}

/// Small texts of many kinds, the first byte choosing.
pub fn texts(data: &[u8]) {
    const FORMATS: &[&str] = &[
        "dns-name",
        "dns-name-list",
        "address",
        "address-list",
        "email-or-username",
        "ip",
        "ipv4",
        "ipv6",
        "CIDR",
        "CIDRv4",
        "CIDRv6",
        "mac-addr",
        "pve-bridge-id",
        "pve-configid",
        "pve-configid-list",
        "pve-node",
        "pve-storage-id",
        "pve-tag-list",
        "pve-vmid",
        "pve-volume-id",
        "pve-poolid",
        "urlencoded",
        "disk-size",
    ];
    let Some((choice, data)) = data.split_first() else { return };
    if *choice == 0xff {
        let _ = qm::guest_exec_answer(data);
        return;
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match usize::from(*choice) {
        0 => {
            if let Some(bytes) = size::parse(text) {
                assert_eq!(size::parse(&size::print(bytes)), Some(bytes), "{text:?}");
            }
        }
        1 => _ = version::Version::in_pvecfg(text),
        2 => _ = refusal::Refusal::in_text(text),
        3 => {
            let (resources, status) = text.split_once('\0').unwrap_or((text, ""));
            assert!(
                ha::Ha::parse(resources, status).resources().all(|(id, _)| ha::of_sid(&format!("ct:{id}")).is_some())
            );
        }
        // A NUL in it is the only separator then, as Proxmox has it.
        4 if !text.contains('\0') => {
            let words = format::split_list(text);
            assert_eq!(format::split_list(&words.join(",")), words);
        }
        other => {
            let name = FORMATS[other % FORMATS.len()];
            if format::is_known(name) {
                let _ = format::check(name, text);
            }
        }
    }
}

/// What comes over a channel: as many results as Ops or none, the same in whatever pieces it comes.
pub fn answers(data: &[u8]) {
    let path = || "/etc/hostname".to_owned();
    let exec = Exec {
        argv: vec!["true".to_owned()],
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(1),
        effect: Effect::Read,
    };
    let ops = [
        Op::Stat { path: path() },
        Op::Read { path: path(), limit: 4 },
        Op::Digest { path: path() },
        Op::List { path: path() },
        Op::ReadAll { path: path(), suffix: String::new() },
        Op::Remove { path: path(), recursive: false },
        Op::Packages,
        Op::Units { names: vec!["a.service".to_owned(), "b.timer".to_owned()] },
        Op::Accounts,
        Op::Exec(exec),
        Op::Listening,
        Op::Network,
        Op::SystemState,
        Op::Os,
    ];
    // The first byte tells with which of them it begins, so that each is reached at once.
    let Some((first, data)) = data.split_first() else { return };
    let ops = &ops[usize::from(*first) % ops.len()..];
    let whole = phoenix::host::answers(ops, vec![data.to_vec()]);
    if let Ok(results) = &whole {
        assert_eq!(results.len(), ops.len());
        for result in results {
            if let Ok(OpValue::Bytes(Some(bytes))) = result {
                assert!(bytes.len() <= 4, "more than the limit");
            }
        }
    }
    let size = 1 + usize::from(data.first().copied().unwrap_or_default());
    let pieces = data.chunks(size).map(<[u8]>::to_vec).collect();
    assert_eq!(phoenix::host::answers(ops, pieces), whole);
}

/// A world file: understood, or refused with the line.
pub fn world(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = phoenix::sandbox::parse_world(text) {
        assert!(error.to_string().contains("line "), "{error}");
    }
}

/// `storage.cfg`: `local` is always there, and every question about a storage has an answer.
pub fn storage_cfg(data: &[u8]) {
    use storage::{Capability, DiskFormat};
    let Ok(text) = std::str::from_utf8(data) else { return };
    let storages = storage::parse_cfg(text);
    assert!(storages.iter().any(|storage| storage.id == "local"));
    for storage in &storages {
        for capability in [
            Capability::ContainerSnapshot,
            Capability::ContainerLinkedClone,
            Capability::ContainerTemplate,
            Capability::DiskSnapshot(DiskFormat::Raw),
            Capability::DiskLinkedClone(DiskFormat::Qcow2),
            Capability::DiskTemplate,
        ] {
            let _ = storage.can(capability);
        }
        for content in ["vztmpl", "import", "snippets", "rootdir"] {
            let _ = (storage.holds(content), storage.directory(content));
        }
        let _ = storage.is_on_node("pve1");
    }
}

/// A configuration file, chosen by the first byte, beside the shipped others: it is read as far as it goes, and everything
/// that is said about it can be shown at its place.
pub fn config(data: &[u8]) {
    const FILES: [&str; 3] = ["phoenix_lxc_configs.json", "phoenix_vm_configs.json", "phoenix_hypervisor_config.json"];
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Library::load(&Roots::embedded()).0.catalogue().clone());
    static DIRECTORY: LazyLock<Mutex<PathBuf>> = LazyLock::new(|| {
        let directory = std::env::temp_dir().join(format!("phoenix-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for temporary files");
        Mutex::new(directory)
    });
    let Some((choice, data)) = data.split_first() else { return };
    let directory = DIRECTORY.lock().expect("not poisoned: a panic ends the process or the test");
    for (at, name) in FILES.iter().enumerate() {
        let shipped = Dir::Embedded.read(name).expect("it is shipped");
        let text = if at == usize::from(*choice) % FILES.len() { data } else { shipped.as_bytes() };
        std::fs::write(directory.join(name), text).expect("room for a small file");
    }
    let loaded = phoenix::config::load(&Dir::Real(directory.clone()), &CATALOGUE);
    let told = phoenix::ui::findings::render(&loaded.findings, false);
    assert_eq!(told.is_empty(), loaded.findings.is_empty());
    assert!(loaded.site.is_some() || loaded.has_errors());
}

/// A guest's firewall file: if nothing in it is foreign, what was read says the same when it is written.
pub fn guest_firewall(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = firewall::parse(text);
    if parsed.foreign.is_empty() {
        assert!(firewall::says(text, &parsed.firewall), "{}", firewall::render(&parsed.firewall));
    }
}

/// Words separated by NUL: a command line that is understood, or refused with a complete text.
pub fn command_line(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    match argv::parse(&words) {
        Err(refusal) => assert!(refusal.code != 0 && refusal.stderr.ends_with('\n'), "{refusal:?}"),
        Ok(call) => assert!(table().command(&call.command).is_some()),
    }
}

/// The files that tell a node's state, separated by NUL: understood, or refused by name.
pub fn node_files(data: &[u8]) {
    let mut files = data.split(|byte| *byte == 0);
    let mut file = || files.next().unwrap_or_default().to_vec();
    let guests = |config: Vec<u8>| OpValue::Files(BTreeMap::from([("100.conf".to_owned(), config)]));
    let results: Vec<_> = inventory::ops("pve1")
        .iter()
        .map(|op| {
            Ok(match op {
                Op::Read { .. } => OpValue::Bytes(Some(file())),
                Op::ReadAll { suffix, .. } if suffix == ".pid" => {
                    OpValue::Files(BTreeMap::from([("200.pid".to_owned(), file())]))
                }
                Op::ReadAll { .. } => guests(file()),
                _ => OpValue::Entries(Some(Vec::new())),
            })
        })
        .collect();
    if let Ok(mut inventory) = inventory::parse(&results) {
        let details: Vec<_> = inventory::details(&inventory).iter().map(|_| Ok(OpValue::Bytes(Some(file())))).collect();
        inventory.complete(&details);
    }
}
