//! What the tools say, and what it is worth.

use phoenix::event::Outcome;

use super::*;
use crate::support::scenario::Scenario;

/// A thick LVM, which takes containers and nothing that is built on snapshots.
fn thick(scenario: &mut Scenario) {
    let mut world = scenario.fresh();
    let storage = serde_json::json!({"id": "thick", "type": "lvm", "path": "vg0", "content": ["rootdir", "images"]});
    world.storages.push(serde_json::from_value(storage).unwrap());
    scenario.world = Some(world);
}

#[test]
fn a_tool_that_exits_with_zero_is_not_believed() {
    let mut scenario = Scenario::platform_of_a_template();
    thick(&mut scenario);
    scenario.guest(900).root.storage = "thick".to_owned();
    let ran = scenario.create(&[900]);
    assert!(ran.processes().contains(&"pct template 900".to_owned()), "{:?}", ran.processes());
    assert_eq!(ran.cause(900), "`pct template`: the guest is no template");
    let Outcome::Failed { cause } = ran.outcome(900) else { unreachable!() };
    assert!(cause.output.as_deref().unwrap_or_default().contains("Template feature is not available for 'thick:"));
}

#[test]
fn property_strings_come_back_in_another_order_and_are_the_same() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let config = scenario.on_the_node("pct config 101");
    let stored = config.lines().find_map(|line| line.strip_prefix("net0: ")).unwrap();
    assert!(stored.starts_with("name=eth0,bridge=vmbr0,gw=") && stored.ends_with(",type=veth"), "{stored}");
    // Somebody else's order and spelling of the same.
    let hwaddr = stored.split(',').find(|part| part.starts_with("hwaddr=")).unwrap();
    let rest: Vec<&str> = stored.split(',').filter(|part| !part.starts_with("hwaddr=")).rev().collect();
    scenario.on_the_node(&format!("pct set 101 --net0 {},{hwaddr}", rest.join(",")));
    scenario.create(ALL).is_idle();
}

#[test]
fn an_option_that_is_not_set_cannot_be_deleted_and_says_so_with_exit_status_zero() {
    let mut scenario = Scenario::platform();
    scenario.create(ALL).is_fine();
    let (code, _, stderr) = typed(&scenario.sandbox(), "pct set 101 --delete nameserver");
    assert_eq!((code, stderr.as_str()), (0, "cannot delete 'nameserver' - not set in current configuration!\n"));
}
