//! `feature run`: what it would do on a guest, and why it does not run somewhere.

use super::tried::Tried;

/// An emulated node with a base and a guest, and a feature that nobody lists yet.
fn installation() -> Tried {
    let here = Tried::new();
    here.phoenix(&["feature", "new", "mirror"]).ends(0);
    here.phoenix(&["--sandbox", "init", "etc"]).ends(0);
    here.emulated(&["create", "201"]).ends(0);
    here
}

#[test]
fn a_feature_is_rehearsed_before_it_is_declared_and_runs_when_it_is() {
    let here = installation();
    let told = here.emulated(&["feature", "run", "mirror", "--on", "201", "--dry-run"]).ends(0);
    told.says("note: 201 (hello) does not have the feature `mirror`")
        .says("+    path = /srv/mirror")
        .says("1 to change");
    here.emulated(&["feature", "run", "mirror", "--on", "hello"])
        .ends(2)
        .says("201 (hello) does not have the feature `mirror`")
        .says("put it into its `features`, or see what it would do with `--dry-run`");

    let declared = here.read("etc/phoenix_lxc_configs.json");
    here.write(
        "etc/phoenix_lxc_configs.json",
        &declared.replace("\"clone_from_ctid\": 200,", "\"clone_from_ctid\": 200, \"features\": [\"mirror\"],"),
    );
    here.emulated(&["feature", "run", "mirror", "--on", "201"]).ends(0).says("1 guest: 1 changed");
    here.emulated(&["feature", "run", "mirror", "--on", "201"]).ends(0).says("1 guest: 1 unchanged");
    here.emulated(&["feature", "run", "mirror", "--on", "201", "--dry-run"]).ends(0).says("1 unchanged");
}

#[test]
fn where_it_cannot_run_it_says_why() {
    let here = installation();
    let run = |words: &[&str]| here.emulated(&[&["feature", "run"], words].concat());
    run(&["mirror", "--on", "200", "--dry-run"]).ends(2).says("200 (base) is a template: nothing runs in it any more");
    run(&["mirror", "--on", "999"]).ends(2).says("no guest `999` is declared");
    run(&["miror", "--on", "201"]).ends(2).says("did you mean `mirror`?");
    let script = here.read("features/mirror.rhai").replace("\"lxc\", \"vm\"", "\"vm\"");
    here.write("features/mirror.rhai", &script);
    run(&["mirror", "--on", "201", "--dry-run"])
        .ends(2)
        .says("the feature `mirror` is for virtual machines: 201 (hello) is a container");
}
