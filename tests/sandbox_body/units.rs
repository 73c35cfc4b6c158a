//! Boot and halt, and what the files of units mean.

use phoenix::op::UnitAction::{Disable, Enable, Reload, Restart, Start, Stop};
use phoenix::op::{Op, OpValue, UnitAction};
use phoenix::sandbox::body::{Body, Template};

use super::{around, booted, exec, perform, read, write};

fn state(body: &mut Body, name: &str) -> String {
    match perform(body, Op::Units { names: vec![name.to_owned()] }).unwrap() {
        OpValue::Units(units) => format!("{} {} {} {}", units[0].load, units[0].active, units[0].sub, units[0].enabled),
        other => panic!("{other:?}"),
    }
}

/// The words of a failure, or nothing.
fn act(body: &mut Body, name: &str, action: UnitAction) -> String {
    perform(body, Op::Unit { name: name.to_owned(), action }).map_or_else(|error| error.message, |_| String::new())
}

fn unit(text: &str) -> Op {
    write("/etc/systemd/system/web.service", text)
}

#[test]
fn every_template_boots_with_its_services() {
    for (template, expected) in [
        (Template::Debian12, [("networking", "exited"), ("cron", "running"), ("ssh", "running")]),
        (Template::Debian13, [("systemd-networkd", "running"), ("cron", "running"), ("ssh", "running")]),
        (Template::Ubuntu2404, [("systemd-networkd", "running"), ("cron", "running"), ("ssh.socket", "listening")]),
    ] {
        let mut body = booted(template);
        for (name, sub) in expected {
            assert_eq!(state(&mut body, name), format!("loaded active {sub} enabled"), "{template:?} {name}");
        }
        assert_eq!(exec(&mut body, &["systemctl", "is-system-running"]), (0, "running\n".to_owned()));
        assert_eq!(perform(&mut body, Op::Listening).unwrap(), OpValue::Ports([22].into()));
    }
}

#[test]
fn init_takes_its_time_and_forgets_what_lived_in_memory() {
    let mut body = booted(Template::Debian12);
    let system = |body: &mut Body, seconds: i64| {
        let mut around = around();
        around.identity.now += jiff::SignedDuration::from_millis(seconds * 100);
        let OpValue::SystemState(word) = body.perform(&Op::SystemState, &mut around).result.unwrap() else { panic!() };
        let OpValue::Network { addresses, .. } = body.perform(&Op::Network, &mut around).result.unwrap() else {
            panic!()
        };
        (word, addresses.len())
    };
    assert_eq!(system(&mut body, 0), ("offline".to_owned(), 0));
    assert_eq!(system(&mut body, 10), ("starting".to_owned(), 0));
    assert_eq!(system(&mut body, 15), ("starting".to_owned(), 1));
    assert_eq!(system(&mut body, 60), ("running".to_owned(), 1));

    let id = read(&mut body, "/etc/machine-id").unwrap();
    assert_eq!(id.len(), 33);
    perform(&mut body, write("/tmp/a", "")).unwrap();
    perform(&mut body, write("/run/a", "")).unwrap();
    body.halt();
    assert_eq!(system(&mut body, 60).0, "offline");
    assert_eq!((read(&mut body, "/tmp/a"), read(&mut body, "/run/a")), (None, None));
    assert_eq!(
        act(&mut body, "cron", Start).split(" (").next(),
        Some("System has not been booted with systemd as init system")
    );
    body.boot(&mut around());
    assert_eq!(read(&mut body, "/etc/machine-id"), Some(id), "a machine keeps its id");
}

#[test]
fn a_machine_without_systemd_never_answers_for_it() {
    let mut body = booted(Template::Tiny);
    assert_eq!(perform(&mut body, Op::SystemState).unwrap(), OpValue::SystemState("offline".to_owned()));
    assert_eq!(exec(&mut body, &["systemctl", "start", "ssh"]).0, 127);
}

#[test]
fn a_changed_unit_file_counts_after_a_reload() {
    let mut body = booted(Template::Debian12);
    perform(&mut body, unit("[Service]\nType=exec\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n"))
        .unwrap();
    assert_eq!(state(&mut body, "web"), "loaded inactive dead disabled");
    assert_eq!(act(&mut body, "web", Start), "");
    perform(&mut body, unit("[Service]\nType=exec\nExecStart=/usr/bin/gone\n")).unwrap();
    assert_eq!(act(&mut body, "web", Restart), "", "it runs what was loaded");
    perform(&mut body, Op::ReloadUnits).unwrap();
    assert!(act(&mut body, "web", Restart).starts_with("Job for web.service failed"));
    assert_eq!(state(&mut body, "web"), "loaded failed failed static");
    assert_eq!(exec(&mut body, &["systemctl", "is-system-running"]), (1, "degraded\n".to_owned()));
    assert_eq!(exec(&mut body, &["systemctl", "reset-failed", "web"]).0, 0);
    assert_eq!(state(&mut body, "web"), "loaded inactive dead static");
}

