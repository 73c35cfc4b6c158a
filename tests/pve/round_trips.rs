//! What is built is understood again as it was meant, whatever the values are.

use std::time::Duration;

use proptest::prelude::*;

use phoenix::command::Command;
use phoenix::model::{GuestId, GuestKind};
use phoenix::pve::argv::{self, Call};
use phoenix::pve::property::Properties;
use phoenix::pve::table::{Grammar, Kind, table};
use phoenix::pve::tool::{Clone, Tool};
use phoenix::pve::{firewall, format, pct, qm, size, storage};

use crate::corpora::entries;

fn understood(command: &Command) -> Call {
    let words: Vec<String> = std::iter::once(command.program.clone()).chain(command.args.iter().cloned()).collect();
    argv::parse(&words).unwrap_or_else(|refusal| panic!("{command}: {}", refusal.stderr))
}

fn ids() -> impl Strategy<Value = GuestId> {
    (100u32..999_999_999).prop_map(|id| id.try_into().unwrap())
}

fn kinds() -> impl Strategy<Value = GuestKind> {
    prop_oneof![Just(GuestKind::Lxc), Just(GuestKind::Vm)]
}

fn names() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,20}[a-z0-9])?"
}

/// Whatever a program can be given.
fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("(--?[a-z]{0,6}=?|)[^\0]{0,12}", 0..5)
}

/// Grammars with their names.
fn grammars() -> Vec<(&'static str, &'static Grammar)> {
    let known =
        ["ct-net", "ct-mp", "ct-rootfs", "ct-features", "ct-dev", "vm-net", "vm-disk", "vm-ipconfig", "vm-agent"];
    known.into_iter().filter_map(|name| Some((name, table().grammar(name)?))).collect()
}

/// A value that a key may have by its kind, as somebody would write it.
fn value(kind: Kind, seed: u32) -> String {
    match kind {
        Kind::Boolean => ["1", "0", "yes", "off", "true"][seed as usize % 5].to_owned(),
        Kind::Integer | Kind::Number => (seed % 1000).to_string(),
        _ => ["a", "b-c", "198.51.100.7/24", "BC:24:11:00:00:01", "tank:vm-100-disk-0"][seed as usize % 5].to_owned(),
    }
}

