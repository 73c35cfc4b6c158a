//! `reboot`: the guest goes and comes back, what is asked after it is asked of the new one, and there is no endless loop.

use phoenix::machine::MachineError;
use phoenix::op::{Op, OpValue};
use phoenix::script::{Entry, StagedGuest};
use serde_json::json;

use super::stage::Stage;

const REQUIRED: &str = "/run/reboot-required";

/// A unit that runs but is not enabled is gone after a restart, and so is what is in `/run`.
const BODY: &str = "
    guest.unit(\"once.service\", #{ content: \"[Service]\\nExecStart=/bin/sleep infinity\\n\" });
    guest.exec([\"systemctl\", \"start\", \"once.service\"], #{ creates: \"/etc/before\" });
    guest.file(\"/run/reboot-required\", #{ content: if guest.exists(\"/etc/before\") { \"\" } else { \"1\" } });
    guest.file(\"/etc/before\", #{ content: `active: ${guest.probe([\"systemctl\", \"is-active\", \"once.service\"]).stdout}` });
    let again = guest.reboot(#{ only_if: \"test -s /run/reboot-required\" });
    guest.file(\"/etc/after\", #{ content: `active: ${guest.probe([\"systemctl\", \"is-active\", \"once.service\"]).stdout}` });
    if again.changed { info(\"it is back\"); }";

#[test]
fn what_runs_after_it_sees_the_new_machine() {
    let stage = Stage::of_body(BODY);
    let began = stage.stand.host().now();
    stage.apply().unwrap();
    assert_eq!(stage.text("/etc/before").unwrap().trim(), "active: active");
    assert_eq!(stage.text("/etc/after").unwrap().trim(), "active: inactive");
    assert_eq!(stage.text(REQUIRED), None);
    let restarts = |stage: &Stage| {
        let events = stage.stand.events();
        events.iter().filter(|event| format!("{event:?}").contains("pct reboot 200")).count()
    };
    assert_eq!(restarts(&stage), 1);
    assert!(stage.stand.host().now().duration_since(began).as_secs() >= 2, "nobody waited");
    let state = stage.stand.host().perform(stage.stand.machine().place(), &[Op::SystemState]).unwrap().remove(0);
    assert_eq!(state.unwrap(), OpValue::SystemState("running".to_owned()));
}

#[test]
fn watched_files_ask_for_one_restart() {
    let stage = Stage::of_body(
        "    guest.file(\"/etc/modules\", #{ content: \"nbd\\n\" });\n    guest.reboot(#{ watch: [\"/etc/modules\"] });",
    );
    assert!(stage.apply().unwrap().changed);
    assert!(!stage.apply().unwrap().changed);
}

#[test]
fn without_need_nothing_happens() {
    let stage = Stage::of_body(
        "    guest.reboot(#{ when: false });\n    guest.reboot(#{ unless: \"true\" });\n    guest.reboot(#{ only_if: [\"false\"] });",
    );
    assert!(!stage.apply().unwrap().changed);
}

#[test]
fn a_guard_that_is_never_satisfied_ends() {
    let said = Stage::of_body("    while true { guest.reboot(#{ only_if: \"true\" }); }").failure();
    assert!(said.contains("asked for once more after 3 restarts by the same script"), "{said}");
    assert!(said.contains("hint: its guard still asks for one"), "{said}");
}

#[test]
fn the_node_is_never_restarted() {
    let text = "const FEATURE = #{ name: \"x\", summary: \"s\", targets: [\"node\"] };\n\n\
                fn apply(node, params) {\n    node.reboot(#{ when: true });\n}\n";
    let said = Stage::new(&[("features/x.rhai", text)]).failure();
    assert!(said.contains("a node has no method `reboot`"), "{said}");
    let stage = Stage::of_body("");
    let node = phoenix::machine::Machine::new(
        stage.stand.host().clone(),
        phoenix::op::Place::Node,
        stage.stand.machine().report().clone(),
    );
    assert!(matches!(node.reboot(&phoenix::machine::Reboot::default()), Err(MachineError::Invalid(_))));
}

#[test]
fn a_rehearsal_predicts_a_restart() {
    let stage = Stage::of_body("    guest.reboot(#{ watch: [\"/etc/fstab\"] });\n    guest.packages([\"tree\"]);");
    let rehearsal = stage.stand.rehearsal();
    let report = std::thread::scope(|scope| {
        let run = || rehearsal.run(Entry::Apply, "x", &json!({}));
        phoenix::script::thread("x").spawn_scoped(scope, run).unwrap().join().unwrap()
    });
    assert!(report.unwrap().changed);
}