#[test]
fn what_a_service_needs_decides_whether_it_starts() {
    let mut body = booted(Template::Debian12);
    let mut try_it = |service: &str| {
        perform(&mut body, unit(&format!("[Unit]\nConditionPathExists=!/srv/off\n[Service]\n{service}"))).unwrap();
        perform(&mut body, Op::ReloadUnits).unwrap();
        act(&mut body, "web", Stop);
        let said = act(&mut body, "web", Start);
        (said.lines().next().unwrap_or_default().to_owned(), state(&mut body, "web"))
    };
    let failed = "Job for web.service failed because the control process exited with error code.";
    let (fine, down) = ("loaded active running static", "loaded failed failed static");
    let ok = |state: &str| (String::new(), state.to_owned());
    let not = || (failed.to_owned(), down.to_owned());
    assert_eq!(try_it("ExecStart=/usr/bin/true\n"), ok(fine));
    assert_eq!(try_it("ExecStart=/usr/bin/gone\n"), ok(down), "a simple service was started before it failed");
    assert_eq!(try_it("Type=notify\nExecStart=/usr/bin/gone\n"), not());
    assert_eq!(try_it("User=nobody\nExecStart=/usr/bin/true\n"), ok(fine));
    assert_eq!(try_it("Type=exec\nUser=whoever\nExecStart=/usr/bin/true\n"), not());
    assert_eq!(try_it("Type=exec\nExecStartPre=/usr/bin/false\nExecStart=/usr/bin/true\n"), not());
    assert_eq!(try_it("Type=exec\nExecStartPre=-/usr/bin/false\nExecStart=/usr/bin/true\n"), ok(fine));
    assert_eq!(try_it("Type=oneshot\nExecStart=/usr/bin/true\n"), ok("loaded inactive dead static"));
    assert_eq!(
        try_it("Environment=A=1\n").0,
        "Failed to start web.service: Unit web.service has a bad unit file setting."
    );
    perform(&mut body, write("/srv/off", "")).unwrap();
    assert_eq!(act(&mut body, "web", Stop), "");
    assert_eq!(act(&mut body, "web", Start), "", "an unmet condition is no failure");
}

#[test]
fn drop_ins_aliases_instances_and_masks() {
    let mut body = booted(Template::Debian12);
    assert_eq!(state(&mut body, "sshd"), "loaded active running alias");
    perform(
        &mut body,
        write("/etc/systemd/system/job@.service", "[Service]\nType=exec\nExecStart=/usr/bin/test %i = x\n"),
    )
    .unwrap();
    assert_eq!(act(&mut body, "job@x.service", Start), "");
    assert!(act(&mut body, "job@y.service", Start).starts_with("Job for job@y.service failed"));

    let attributes = Default::default();
    perform(&mut body, Op::MakeDir { path: "/etc/systemd/system/cron.service.d".to_owned(), attributes }).unwrap();
    perform(&mut body, write("/etc/systemd/system/cron.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/gone\n"))
        .unwrap();
    perform(&mut body, Op::ReloadUnits).unwrap();
    assert!(act(&mut body, "cron", Restart).starts_with("Job for cron.service failed"));

    assert_eq!(act(&mut body, "cron", Disable), "");
    assert_eq!(exec(&mut body, &["systemctl", "mask", "cron"]).0, 0);
    assert_eq!(state(&mut body, "cron"), "masked failed failed masked");
    assert_eq!(act(&mut body, "cron", Start), "Failed to start cron.service: Unit cron.service is masked.");
    assert_eq!(
        act(&mut body, "cron", Enable),
        "Failed to enable unit: Unit file /etc/systemd/system/cron.service is masked."
    );
    assert_eq!(exec(&mut body, &["systemctl", "unmask", "cron"]).0, 0);
    assert_eq!(act(&mut body, "cron", Enable), "");
    assert_eq!(
        act(&mut body, "console-getty", Reload).lines().next(),
        Some(
            "Failed to reload console-getty.service: Job type reload is not applicable for unit console-getty.service."
        )
    );
}