proptest! {
    #[test]
    fn builders_are_understood_as_they_were_meant(
        kind in kinds(), id in ids(), other in ids(), name in names(), snapshot in "[a-z][a-z0-9_-]{1,20}",
        full: bool, running: bool, seconds in 1u64..4000, gigabytes in 1u32..9999,
    ) {
        let tool = Tool::of(kind, id);
        let (id, other_id) = (id.to_string(), other.to_string());
        let limit = Duration::from_secs(seconds);
        let storage = Some("tank".to_owned());
        let clone = Clone { name: Some(name.clone()), snapname: full.then(|| snapshot.clone()), full, storage, running };
        let call = understood(&tool.clone(other, &clone));
        prop_assert_eq!(&call.positionals, &[id.clone(), other_id]);
        prop_assert_eq!(call.option(if kind == GuestKind::Lxc { "hostname" } else { "name" }), Some(name.as_str()));
        prop_assert_eq!(call.option("snapname"), full.then_some(snapshot.as_str()));
        prop_assert_eq!((call.is_on("full"), call.option("storage")), (full, full.then_some("tank")));

        for (command, subcommand) in [
            (tool.start(), "start"), (tool.stop(), "stop"), (tool.template(), "template"), (tool.unlock(), "unlock"),
            (tool.destroy(), "destroy"), (tool.destroy_remains(), "destroy"),
        ] {
            let call = understood(&command);
            prop_assert_eq!(call.command, format!("{} {subcommand}", tool.name()));
            prop_assert_eq!(&call.positionals, std::slice::from_ref(&id));
        }
        for (command, subcommand) in [
            (tool.snapshot(&snapshot), "snapshot"), (tool.delsnapshot(&snapshot), "delsnapshot"),
            (tool.delsnapshot_remains(&snapshot), "delsnapshot"), (tool.rollback(&snapshot), "rollback"),
        ] {
            let call = understood(&command);
            prop_assert_eq!(call.command, format!("{} {subcommand}", tool.name()));
            prop_assert_eq!(&call.positionals, &[id.clone(), snapshot.clone()]);
        }
        for command in [tool.shutdown(limit), tool.reboot(limit)] {
            let (call, seconds) = (understood(&command), seconds.to_string());
            prop_assert_eq!(call.option("timeout"), Some(seconds.as_str()));
            prop_assert!(command.timeout > limit);
        }
        let disk = if kind == GuestKind::Lxc { "rootfs" } else { "scsi0" };
        let size = format!("{gigabytes}G");
        prop_assert_eq!(understood(&tool.resize(disk, &size)).positionals, [id, disk.to_owned(), size]);
    }

    /// Options go through with every character that a value may have, those of options too.
    #[test]
    fn values_go_through_as_they_are(kind in kinds(), id in ids(), description in "[^\0]{1,60}", tags in "[a-z0-9;]{0,20}") {
        let options = [("description".to_owned(), description.clone()), ("memory".to_owned(), "2048".to_owned())];
        let call = understood(&Tool::of(kind, id).set(&options));
        prop_assert_eq!(call.options, options);
        let options = [("description".to_owned(), description)];
        let call = match kind {
            GuestKind::Lxc => understood(&pct::create(id, "local:vztmpl/debian.tar.zst", &options)),
            GuestKind::Vm => understood(&qm::create(id, &options)),
        };
        prop_assert_eq!(call.option("description"), Some(options[0].1.as_str()));
        let _ = format::split_list(&tags);
    }

    /// The words of a program are its own.
    #[test]
    fn programs_get_their_words(id in ids(), program in "[a-z/]{1,10}", words in words()) {
        let argv = || std::iter::once(program.as_str()).chain(words.iter().map(String::as_str));
        let expected: Vec<&str> = argv().collect();
        prop_assert_eq!(understood(&pct::exec(id, argv())).rest, &*expected);
        prop_assert_eq!(understood(&qm::guest_exec(id, Duration::from_secs(5), argv())).rest, &*expected);
    }

    #[test]
    fn property_strings_of_every_grammar_survive(
        grammar in prop::sample::select(grammars()), order in any::<u64>(), seeds in prop::collection::vec(any::<u32>(), 40),
    ) {
        let (name, grammar) = grammar;
        let mut parts: Vec<String> = grammar
            .iter()
            .filter(|(_, schema)| schema.alias.is_none())
            .zip(&seeds)
            .filter(|(_, seed)| *seed % 3 != 0)
            .map(|((key, schema), seed)| {
                let value = value(schema.kind, *seed);
                if schema.default_key && seed % 2 == 0 { value } else { format!("{key}={value}") }
            })
            .collect();
        if !parts.is_empty() {
            let by = order as usize % parts.len();
            parts.rotate_left(by);
        }
        let text = parts.join(",");
        let parsed = Properties::parse(&text, grammar).unwrap_or_else(|error| panic!("{name}: {text}: {error}"));
        let printed = parsed.print(grammar);
        let again = Properties::parse(&printed, grammar).unwrap_or_else(|error| panic!("{name}: {printed}: {error}"));
        let sorted = |properties: &Properties| {
            let mut pairs: Vec<(String, String)> =
                properties.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            pairs.sort();
            pairs
        };
        prop_assert_eq!(sorted(&again), sorted(&parsed));
        prop_assert_eq!(again.print(grammar), printed);
        prop_assert_eq!(parsed.iter().count(), parts.len());
    }

    #[test]
    fn sizes_survive(bytes: u64, spelt in "[0-9]{1,12}(\\.[0-9]{1,3})?[KMGT]?(iB)?") {
        prop_assert_eq!(size::parse(&size::print(bytes)), Some(bytes));
        if let Some(bytes) = size::parse(&spelt) {
            prop_assert_eq!(size::parse(&size::print(bytes)), Some(bytes));
        }
    }

    #[test]
    fn storages_are_read_as_proxmox_writes_them(
        storages in prop::collection::btree_map(
            "[a-z][a-z0-9]{1,8}",
            ("dir|zfspool|lvmthin|btrfs|nfs", prop::collection::btree_map("[a-z][a-z0-9-]{0,9}", "[a-zA-Z0-9/][a-zA-Z0-9/,:.]{0,12}", 0..5)),
            0..6,
        ),
    ) {
        let text: String = storages
            .iter()
            .map(|(id, (kind, properties))| {
                let lines: String = properties.iter().map(|(key, value)| format!("\t{key} {value}\n")).collect();
                format!("{kind}: {id}\n{lines}\n")
            })
            .collect();
        let read = storage::parse_cfg(&text);
        for (id, (kind, properties)) in &storages {
            let found = read.iter().find(|storage| storage.id == *id);
            prop_assert!(found.is_some_and(|found| found.kind == *kind && found.properties == *properties), "{}", text);
        }
        prop_assert!(read.len() == storages.len() + usize::from(!storages.contains_key("local")));
    }

    /// Lines that make sense, and lines that do not, in any order.
    #[test]
    fn files_of_any_lines_hold_what_must_hold(lines in prop::collection::vec(
        prop_oneof![
            "\\[(OPTIONS|RULES|ALIASES|IPSET [a-z]{1,4}|group x|pve:pending|base|special:cloudinit)\\]",
            "(enable|dhcp|policy_in|log_level_in|memory|net0|description|lxc.idmap): ?[A-Za-z0-9,=#| ]{0,12}",
            "\\|?(IN|OUT|GROUP) (ACCEPT|DROP|SSH\\(ACCEPT\\)|web)( -(p|dport|source|i|log|sport) [a-z0-9.,:/+!-]{1,9}){0,3}( # ?[a-z #]{0,6})?",
            "[a-z]{1,5} [0-9./]{1,9}",
            "(dir|zfspool): ?[a-z]{0,5}",
            "[ -~]{0,20}",
        ],
        0..16,
    )) {
        let text = lines.join("\n");
        entries::guest_config(text.as_bytes());
        entries::guest_firewall(text.as_bytes());
        entries::storage_cfg(text.as_bytes());
        let parsed = firewall::parse(&text).firewall;
        prop_assert!(firewall::says(&firewall::render(&parsed), &parsed));
    }
}
