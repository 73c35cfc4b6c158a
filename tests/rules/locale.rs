//! Arguments that are not ASCII.

use phoenix::host::Host;

use super::*;
use crate::support::scenario::Scenario;

#[test]
fn another_locale_than_utf_8_destroys_arguments_so_phoenix_sets_its_own() {
    let mut scenario = Scenario::platform();
    scenario.create(&[900]).is_fine();
    let mut world = scenario.world();
    // As under cron, or in a unit of systemd.
    world.environment.insert("LC_ALL".to_owned(), "C".to_owned());
    scenario.world = Some(world);
    let sandbox = scenario.sandbox();
    let described = |sandbox: &Sandbox| {
        let config = fine(sandbox, "pct config 900");
        config.lines().find_map(|line| line.strip_prefix("description: ")).unwrap().to_owned()
    };
    fine(&sandbox, "pct set 900 --description grün");
    assert_eq!(described(&sandbox), "gr%EF%BF%BD%EF%BF%BDn%0A");
    assert!(sandbox.run(&change("pct set 900 --description grün")).unwrap().ok());
    assert_eq!(described(&sandbox), "gr%C3%BCn%0A");
}
