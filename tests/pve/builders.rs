//! Every builder makes a command line that Proxmox accepts.

use std::collections::BTreeSet;
use std::time::Duration;

use phoenix::command::{Command, Effect, Mode, Resource};
use phoenix::model::GuestId;
use phoenix::pve::{argv, pct};

fn id(number: u32) -> GuestId {
    number.try_into().unwrap()
}

fn options(pairs: &[(&str, &str)]) -> pct::Options {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.program.clone()).chain(command.args.iter().cloned()).collect()
}

fn claims(command: &Command) -> BTreeSet<String> {
    command
        .claims
        .iter()
        .map(|claim| {
            let mode = match claim.mode {
                Mode::Exclusive => "exclusive".to_owned(),
                Mode::Shared => "shared".to_owned(),
                Mode::Counted(limit) => format!("at most {limit}"),
            };
            match &claim.resource {
                Resource::Guest(id) => format!("{id} {mode}"),
                Resource::Storage(storage) => format!("{storage} {mode}"),
            }
        })
        .collect()
}

fn all() -> Vec<Command> {
    let minute = Duration::from_secs(60);
    let linked = pct::Clone { storage: Some("tank".into()), ..pct::Clone::default() };
    let full = pct::Clone {
        hostname: Some("web".into()),
        snapname: Some("final-form".into()),
        full: true,
        storage: Some("tank".into()),
    };
    vec![
        pct::create(
            id(100),
            "local:vztmpl/debian.tar.zst",
            &options(&[("rootfs", "tank:8"), ("mp0", "tank:2,mp=/data")]),
        ),
        pct::clone(id(100), id(101), &linked),
        pct::clone(id(100), id(101), &full),
        pct::set(id(101), &options(&[("memory", "2048"), ("mp1", "/srv/www,mp=/var/www"), ("delete", "swap")])),
        pct::start(id(101)),
        pct::stop(id(101)),
        pct::shutdown(id(101), minute),
        pct::reboot(id(101), minute),
        pct::snapshot(id(101), "pre-configured"),
        pct::delsnapshot(id(101), "pre-configured"),
        pct::rollback(id(101), "pre-configured"),
        pct::template(id(101)),
        pct::resize(id(101), "rootfs", "16G"),
        pct::destroy(id(101)),
        pct::destroy_remains(id(101)),
        pct::unlock(id(101)),
        pct::exec(id(101), ["ls", "-la"]),
    ]
}

#[test]
fn proxmox_accepts_every_command_line() {
    for command in all() {
        let call = argv::parse(&words(&command));
        assert!(call.is_ok(), "{command}: {}", call.unwrap_err().stderr);
        assert_eq!(command.effect, Effect::Change, "{command}");
    }
}

#[test]
fn options_are_written_in_one_form() {
    for command in all() {
        assert!(!command.args.iter().any(|word| word.starts_with("--") && word.contains('=')), "{command}");
    }
    assert_eq!(
        pct::clone(id(100), id(101), &pct::Clone { hostname: Some("web".into()), ..pct::Clone::default() }).to_string(),
        "pct clone 100 101 --hostname web --full 0"
    );
    assert_eq!(pct::exec(id(101), ["ls", "-la"]).to_string(), "pct exec 101 -- ls -la");
}

#[test]
fn a_clone_has_its_source_to_itself_and_a_share_of_the_storage() {
    let linked = pct::Clone { storage: Some("tank".into()), ..pct::Clone::default() };
    let command = pct::clone(id(100), id(101), &linked);
    let expected = ["100 exclusive", "101 exclusive", "tank at most 4"];
    assert_eq!(claims(&command), expected.map(str::to_owned).into());
    // Proxmox refuses `--storage` for linked clones.
    assert!(!command.args.contains(&"--storage".to_owned()));
}

#[test]
fn new_volumes_claim_their_storages_and_directories_do_not() {
    let options = options(&[("rootfs", "tank:8"), ("mp0", "/srv/www,mp=/var/www"), ("mp1", "bulk:20,mp=/data")]);
    let command = pct::create(id(100), "local:vztmpl/debian.tar.zst", &options);
    let expected = ["100 exclusive", "bulk at most 4", "tank at most 4"];
    assert_eq!(claims(&command), expected.map(str::to_owned).into());
}
