//! Program models: what they say about programs, packages and units of a modelled guest.

use super::stage::{Stage, feature};

const MODEL: &str = r##"
const MODEL = #{
    programs: ["tool"],
    packages: #{ "tool-pkg": #{ version: "2.0", programs: ["tool"], files: #{ "/etc/tool.conf": "fresh\n" } } },
    units: #{ "tool.service": #{ listens: [4711] } },
};

fn run(machine, argv) {
    switch argv[1] {
        "version" => `tool ${machine.name}`,
        "init" => {
            machine.write("/var/lib/tool/state", `${machine.env.TOKEN}:${machine.stdin}`, #{ mode: "0600" });
            #{ stdout: "done" }
        }
        "refuse" => #{ code: 3, stderr: "not today" },
        "broken" => machine.env.absent,
        _ => (),
    }
}
"##;

fn stage(body: &str) -> Stage {
    Stage::new(&[("features/x.rhai", &feature("", body)), ("features/x.model.rhai", MODEL)])
}

#[test]
fn a_model_answers_for_its_program() {
    let stage = stage(
        "    guest.packages([\"tool-pkg\"]);\n    \
         guest.exec([\"tool\", \"init\"], #{ creates: \"/var/lib/tool/state\", env: #{ TOKEN: \"t\" }, stdin: \"in\" });\n    \
         guest.file(\"/version\", #{ content: guest.probe([\"tool\", \"version\"]).stdout });",
    );
    assert!(stage.apply().unwrap().changed);
    assert_eq!(stage.text("/var/lib/tool/state").unwrap(), "t:in");
    assert_eq!(stage.text("/version").unwrap(), "tool guest");
    assert_eq!(stage.text("/etc/tool.conf").unwrap(), "fresh\n");
    assert!(!stage.apply().unwrap().changed);
}

#[test]
fn a_program_that_is_not_installed_is_not_found() {
    let failure = stage("    guest.exec([\"tool\", \"init\"], #{ creates: \"/x\" });").failure();
    assert!(failure.contains("tool"), "{failure}");
}

#[test]
fn what_a_model_refuses_is_the_programs_failure() {
    let failure =
        stage("    guest.packages([\"tool-pkg\"]);\n    guest.exec([\"tool\", \"refuse\"], #{ creates: \"/x\" });")
            .failure();
    assert!(failure.contains("exit status 3") && failure.contains("not today"), "{failure}");
}

#[test]
fn a_model_at_fault_says_where() {
    let failure =
        stage("    guest.packages([\"tool-pkg\"]);\n    guest.exec([\"tool\", \"broken\"], #{ creates: \"/x\" });")
            .failure();
    assert!(failure.contains("the model is at fault") && failure.contains("features/x.model.rhai"), "{failure}");
}
